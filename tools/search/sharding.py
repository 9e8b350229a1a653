"""Search D2: an operator on a DTensor against the same operator on a plain tensor.

Every call of sharding_calls.py, on every small shape, every placement and every mesh below. The
ranks are emulated in one process by torch's LocalTensorMode, so what is found here is confirmed
with real processes before it is believed. A call that fails on the plain tensor is not a case.

With "gradients" it is the gradient of the sum of squares of the results that is compared. Kinds of
difference: value, shape, dtype, stride (claimed by the DTensor, dimensions of size 1 apart), shard
(a local shape that the placements do not give), error (plain has none), hang (still running after
SECONDS, twice; a case takes milliseconds). Counted, but no difference:
missing (no strategy), refused (needs a redistribution that the operator forbids) and emulation
(LocalTensorMode cannot run it)."""

import argparse
import collections
import gc
import itertools
import logging
import warnings

import torch
import torch.distributed as dist
from torch.distributed._local_tensor import LocalTensor, LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.distributed.tensor.experimental import implicit_replication
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import _disable_current_modes

import log
import sharding_calls
from time_limit import is_time_limit, time_limit

SECONDS = 1
MESHES = [(2,), (3,), (4,), (2, 2)]
SHAPES = [
    *[(3, 4), (5,), (4, 4), (2, 3, 4), (1, 5), (6,), (4, 3), (5, 2), (3, 4, 2), (3, 1), (2,)],
    *[(7, 6), (3,), (2, 2, 2), (6, 4), (2, 3, 2, 4), (8, 12), (5, 1, 3), (1,), (4,), (3, 5, 2)],
    *[(0, 3), (2, 0)],
    *itertools.product((1, 2, 3, 4, 5, 6), (1, 2, 3, 5)),
]
# On meshes of one dimension. On 2 x 2 they take longest and showed nothing that others had not
# shown: all 90 classes of difference of torch 2.11.0.
MORE_SHAPES = [*itertools.product((1, 2, 3), (2, 3, 5), (1, 3, 4))]
GRADIENT_SHAPES = [(4, 4), (3, 4), (6,), (2, 3, 4)]
REDUCTIONS = ("sum", "avg", "max", "min")

# What an error says that is no difference.
TOLERATED = {
    "missing": ["sharding strategy", "nonzero.default", "_unique2.default", "allclose.default"],
    "refused": [
        "without redistribution",
        "requires redistribution",
        "require placement changes",
        "redistribute the ",
        "cannot be evenly sharded",
        "edistribution from one partial type",
    ],
    "emulation": [
        *["LocalIntNode", "LocalTensor", "local tensor", "aten::size", "with symbolic sizes"],
        "must be equal for all ranks",
    ],
}


def placement(text):
    kind, _, argument = text.partition(" ")
    if kind == "Shard":
        return Shard(int(argument))
    return Partial(argument) if kind == "Partial" else Replicate()


def placements_of(mesh, shape):
    """All for one mesh dimension; for two, those without the rarer reductions."""
    shards = [f"Shard {dim}" for dim in range(len(shape))]
    if len(mesh) == 1:
        return [(p,) for p in shards + ["Replicate"] + [f"Partial {op}" for op in REDUCTIONS]]
    return list(itertools.product(shards + ["Replicate", "Partial sum"], repeat=2))


def units():
    """Gradients, calls of one operand, of two, and on meshes of two dimensions, which take longest;
    the shapes that differ most come first."""
    gradients, one, two, planes = [], [], [], []
    for mesh in MESHES:
        for shape in dict.fromkeys(SHAPES + MORE_SHAPES if len(mesh) == 1 else SHAPES):
            for x in placements_of(mesh, shape):
                (one if len(mesh) == 1 else planes).append({"mesh": mesh, "shape": shape, "x": x})
                if shape in GRADIENT_SHAPES and not any("Partial" in text for text in x):
                    gradients.append({"mesh": mesh, "shape": shape, "x": x, "gradients": True})
                if len(shape) == 2 and mesh == (2,):
                    for y in placements_of(mesh, shape):
                        two.append({"mesh": mesh, "shape": shape, "x": x, "y": y})
    return gradients + one + two + planes


