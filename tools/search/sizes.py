"""Search D1: a function traced with a dynamic size, at the sizes that it was not traced at.

Every call of sharding_calls.py on one tensor, traced at 6 rows and run at 0, 1, 2, 3, 5, 7 and 8
rows: "compile" is torch.compile with dynamic sizes and the graph after decompositions, guards in
force; "export" is torch.export with a dynamic first dimension, run at the sizes that its range
allows. Both claim to be right or to say so, so another value, shape or dtype than eager's is a
difference, and so are an error where eager has none and a hang (SECONDS). Counted apart: guard (a
program that says which guard is false), out of range (a size that export does not allow) and
untraced (a function that cannot be traced)."""

import argparse
import collections
import logging
import warnings

import torch

import log
import sharding_calls
from time_limit import is_time_limit, time_limit

SECONDS = 60
HINT = 6
SIZES = (0, 1, 2, 3, 5, 7, 8)
SHAPES = [(None, 4), (None,), (3, None), (None, 2, 3), (2, None, 3)]


def units():
    return [
        {"how": how, "shape": shape, "code": code}
        for shape in SHAPES
        for how in ("compile", "export")
        for code in sharding_calls.calls(tuple(shape), operands="x")
    ]


def argument(shape, size):
    shape = [size if extent is None else extent for extent in shape]
    count = torch.Size(shape).numel()
    numbers = torch.arange(count, dtype=torch.float64).view(shape)
    return (numbers * 7) % 11 - 5 + numbers / 64


def tensors_of(result):
    results = result if isinstance(result, (tuple, list)) else [result]
    return [torch.as_tensor(r) for r in results]


def difference_of(got, expected):
    if len(got) != len(expected):
        return "shape", f"{len(got)} results, expected {len(expected)}"
    for one, other in zip(got, expected):
        if one.shape != other.shape:
            return "shape", f"{tuple(one.shape)}, expected {tuple(other.shape)}"
        if one.dtype != other.dtype:
            return "dtype", f"{one.dtype}, expected {other.dtype}"
        if one.stride() != other.stride() and one.numel() > 1:
            return "stride", f"{one.stride()}, expected {other.stride()}"
        if not torch.allclose(one.double(), other.double(), 1e-9, 1e-9, equal_nan=True):
            return "value", f"{one.flatten().tolist()[:6]}, expected {other.flatten().tolist()[:6]}"
    return None


def traced(how, function, shape):
    """The function to call, and whether it serves a size."""
    x = argument(shape, HINT)
    dim = shape.index(None)
    if how == "compile":
        torch._dynamo.reset()
        compiled = torch.compile(
            function, backend="aot_eager_decomp_partition", dynamic=True, fullgraph=True
        )
        compiled(x)
        return compiled, lambda size: True
    program = torch.export.export(
        Wrapped(function),
        (x,),
        dynamic_shapes=({dim: torch.export.Dim.DYNAMIC},),
    )
    ranges = list(program.range_constraints.values())
    return program.module(), lambda size: all(r.lower <= size <= r.upper for r in ranges)


class Wrapped(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def work(unit):
    shape, code = unit["shape"], unit["code"]
    function = eval(f"lambda x: {code}", dict(sharding_calls.NAMES))
    counts, differences = collections.Counter(), []
    try:
        expected = tensors_of(function(argument(shape, HINT)))
        if any(e.is_complex() for e in expected):
            return {}, []
    except Exception:
        return {}, []
    try:
        with time_limit(SECONDS):
            run, serves = traced(unit["how"], function, shape)
    except Exception as error:
        if is_time_limit(error):
            return {"hang": 1}, [{"code": code, "kind": "hang", "detail": "when it is traced"}]
        return {"untraced": 1}, []
    for size in SIZES:
        x = argument(shape, size)
        try:
            expected = tensors_of(function(x.clone()))
        except Exception:
            continue
        if not serves(size):
            counts["out of range"] += 1
            continue
        try:
            with time_limit(SECONDS):
                got = tensors_of(run(x.clone()))
            difference = difference_of(got, expected)
        except Exception as error:
            message = " ".join(str(error).split())[:200]
            if "Guard failed" in message:
                counts["guard"] += 1
                continue
            kind = "hang" if is_time_limit(error) else "error"
            difference = (kind, f"{type(error).__name__}: {message}")
        if difference is None:
            counts["same"] += 1
            continue
        counts[difference[0]] += 1
        kind, detail = difference
        differences.append({"code": code, "kind": kind, "detail": f"{size}: {detail}"})
    return dict(sorted(counts.items())), differences


def start():
    torch.set_num_threads(1)
    # More sizes than the default before dynamo gives up on a function.
    torch._dynamo.config.recompile_limit = 64
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    log.add_options(parser, log=f"out/search/sizes-{torch.__version__}.jsonl")
    log.search("sizes", units(), work, start, parser.parse_args())
