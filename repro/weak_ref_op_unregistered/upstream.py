"""torchtitan#2393 in stock torch, on the CPU: an operator with a kernel and nothing else is compiled
and called on a DTensor; one that gives back its argument without saying so is checked. "live" says
that torch refuses each in words that name what is missing."""

import json

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

# In the words of several releases.
NO_FAKE = ("no fake impl", "does not support running with fake tensors")
NO_STRATEGY = ("sharding strategy",)
MISSING = (*NO_FAKE, *NO_STRATEGY, "must not also be an input", "may not alias")

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
mesh = init_device_mesh("cpu", (2,))
library = torch.library.Library("registries_repro", "DEF")


def operator(name, with_fake):
    """Twice its argument."""
    library.define(f"{name}(Tensor x) -> Tensor")
    library.impl(name, lambda x: x * 2, "CPU")
    if with_fake:
        torch.library.register_fake(f"registries_repro::{name}", torch.empty_like)
    return getattr(torch.ops.registries_repro, name).default


@torch.library.custom_op("registries_repro::itself", mutates_args=())
def itself(x: torch.Tensor) -> torch.Tensor:
    return x


def refusal(call):
    """What says most of what it is refused with, or nothing."""
    try:
        call()
    except (RuntimeError, NotImplementedError) as error:
        sentences = []
        while error is not None:
            sentences += str(error).replace("\n", ". ").split(". ")
            error = error.__cause__
        said = [each for each in sentences if any(words in each for words in MISSING)]
        text = (said or sentences)[0].strip()
        return text[max(text.find("The output of"), 0) :]
    return None


def traced(op):
    torch._dynamo.reset()
    torch.compile(lambda x: op(x), backend="aot_eager", fullgraph=True)(torch.ones(6, 8))


x = DTensor.from_local(torch.ones(3, 8), mesh, [Shard(0)], run_check=False)
kernel_alone, with_fake = operator("kernel_alone", False), operator("with_fake", True)
assert refusal(lambda: kernel_alone(torch.ones(6, 8))) is None, "on a plain tensor too"
assert refusal(lambda: traced(with_fake)) is None, "with a fake kernel too"
refused = {
    "traced": refusal(lambda: traced(kernel_alone)),
    "on a DTensor": refusal(lambda: with_fake(x)),
    "its argument given back": refusal(lambda: itself(torch.ones(6, 8))),
}
named = any(words in (refused["traced"] or "") for words in NO_FAKE)
named = named and NO_STRATEGY[0] in (refused["on a DTensor"] or "")
if named and refused["its argument given back"]:
    state = "live"
else:
    state = "changed" if any(refused.values()) else "fixed"
print(json.dumps({
    "torch": torch.__version__,
    "state": state,
    "evidence": "; ".join(f"{what}: {text}" for what, text in refused.items()),
}))
