"""pytorch#194457 on the torch at hand, with no second process and no GPU: five rows over a mesh of
2 x 2 in both dimensions, gathered in two steps and, once the mesh has been flattened, in one."""

import json

import torch
import torch.distributed as dist
from torch.distributed._local_tensor import LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=4, store=FakeStore())


def gathered_rows(rows, *, flatten):
    with LocalTensorMode(4):
        mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("rows", "columns"))
        if flatten:
            mesh._flatten()
        plain = torch.arange(1, rows + 1)
        whole = distribute_tensor(plain, mesh, [Shard(0), Shard(0)]).full_tensor()
        return whole.reconcile().tolist()


wrong = [n for n in range(5, 13) if gathered_rows(n, flatten=True) != list(range(1, n + 1))]
nested = gathered_rows(5, flatten=False)
flat = gathered_rows(5, flatten=True)
if nested != [1, 2, 3, 4, 5]:
    state = "changed"
else:
    state = "live" if wrong else "fixed"
print(json.dumps({
    "torch": torch.__version__,
    "state": state,
    "evidence": f"rows 1 to 5 in two steps: {nested}, in one: {flat}; "
    f"of 5 to 12 rows these differ: {wrong}",
}))
