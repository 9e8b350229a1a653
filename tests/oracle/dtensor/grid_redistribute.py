"""Cases of grid_redistribute.json: as redistribute.json, on meshes of two dimensions."""

import itertools

import aten
import grid
import redistribute

MESHES = grid.MESHES
TABLE = redistribute.TABLE


def cases(*_):
    out = []
    for size in (1, 5, 7):
        shape = [size, 3]
        for to in grid.placements(pending=False):
            plain = {"shape": shape, "placement": "plain"}
            out.append({**aten.case("distribute_tensor", [plain], to=to), "full": False})
        for x, to in itertools.product(grid.inputs(shape), grid.placements(pending=size == 5)):
            out.append(aten.case("redistribute", [x], to=to))
    return out
