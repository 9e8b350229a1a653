"""Cases of grid_autograd.json: as autograd.json, on meshes of two dimensions."""

import aten
import autograd
import grid

MESHES = grid.MESHES
TABLE = autograd.TABLE


def cases(*_):
    shape = [5, 3]
    out = []
    for x in grid.inputs(shape):
        for to in grid.placements(pending=False):
            first, second = to.strip("[]").split(", ")
            for grad in (to, "[P(sum), P(sum)]", f"[P(sum), {second}]", f"[{first}, P(sum)]"):
                gradient = {"shape": shape, "placement": grad, "start": 1}
                out.append(aten.case("redistribute", [x, gradient], to=to))
        for gradient in grid.inputs(shape, start=1):
            out.append(aten.case("from_local", [x, gradient]))
        out.append({**aten.case("to_local", [x], grad_placement=None), "full": False})
    return out
