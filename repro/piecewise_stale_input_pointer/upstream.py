"""vllm#37363 in stock torch, on a GPU: two captured pieces and between them an eager product, whose
result is a new tensor at every step. That a graph holds addresses is documented: "live" says that
the second piece computes with what its input was at capture. The control copies the result there."""

import json
import sys

import torch


def captured(pool, piece):
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        out = piece()
    return graph, out


def second_step(copies):
    """(whether the second piece has the first step's result, whether it has its own)."""
    torch.manual_seed(0)
    weight = torch.randn(4, 64, 64, device="cuda")
    x = torch.randn(4, 8, 64, device="cuda")  # the static input
    torch.bmm(x, weight)  # makes cuBLAS's handle
    pool = torch.cuda.graph_pool_handle()
    first, doubled = captured(pool, lambda: x * 2)
    first.replay()
    at_capture = torch.bmm(doubled, weight)  # stays alive, so the next one is elsewhere
    second, out = captured(pool, lambda: at_capture + 1)
    stale = at_capture + 1
    x.copy_(torch.randn_like(x))
    first.replay()
    fresh = torch.bmm(doubled, weight)
    if copies:
        at_capture.copy_(fresh)
    second.replay()
    torch.cuda.synchronize()
    return torch.equal(out, stale), torch.equal(out, fresh + 1)


if torch.cuda.is_available():
    assert second_step(copies=True)[1], "copied to where it was captured too"
    is_stale, is_right = second_step(copies=False)
    state = "live" if is_stale and not is_right else "fixed" if is_right else "changed"
    evidence = f"handed on: the bits of capture {is_stale}, of this step {is_right}"
else:
    state, evidence = "not applicable", "needs a GPU"
print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
sys.exit(77 if state == "not applicable" else 0)
