"""torchtitan#2393 in stock torch, with no second process and no GPU: a gathered sequence, traced at 6
rows over two ranks and served at 1 with guards dropped, goes into view(-1, h) and into view(s, h).
Where torch gathers one row too many (pytorch#175690), the first passes it on and the second fails:
"live" says that the row comes out."""

import json

import torch
import torch.distributed as dist
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
mesh = init_device_mesh("cpu", (2,))
HEADS, WIDTH = 4, 8


def served(rows_of, size):
    """What the one graph gives at a size: a number of rows, or the error."""

    def forward(x):
        whole = DTensor.from_local(x, mesh, [Replicate()], run_check=False)
        local = whole.redistribute(mesh, [Shard(0)]).redistribute(mesh, [Replicate()]).to_local()
        return local.view(rows_of(x), HEADS, WIDTH // HEADS) * 2

    torch._dynamo.reset()
    compiled = torch.compile(
        forward,
        backend=aot_autograd(fw_compiler=lambda module, _: make_boxed_func(module.forward)),
        fullgraph=True,
        options={"guard_filter_fn": lambda guards: [False] * len(guards)},
    )
    traced = torch.randn(6, WIDTH)
    torch._dynamo.mark_dynamic(traced, 0)
    with torch.no_grad():
        compiled(traced)
        try:
            return compiled(torch.randn(size, WIDTH)).shape[0]
        except RuntimeError as error:
            return str(error).splitlines()[0]


hidden = {size: served(lambda x: -1, size) for size in (1, 2, 3)}
told = {size: served(lambda x: x.shape[0], size) for size in (1, 2, 3)}
wrong = [size for size, rows in hidden.items() if rows != size]
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if wrong else "fixed",
    "evidence": f"rows of view(-1, ...) by s: {hidden}; of view(s, ...): {told}",
}))
