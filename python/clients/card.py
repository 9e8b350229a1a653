"""Transformers' Qwen3 under reduce-overhead, recorded inside its CUDA graphs: against eager, with planted ULPs, timed.

    SAMEBITS=build-cuda/samebits python card.py OUT [--device cuda|cpu] [--parts arms,plants,cost] [--plants N]
                                                    [--workers N] [--seconds S]

Arms are runs of generate.py, each with and without the recorder, which must not change what they print; a plant is a
run of its own, against the same program without one. OUT gets table.md, which is printed last, plants.txt, compare.txt
and log.txt. On a CPU nothing is captured, and only the tiny model runs. Exit code 1 where something does not hold.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SAMEBITS = os.environ.get("SAMEBITS", str(ROOT / "build/samebits"))
TINY, LARGE = "cases/models/tiny", "0.6B"
PARTS = ("arms", "plants", "cost")
A_PLANT_S = 25  # what a plant may take: none begins later


class Arm(NamedTuple):
    model: str
    name: str
    is_recorded: bool
    flags: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return f"{pathlib.Path(self.model).name}-{self.name}"


def reason(text: str) -> str:
    """The line that says why a program failed."""
    lines = [line.strip() for line in text.splitlines()]
    known = [line for line in lines if re.search(r"CUDA error|^\w*(Error|Exception)\b", line)]
    return (known or lines[-1:] or ["it said nothing"])[0]


class Card:
    """Runs and compares arms in the folder `work`, and collects what is said of them."""

    def __init__(self, out: pathlib.Path, work: pathlib.Path, device: str, seconds: float) -> None:
        self.out, self.work, self.device = out, work, device
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
            "TORCHINDUCTOR_COMPILE_THREADS": "1",  # each of many programs would have a process a core
            "TORCHINDUCTOR_CACHE_DIR": str(work / "inductor"),
        }

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def note(self, file: str, text: str) -> None:
        with (self.out / file).open("a") as opened:
            opened.write(text)

    def begin(self, *command: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=self._environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def end(self, process: subprocess.Popen[str], word: str = "") -> subprocess.CompletedProcess[str]:
        stdout, stderr = process.communicate(word)
        tail = "\n".join(stderr.splitlines()[-30:])
        said = f"exit code {process.returncode} at {self.elapsed():.0f} s\n{stdout}{tail}\n\n"
        self.note("log.txt", f"{' '.join(map(str, process.args))}\n{said}")
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def run(self, arm: Arm) -> subprocess.CompletedProcess[str]:
        program = (str(HERE / "generate.py"), arm.model, "--device", self.device, *arm.flags)
        if not arm.is_recorded:
            return self.end(self.begin(*program))
        recorder = ("-m", "samebits_record", "--out", str(self.work / arm.folder), "--level", "op", "--")
        return self.end(self.begin(*recorder, *program))

    def compare(self, a: str, b: str) -> tuple[int, str, str]:
        """The exit code, the counts, and the first value that differs."""
        command = [SAMEBITS, "compare", str(self.work / a), str(self.work / b)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        text = done.stdout.replace(f"{self.work}/", "")
        self.note("compare.txt", f"{text}{done.stderr}\n")
        first = re.search(r"^first value that differs: (.*)$", text, re.M) or re.search(r"^first: (.*)$", text, re.M)
        counts = text.partition("\n")[0].partition("bit_exact: ")[2]
        return done.returncode, counts, first[1] if first else "none"

    def say(self, what: str, is_good: bool, found: str) -> None:
        self.holds = self.holds and is_good
        self.rows.append(f"| {what} | {'yes' if is_good else '**no**'} | {found} |")
        print(f"{self.elapsed():4.0f} s  {self.rows[-1]}", flush=True)

    def arms(self, models: list[str], pool: concurrent.futures.Executor) -> None:
        """Eager and compiled, recorded and not, compared; and the compiled one again, which must be the same, unless
        the unrecorded program is not the same twice either."""
        compiled = ("--compile", self.mode)
        first = [Arm(model, "compiled", True, compiled) for model in reversed(models)]
        first += [Arm(model, "eager", is_recorded) for model in models for is_recorded in (True, False)]
        found = dict(zip(first, pool.map(self.run, first), strict=True))
        then = [Arm(model, "compiled", False, compiled) for model in reversed(models)]
        then += [Arm(model, "again", True, compiled) for model in models]
        then += [Arm(model, f"unrecorded-{run}", False, compiled) for model in reversed(models) for run in (2, 3)]
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
            plain = [done.stdout for arm, done in found.items() if arm[:1] + arm[2:] == (model, False, compiled)]
            prints, said = set(plain), f"{len(plain)} runs, {len(set(plain))} results"
            self.say(f"{name}, {self.mode}: unrecorded, against itself", len(prints) == 1, said)
            code, counts, first_value = self.compare(f"{name}-eager", f"{name}-compiled")
            self.say(f"{name}, eager against {self.mode}", code in (0, 1), f"{counts}; {first_value}")
            code, counts, first_value = self.compare(f"{name}-compiled", f"{name}-again")
            self.say(f"{name}, {self.mode} against itself", code == 0, f"{counts}; {first_value}")

    def plant(self, seed: int) -> str:
        """What was planted and found, "" where there was no time left."""
        if self.elapsed() + A_PLANT_S > self._seconds:
            return ""
        arm = Arm(TINY, f"plant-{seed}", True, ("--compile", self.mode, "--plant", str(seed)))
        done = self.run(arm)
        planted = re.search(r"^planted (\S+)", done.stdout, re.M)
        moved = re.search(r"^moved element (\d+)", done.stdout, re.M)
        if done.returncode != 0 or planted is None or moved is None:
            return f"{seed}: no: the run failed: {reason(done.stderr)}"
        _, _, first_value = self.compare("tiny-compiled", arm.folder)
        is_named = f", forward, model.{planted[1]}#0" in first_value.replace(" (occurrence 1)", "")
        return f"{seed}: {'yes' if is_named else 'no'}: {planted[1]}, element {moved[1]}; {first_value}"

    def plants(self, count: int, pool: concurrent.futures.Executor) -> None:
        if not (self.work / "tiny-compiled").exists():
            self.run(Arm(TINY, "compiled", True, ("--compile", self.mode)))
        found = list(filter(None, pool.map(self.plant, range(1, count + 1))))
        self.note("plants.txt", "".join(f"{each}\n" for each in found))
        named = sum(": yes: " in each for each in found)
        sites = len({each.split(": ")[2].split(",")[0] for each in found})
        said = f"{named} of {len(found)}, {sites} operators"
        self.say("a planted ULP is found by name", named == len(found) == count, said)

    def begin_cost(self, models: list[str]) -> dict[tuple[str, bool], subprocess.Popen[str]]:
        """They compile while other parts run, and wait."""
        program = str(HERE / "generate_cost.py")
        flags = ("--device", self.device, "--compile", self.mode)
        return {
            (model, is_recorded): self.begin(program, model, *flags, *["--recorded"] * is_recorded)
            for model in models
            for is_recorded in (True, False)
        }

    def cost(self, processes: dict[tuple[str, bool], subprocess.Popen[str]]) -> None:
        """One after the other, in the end."""
        for process in processes.values():
            assert process.stdout is not None
            process.stdout.readline()
        figures: dict[tuple[str, bool], dict[str, float]] = {}
        for key, process in processes.items():
            done = self.end(process, "go\n")
            if done.returncode != 0:
                self.say(f"{key[0]}: cost", False, reason(done.stderr))
            found = re.findall(r"^(\w+) ([\d.]+)$", done.stdout, re.M)
            figures[key] = {name: float(ms) for name, ms in found}
        for (model, is_recorded), recorded in figures.items():
            plain = figures[model, False]
            for name, ms in recorded.items() if is_recorded else ():
                ratio = f"{plain[name]:.3f} ms, {ms / plain[name]:.2f}x" if name in plain else ""
                self.say(f"{pathlib.Path(model).name}, {name}: recorded, unrecorded", True, f"{ms:.3f} ms; {ratio}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--plants", type=int, default=30)
    parser.add_argument("--workers", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=190)
    flags = parser.parse_args()
    parts = flags.parts.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--parts: found {flags.parts}, expected some of {','.join(PARTS)}")
    out = flags.out.resolve()
    out.mkdir(parents=True)
    models = [TINY, LARGE] if flags.device == "cuda" else [TINY]
    with (
        tempfile.TemporaryDirectory() as work,
        concurrent.futures.ThreadPoolExecutor(flags.workers) as pool,
    ):
        card = Card(out, pathlib.Path(work), flags.device, flags.seconds)
        waiting = card.begin_cost(models) if "cost" in parts else {}
        if "arms" in parts:
            card.arms(models, pool)
        if "plants" in parts:
            card.plants(flags.plants, pool)
        card.cost(waiting)
    table = "\n".join(card.rows) + "\n"
    card.note("table.md", table)
    print(f"\nin {card.elapsed():.0f} s\n{table}", flush=True)
    sys.exit(not card.holds)


if __name__ == "__main__":
    main()
