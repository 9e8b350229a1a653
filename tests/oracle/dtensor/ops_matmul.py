"""Cases of ops_matmul.json: products and embedding, in the placements of a tensor-parallel plan."""

import itertools

import aten
import harness

OPS = ("mm", "linear", "embedding", "embedding_dense_backward")


def _embedding_redistribute(mesh, weight, ids, to):
    """Row-wise embedding and what follows it: the masked sum becomes `to`."""
    out = aten.call("embedding")(mesh, weight, ids)
    return out.redistribute(placements=harness.placements_from_text(to))


TABLE = {name: aten.call(name) for name in OPS}
TABLE["embedding_redistribute"] = _embedding_redistribute


def _ids(rows, placement):
    """Every row at least once, out of order, some twice."""
    values = [(3 * i + 2) % rows for i in range(rows)] + [0, rows - 1]
    return {"shape": [1, len(values)], "placement": placement, "values": values, "dtype": "int64"}


def cases(n):
    out = []
    for s in harness.sizes(n):
        for left, right in (([s, 4], [4, 3]), ([3, s], [s, 2]), ([3, 2], [2, s])):
            for a, b in itertools.product(
                aten.each_placement(left), aten.each_placement(right, start=1)
            ):
                out.append(aten.case("mm", [a, b]))
        for x_shape, w_shape in (([1, s, 4], [3, 4]), ([1, 3, s], [2, s]), ([1, 3, 2], [s, 2])):
            for x, w in itertools.product(
                aten.each_placement(x_shape), aten.each_placement(w_shape, start=1)
            ):
                out.append(aten.case("linear", [x, w]))
        if s == 0:
            continue
        weights = aten.each_placement([s, 3], start=1)[:3]
        for weight, at in itertools.product(weights, ("R", "S(1)")):
            out.append(aten.case("embedding", [weight, _ids(s, at)]))
        chunk = -(-s // n)
        if chunk * (n - 1) >= s:
            weights = weights[1:]  # the last rank has no row, and its embedding raises before a sum
        for weight, to in itertools.product(weights, ("R", "S(0)", "S(1)", "S(2)")):
            out.append(aten.case("embedding_redistribute", [weight, _ids(s, "R")], to=to))
        for grad, at in itertools.product(
            aten.each_placement([1, s + 2, 3], start=1), ("R", "S(1)")
        ):
            out.append(
                aten.case(
                    "embedding_dense_backward",
                    [grad, _ids(s, at)],
                    num_weights=s,
                    padding_idx=-1,
                    scale_grad_by_freq=False,
                )
            )
    return out
