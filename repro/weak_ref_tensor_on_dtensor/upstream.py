"""vllm#9724 on the torch at hand: a tensor over the pointer of another one, asked about DTensors and
empty tensors. vLLM's own operator where vLLM is installed and there is a GPU, else one like it of
ten lines, which needs a C++ compiler. No second process.

The error itself is CUDA's, whose driver is asked who owns the pointer. Without a GPU the rest is
shown on the CPU, where nobody is asked: a tensor at address 0. Then the state is "not applicable"
and the exit code 77."""

import importlib.util
import json
import subprocess
import sys

import torch
import torch.distributed as dist
from torch._C import DispatchKey, DispatchKeySet
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.distributed.tensor._ops import _pointwise_ops
from torch.distributed.tensor._ops.utils import register_op_strategy
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils.cpp_extension import load_inline

SOURCE = """
#include <ATen/ATen.h>
#include <torch/library.h>

at::Tensor weak_ref_tensor(const at::Tensor& input) {
  return at::from_blob(input.data_ptr(), input.sizes(), input.strides(), input.options());
}

TORCH_LIBRARY(weak_ref_repro, m) { m.def("weak_ref_tensor(Tensor input) -> Tensor"); }
TORCH_LIBRARY_IMPL(weak_ref_repro, CPU, m) { m.impl("weak_ref_tensor", weak_ref_tensor); }
TORCH_LIBRARY_IMPL(weak_ref_repro, CUDA, m) { m.impl("weak_ref_tensor", weak_ref_tensor); }
"""
LITERAL = "The specified pointer resides on host memory"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def answer(state, evidence):
    print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
    sys.exit(77 if state == "not applicable" else 0)


def find_operator():
    """(whose it is, the operator)."""
    if DEVICE == "cuda" and importlib.util.find_spec("vllm"):
        import vllm._C  # noqa: F401

        return "vLLM's operator", torch.ops._C.weak_ref_tensor.default
    try:
        load_inline("weak_ref_repro", SOURCE, is_python_module=False)
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        answer("not applicable", f"needs a C++ compiler and ninja: {str(error).splitlines()[0]}")
    return "an operator like vLLM's", torch.ops.weak_ref_repro.weak_ref_tensor.default


def register_as_pointwise(op):
    """torchtitan#2393's strategy, and what took its place in torch."""
    if hasattr(_pointwise_ops, "pointwise_strategy"):
        register_op_strategy(op)(_pointwise_ops.pointwise_strategy)
    else:
        _pointwise_ops._register_single_dim_pointwise(op)


def tried(call):
    """What it gives, in words that tell pointers apart; or the line of the error that says most."""
    try:
        result = call()
    except (RuntimeError, NotImplementedError) as error:
        while error.__cause__ is not None:
            error = error.__cause__
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        best = next((line for line in lines if LITERAL in line), lines[0])
        return f"{type(error).__name__}: {best}"
    local = result._local_tensor if isinstance(result, DTensor) else result
    where = "at address 0" if local.data_ptr() == 0 else "elsewhere"
    if local.data_ptr() in owned:
        where = "in its memory"
    kind = f"a DTensor {result.placements}" if isinstance(result, DTensor) else "a plain tensor"
    return f"{kind} {tuple(result.shape)} {where}"


def from_local(local, placement):
    owned.add(local.data_ptr())
    return DTensor.from_local(local, mesh, [placement], run_check=False)


def past_dtensor(x):
    """The kernel, given the wrapper itself."""
    python = DispatchKeySet(DispatchKey.Python) | DispatchKeySet(DispatchKey.PythonTLSSnapshot)
    with torch._C._ExcludeDispatchKeyGuard(python):
        return weak_ref(x)


def merged_guard(x):
    """torchtitan#2486's."""
    return weak_ref(x._local_tensor if isinstance(x, DTensor) else x)


def written_through(x):
    """One is added by the reference: is it in x?"""
    y = x.clone()
    weak_ref(y).add_(1)
    return y * 1


dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
mesh = init_device_mesh(DEVICE, (2,))
whose, weak_ref = find_operator()
owned = set()
rows = torch.ones(3, 1024, device=DEVICE)
sharded, pending = from_local(rows, Shard(0)), from_local(rows.clone(), Partial())
replicated = from_local(rows.clone(), Replicate())
empty = from_local(torch.empty(0, 1024, device=DEVICE), Shard(0))
owned.discard(0)

said = {"nothing registered": tried(lambda: weak_ref(sharded))}
torch.library.register_fake(weak_ref.name(), torch.empty_like)
said["a fake kernel alone"] = tried(lambda: weak_ref(sharded))
register_as_pointwise(weak_ref)
for name, x in (("Shard", sharded), ("Replicate", replicated), ("Partial", pending)):
    said[f"pointwise_strategy, {name}"] = tried(lambda: weak_ref(x))
said["pointwise_strategy, an empty shard"] = tried(lambda: weak_ref(empty))
said["the merged guard, Shard"] = tried(lambda: merged_guard(sharded))
said["the merged guard, an empty shard"] = tried(lambda: merged_guard(empty))
said["the wrapper itself"] = tried(lambda: past_dtensor(sharded))
eager = written_through(rows)
compiled = torch.compile(written_through, backend="aot_eager")(rows)
said["empty_like, a write by the reference, compiled"] = (
    "there" if torch.equal(compiled, eager) else f"lost: {compiled[0, 0]:g}, eager {eager[0, 0]:g}"
)

text = f"{whose} on {DEVICE}: " + "; ".join(f"{what}: {saw}" for what, saw in said.items())
if DEVICE == "cpu":
    answer("not applicable", f"needs a GPU for the error itself; {text}")
refused = any(LITERAL in saw for saw in said.values())
answer("live" if refused else "fixed", text)
