"""torchtitan#2881 in stock torch, on the CPU, with one process: a float32 table, and positions, go
through the forward of a module that FSDP shards with mixed precision. "live" says that it casts them
on the way in; the policy that does not is the control."""

import json

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

POSITIONS = torch.tensor([1.0, 256.0, 257.0, 4095.0, 15962.0])


class Seen(torch.nn.Module):
    """Gives back the table and the positions as float32, as forward got them."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x, table, positions):
        self.linear(x)
        return table.float(), positions.float()


def through(casts):
    torch.manual_seed(0)
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, cast_forward_inputs=casts)
    module = fully_shard(Seen(), mesh=mesh, mp_policy=policy)
    dtype = torch.float32 if casts else torch.bfloat16  # without the cast, x comes as it should be
    return module(torch.ones(2, 4, dtype=dtype), table, POSITIONS)


dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
mesh = init_device_mesh("cpu", (1,))
table = torch.cos(POSITIONS[:, None] / 1e6 ** (torch.arange(64) / 64))
kept, as_they_are = through(casts=False)
assert torch.equal(kept, table) and torch.equal(as_they_are, POSITIONS), "the control too"
rounded, positions = through(casts=True)
differing = int((rounded != table).sum())
moved = {int(a): int(b) for a, b in zip(POSITIONS, positions) if a != b}
dist.destroy_process_group()
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if differing or moved else "fixed",
    "evidence": f"{differing} of {table.numel()} elements of the table are other float32 numbers, "
    f"all of them bfloat16: {bool((rounded == rounded.bfloat16()).all())}; positions {moved}",
}))
