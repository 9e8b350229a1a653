"""vllm#42444 in stock torch, on a GPU: a sum over as many keys as a length says, by a plan that is
made if there is none yet. The warm-up makes it, so the capture records no planner. "live" says that
a replay at another length has the plan of the warm-up; the control forgets the plan before
capture."""

import json
import sys

import torch

KEYS = 9


class Planned:
    def __init__(self, keys, length):
        self.keys, self.length, self.plan = keys, length, None

    def __call__(self):
        if self.plan is None:
            self.plan = torch.arange(KEYS, device="cuda") < self.length
        return (self.keys * self.plan).sum()


def attended(forgets):
    """How many of nine keys a graph that was captured at a length of four attends to at nine."""
    length = torch.full((), 4, device="cuda")
    attention = Planned(torch.ones(KEYS, device="cuda"), length)
    attention()
    torch.cuda.synchronize()
    if forgets:
        attention.plan = None
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = attention()
    length.fill_(KEYS)
    graph.replay()
    torch.cuda.synchronize()
    return int(out)


if torch.cuda.is_available():
    assert attended(forgets=True) == KEYS, "a plan that was forgotten too"
    keys = attended(forgets=False)
    state = "fixed" if keys == KEYS else "live"
    evidence = f"captured at 4 keys, replayed at {KEYS}: {keys} attended to"
else:
    state, evidence = "not applicable", "needs a GPU"
print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
sys.exit(77 if state == "not applicable" else 0)
