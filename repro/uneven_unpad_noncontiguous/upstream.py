"""pytorch#184443 on the torch at hand, with no second process and no GPU: 31 columns over two
ranks, gathered. The one short shard is padded and the padding cut off; the strides may tell."""

import json

import torch
import torch.distributed as dist
from torch.distributed._local_tensor import LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())

with LocalTensorMode(2):
    mesh = init_device_mesh("cpu", (2,))
    sharded = distribute_tensor(torch.randn(4, 31, 10), mesh, [Shard(1)])
    gathered = sharded.redistribute(mesh, [Replicate()])
    # The wrapper of all ranks says (310, 10, 1) whatever a rank holds.
    stride = gathered.to_local()._local_tensors[0].stride()
    try:
        gathered.view(124, 10)
        state, evidence = "fixed", f"stride {stride}"
    except RuntimeError as error:
        state = "live" if "view size is not compatible" in str(error) else "changed"
        evidence = f"stride {stride} where {gathered.stride()} is claimed; view(124, 10): {error}"

print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
