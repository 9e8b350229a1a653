"""The calls of search D2, as code: what is reported of one is what can be run."""

import itertools

import torch
import torch.nn.functional as F

NAMES = {"torch": torch, "F": F}

UNARY = """
-x; x.abs(); x + 1; x - 1; 1 - x; x * 2; x * -1; x / 2; x / -2; x // 2; x % 3; x ** 2; x.square()
x.sign(); x.relu(); x.sigmoid(); x.exp(); x.sqrt(); x.round(); x.floor(); x.reciprocal()
x.to(torch.int64); x.to(torch.float32); x.bool(); x > 0; x == 0; x.isnan(); x.logical_not()
x.clamp(min=0); x.clamp(-1, 1); torch.where(x > 0, x, -x); x.masked_fill(x > 0, 5); x.nan_to_num()
torch.ones_like(x); torch.zeros_like(x); torch.full_like(x, 3); x.new_ones((2, 2))
x.new_full((3,), 2); x.clone(); x.contiguous(); x.detach(); x.clone().fill_(3); x.clone().zero_()
x.clone().add_(1); x.clone().mul_(-1); x.clone().clamp_(min=0); x.clone().masked_fill_(x > 0, 5)
x.clone().copy_(x); x.sum(); x.mean(); x.max(); x.min(); x.amax(); x.amin(); x.prod(); x.any()
x.all(); x.var(); x.std(); x.norm(); x.norm(1); x.norm(float("inf")); x.norm(float("-inf"))
x.norm(0); x.norm(3); x.argmax(); x.argmin(); x.count_nonzero(); x.nansum(); x.median(); x.aminmax()
torch.std_mean(x); torch.var_mean(x); x.sum() + 1; x.sum() * -1; x.mean() + 1; -x.max(); -x.amax()
x.max() * -2; x.sum(dtype=torch.float32); x.to(torch.int64).sum(); x.to(torch.int64).max()
(x > 0).sum(); (x > 0).any(); (x > 0).all(); x.bool().sum(); x.to(torch.int32).sum()
x.to(torch.int32).prod(); (x > 0).max(); x.to(torch.int64).bitwise_not(); x.to(torch.uint8)
x.to(torch.bool).to(torch.float64); x.flatten(); x.reshape(-1); x.ravel(); x.T; x.squeeze()
x.unsqueeze(0); x.unsqueeze(-1); x[None]; x.tril(); x.triu(1); x.diagonal(); x.trace()
torch.diag_embed(x); x.diag(); x.mT; x.nonzero(); x.unique(); x.roll(1); x.flip(0)
x.repeat(*[2] * x.dim()); x.repeat(2, *[1] * x.dim()); x.tile(2); x.repeat_interleave(2); x[0]
x[-1]; x[1:]; x[:-1]; x[::2]; x[1::2]; x[..., 0]; x[..., ::2]; x[..., 1:]; x[torch.tensor([0])]
x[torch.tensor([0, 0])]; x[[0, -1]]; x[x > 0]; x.take(torch.tensor([0])); x @ x.T; x.T @ x
torch.outer(x, x); torch.dot(x, x); torch.mv(x, x[0]); F.linear(x, x); F.linear(x, x, x[:, 0])
torch.einsum("ij,kj->ik", x, x); torch.bmm(x, x.transpose(1, 2)); torch.addmm(x[:, :1], x, x.T)
torch.kron(x, x); torch.cdist(x, x); torch.block_diag(x); F.layer_norm(x, x.shape[-1:])
F.rms_norm(x, x.shape[-1:]); F.layer_norm(x, x.shape); F.rms_norm(x, x.shape)
F.layer_norm(x, x.shape[-1:], x.flatten()[: x.shape[-1]]); F.normalize(x, dim=0)
F.normalize(x, dim=-1); F.gelu(x); F.silu(x); F.softplus(x); F.glu(x); F.pad(x, (1, 1))
F.pad(x, (1, 0), value=5); F.pad(x, (0, 1, 1, 0)); F.pad(x, (-1, 0)); F.mse_loss(x, -x)
F.cross_entropy(x, torch.zeros(x.shape[0], dtype=torch.int64)); F.one_hot(x.abs().to(torch.int64))
F.nll_loss(x, torch.zeros(x.shape[0], dtype=torch.int64)); F.embedding(torch.tensor([0, 0]), x)
F.group_norm(x, 1); F.instance_norm(x); F.avg_pool1d(x, 2); F.max_pool1d(x, 2); F.conv1d(x, x)
F.interpolate(x, scale_factor=2); F.local_response_norm(x, 2); F.pixel_shuffle(x, 1); F.unfold(x, 1)
torch.meshgrid(x, x, indexing="ij"); torch.cartesian_prod(x, x); torch.combinations(x)
torch.vander(x); torch.histc(x, 3, -2, 2); torch.bucketize(x, torch.tensor([-1.0, 1.0]))
torch.isin(x, x[:1]); torch.searchsorted(x.sort().values, x); torch.trapezoid(x)
torch.linalg.vector_norm(x, 1); torch.cov(x); torch.corrcoef(x); x.view(x.shape); x.view_as(x)
x.expand(2, *x.shape); x.item(); x.lerp(x + 1, 0.5); torch.addcmul(x, x, x)
torch.addcdiv(x, x, x * x + 1); torch.hypot(x, x); torch.atleast_2d(x)
torch.broadcast_to(x, (2, *x.shape)); torch.rot90(x); torch.fliplr(x); x.to(torch.complex128).abs()
torch.complex(x, x).real; torch.heaviside(x, x); x.frac(); x.copysign(x); torch.stack([x, x])
torch.vstack([x, x]); torch.hstack([x, x]); torch.dstack([x, x]); torch.column_stack([x, x])
torch.cat([x, x.new_zeros(x.shape)]); torch.nn.utils.get_total_norm([x, x])
torch._foreach_norm([x, x]); torch._foreach_add([x, x], 1); torch._foreach_mul([x, x], -1)
x.amax(keepdim=True); x.sum((), keepdim=True); x.mean((), keepdim=True); x.var((), keepdim=True)
F.binary_cross_entropy(x.sigmoid(), x.sigmoid()); F.mse_loss(x, x.detach() * 2)
torch.allclose(x, x); torch.equal(x, x); x.is_same_size(x); x.element_size(); x.logcumsumexp(0)
"""

