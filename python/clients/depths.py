"""Transformers' Qwen3 in float32, three steps of AdamW, observed by the names of samebits's own loop.

    python depths.py --prepare               writes models of 1, 2, 3 and 4 layers into out/depths/
    python depths.py MODEL OUT --steps N [--fault LAYER]    trains one of them, and writes its stream into OUT

A model of k layers is the tiny checkpoint's first k, its last norm and its head: what the head makes of the k-th layer
stands for what that layer hands on, in numbers that a bound can judge. Tokens, loss and optimizer are those of
depths.json. --fault moves one product of a layer, counted from 0, by a hundredth of a percent: a control.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from samebits_record import observe, record, step

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY, DEPTHS = ROOT / "cases/models/tiny", ROOT / "out/depths"
TOKENS = ROOT / "cases/tokens/counting.json"
LAYERS, SEQUENCES = 4, 6
ROWS = 8  # samebits pads its embedding with zeros to a multiple of this
# The order in which samebits's loop observes a layer's weights; a relation wants one order of both arms.
ORDER = (
    *("input_layernorm", "q_proj", "k_proj", "v_proj", "q_norm", "k_norm", "o_proj"),
    *("post_attention_layernorm", "gate_proj", "up_proj", "down_proj"),
)


def prepare() -> None:
    for depth in range(1, LAYERS + 1):
        folder = DEPTHS / str(depth)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            shutil.copy(TINY / name, folder)
        config = json.loads((TINY / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": depth}))
        dropped = tuple(f"model.layers.{layer}." for layer in range(depth, LAYERS))
        weights = load_file(TINY / "model.safetensors")
        kept = {name: weight for name, weight in weights.items() if not name.startswith(dropped)}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def trained(model: torch.nn.Module, steps: int) -> list[list[tuple[str, str, torch.Tensor]]]:
    """What each step shows, as phase, site and value, in the order of samebits's own loop."""
    sequences = [torch.tensor([ids]) for ids in json.loads(TOKENS.read_text())]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    seen = []
    for number in range(steps):
        chosen = [sequences[(number * SEQUENCES + i) % len(sequences)] for i in range(SEQUENCES)]
        logprobs = []
        for ids in chosen:
            logits = model(input_ids=ids).logits[0, :-1].float()
            logprobs.append(logits.log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0])
        loss = -torch.cat(logprobs).mean()
        loss.backward()
        gradients = [
            ("optimizer", f"gradient[{name}]", padded(name, weight.grad)) for name, weight in ordered_weights(model)
        ]
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scale = (1.0 / (norm + 1e-6)).clamp(max=1.0)  # what it multiplies with
        optimizer.step()
        optimizer.zero_grad()
        train = [
            ("train", f"logprob[{i},{t}]", value)
            for i, row in enumerate(logprobs)
            for t, value in enumerate(row.detach())
        ]
        train.append(("train", "loss", loss.detach()))
        state = [  # in float32 a weight is its own master
            ("optimizer", f"{what}[{name}]", padded(name, value))
            for name, weight in ordered_weights(model)
            for what, value in (
                ("master", weight),
                ("m", optimizer.state[weight]["exp_avg"]),
                ("v", optimizer.state[weight]["exp_avg_sq"]),
            )
        ]
        weights = [("weights", name, padded(name, weight)) for name, weight in ordered_weights(model)]
        clipping = [("optimizer", "grad_norm", norm), ("optimizer", "clip_scale", scale)]
        seen.append([*train, *gradients, *clipping, *state, *weights])
    return seen


def ordered_weights(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    weights = dict(model.named_parameters())
    layers = sorted({name.split(".")[2] for name in weights if name.startswith("model.layers.")}, key=int)
    place = {name: each for name in weights for each in ORDER if f".{each}." in name}
    names = ["model.embed_tokens.weight"]
    for layer in layers:
        own = [name for name in place if name.startswith(f"model.layers.{layer}.")]
        names += sorted(own, key=lambda name: ORDER.index(place[name]))
    return [(name, weights[name]) for name in [*names, "model.norm.weight"]]


def padded(name: str, weight: torch.Tensor) -> torch.Tensor:
    rows = -weight.size(0) % ROWS if name == "model.embed_tokens.weight" else 0
    return F.pad(weight.detach(), (0, 0, 0, rows)) if rows else weight.detach().clone()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("model", nargs="?")
    parser.add_argument("out", nargs="?")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--fault", type=int)
    parser.add_argument("--keep", default="", help="tensors whose elements bounds judge")
    flags = parser.parse_args()
    if flags.prepare:
        prepare()
        return
    model = AutoModelForCausalLM.from_pretrained(flags.model, dtype=torch.float32)
    model.config.use_cache = False
    if flags.fault is not None and flags.fault < len(model.model.layers):
        model.model.layers[flags.fault].mlp.down_proj.register_forward_hook(lambda *call: call[2] * 1.0001)
    steps = trained(model, flags.steps)
    # At level step the recorder would also observe what samebits's own loop does not, such as gradients.
    with record(flags.out, level="step", keep=flags.keep):
        for values in steps:
            for phase, site, value in values:
                observe(site, value, phase)
            step()


if __name__ == "__main__":
    main()
