"""vllm#48941 in stock torch, on a GPU: a captured product, whose weight is then replaced by a new
tensor, or copied over in place. That a graph holds addresses is documented: "live" says that its
replay has the old weight's bits."""

import json
import sys

import torch


def captured(model, x):
    model(x)  # makes cuBLAS's handle, which no capture may
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = model(x)
    return graph, out


class Product:
    def __init__(self):
        self.weight = torch.randn(256, 256, device="cuda")

    def __call__(self, x):
        return x @ self.weight


def after(reload):
    """(whether the replay has the old weight's product, whether it has the new one's)."""
    torch.manual_seed(0)
    model, x = Product(), torch.randn(8, 256, device="cuda")
    graph, out = captured(model, x)
    old, trained = model.weight, torch.randn(256, 256, device="cuda")
    before = x @ old
    reload(model, trained)
    graph.replay()
    torch.cuda.synchronize()
    return torch.equal(out, before), torch.equal(out, model(x))


def rebound(model, trained):
    model.weight = trained


def copied(model, trained):
    model.weight.copy_(trained)


if torch.cuda.is_available():
    assert after(copied)[1], "copied in place too"
    has_old, has_new = after(rebound)
    state = "live" if has_old and not has_new else "fixed" if has_new else "changed"
    evidence = f"after weight = trained: the old product {has_old}, the new one {has_new}"
else:
    state, evidence = "not applicable", "needs a GPU"
print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
sys.exit(77 if state == "not applicable" else 0)
