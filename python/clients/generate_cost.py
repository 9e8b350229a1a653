"""What recording at level `op` costs a decode step of generate.py's, compiled, against the unrecorded one.

    python generate_cost.py MODEL [--device cuda|cpu] [--compile MODE]        prints rows of a table

`token`: from one token to the next, with what Python does between; `replay`: the CUDA graph alone, back to back. What
was observed is read apart: `read`, divided by the tokens since the last one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from typing import Any

import torch
from generate import count_replays, empty_cache, model_of, next_logits, prompt_for

from samebits_record import record, step

WARM, ROUNDS, TOKENS, REPLAYS = 8, 5, 8, 50


def now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


@torch.no_grad()
def measured(model: torch.nn.Module, device: str, mode: str, replays: list[Any], is_recorded: bool) -> dict[str, float]:
    """Milliseconds of a token, a replay, and a read, each for one token."""
    torch.compiler.reset()
    replays.clear()
    forward = torch.compile(model, mode=mode, fullgraph=True)
    ids, cache = prompt_for(model, device), empty_cache(model)
    token = next_logits(model, ids, cache).argmax(-1, keepdim=True)

    def run(count: int) -> None:
        nonlocal token
        for _ in range(count):
            token = next_logits(forward, token, cache).argmax(-1, keepdim=True)

    run(WARM)
    if is_recorded:
        step()
    times = []
    for _ in range(ROUNDS):
        began = now(device)
        run(TOKENS)
        times.append((now(device) - began) / TOKENS)
    found = {"token": statistics.median(times)}
    if is_recorded:
        began = now(device)
        step()
        found["read"] = (now(device) - began) / (ROUNDS * TOKENS)
    if replays:
        began = now(device)
        for _ in range(REPLAYS):
            torch._C._CUDAGraph.replay(replays[-1])
        found["replay"] = (now(device) - began) / REPLAYS
    return {name: 1e3 * seconds for name, seconds in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", default="default")
    flags = parser.parse_args()
    model, replays = model_of(flags.model, flags.device), count_replays()
    plain = measured(model, flags.device, flags.compile, replays, False)
    with tempfile.TemporaryDirectory() as folder, record(f"{folder}/a", model, level="op"):
        recorded = measured(model, flags.device, flags.compile, replays, True)
    for name, ms in recorded.items():
        ratio = f"{ms / plain[name]:.2f}x" if name in plain else ""
        print("|", " | ".join([flags.model, name, f"{plain.get(name, 0):.3f} ms", f"{ms:.3f} ms", ratio]), "|")


if __name__ == "__main__":
    main()
