"""Cases of ops_reduce.json: sums, a mean, concatenation."""

import itertools

import aten
import harness

OPS = ("sum", "sum.dim_IntList", "mean", "cat", "stack")
TABLE = {name: aten.call(name) for name in OPS}


def _sum_and_cat_cases(s):
    out = []
    for x in aten.each_placement([s, 3]):
        out.append(aten.case("sum", [x]))
        for dim, keepdim in itertools.product(([0], [1], [-1], [0, 1]), (False, True)):
            out.append(aten.case("sum.dim_IntList", [x], dim=dim, keepdim=keepdim))
        if s in (1, 5):
            out.append(aten.case("mean", [x]))
    for dim in (0, 1):
        for x, y in itertools.product(
            aten.each_placement([s, 2]), aten.each_placement([s, 2], start=100)
        ):
            out.append(aten.case("cat", [x, y], dim=dim))
        for x in aten.each_placement([s, 2]):
            out.append(aten.case("stack", [x, x], dim=dim))
    return out


def cases(n):
    out = []
    for size in harness.sizes(n):
        out += _sum_and_cat_cases(size)
    return out
