"""Transformers' Qwen3 under reduce-overhead, recorded inside of its CUDA graphs: against eager, and with planted ULPs.

    SAMEBITS=build-cuda/samebits python card.py OUT [--device cuda|cpu] [--plants N] [--workers N] [--seconds S]

Arms are runs of generate.py, each with and without the recorder, which must not change what they print. Streams,
outputs and the table go to OUT; the table is printed last. On a CPU nothing is captured, and only the tiny model runs.
Ends with exit code 1 where something does not hold.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SAMEBITS = os.environ.get("SAMEBITS", str(ROOT / "build/samebits"))
TINY, LARGE = "cases/models/tiny", "0.6B"


class Arm(NamedTuple):
    model: str
    name: str
    is_recorded: bool
    flags: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return f"{pathlib.Path(self.model).name}-{self.name}"


class Card:
    """Runs and compares arms, and collects what is said of them."""

    def __init__(self, out: pathlib.Path, device: str, seconds: float) -> None:
        self.out, self.device = out, device
        self.mode = "reduce-overhead" if device == "cuda" else "default"
        self.rows: list[str] = []
        self.holds = True
        self._began, self._seconds = time.monotonic(), seconds
        # Compiled programs are equal only where the autotuner has chosen equally: it is not asked.
        self._environment = {
            **os.environ,
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "TORCHINDUCTOR_DETERMINISTIC": "1",
            "TORCHINDUCTOR_CACHE_DIR": str(out / "inductor"),
        }

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def is_late(self, needed: float) -> bool:
        return self.elapsed() + needed > self._seconds

    def python(self, log: str, *command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False
        )
        (self.out / log).write_text(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def run(self, arm: Arm) -> subprocess.CompletedProcess[str]:
        program = (str(HERE / "generate.py"), arm.model, "--device", self.device, *arm.flags)
        if not arm.is_recorded:
            return self.python(f"{arm.folder}-plain.log", *program)
        recorder = ("-m", "samebits_record", "--out", str(self.out / arm.folder), "--level", "op", "--")
        return self.python(f"{arm.folder}.log", *recorder, *program)

    def compare(self, a: str, b: str) -> tuple[int, str, str]:
        """The exit code, the counts, and the first value that differs."""
        command = [SAMEBITS, "compare", str(self.out / a), str(self.out / b)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        (self.out / f"compare-{a}-{b}.txt").write_text(done.stdout + done.stderr)
        first = re.search(r"^first value that differs: (.*)$", done.stdout, re.M)
        first = first or re.search(r"^first: (.*)$", done.stdout, re.M)
        counts = done.stdout.partition("\n")[0].partition("bit_exact: ")[2]
        return done.returncode, counts, first[1] if first else "none"

    def say(self, what: str, is_good: bool, found: str) -> None:
        self.holds = self.holds and is_good
        self.rows.append(f"| {what} | {'yes' if is_good else '**no**'} | {found} |")
        print(f"{self.elapsed():4.0f} s  {self.rows[-1]}", flush=True)

    def arms(self, models: list[str], pool: concurrent.futures.Executor) -> None:
        """Eager and compiled, recorded and not, compared; and the compiled one again, which must be the same."""
        compiled = ("--compile", self.mode)
        first = [Arm(model, "compiled", True, compiled) for model in reversed(models)]
        first += [Arm(model, "eager", is_recorded) for model in models for is_recorded in (True, False)]
        found = dict(zip(first, pool.map(self.run, first), strict=True))
        then = [Arm(model, "compiled", False, compiled) for model in reversed(models)]
        then += [Arm(model, "again", True, compiled) for model in models]
        found.update(zip(then, pool.map(self.run, then), strict=True))
        for model in models:
            name = pathlib.Path(model).name
            for kind in ("eager", "compiled"):
                runs = [done for arm, done in found.items() if (arm.model, arm.name) == (model, kind)]
                is_same = all(done.returncode == 0 for done in runs) and runs[0].stdout == runs[1].stdout
                if self.device == "cuda" and kind == "compiled":
                    is_same = is_same and not re.search(r"^replays 0$", runs[0].stdout, re.M)
                said = runs[0].stdout.split("\n", 1)[-1].strip().replace("\n", ", ")
                self.say(f"{name}, {kind}: recorded as unrecorded", is_same, said)
            code, counts, first_value = self.compare(f"{name}-eager", f"{name}-compiled")
            self.say(f"{name}, eager against {self.mode}", code in (0, 1), f"{counts}; {first_value}")
            code, counts, first_value = self.compare(f"{name}-compiled", f"{name}-again")
            self.say(f"{name}, {self.mode} against itself", code == 0, f"{counts}; {first_value}")

    def plant(self, seed: int) -> str:
        """What was planted and found, "" where there was no time left."""
        if self.is_late(25):
            return ""
        arm = Arm(TINY, f"plant-{seed}", True, ("--compile", self.mode, "--plant", str(seed)))
        done = self.run(arm)
        planted = re.search(r"^planted (\S+)", done.stdout, re.M)
        moved = re.search(r"^moved element (\d+)", done.stdout, re.M)
        if done.returncode != 0 or planted is None or moved is None:
            return f"{seed}: no: the run failed: {done.stderr.strip().splitlines()[-1:]}"
        _, _, first_value = self.compare("tiny-compiled", arm.folder)
        is_named = f", forward, model.{planted[1]}#0" in first_value.replace(" (occurrence 1)", "")
        return f"{seed}: {'yes' if is_named else 'no'}: {planted[1]}, element {moved[1]}; {first_value}"

    def plants(self, count: int, pool: concurrent.futures.Executor) -> None:
        found = list(filter(None, pool.map(self.plant, range(1, count + 1))))
        (self.out / "plants.txt").write_text("".join(f"{each}\n" for each in found))
        named = sum(": yes: " in each for each in found)
        sites = len({each.split(": ")[2].split(",")[0] for each in found})
        said = f"{named} of {len(found)}, {sites} operators"
        self.say("a planted ULP is found by name", named == len(found) == count, said)

    def cost(self, models: list[str]) -> None:
        for model in models:
            program = (str(HERE / "generate_cost.py"), model, "--device", self.device, "--compile", self.mode)
            done = self.python(f"cost-{pathlib.Path(model).name}.log", *program)
            if done.returncode != 0:
                self.say(f"{model}: cost", False, f"{done.stderr.strip().splitlines()[-1:]}")
            for row in done.stdout.splitlines():
                self.rows.append(row)
                print(row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--plants", type=int, default=30)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=190)
    flags = parser.parse_args()
    flags.out = flags.out.resolve()
    flags.out.mkdir(parents=True)
    card = Card(flags.out, flags.device, flags.seconds)
    models = [TINY, LARGE] if flags.device == "cuda" else [TINY]
    with concurrent.futures.ThreadPoolExecutor(flags.workers) as pool:
        card.arms(models, pool)
        card.cost(models)
        card.plants(flags.plants, pool)
    table = "\n".join(card.rows)
    (flags.out / "table.md").write_text(table + "\n")
    print(f"\nin {card.elapsed():.0f} s\n{table}", flush=True)
    sys.exit(not card.holds)


if __name__ == "__main__":
    main()
