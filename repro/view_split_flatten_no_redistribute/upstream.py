"""pytorch#179502 on the torch at hand, with no second process and no GPU: a view that flattens
dimensions and splits them elsewhere, of a tensor that is not sharded in the first of them."""

import json

import torch
import torch.distributed as dist
from torch.distributed._local_tensor import LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())


def outcome(shape, to):
    """What becomes of the elements, and whether they stand where a plain view has them."""
    plain = torch.arange(torch.Size(shape).numel()).view(shape)
    with LocalTensorMode(2):
        x = distribute_tensor(plain, init_device_mesh("cpu", (2,)), [Shard(1)])
        try:
            view = x.view(to)
        except RuntimeError as error:
            reason = str(error).strip("('").split(".")[0]
            return f"refused: {reason}", True
        misplaced = int((view.full_tensor().reconcile() != plain.view(to)).sum())
    return f"{view.placements}, {misplaced} of {plain.numel()} elements misplaced", misplaced == 0


outcomes = {case: outcome(*case) for case in [((12, 8), (16, 6)), ((4, 4, 4), (8, 8))]}
print(json.dumps({
    "torch": torch.__version__,
    "state": "fixed" if all(is_right for _, is_right in outcomes.values()) else "live",
    "evidence": "; ".join(f"{s} -> {to}: {what}" for (s, to), (what, _) in outcomes.items()),
}))
