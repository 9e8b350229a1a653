"""Cases of autograd.json: gradients through redistribute, to_local and from_local.

torch.autograd.grad is asked, not .backward(): AccumulateGrad copies a gradient whose strides are
not those of the leaf, and its new_empty_strided replicates a DTensor that is sharded unevenly.
"""

import torch
from torch.distributed.tensor import DTensor

import harness


def _grad_of_redistribute(mesh, x, grad, to):
    leaf = harness.dtensor_from_spec(x, mesh, requires_grad=True)
    y = leaf.redistribute(placements=harness.placements_from_text(to))
    return torch.autograd.grad(y, leaf, harness.dtensor_from_spec(grad, mesh))[0]


def _grad_of_to_local(mesh, x, grad_placement):
    """The gradient of rank r's local tensor is (r + 1) * (1, 2, 3, ...)."""
    leaf = harness.dtensor_from_spec(x, mesh, requires_grad=True)
    told = None if grad_placement is None else harness.placements_from_text(grad_placement)
    local = leaf.to_local(grad_placements=told)
    grad = harness.global_value({"shape": list(local.shape), "start": 1}) * (mesh.get_rank() + 1)
    return torch.autograd.grad(local, leaf, grad)[0]


def _grad_of_from_local(mesh, x, grad):
    """The gradient that reaches the plain local tensor which `x`'s rank was made from."""
    source = harness.dtensor_from_spec(x, mesh)
    local = source.to_local().detach().clone().requires_grad_(True)
    y = DTensor.from_local(
        local, mesh, source.placements, run_check=False, shape=source.shape, stride=source.stride()
    )
    return torch.autograd.grad(y, local, harness.dtensor_from_spec(grad, mesh))[0]


TABLE = {
    "redistribute": _grad_of_redistribute,
    "to_local": _grad_of_to_local,
    "from_local": _grad_of_from_local,
}


def cases(n):
    every = ["S(0)", "S(1)", "R", "P(sum)"]
    out = []
    for size in harness.sizes(n):
        shape = [size, 3]
        for source in every:
            x = {"shape": shape, "placement": source}
            for other in every:
                for to in ("S(0)", "S(1)", "R"):
                    out.append(
                        {
                            "op": "redistribute",
                            "inputs": [x, {"shape": shape, "placement": other, "start": 1}],
                            "args": {"to": to},
                        }
                    )
                out.append(
                    {
                        "op": "from_local",
                        "inputs": [x, {"shape": shape, "placement": other, "start": 1}],
                    }
                )
            same_local_shape = ["R", "P(sum)"] if source in ("R", "P(sum)") else [source]
            for told in [None] + same_local_shape:
                out.append(
                    {
                        "op": "to_local",
                        "inputs": [x],
                        "args": {"grad_placement": told},
                        "full": False,
                    }
                )
    return out
