"""sglang#37606 in stock torch, on a GPU: two graphs of one pool; the output of the first is known by
address alone when the second is captured, and read after both have run. That a pool gives memory
again which nobody holds is what it is for: "live" says that the second graph's values are read. The
control owns the output."""

import json
import sys

import torch

ELEMENTS = 1 << 20


class Address:
    """Memory without an owner."""

    def __init__(self, tensor):
        self.__cuda_array_interface__ = {
            "shape": tuple(tensor.shape),
            "typestr": "<f4",
            "data": (tensor.data_ptr(), False),
            "version": 3,
        }


def captured(pool, program):
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        out = program()
    return graph, out


def read_after_both(owns):
    """Elements of the first output that are the second graph's by then."""
    x = torch.ones(ELEMENTS, device="cuda")
    pool = torch.cuda.graph_pool_handle()
    first, out = captured(pool, lambda: x * 2)
    seen = out if owns else torch.as_tensor(Address(out), device="cuda")
    del out
    second, sevens = captured(pool, lambda: torch.full((ELEMENTS,), 7.0, device="cuda"))
    first.replay()
    second.replay()
    torch.cuda.synchronize()
    assert bool((sevens == 7).all())
    return int((seen == 7).sum())


if torch.cuda.is_available():
    assert read_after_both(owns=True) == 0, "an output that is owned too"
    overwritten = read_after_both(owns=False)
    state = "live" if overwritten else "fixed"
    evidence = f"{overwritten} of {ELEMENTS} elements of the first graph's output are the second's"
else:
    state, evidence = "not applicable", "needs a GPU"
print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
sys.exit(77 if state == "not applicable" else 0)
