"""A program as its owner has it, with no recorder: Transformers' Qwen3, three steps of AdamW or one scoring pass.

    python qwen3.py MODEL train|score [--attention sdpa|eager] [--compile] [--dtype float32|bfloat16] [--batch N]

Prints the bits of the losses and a hash of the weights, or a hash of the first sequence's logits.
"""

import argparse
import hashlib
import struct

import torch
from transformers import AutoModelForCausalLM

STEPS, LENGTH = 3, 47  # a length that no batch divides


def bits(value: torch.Tensor) -> str:
    return struct.pack(">f", value.float().item()).hex()


def digest(tensors: list[torch.Tensor]) -> str:
    data = b"".join(each.detach().contiguous().view(torch.uint8).numpy().tobytes() for each in tensors)
    return hashlib.sha256(data).hexdigest()[:16]


def train(model: torch.nn.Module, forward: torch.nn.Module, ids: torch.Tensor) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for step in range(STEPS):
        loss = forward(input_ids=ids[step], labels=ids[step]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        print(step, bits(loss.detach()))
    print("weights", digest(list(model.parameters())))


@torch.no_grad()
def score(forward: torch.nn.Module, ids: torch.Tensor) -> None:
    print("logits of the first", digest([forward(input_ids=ids).logits[0]]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("task", choices=["train", "score"])
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch", type=int, default=4)
    flags = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    dtype = getattr(torch, flags.dtype)
    model = AutoModelForCausalLM.from_pretrained(flags.model, dtype=dtype, attn_implementation=flags.attention)
    model.config.use_cache = False
    forward = torch.compile(model) if flags.compile else model
    ids = torch.randint(0, 1000, (STEPS, 8, LENGTH), generator=torch.Generator().manual_seed(1))[:, : flags.batch]
    if flags.task == "train":
        train(model, forward, ids)
    else:
        score(forward, ids[0])


if __name__ == "__main__":
    main()