# {d} is each dimension, {n} its size, {i} each of a few indices, {k} a length.
PER_DIM = """
x.sum({d}); x.sum({d}, keepdim=True); x.mean({d}); x.mean({d}, keepdim=True); x.prod({d})
x.amax({d}); x.amin({d}, keepdim=True); x.max({d}); x.min({d}); x.max({d}, keepdim=True)
x.argmax({d}); x.argmin({d}); x.argmax({d}, keepdim=True); x.any({d}); x.all({d}); x.var({d})
x.var({d}, correction=0); x.std({d}); x.std({d}, keepdim=True); x.norm(2, {d}); x.norm(1, {d})
x.norm(float("inf"), {d}); x.norm(0, {d}); x.logsumexp({d}); x.logsumexp({d}, keepdim=True)
x.cumsum({d}); x.cumprod({d}); x.cummax({d}); x.sort({d}); x.sort({d}, descending=True)
x.argsort({d}); x.topk(1, {d}); x.topk({n}, {d}); x.median({d}); x.kthvalue(1, {d}); x.mode({d})
x.softmax({d}); x.log_softmax({d}); x.count_nonzero({d}); x.nansum({d}); torch.var_mean(x, {d})
torch.aminmax(x, dim={d}); x.unsqueeze({d}); x.squeeze({d}); x.flip({d}); x.roll(1, {d})
x.roll(-1, {d}); x.transpose({d}, 0); x.transpose({d}, -1); x.movedim({d}, 0); x.chunk(2, {d})
x.chunk(3, {d}); x.split(1, {d}); x.split(2, {d}); x.split(3, {d}); x.unbind({d})
x.tensor_split(2, {d}); x.tensor_split(3, {d}); x.split([1, {n} - 1], {d})
x.split_with_sizes([{n}], {d}); x.narrow({d}, 0, 1); x.narrow({d}, 1, {n} - 1)
x.narrow({d}, 0, {n}); x.narrow({d}, {n} - 1, 1); x.select({d}, 0); x.select({d}, -1)
x.select({d}, {n} // 2); x.unfold({d}, 2, 1); x.unfold({d}, 1, 1); x.unfold({d}, 2, 2)
x.diff(dim={d}); x.diff(n=2, dim={d}); x.repeat_interleave(2, {d})
x.index_select({d}, torch.tensor([0])); x.index_select({d}, torch.tensor([{n} - 1, 0]))
x.gather({d}, torch.zeros(x.shape, dtype=torch.int64)); x.index_fill({d}, torch.tensor([0]), 9)
x.take_along_dim(x.argsort({d}), {d}); x.index_add({d}, torch.tensor([0]), x.narrow({d}, 0, 1))
x.scatter({d}, torch.zeros(x.shape, dtype=torch.int64), 5)
x.index_copy({d}, torch.tensor([0]), x.narrow({d}, {n} - 1, 1))
x.scatter_add({d}, torch.zeros(x.shape, dtype=torch.int64), x)
x.select_scatter(x.select({d}, 0), {d}, -1); x.slice_scatter(x.narrow({d}, 0, 1), {d}, 0, 1)
torch.cat([x, x], {d}); torch.stack([x, x], {d}); torch.cat([x, x.narrow({d}, 0, 1)], {d})
torch.cat([x, x, x], {d}); torch.cat([x.narrow({d}, 1, {n} - 1), x], {d})
x.unflatten({d}, (1, {n})); x.unflatten({d}, ({n}, 1)); x.unflatten({d}, (2, -1))
x.unflatten({d}, (-1, 2)); x.flatten({d}); x.flatten(0, {d}); F.glu(x, {d}); F.normalize(x, dim={d})
F.normalize(x, p=1, dim={d}); torch.linalg.vector_norm(x, 3, {d}); x.renorm(2, {d}, 1.0)
torch.cumulative_trapezoid(x, dim={d}); x.quantile(0.5, {d}); x.logcumsumexp({d}); x.amax({d}) * -1
-x.amin({d}); x.sum({d}) + 1; x.mean({d}) * 2; x.max({d}).values + 1; x.sum({d}).max()
x.sum({d}).abs(); x.mean({d}).square(); x.amax({d}).sum(); x.sum({d}).mean(); x.sum({d}).argmax()
x.sum({d}, keepdim=True) * x; x / x.abs().sum({d}, keepdim=True); x - x.mean({d}, keepdim=True)
x - x.amax({d}, keepdim=True); x.softmax({d}).sum({d}); x.flip({d}).cumsum({d})
"""

