"""DTensor: flatten() of a tensor whose first dimension is empty never ends. No second process and no
GPU."""

import json
import signal

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

SECONDS = 5  # a flatten takes less than a millisecond

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
mesh = init_device_mesh("cpu", (2,))


def stop(signum, frame):
    raise RuntimeError("still running")


def flattened(*shape):
    signal.alarm(SECONDS)
    try:
        shape = distribute_tensor(torch.zeros(shape), mesh, [Replicate()]).flatten().shape
        return f"has shape {list(shape)}"
    except Exception as error:
        return "still running" if "still running" in str(error) else f"fails: {error}"
    finally:
        signal.alarm(0)


signal.signal(signal.SIGALRM, stop)
assert flattened(2, 3) == "has shape [6]", "one that is not empty"
outcome = flattened(0, 3)
print(json.dumps({
    "torch": torch.__version__,
    "state": "fixed" if outcome == "has shape [0]" else "live",
    "evidence": f"flatten() of [0, 3] after {SECONDS} s: {outcome}",
}))
