"""What the findings about losses and about cached shapes claim, on real processes (gloo) instead of
torch's emulation of ranks.

    python reports/search/processes.py [RANKS]

Prints a line for each operator: what n ranks got, and what one plain tensor gives."""

import os
import sys
import warnings

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

LOSSES = {
    "mse_loss": lambda x: F.mse_loss(x, torch.zeros_like(x)),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, torch.zeros_like(x)),
    "huber_loss": lambda x: F.huber_loss(x, torch.zeros_like(x)),
    "soft_margin_loss": lambda x: F.soft_margin_loss(x, torch.ones_like(x)),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x / 99, torch.ones_like(x)),
    "l1_loss": lambda x: F.l1_loss(x, torch.zeros_like(x)),
    "kl_div": lambda x: F.kl_div(x, torch.ones_like(x)),
    "square().mean()": lambda x: x.square().mean(),
    "mse_loss of sums": lambda x: F.mse_loss(x, torch.zeros_like(x), reduction="sum"),
}


def gathered(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def loss_and_gradient(loss, x):
    x = x.detach().requires_grad_()
    value = loss(x)
    return gathered(value.detach()), gathered(torch.autograd.grad(value, x)[0])


def of_losses(mesh, rows):
    """Each loss of `rows` rows that the ranks share, and the last element of its gradient."""
    plain = torch.arange(1.0, rows + 1)
    for name, loss in LOSSES.items():
        got = loss_and_gradient(loss, distribute_tensor(plain, mesh, [Shard(0)]))
        for what, one, other in zip(("", ", its gradient"), got, loss_and_gradient(loss, plain)):
            texts = [f"{tensor.flatten()[-1].item():.4g}" for tensor in (one, other)]
            yield f"{name} of {rows} rows{what}", *texts


def of_a_linear_layer(mesh, rows):
    """The gradient of its weight, with a sharded batch and mse_loss."""
    x, weight = torch.arange(2.0 * rows).view(rows, 2), torch.ones(1, 2)

    def gradient(x, weight):
        weight.requires_grad_()
        output = F.linear(x, weight)
        loss = F.mse_loss(output, torch.zeros_like(output))
        return gathered(torch.autograd.grad(loss, weight)[0]).tolist()

    got = gradient(
        distribute_tensor(x, mesh, [Shard(0)]), distribute_tensor(weight, mesh, [Replicate()])
    )
    yield f"gradient of the weight of a linear, {rows} rows", got, gradient(x, weight)


def tried(action):
    try:
        return action()
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:90]}"


def of_cached_shapes(mesh):
    plain = torch.arange(12.0).view(3, 4)
    shard, replica = (distribute_tensor(plain, mesh, [p]) for p in (Shard(0), Replicate()))

    def backward(x, *ks):
        x = x.detach().requires_grad_()
        for k in ks:
            top = x.topk(k).values
        return gathered(torch.autograd.grad(top.sum(), x)[0]).tolist()

    yield "topk(3), its backward", tried(lambda: backward(shard[:, :3], 3)), [[1.0] * 3] * 3
    got = tried(lambda: backward(shard, 1, 3))
    yield "topk(3) after topk(1), its backward", got, backward(plain, 3)
    top = shard.topk(3).values
    yield "topk(3) after topk(1), shape", list(top.shape), [3, 3]
    yield "its [:, :2], gathered, shape", list(top[:, :2].full_tensor().shape), [3, 2]
    moved = top.redistribute(mesh, [Shard(1)]).full_tensor()
    yield "it redistributed to Shard(1), gathered", moved.tolist(), plain.topk(3).values.tolist()
    replica.histc(2, 0, 12)
    yield "histc(5) after histc(2), shape", list(replica.histc(5, 0, 12).shape), [5]
    shard.view(torch.int32)
    yield "view(int16) after view(int32), shape", list(shard.view(torch.int16).shape), [3, 8]
    for n in (1, 3):
        got = tried(lambda: list(replica.multinomial(n).shape))
        yield f"multinomial({n}){' after multinomial(1)' if n > 1 else ''}, shape", got, [3, n]


def rank_main(rank, ranks):
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    mesh = init_device_mesh("cpu", (ranks,))
    lines = [
        *of_losses(mesh, 4 * ranks),
        *of_losses(mesh, 2 * ranks - 1),
        *of_a_linear_layer(mesh, 2 * ranks),
        *of_cached_shapes(mesh),
    ]
    if rank == 0:
        for what, got, expected in lines:
            print(f"{'same' if got == expected else 'OTHER':5}  {what}: {got}, expected {expected}")
    dist.destroy_process_group()


if __name__ == "__main__":
    ranks = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    print(f"torch {torch.__version__}, {ranks} processes")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29571")
    multiprocessing.spawn(rank_main, (ranks,), ranks)
