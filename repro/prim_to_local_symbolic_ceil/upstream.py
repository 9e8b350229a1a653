"""pytorch#175690 on the torch at hand, with no second process and no GPU: the traced size of
Shard(0) -> Replicate -> to_local() over two ranks, for a dynamic size that was even when traced.
Then the guards are dropped, as vLLM drops them, and the one graph serves every size: a real product
and, as in a compiler that fixes the size later, one of fake tensors. The same with the consumer
narrowing to the size that it knows, and with the conversion in hooks (PrepareModuleInputOutput),
where it knows none."""

import json
import logging

import torch
import torch.distributed as dist
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch._subclasses import FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.parallel import PrepareModuleInputOutput, parallelize_module
from torch.testing._internal.distributed.fake_pg import FakeStore

# It tells of the error that is asked for.
logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
mesh = init_device_mesh("cpu", (2,))
weight = torch.randn(1024, 2048)
SIZES = range(1, 6)
TRACED = 6


class Product(torch.nn.Module):
    """Of a plain tensor, which has `rows` rows as far as the module knows."""

    def __init__(self, narrows):
        super().__init__()
        self.narrows = narrows

    def forward(self, local, rows=None):
        rows = local.shape[0] if rows is None else rows
        if self.narrows:
            local = local.narrow(0, 0, rows)
        return torch.mm(local.view(rows, -1), weight.t())


def in_forward(narrows):
    """The conversion stands in the code, after s was read."""
    product = Product(narrows)

    def forward(sharded):
        rows = sharded.shape[0]
        return product(sharded.redistribute(mesh, [Replicate()]).to_local(), rows)

    return forward


def by_hooks(narrows):
    plan = PrepareModuleInputOutput(
        input_layouts=(Shard(0),),
        desired_input_layouts=(Replicate(),),
        use_local_input=True,
        output_layouts=(Replicate(),),
        desired_output_layouts=(Replicate(),),
        use_local_output=True,
    )
    return parallelize_module(Product(narrows), mesh, plan)


class Served:
    """One graph for every size: traced at TRACED, guards dropped."""

    def __init__(self, form):
        def program(x):
            whole = DTensor.from_local(x, mesh, [Replicate()], run_check=False)
            return form(whole.redistribute(mesh, [Shard(0)]))

        def keep_graph(module, _):
            self.graph = module
            return make_boxed_func(module.forward)

        self.compiled = torch.compile(
            program,
            backend=aot_autograd(fw_compiler=keep_graph),
            fullgraph=True,
            options={"guard_filter_fn": lambda guards: [False] * len(guards)},
        )
        torch._dynamo.reset()
        x = torch.randn(TRACED, 2048)
        torch._dynamo.mark_dynamic(x, 0)
        self(x)

    def __call__(self, x):
        with torch.no_grad():
            return self.compiled(x)

    def rows(self):
        """(the rows of to_local() as an expression, the symbol of s)."""
        nodes = list(self.graph.graph.nodes)
        symbol = next(n.meta["val"] for n in nodes if n.op == "placeholder").node.expr
        gathered = next(n for n in nodes if "wait_tensor" in str(n.target))
        while "slice" in str(next(iter(gathered.users)).target):
            gathered = next(iter(gathered.users))
        return gathered.meta["val"].shape[0].node.expr, symbol

    def at(self, size):
        """What is wrong at a size, or nothing."""
        try:
            rows = self(torch.randn(size, 2048)).shape[0]
        except RuntimeError as error:
            return str(error).splitlines()[0]
        return None if rows == size else f"{rows} rows"

    def at_fake(self, size):
        """The same of the graph on fake tensors: what it says, or nothing."""
        inputs = []
        with FakeTensorMode():
            for node in self.graph.graph.nodes:
                if node.op != "placeholder":
                    continue
                value = node.meta["val"]
                sizes = [size if isinstance(s, torch.SymInt) else s for s in getattr(value, "shape", ())]
                inputs.append(torch.empty(sizes) if sizes else size)
            try:
                self.graph(*inputs)
            except RuntimeError as error:
                return str(error).splitlines()[0]
        return None


def failures(form):
    """What goes wrong at the first size at which something does, and at which sizes."""
    served = Served(form)
    wrong = {size: served.at(size) for size in SIZES if served.at(size)}
    if not wrong:
        return "right at every size"
    first = min(wrong)
    return f"at {', '.join(map(str, wrong))}: {wrong[first]} at {first}"


plain = Served(in_forward(narrows=False))
traced, symbol = plain.rows()
wrong = [s for s in SIZES if traced.subs(symbol, s) != s]
evidence = f"rows of to_local(): {traced}"
if wrong:
    evidence += f"; at {symbol} = {wrong[0]} it is {traced.subs(symbol, wrong[0])}; guards dropped: "
    evidence += f"{plain.at(wrong[0])}, of fake tensors: {plain.at_fake(wrong[0])}"
for name, form in {
    "narrowed by the consumer": in_forward(narrows=True),
    "by hooks": by_hooks(narrows=False),
    "by hooks and narrowed in the module": by_hooks(narrows=True),
}.items():
    evidence += f"; {name}: {failures(form)}"
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if wrong else "fixed",
    "evidence": evidence,
}))
