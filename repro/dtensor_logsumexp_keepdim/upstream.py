"""DTensor: logsumexp(dim, keepdim=True) forgets keepdim when it says where the result is sharded.
No second process and no GPU."""

import json

import torch
import torch.distributed as dist
from torch.distributed._local_tensor import LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
plain = torch.arange(12.0).view(3, 4)
expected = plain.logsumexp(0, keepdim=True)

with LocalTensorMode(2):
    x = distribute_tensor(plain, init_device_mesh("cpu", (2,)), [Shard(1)])
    kept = x.logsumexp(0, keepdim=True)
    whole = kept.full_tensor().reconcile()
    difference = (x - kept).full_tensor().reconcile()
    control = x.logsumexp(0).full_tensor().reconcile()

assert torch.equal(control, expected.squeeze(0)), "without keepdim too"
is_right = torch.equal(whole, expected) and torch.equal(difference, plain - expected)
wrong = int((difference != plain - expected).sum())
print(json.dumps({
    "torch": torch.__version__,
    "state": "fixed" if is_right else "live",
    "evidence": f"[3, 4] Shard(1), logsumexp(0, keepdim=True): placements {kept.placements}, "
    f"gathered shape {tuple(whole.shape)}, expected {tuple(expected.shape)}; "
    f"x - x.logsumexp(0, keepdim=True): {wrong} of {plain.numel()} elements wrong",
}))