def plain_tensor(shape, seed):
    """Distinct small integers of both signs: sums are exact, the largest is unique."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.Size(shape).numel()
    values = torch.randperm(size, generator=generator) - size // 3
    return values.view(shape).double()


def split(values, placements, sizes):
    """What each rank of the mesh holds, in rank order."""
    if not sizes:
        return [values]
    first, n = placements[0], sizes[0]
    if isinstance(first, Shard):
        # As torch.chunk, which leaves out the chunks that are empty.
        rows = -(-values.shape[first.dim] // n)
        bounds = [min(i * rows, values.shape[first.dim]) for i in range(n + 1)]
        parts = [
            values.narrow(first.dim, begin, end - begin).contiguous()
            for begin, end in itertools.pairwise(bounds)
        ]
    elif isinstance(first, Partial):
        # Parts of both signs, which no rule that holds for proportional ones alone survives.
        noise = [((values * 7 + 3) % 5 - 2) * (i + 1) for i in range(n - 1)]
        if first.reduce_op in ("sum", "avg"):
            parts = [*noise, values - sum(noise)]
            parts = [part * n for part in parts] if first.reduce_op == "avg" else parts
        else:
            sign = -1 if first.reduce_op == "max" else 1
            holders = torch.arange(values.numel()).view(values.shape) % n
            parts = [torch.where(holders == i, values, values + sign * (i + 1)) for i in range(n)]
    else:
        parts = [values.clone() for _ in range(n)]
    return [local for part in parts for local in split(part, placements[1:], sizes[1:])]


def assemble(parts, placements, sizes):
    """The inverse of split, in the words of the placements alone: no collective of torch runs."""
    if not sizes:
        return parts[0]
    stride = len(parts) // sizes[0]
    halves = [
        assemble(parts[i * stride : (i + 1) * stride], placements[1:], sizes[1:])
        for i in range(sizes[0])
    ]
    first = placements[0]
    if isinstance(first, Shard):
        return torch.cat(halves, first.dim)
    if isinstance(first, Partial):
        stacked = torch.stack(halves)
        if first.reduce_op in ("max", "min"):
            return getattr(stacked, "a" + first.reduce_op)(0)
        if first.reduce_op == "product":
            return stacked.prod(0, dtype=stacked.dtype)
        whole = stacked.sum(0).to(stacked.dtype)
        return whole / sizes[0] if first.reduce_op == "avg" else whole
    for half in halves[1:]:
        if not torch.equal(half.nan_to_num(), halves[0].nan_to_num()):
            raise Disagreement(f"{first} holds {halves[0].tolist()} and {half.tolist()}")
    return halves[0]


class Disagreement(Exception):
    """Ranks that should hold the same do not."""


def sharded_tensor(plain, mesh, placements):
    with _disable_current_modes():
        parts = split(plain, placements, tuple(mesh.shape))
    local = LocalTensor(dict(enumerate(parts)))
    return DTensor.from_local(
        local, mesh, placements, run_check=False, shape=plain.shape, stride=plain.stride()
    )


def tensors_of(result):
    results = result if isinstance(result, (tuple, list)) else [result]
    return [r for r in results if isinstance(r, torch.Tensor)]


def strides_that_matter(tensor):
    if tensor.numel() < 2:
        return []
    return [s for size, s in zip(tensor.shape, tensor.stride()) if size != 1]


def compare(got, expected):
    """The kind of the first difference and what it is, or None."""
    if got.shape != expected.shape:
        return "shape", f"{tuple(got.shape)}, expected {tuple(expected.shape)}"
    if got.dtype != expected.dtype:
        return "dtype", f"{got.dtype}, expected {expected.dtype}"
    if isinstance(got, LocalTensor):  # a plain result
        held, placements, sizes = got._local_tensors, (Replicate(),), (len(got._local_tensors),)
    elif isinstance(got, DTensor):
        placements, sizes = got.placements, tuple(got.device_mesh.shape)
        if any(type(p) not in (Shard, Replicate, Partial) for p in placements):
            got = got.redistribute(placements=[Replicate()] * len(sizes))
            placements = got.placements
        held = got._local_tensor._local_tensors
    else:
        return None if torch.equal(got, expected) else ("value", "plain")
    parts = [held[rank] for rank in sorted(held)]
    claimed = [tuple(part.shape) for part in split(expected, placements, sizes)]
    if [tuple(part.shape) for part in parts] != claimed:
        return "shard", f"{placements}: {[tuple(part.shape) for part in parts]}, expected {claimed}"
    if any(part.dtype != expected.dtype for part in parts):
        return "dtype", f"{placements}: shards of {parts[0].dtype}, expected {expected.dtype}"
    whole = assemble(parts, placements, sizes)
    if not torch.allclose(whole.double(), expected.double(), 1e-9, 1e-9, equal_nan=True):
        values = f"{whole.flatten().tolist()[:8]}, expected {expected.flatten().tolist()[:8]}"
        return "value", f"{placements}: {values}"
    if strides_that_matter(got) != strides_that_matter(expected):
        return "stride", f"{placements}: {got.stride()}, expected {expected.stride()}"
    return None


def kind_of(error):
    message = str(error)
    if isinstance(error, Disagreement):
        return "value"
    if isinstance(error, NotImplementedError):
        return "missing"
    if is_time_limit(error):
        return "hang"
    for kind, texts in TOLERATED.items():
        if any(text in message for text in texts):
            return kind
    return "error"


def evaluate(code, tensors, *, gradients):
    """The results of a call as tensors, or the gradient of the sum of their squares."""
    if not gradients:
        with torch.no_grad():
            return tensors_of(eval(code, sharding_calls.NAMES | tensors))
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}
    results = tensors_of(eval(code, sharding_calls.NAMES | leaves))
    loss = sum(r.square().sum() for r in results if r.requires_grad)
    return list(torch.autograd.grad(loss, list(leaves.values())))


def outcome_of(code, sharded, expected, *, gradients):
    try:
        with time_limit(SECONDS):
            got = evaluate(code, sharded, gradients=gradients)
        with _disable_current_modes():  # the comparison is of each rank's plain tensor
            for one, other in zip(got, expected, strict=True):
                difference = compare(one, other)
                if difference:
                    return difference
        return "same", ""
    except Exception as error:
        return kind_of(error), f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def work(unit):
    mesh_shape, shape, gradients = unit["mesh"], unit["shape"], "gradients" in unit
    ranks = torch.Size(mesh_shape).numel()
    if not dist.is_initialized() or dist.get_world_size() != ranks:
        if dist.is_initialized():
            dist.destroy_process_group()
        dist.init_process_group("fake", rank=0, world_size=ranks, store=FakeStore())
    counts, differences = collections.Counter(), []
    plain = {n: plain_tensor(shape, seed) for seed, n in enumerate(n for n in "xy" if n in unit)}
    with LocalTensorMode(ranks), implicit_replication():
        mesh = init_device_mesh("cpu", tuple(mesh_shape))
        sharded = {
            name: sharded_tensor(tensor, mesh, [placement(text) for text in unit[name]])
            for name, tensor in plain.items()
        }
        for code in sharding_calls.calls(tuple(shape), operands="".join(plain)):
            try:
                with _disable_current_modes():
                    expected = evaluate(code, plain, gradients=gradients)
            except Exception:
                continue
            outcome, detail = outcome_of(code, sharded, expected, gradients=gradients)
            if outcome == "hang":  # unless it was an import, or a collection of all garbage
                outcome, detail = outcome_of(code, sharded, expected, gradients=gradients)
            counts[outcome] += 1
            if outcome not in ("same", "missing", "refused", "emulation"):
                differences.append({"code": code, "kind": outcome, "detail": detail})
    return dict(sorted(counts.items())), differences


def start():
    torch.set_num_threads(1)
    # The emulation asks for a card at every operator, which takes a tenth of the time.
    torch.accelerator.is_available = lambda: False
    gc.freeze()  # torch itself is not garbage
    # What torch has to say of its performance would fill the terminal.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    log.add_options(parser, log=f"out/search/sharding-{torch.__version__}.jsonl")
    log.search("sharding", units(), work, start, parser.parse_args())
