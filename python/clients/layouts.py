"""Transformers' Qwen3 scores three sequences, as it is or in another layout; it knows nothing of a recorder.

    python layouts.py MODEL [--fused] [--order qkv] [--packed] [--move NAME]

--fused has one product for q, k and v and one for gate and up, by vLLM's names and in its layout; --order kqv would be
a bug of whoever loads them. --packed has the sequences one after the other in place of a padded batch. --move adds one
ULP to an element of a weight of the second layer, such as k_proj, before anything is fused.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import torch
from transformers import AutoModelForCausalLM

LENGTHS = (5, 9, 2)


def fuse(owner: torch.nn.Module, fused: str, names: Sequence[str], order: Sequence[str]) -> None:
    """One product in the place of those of `names`, whose weights lie in `order`."""
    weights = {name: owner.get_submodule(name).weight for name in names}
    whole = torch.cat([weights[name] for name in order])
    module = torch.nn.Linear(whole.size(1), whole.size(0), bias=False, dtype=whole.dtype)
    module.weight = torch.nn.Parameter(whole.detach())
    last: list[torch.Tensor] = []

    def part_of(i: int) -> Callable[[torch.Tensor], torch.Tensor]:
        def call(x: torch.Tensor) -> torch.Tensor:
            if i == 0:  # the model asks for them in their order
                last[:] = module(x).split([weights[name].size(0) for name in names], -1)
            return last[i]

        return call

    for i, name in enumerate(names):
        delattr(owner, name)
        owner.__dict__[name] = part_of(i)
    owner.add_module(fused, module)


def move(model: torch.nn.Module, name: str) -> None:
    weight = next(
        each for path, each in model.named_parameters() if path.startswith("model.layers.1.") and name in path
    )
    with torch.no_grad():
        weight[3, 7] = weight[3, 7].nextafter(torch.tensor(9.0))


def batch(is_packed: bool) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(0, 1000, (length,), generator=generator) for length in LENGTHS]
    if is_packed:
        positions = torch.cat([torch.arange(length) for length in LENGTHS])
        return {"input_ids": torch.cat(rows)[None], "position_ids": positions[None]}
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": torch.arange(max(LENGTHS)).expand_as(ids)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--fused", action="store_true")
    parser.add_argument("--order", default="qkv")
    parser.add_argument("--packed", action="store_true")
    parser.add_argument("--move")
    flags = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(flags.model, dtype=torch.float32)
    model.config.use_cache = False
    if flags.move:
        move(model, flags.move)
    for layer in model.model.layers if flags.fused else ():
        names = ["q_proj", "k_proj", "v_proj"]
        fuse(layer.self_attn, "qkv_proj", names, [f"{letter}_proj" for letter in flags.order])
        fuse(layer.mlp, "gate_up_proj", ["gate_proj", "up_proj"], ["gate_proj", "up_proj"])
    with torch.no_grad():
        print(model(**batch(flags.packed)).logits.shape)


if __name__ == "__main__":
    main()
