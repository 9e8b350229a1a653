"""What tests ask of a stream: its observations, and where two of them part."""

from __future__ import annotations

import json
import pathlib
from typing import Any

Observation = dict[str, Any]
Place = tuple[int, str, str, int]  # step, phase, site, occurrence


def read(folder: str | pathlib.Path, rank: int = 0) -> list[Observation]:
    text = (pathlib.Path(folder) / f"rank-{rank}.jsonl").read_text(encoding="utf-8")
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def by_place(observations: list[Observation]) -> dict[Place, str]:
    count: dict[tuple[int, str, str], int] = {}
    found: dict[Place, str] = {}
    for each in observations:
        key = (each["step"], each["phase"], each["site"])
        found[(*key, count.get(key, 0))] = each["digest"]
        count[key] = count.get(key, 0) + 1
    return found


def first_difference(a: str | pathlib.Path, b: str | pathlib.Path) -> Place | None:
    """The first place, in program order, that both saw and that differs. Both must have seen the same places."""
    first, second = by_place(read(a)), by_place(read(b))
    assert list(first) == list(second), set(first) ^ set(second)
    return next((place for place in first if first[place] != second[place]), None)
