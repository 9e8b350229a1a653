"""Runs a list of cases on Gloo ranks of torch.distributed.tensor and writes what came out.

A case is a JSON-able dict {op, inputs, args}; README.md beside this file gives its form. Each
recorded file has a module with `cases(*sizes of the mesh)`, the `TABLE` that turns an `op` into a call,
and maybe `MESHES`.
"""

import datetime
import functools
import importlib
import json
import math
import operator
import os
import pathlib
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed._functional_collectives import AsyncCollectiveTensor
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

MESHES = ((2,), (3,), (4,))  # of a module that has none of its own


def sizes(n):
    """The sizes of a sharded dimension: empty, uneven and even shards."""
    return sorted({0, 1, n - 1, n, n + 1, 5, 7})


def placement_from_text(text):
    if text == "R":
        return Replicate()
    if text.startswith("S("):
        return Shard(int(text[2:-1]))
    return Partial(text[2:-1])


def placements_of(text):
    """Of "S(0)" or "[S(0), R]": the text of each dimension of the mesh."""
    return text.strip("[]").split(", ")


def placements_from_text(text):
    return [placement_from_text(each) for each in placements_of(text)]


def text_from_placements(placements):
    texts = [text_from_placement(each) for each in placements]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def text_from_placement(placement):
    if placement.is_replicate():
        return "R"
    if type(placement) is Shard:
        return f"S({placement.dim})"
    if type(placement).__name__ in ("MaskPartial", "_MaskPartial"):
        return "P(masked)"
    if type(placement).__name__ == "_StridedShard":
        return f"_S({placement.dim},{placement.split_factor})"
    if type(placement) is Partial:
        return f"P({placement.reduce_op})"
    raise TypeError(f"placement of another kind: {placement!r}")


def global_value(spec):
    """The global tensor of an input: the rule of README.md, before it is distributed."""
    shape = spec["shape"]
    count = functools.reduce(operator.mul, shape, 1)
    dtype = getattr(torch, spec.get("dtype", "float32"))
    if "values" in spec:
        return torch.tensor(spec["values"], dtype=dtype).reshape(shape)
    start = spec.get("start", 0)
    return torch.arange(start, start + count, dtype=torch.float32).to(dtype).reshape(shape)


def dtensor_from_spec(spec, mesh, requires_grad=False):
    """A DTensor in the input's placement; Partial holds rank r's global value times (r + 1)."""
    value = global_value(spec)
    placements = placements_from_text(spec["placement"])
    if any(placement.is_partial() for placement in placements):
        for placement, coordinate in zip(placements, mesh.get_coordinate()):
            if placement.is_partial():
                value = value * (coordinate + 1)
        cut = [Replicate() if p.is_partial() else p for p in placements]
        local = distribute_tensor(value, mesh, cut, src_data_rank=None).to_local()
        out = DTensor.from_local(
            local, mesh, placements, run_check=False, shape=value.shape, stride=value.stride()
        )
    else:
        out = distribute_tensor(value, mesh, placements)
    return out.detach().requires_grad_(requires_grad)


def plain(tensor):
    return tensor.wait() if isinstance(tensor, AsyncCollectiveTensor) else tensor


def number(value):
    """JSON number that gives the same float32 when read; whole numbers without a fraction."""
    return int(value) if value == int(value) else float(f"{value:.9g}")


def flat(tensor):
    return [number(v) for v in tensor.detach().reshape(-1).to(torch.float64).tolist()]


def _run_case(case, mesh, table, control):
    """This rank's part of the record, or the name of the error's class."""
    part, out = {}, None
    try:
        out = table[case["op"]](mesh, *case["inputs"], **case.get("args", {}))
    except Exception as error:  # what torch raises is what is recorded
        if any(word in str(error) for word in ("gloo", "Timed out", "Connection closed")):
            os._exit(1)  # the ranks fell out of step: what follows would record the harness
        part["raises"] = type(error).__name__
    failed = torch.tensor([1 if "raises" in part else 0])
    dist.all_reduce(failed, group=control)
    if failed.item():
        return part
    if isinstance(out, DTensor):
        local = plain(out.to_local())
        part["placement"] = text_from_placements(out.placements)
        part["shape"] = list(out.shape)
        part["dtype"] = str(out.dtype).removeprefix("torch.")
    else:
        local = plain(out)
        part["placement"] = "local"
        part["dtype"] = str(out.dtype).removeprefix("torch.")
    part["local_shape"] = list(local.shape)
    part["local"] = flat(local)
    return part


