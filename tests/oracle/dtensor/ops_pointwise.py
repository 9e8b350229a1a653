"""Cases of ops_pointwise.json: arithmetic of two tensors, of a tensor and a number, copies."""

import itertools

import aten
import harness

BINARY = ("add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor")
INPLACE = ("add_.Tensor", "mul_.Tensor", "copy_")
UNARY = {
    "neg": {},
    "add.Scalar": {"other": 2},
    "sub.Scalar": {"other": 2},
    "mul.Scalar": {"other": 2},
    "div.Scalar": {"other": 2},
    "pow.Tensor_Scalar": {"exponent": 2},
    "_to_copy": {"dtype": "float64"},
    "clone": {},
    "detach": {},
    "zeros_like": {},
    "ones_like": {},
    "full_like": {"fill_value": 3},
    "zero_": {},
    "fill_.Scalar": {"value": 3},
    "add_.Scalar": {"other": 2},
    "mul_.Scalar": {"other": 2},
    "div_.Scalar": {"other": 2},
}

TABLE = {name: aten.call(name) for name in (*BINARY, *INPLACE, *UNARY)}


def _divisor(shape):
    """Powers of two, so that a quotient is short to write."""
    count = shape[0] * shape[1]
    return {"values": [2 ** (1 + i % 3) for i in range(count)]}


def cases(n):
    out = []
    for size in harness.sizes(n):
        shape = [size, 3]
        left = aten.each_placement(shape)
        for op in BINARY + INPLACE:
            right = aten.each_placement(
                shape, **(_divisor(shape) if op == "div.Tensor" else {"start": 1})
            )
            # In place, the small sizes say all there is to say.
            if op in INPLACE and size not in (1, n, n + 1):
                continue
            out += [aten.case(op, [x, y]) for x, y in itertools.product(left, right)]
        for op, args in UNARY.items():
            if size in (0, 1, n, n + 1):
                out += [aten.case(op, [x], **args) for x in left]
    for size in (n, n + 1):  # broadcasting
        for small in ([3], [1, 3], [size, 1]):
            for x, y in itertools.product(
                aten.each_placement([size, 3]), aten.each_placement(small, start=1)
            ):
                out += [aten.case("add.Tensor", [x, y]), aten.case("mul.Tensor", [x, y])]
    return out
