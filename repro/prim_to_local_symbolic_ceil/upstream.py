"""pytorch#175690 on the torch at hand, with no second process and no GPU: the traced size of
Shard(0) -> Replicate -> to_local() over two ranks, for a dynamic size that was even when traced."""

import json

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
mesh = init_device_mesh("cpu", (2,))
weight = torch.randn(1024, 2048)
graphs = []


def keep_graph(module, example_inputs):
    graphs.append(module)
    return module.forward


@torch.compile(backend=keep_graph, fullgraph=True)
def forward(x):
    whole = DTensor.from_local(x, mesh, [Replicate()], run_check=False)
    sharded = whole.redistribute(mesh, [Shard(0)])
    local = sharded.redistribute(mesh, [Replicate()]).to_local()
    return torch.nn.functional.linear(local.view(1, x.shape[0], -1), weight)


x = torch.randn(6, 2048)
torch._dynamo.mark_dynamic(x, 0)
forward(x)

nodes = list(graphs[0].graph.nodes)
symbol = next(n.meta["example_value"] for n in nodes if n.op == "placeholder").node.expr
local = next(n for n in nodes if n.target == "view").args[0]
traced = local.meta["example_value"].shape[0].node.expr
wrong = [s for s in range(1, 6) if traced.subs(symbol, s) != s]
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if wrong else "fixed",
    "evidence": f"rows of to_local(): {traced}"
    + (f"; at {symbol} = {wrong[0]} it is {traced.subs(symbol, wrong[0])}" if wrong else ""),
}))
