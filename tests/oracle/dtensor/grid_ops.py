"""Cases of grid_ops.json: some operators on meshes of two dimensions."""

import aten
import grid

MESHES = grid.MESHES
OPS = ("neg", "abs", "sum", "sum.dim_IntList", "add.Tensor", "mul.Tensor", "mm")
TABLE = {name: aten.call(name) for name in OPS}


def cases(*_):
    out = []
    for x in grid.inputs([5, 4]):
        out += [aten.case(op, [x]) for op in ("neg", "abs", "sum")]
        out += [aten.case("sum.dim_IntList", [x], dim=[dim]) for dim in (0, 1)]
        for y in grid.inputs([5, 4], start=100):
            out += [aten.case(op, [x, y]) for op in ("add.Tensor", "mul.Tensor")]
        out += [aten.case("mm", [x, y]) for y in grid.inputs([4, 3], start=1)]
    return out
