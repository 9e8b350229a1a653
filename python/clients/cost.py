"""What recording costs: training steps of Transformers' Qwen3 in bfloat16, each level against none, side by side.

    python cost.py MODEL [--rounds N]        prints a table; OMP_NUM_THREADS=1 for one core

Processor time of the process, so that other work on the machine is not counted; it still takes caches and clocks.
Levels take turns, and a figure is the median over the rounds of the ratio to the unrecorded steps of the same round.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time

import torch
from transformers import AutoModelForCausalLM

from samebits_record import record, slots, step

LEVELS = ("step", "module", "op")
STEPS = 6  # of which the first is not counted


def seconds_a_step(folder: str, level: str | None, batch: int, length: int) -> float:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model.config.use_cache = False
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=False)
    ids = torch.randint(0, 1000, (batch, length))
    with tempfile.TemporaryDirectory() as root:
        began = 0.0
        with record(f"{root}/a", model, optimizer, level) if level else contextlib.nullcontext():
            for number in range(STEPS):
                if number == 1:
                    began = time.process_time()
                model(input_ids=ids, labels=ids).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                if level:
                    step()
            return (time.process_time() - began) / (STEPS - 1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=7)
    flags = parser.parse_args()
    native = "the C function" if slots.has_native() else "no C function"
    load = os.getloadavg()[0]
    print(f"torch {torch.__version__}, {native}, {torch.get_num_threads()} thread(s), load average {load:.1f}\n")
    print("| tokens a step | unrecorded | " + " | ".join(LEVELS) + " |\n|---|---|---|---|---|")
    for batch, length in ((4, 48), (8, 256)):
        plain: list[float] = []
        ratios: dict[str, list[float]] = {level: [] for level in LEVELS}
        for _ in range(flags.rounds):
            plain.append(seconds_a_step(flags.model, None, batch, length))
            for level in LEVELS:
                ratios[level].append(seconds_a_step(flags.model, level, batch, length) / plain[-1])
        cells = [f"{statistics.median(ratios[level]):.2f}x" for level in LEVELS]
        print(f"| {batch} x {length} | {1e3 * statistics.median(plain):.0f} ms |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