# {d} is each pair of dimensions.
PER_PAIR = """
x.sum({d}); x.mean({d}); x.mean({d}, keepdim=True); x.var({d}); x.var({d}, keepdim=True)
x.amax({d}); x.amin({d}, keepdim=True); x.logsumexp({d}); x.logsumexp({d}, keepdim=True)
x.norm(2, {d}); x.norm(1, {d}); torch.linalg.vector_norm(x, 3, {d}, keepdim=True); x.std({d})
torch.var_mean(x, {d}); x.flip({d}); x.roll((1, 1), {d}); x.sum({d}).mean(); x.any({d}); x.all({d})
x.count_nonzero({d}); torch.std_mean(x, {d}, keepdim=True)
"""

BINARY = """
x + y; x - y; x * y; x / y; y - x; torch.add(x, y, alpha=2); torch.add(x, y, alpha=-1)
torch.maximum(x, y); torch.minimum(x, y); torch.where(y > 0, x, y); torch.where(x > 0, x, y); x == y
x > y; torch.atan2(x, y); torch.lerp(x, y, 0.5); torch.addcmul(x, x, y)
torch.addcdiv(x, x, y * y + 1); x.masked_fill(y > 0, 3); x.clone().copy_(y); x.clone().add_(y)
x.clone().mul_(y); x.clone().sub_(y, alpha=2); x.fmod(y * y + 1); torch.cat([x, y])
torch.cat([x, y], -1); torch.stack([x, y]); torch.stack([x, y], -1); x @ y.T; x.T @ y
F.linear(x, y); torch.mm(x, y.T); torch.addmm(y[:, :1], x, y.T); torch.einsum("ij,ij->i", x, y)
torch.einsum("ij,ij->", x, y); torch.einsum("ij,ik->jk", x, y); torch.dot(x, y); torch.outer(x, y)
torch.mv(x, y[0]); x + y.sum(0); x * y.sum(0, keepdim=True); x + y.sum(-1, keepdim=True)
x + y.mean(); x * y.sum(); x * y.amax(); x + y[:1]; x * y[..., :1]; x[:1] + y
x - y.amax(-1, keepdim=True); x.sum() + y.sum(); x.sum() * y.sum(); x.sum() / y.abs().sum()
x.mean() + y.mean(); x.max() + y.max(); torch.maximum(x.max(), y.max()); x.sum() - y.max()
x.amax(0) * y.sum(0); x.sum(0) + y.mean(0); torch.maximum(x.sum(0), y.sum(0)); x.mean(0) - y.mean(0)
F.mse_loss(x, y); F.l1_loss(x, y); F.soft_margin_loss(x, y.sign()); F.poisson_nll_loss(x, y)
F.l1_loss(x, y, reduction="sum"); F.smooth_l1_loss(x, y); F.cosine_similarity(x, y, dim=0)
F.cosine_similarity(x, y, dim=-1); torch.dist(x, y); torch.cdist(x, y)
F.layer_norm(x, x.shape[-1:], y[0], y[-1]); F.rms_norm(x, x.shape[-1:], y[0])
F.layer_norm(x, x.shape, y, y); torch.baddbmm(x[None], x[None], y[None].mT @ x[None])
x.index_add(0, torch.tensor([0]), y[:1]); x.gather(0, y.argsort(0)); x.gather(-1, y.argsort(-1))
x.take_along_dim(y.argsort(0), 0); x.scatter(0, y.argsort(0), y)
x.scatter_add(-1, y.argsort(-1), y); x.index_select(0, y.argsort(0)[:, 0]); x[y.argsort(0)[:, 0]]
x.index_put((torch.tensor([0]),), y[:1]); x.index_put((torch.tensor([0]),), y[:1], accumulate=True)
x.slice_scatter(y[:1], 0, 0, 1); x.select_scatter(y[0], 0, -1); F.embedding(y.argsort(0), x)
torch.searchsorted(x.sort().values, y); torch.isin(x, y); torch._foreach_add([x, x], [y, y])
torch._foreach_mul([x], [y]); torch._foreach_norm([x, y]); torch.nn.utils.get_total_norm([x, y])
torch.equal(x, y); torch.allclose(x, y); torch.kron(x, y); x.to(torch.int64) & y.to(torch.int64)
x.heaviside(y); torch.logical_and(x > 0, y > 0); torch.logical_or(x, y); (x > 0) | (y > 0)
(x > 0) ^ (y > 0); x.copysign(y); x.logaddexp(y); torch.linalg.cross(x, y, dim=-1)
torch.tensordot(x, y, dims=([0], [0])); torch.block_diag(x, y); x.expand_as(y); x.view_as(y)
torch.vdot(x, y); torch.inner(x, y); torch.chain_matmul(x, y.T); torch.where(x > 0, 1.0, y)
torch.where(y > 0, x, 0.0); torch.where((y > 0).any(), x, y)
F.binary_cross_entropy_with_logits(x, y.sigmoid()); F.kl_div(x, y.exp()); F.huber_loss(x, y)
"""


