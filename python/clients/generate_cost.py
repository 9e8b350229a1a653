"""Times a decode step of generate.py's, compiled: unrecorded, or recorded at level `op`.

    python generate_cost.py MODEL [--device cuda|cpu] [--compile MODE] [--recorded]

Compiles, prints "ready" and waits for a line, so that the machine can be quiet; then prints milliseconds a token, line
by line: `token`, from one token to the next, with what Python does between; `host`, until Python has launched it all;
`replay`, what the card takes of that for the CUDA graph and for taking over its slots; `read`, what is observed is read
apart, once in 40 tokens.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from typing import Any

import torch
from generate import empty_cache, model_of, next_logits, prompt_for

from samebits_record import record, step

WARM, ROUNDS, TOKENS = 8, 5, 8
AHEAD = 5_000_000  # cycles for which the card waits, so that Python is ahead of it


def now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


@contextlib.contextmanager
def timed_replays() -> Any:
    """The milliseconds of each replay within, after the context."""
    kind: Any = torch.cuda.CUDAGraph
    original, events, found = kind.replay, [], []

    def replay(graph: Any) -> None:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(AHEAD)
        begin.record()
        original(graph)
        end.record()
        events.append((begin, end))

    kind.replay = replay
    try:
        yield found
    finally:
        kind.replay = original
    torch.cuda.synchronize()
    found += [begin.elapsed_time(end) for begin, end in events]


@torch.no_grad()
def measure(model: torch.nn.Module, device: str, mode: str, is_recorded: bool) -> dict[str, float]:
    """Milliseconds of one token each."""
    forward = torch.compile(model, mode=mode, fullgraph=True)
    cache = empty_cache(model)
    token = next_logits(model, prompt_for(model, device), cache).argmax(-1, keepdim=True)

    def run(count: int) -> None:
        nonlocal token
        for _ in range(count):
            token = next_logits(forward, token, cache).argmax(-1, keepdim=True)

    run(WARM)
    print("ready", flush=True)
    input()
    found = {}
    if device == "cuda":
        with timed_replays() as replays:
            run(TOKENS)
        found["replay"] = statistics.median(replays)
    if is_recorded:
        step()
    times, host_times = [], []
    for _ in range(ROUNDS):
        began = now(device)
        run(TOKENS)
        host_times.append(1e3 * (time.perf_counter() - began) / TOKENS)
        times.append(1e3 * (now(device) - began) / TOKENS)
    found["token"], found["host"] = statistics.median(times), statistics.median(host_times)
    if is_recorded:
        began = now(device)
        step()
        found["read"] = 1e3 * (now(device) - began) / (ROUNDS * TOKENS)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", default="default")
    parser.add_argument("--recorded", action="store_true")
    flags = parser.parse_args()
    model = model_of(flags.model, flags.device)
    with contextlib.ExitStack() as stack:
        if flags.recorded:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            stack.enter_context(record(f"{folder}/a", model, level="op"))
        found = measure(model, flags.device, flags.compile, flags.recorded)
    for name, ms in found.items():
        print(name, f"{ms:.4f}")


if __name__ == "__main__":
    main()
