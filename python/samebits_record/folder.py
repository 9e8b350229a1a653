"""The folder of a recorded program, an arm: docs/stream.md."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
from collections.abc import Mapping

import torch

from .errors import InputError
from .slots import digest_of

FORMAT = 1
_PART = ".ended-"  # what a rank leaves until all have ended


class ArmFolder:
    """One rank's part of the folder `path`, which no other program has written to.

    `recorder.json` is written first and says that a recorder is at work here; `finished.json` last, by the rank that
    ends last, and vouches for the bytes of all others. A folder with the first and without the second was cut off.
    """

    def __init__(self, path: str | os.PathLike[str], about: Mapping[str, object], rank: int, ranks: int) -> None:
        self.path = pathlib.Path(path)
        self.rank, self.ranks = rank, ranks
        self.lines = 0
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            kinds = ("rank-{}.jsonl", "sites-{}.json", "kept-{}.safetensors")
            others = [kind.format(each) for each in range(ranks) if each != rank for kind in kinds]
            allowed = {"recorder.json", "steps.jsonl", *others} if ranks > 1 else set()
            for entry in sorted(os.listdir(self.path)):
                if entry not in allowed and not entry.startswith(_PART):
                    raise InputError(str(path), f"{entry} in it", "a folder that is new or empty")
            self._stream = (self.path / f"rank-{rank}.jsonl").open("x", encoding="utf-8", newline="\n")
            if rank == 0:
                text = json.dumps({"format": FORMAT, **about}, ensure_ascii=False) + "\n"
                with (self.path / "recorder.json").open("x", encoding="utf-8") as file:
                    file.write(text)
                self._steps = (self.path / "steps.jsonl").open("x", encoding="utf-8", newline="\n")
        except FileExistsError as error:
            raise InputError(
                str(path), f"{pathlib.Path(error.filename).name}", "a folder that is new or empty"
            ) from None
        except OSError as error:
            raise InputError(str(path), f"{error.strerror}", "a folder that can be written") from None

    def write(self, lines: list[str]) -> None:
        self.lines += len(lines)
        self._stream.write("".join(lines))

    def end_step(self, step: int, seconds: float, planted: Mapping[str, object] | None = None) -> None:
        self._stream.flush()
        if self.rank == 0:
            phases = {"program": {"seconds": seconds, "peak_bytes": 0}}
            record = {"step": step, "phases": phases, "witness": {}, "completion": ""}
            if planted is not None:
                record["planted"] = planted
            self._steps.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._steps.flush()

    def write_sites(self, sources: Mapping[str, str], unobserved: Mapping[str, int]) -> None:
        """Beside the stream, and never compared: the line of the program behind each site, and what was not seen."""
        text = json.dumps({"sources": sources, "unobserved": unobserved}, ensure_ascii=False, indent=0)
        (self.path / f"sites-{self.rank}.json").write_text(text + "\n", encoding="utf-8")

    def abandon(self) -> None:
        """Closes the files of a program that failed; without its marker the folder counts as cut off."""
        self._stream.close()
        if self.rank == 0:
            self._steps.close()

    def finish(self) -> None:
        """This rank has ended; the last one writes the marker."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.abandon()
        lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (self.path / f"{_PART}{self.rank}").write_text(str(self.lines))
            parts = [self.path / f"{_PART}{each}" for each in range(self.ranks)]
            if all(part.exists() for part in parts):
                self._write_marker([int(part.read_text()) for part in parts])
                for part in parts:
                    part.unlink()
        finally:
            os.close(lock)

    def _write_marker(self, observations: list[int]) -> None:
        names = sorted([f"rank-{each}.jsonl" for each in range(self.ranks)] + ["steps.jsonl"])
        files = {name: _digest_of_file(self.path / name) for name in names}
        marker = {"arm": self.path.resolve().name, "observations": observations, "files": files}
        written = self.path / f"finished.json.{os.getpid() % 10**6:06d}"  # whole or not at all
        written.write_text(json.dumps(marker, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
        os.replace(written, self.path / "finished.json")


def _digest_of_file(path: pathlib.Path) -> str:
    data = path.read_bytes()
    if not data:
        return digest_of(torch.empty(0, dtype=torch.uint8))
    return digest_of(torch.frombuffer(bytearray(data), dtype=torch.uint8))
