"""How the tests of clients run samebits and the programs: from the root of the checkout, one thread each."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "out"
SAMEBITS = os.environ.get("SAMEBITS", str(ROOT / "build/samebits"))

Done = subprocess.CompletedProcess[str]


def timed(*command: str, cwd: pathlib.Path = ROOT) -> Done:
    """`python` in a command is the one that runs the test, for the programs that it starts too."""
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    env = {**os.environ, **offline, "PATH": path, "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    done.seconds = time.monotonic() - began  # type: ignore[attr-defined]
    return done


def samebits(*arguments: str) -> Done:
    return timed(SAMEBITS, *arguments)


def say(title: str, done: Done) -> None:
    """What the report of a client is written from."""
    print(f"\n== {title}: {done.seconds:.0f} s\n{done.stdout}{done.stderr}", flush=True)  # type: ignore[attr-defined]