def _rank_main(rank, sizes_of_mesh, module, folder):
    module = importlib.import_module(module)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=math.prod(sizes_of_mesh),
        timeout=datetime.timedelta(seconds=30),
    )
    mesh = dist.device_mesh.init_device_mesh("cpu", sizes_of_mesh)
    control = dist.new_group()  # so that a case that fails half-way cannot shift its neighbours
    parts = [_run_case(case, mesh, module.TABLE, control) for case in module.cases(*sizes_of_mesh)]
    pathlib.Path(folder, f"rank-{rank}.json").write_text(json.dumps(parts))
    dist.barrier(group=control)
    dist.destroy_process_group()


def _joined(placement, locals_):
    """What the ranks along one dimension of a mesh hold together; None where there is no such."""
    if placement == "R":
        return locals_[0]
    if placement.startswith("S("):
        return torch.cat(locals_, dim=int(placement[2:-1]))
    if placement == "P(sum)":
        return torch.stack(locals_).sum(0).to(torch.float32)
    return None


def _full(sizes_of_mesh, placement, parts):
    """The full tensor by the definition of the placement; None where there is none.

    Raises where the locals do not fit together.

    torch's full_tensor() is not asked: where an operator left locals that do not make up the global
    shape, it hangs.
    """
    locals_ = [
        torch.tensor(p["local"], dtype=torch.float64).reshape(p["local_shape"]) for p in parts
    ]
    each = zip(sizes_of_mesh, placements_of(placement))
    for size, of_dim in reversed(list(each)):
        groups = [locals_[i : i + size] for i in range(0, len(locals_), size)]
        locals_ = [_joined(of_dim, group) for group in groups]
        if locals_[0] is None:
            return None
    return locals_[0]


def _merged(sizes_of_mesh, case, parts):
    n = math.prod(sizes_of_mesh)
    of_mesh = {"n": n} if len(sizes_of_mesh) == 1 else {"mesh": list(sizes_of_mesh)}
    record = {**of_mesh, **{k: v for k, v in case.items() if k != "full"}}
    errors = [p["raises"] for p in parts if "raises" in p]
    if errors:
        record["raises"] = errors[0]
        if len(errors) < n:
            record["raising_ranks"] = [r for r, p in enumerate(parts) if "raises" in p]
        return record
    first = parts[0]
    for part in parts[1:]:
        for key in ("placement", "shape", "dtype"):
            if part.get(key) != first.get(key):
                raise SystemExit(f"ranks disagree on {key} in {record}")
    out = {"placement": first["placement"]}
    if "shape" in first:
        out["shape"] = first["shape"]
    if first["dtype"] != "float32":
        out["dtype"] = first["dtype"]
    if case.get("full", True):
        try:
            full = _full(sizes_of_mesh, first["placement"], parts)
            if full is not None and list(full.shape) != first["shape"]:
                raise RuntimeError("locals of another global shape")
            if full is not None:
                out["full"] = flat(full)
        except (RuntimeError, IndexError):
            out["invalid"] = True
    out["local_shapes"] = [p["local_shape"] for p in parts]
    out["locals"] = [p["local"] for p in parts]
    if set(placements_of(out["placement"])) == {"R"} and all(v == out.get("full") for v in out["locals"]):
        del out["locals"]
    record["out"] = out
    return record


def record(path, module):
    """Runs the module's cases on every mesh and writes one record a line."""
    records = []
    for sizes_of_mesh in getattr(module, "MESHES", MESHES):
        n = math.prod(sizes_of_mesh)
        cases = module.cases(*sizes_of_mesh)
        with tempfile.TemporaryDirectory() as folder:
            mp.spawn(_rank_main, args=(sizes_of_mesh, module.__name__, folder), nprocs=n)
            ranks = [
                json.loads(pathlib.Path(folder, f"rank-{r}.json").read_text()) for r in range(n)
            ]
        records += [_merged(sizes_of_mesh, case, list(parts)) for case, parts in zip(cases, zip(*ranks))]
    head = json.dumps({"torch": torch.__version__.split("+")[0], "format": 1})[:-1]
    lines = ",\n".join(json.dumps(r, separators=(",", ":")) for r in records)
    path.write_text(f'{head}, "records": [\n{lines}\n]}}\n')
    raising = sum("raises" in r for r in records)
    print(
        f"{path.name}: {len(records)} records, {raising} of them raise, "
        f"{os.path.getsize(path) / 1024:.0f} KiB"
    )
