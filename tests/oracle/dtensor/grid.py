"""What the cases on meshes of two dimensions share."""

import itertools

import aten

MESHES = ((2, 2), (2, 3))


def placements(pending=True):
    """Every pair of placements of a tensor of two dimensions."""
    one = [p for p in aten.placements(2) if pending or p != "P(sum)"]
    return [f"[{a}, {b}]" for a, b in itertools.product(one, one)]


def inputs(shape, start=0):
    return [{"shape": shape, "placement": p, "start": start} for p in placements()]
