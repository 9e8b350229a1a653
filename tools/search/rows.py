"""Search D5: does a row's result depend on how many rows there are?

Each operator below on each dtype and width, with one row alone and the same row first, in the
middle and last among others, bit for bit. A row that differs is one whose kernel is chosen, or
whose sum is cut, by the number of rows. torch promises no such thing: a difference is a fact, not a
bug."""

import argparse
import collections

import torch
import torch.nn.functional as F

import log

ROWS = (2, 3, 7, 8, 16, 33, 64)
WIDTHS = (1, 8, 17, 64, 100, 256, 1000, 1024)
DTYPES = ("float32", "float64", "bfloat16", "float16")

# x is [rows, width], w is [width, width].
OPERATORS = {
    "x @ w": lambda x, w: x @ w,
    "F.linear(x, w)": lambda x, w: F.linear(x, w),
    "F.linear(x, w, w[0])": lambda x, w: F.linear(x, w, w[0]),
    "x @ w[:, :1]": lambda x, w: x @ w[:, :1],
    "torch.bmm(x[:, None], w.expand(len(x), ...))": lambda x, w: torch.bmm(
        x[:, None], w.expand(len(x), *w.shape)
    ),
    "torch.einsum('bi,io->bo', x, w)": lambda x, w: torch.einsum("bi,io->bo", x, w),
    "x.sum(-1)": lambda x, w: x.sum(-1),
    "x.mean(-1)": lambda x, w: x.mean(-1),
    "x.t().contiguous().sum(0)": lambda x, w: x.t().contiguous().sum(0),
    "x.norm(dim=-1)": lambda x, w: x.norm(dim=-1),
    "x.var(-1)": lambda x, w: x.var(-1),
    "x.prod(-1)": lambda x, w: x.prod(-1),
    "x.cumsum(-1)": lambda x, w: x.cumsum(-1),
    "x.logsumexp(-1)": lambda x, w: x.logsumexp(-1),
    "x.softmax(-1)": lambda x, w: x.softmax(-1),
    "x.log_softmax(-1)": lambda x, w: x.log_softmax(-1),
    "x.t().contiguous().softmax(0).t()": lambda x, w: x.t().contiguous().softmax(0).t(),
    "x.exp()": lambda x, w: x.exp(),
    "x.sin()": lambda x, w: x.sin(),
    "x.tanh()": lambda x, w: x.tanh(),
    "x.sigmoid()": lambda x, w: x.sigmoid(),
    "x.pow(2.5)": lambda x, w: x.abs().pow(2.5),
    "x.erf()": lambda x, w: x.erf(),
    "x.rsqrt()": lambda x, w: x.abs().rsqrt(),
    "F.gelu(x)": lambda x, w: F.gelu(x),
    "F.silu(x)": lambda x, w: F.silu(x),
    "F.softplus(x)": lambda x, w: F.softplus(x),
    "F.layer_norm(x)": lambda x, w: F.layer_norm(x, x.shape[-1:]),
    "F.rms_norm(x)": lambda x, w: F.rms_norm(x, x.shape[-1:]),
    "F.normalize(x)": lambda x, w: F.normalize(x, dim=-1),
    "F.cross_entropy(x, reduction='none')": lambda x, w: F.cross_entropy(
        x, torch.zeros(len(x), dtype=torch.int64), reduction="none"
    ),
    "F.cosine_similarity(x, w[0])": lambda x, w: F.cosine_similarity(x, w[:1], dim=-1),
    "torch.cdist(x, w[:8])": lambda x, w: torch.cdist(x, w[:8]),
    "F.conv1d(x[:, None], w[:1, None, :3])": lambda x, w: F.conv1d(x[:, None], w[:1, None, :3]),
    "F.scaled_dot_product_attention(x, w, w)": lambda x, w: F.scaled_dot_product_attention(
        x[:, None, None], w.expand(len(x), 1, *w.shape), w.expand(len(x), 1, *w.shape)
    ),
    "F.embedding_bag": lambda x, w: F.embedding_bag(
        torch.arange(min(8, len(w))).repeat(len(x), 1), w, mode="sum"
    ),
}


def units():
    return [
        {"operator": operator, "dtype": dtype, "width": width}
        for width in WIDTHS
        for dtype in DTYPES
        for operator in OPERATORS
    ]


def bits(tensor):
    """The elements in a form in which NaN equals itself and 0 is not -0."""
    flat = tensor.reshape(-1).clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8)


def work(unit):
    width, function = unit["width"], OPERATORS[unit["operator"]]
    generator = torch.Generator().manual_seed(width)
    dtype = getattr(torch, unit["dtype"])
    row = torch.randn(1, width, generator=generator).to(dtype)
    others = torch.randn(max(ROWS), width, generator=generator).to(dtype)
    weight = torch.randn(width, width, generator=generator).to(dtype)
    counts, differences = collections.Counter(), []
    try:
        alone = function(row, weight)[0]
    except Exception:
        return {}, []
    for rows in ROWS:
        for place in sorted({0, rows // 2, rows - 1}):
            batch = others[:rows].clone()
            batch[place] = row[0]
            got = function(batch, weight)[place]
            differ = int((bits(got) != bits(alone)).any())
            counts["differs" if differ else "same"] += 1
            if differ:
                worst = (got.double() - alone.double()).abs().max().item()
                detail = f"row {place} of {rows}, by up to {worst:.2e}"
                difference = {"code": unit["operator"], "kind": unit["dtype"], "detail": detail}
                differences.append(difference)
    return dict(sorted(counts.items())), differences


def start():
    torch.set_num_threads(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    log.add_options(parser, log=f"out/search/rows-{torch.__version__}.jsonl")
    log.search("rows", units(), work, start, parser.parse_args())
