"""DTensor: fill_ of a tensor that is Partial fills every rank's part, and keeps the placement. No
second process and no GPU."""

import json

import torch
import torch.distributed as dist
from torch.distributed._local_tensor import LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())


def filled(placement):
    with LocalTensorMode(2):
        mesh = init_device_mesh("cpu", (2,))
        x = DTensor.from_local(torch.ones(3), mesh, [placement], run_check=False)
        return x.fill_(5).full_tensor().reconcile().tolist(), torch.full_like(x, 5).full_tensor()


assert filled(Replicate())[0] == [5, 5, 5]
values, full_like = filled(Partial())
assert full_like.reconcile().tolist() == [5, 5, 5], "full_like too"
print(json.dumps({
    "torch": torch.__version__,
    "state": "fixed" if values == [5, 5, 5] else "live",
    "evidence": f"fill_(5) of Partial(sum) over 2 ranks: {values}",
}))