def templates(text):
    return [code.strip() for line in text.splitlines() for code in line.split("; ") if code.strip()]


def factorisations(size, length):
    """All shapes of `length` dimensions and `size` elements."""
    if length == 1:
        return [(size,)]
    divisors = [n for n in range(1, size + 1) if size % n == 0]
    return [(n, *rest) for n in divisors for rest in factorisations(size // n, length - 1)]


DYNAMIC_VIEWS = [
    *["(-1,)", "(-1, 2)", "(2, -1)", "(1, -1, 4)"],
    *["(x.shape[0], -1)", "(-1, x.shape[-1])"],
]


def views(shape):
    if None in shape:
        return [f"x.view{s}" for s in DYNAMIC_VIEWS]
    size = torch.Size(shape).numel()
    shapes = [s for length in (1, 2, 3) for s in factorisations(size, length)] if size else []
    return [f"x.view{s}" for s in shapes]


def calls(shape, operands):
    """The calls for one operand ("x") or two ("xy") of a shape, in which None is a dynamic size.
    Some fail on a plain tensor."""
    if operands == "xy":
        return templates(BINARY)
    dims = [
        code.format(d=dim, n=f"x.shape[{dim}]" if size is None else size)
        for code in templates(PER_DIM)
        for dim, size in enumerate(shape)
    ]
    orders = [f"x.permute{order}" for order in itertools.permutations(range(len(shape)))]
    pairs = [
        code.format(d=pair)
        for code in templates(PER_PAIR)
        for pair in itertools.combinations(range(len(shape)), 2)
    ]
    return templates(UNARY) + dims + views(shape) + orders[1:] + pairs
