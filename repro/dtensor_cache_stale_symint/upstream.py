"""pytorch#183021 on the torch at hand, with no second process and no GPU: one step, compiled
forward and compiled backward, traced at several sizes. Each trace begins afresh; what is left of
the one before it is DTensor's cache of sharding decisions. The control clears that too."""

import json

import torch
import torch.distributed as dist
from torch._dynamo import compiled_autograd
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
mesh = init_device_mesh("cpu", (2,))


def compiled(function):
    return torch.compile(function, backend="aot_eager", fullgraph=True, dynamic=True)


def step(rows):
    torch._dynamo.reset()
    x = DTensor.from_local(torch.randn(rows, 4), mesh, [Shard(0)], run_check=False)
    x.requires_grad_()
    with compiled_autograd._enable(compiled):
        compiled(torch.square)(x).sum().backward()


def failures(*, clear):
    found = []
    for rows in (3, 5, 2, 4, 8, 6, 9, 7):
        if clear:
            torch._C._clear_DTensor_sharding_propagator_cache()
        try:
            step(rows)
        except Exception as error:
            # Dynamo puts an explanation around the words of the error.
            found.append(str(error).rpartition("): got ")[2].splitlines()[0])
    return found


alone = failures(clear=True)
in_turn = failures(clear=False)
if alone:
    state, evidence = "changed", f"with the cache cleared: {alone[0]}"
elif in_turn:
    state, evidence = "live", f"after other sizes: {in_turn[0]}"
else:
    state, evidence = "fixed", "each size traces after the others as it does alone"
print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
