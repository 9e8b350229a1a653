"""Which folder includes which: what edges.json allows, what the sources do, and the map of folders in documents.

edges.py --write FILE... puts the map into each FILE, between its two marks."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
TOPS = ("harness", "repro", "bench")
BEGIN, END = "<!-- folders: tests/layers/edges.py -->", "<!-- end of folders -->"


def allowed_edges():
    return json.loads((ROOT / "tests" / "layers" / "edges.json").read_text())


def sources():
    """(path, text) of every source that is no test."""
    for folder in TOPS:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in (".h", ".cpp", ".inc", ".cu", ".cuh") and not file.name.endswith("_test.cpp"):
                yield file.relative_to(ROOT).as_posix(), file.read_text()


def folder_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "harness" else parts[0]


def includes_of(text):
    return INCLUDE.findall(text)


def violations(path, text, allowed):
    """One line for every include of `text`, the content of `path`, that may not be."""
    folder = folder_of(path)
    if folder not in allowed:
        return [f"{path}: {folder} is no folder of edges.json"]
    found = []
    for included in includes_of(text):
        if included.split("/")[0] not in TOPS:
            found.append(f'{path}: "{included}" is not a full path from the root')
        elif folder_of(included) not in [folder, *allowed[folder]["includes"]]:
            found.append(f'{path}: {folder} must not include {folder_of(included)} ("{included}")')
    return found


def unused(allowed, files):
    """The edges that no source needs."""
    used = {(folder_of(path), folder_of(included)) for path, text in files for included in includes_of(text)}
    return [(folder, other) for folder, entry in allowed.items() for other in entry["includes"]
            if (folder, other) not in used]


def upward(allowed):
    """The edges to a folder that is not listed before: with none there is no circle."""
    order = list(allowed)
    return [(folder, other) for folder, entry in allowed.items() for other in entry["includes"]
            if order.index(other) >= order.index(folder)]


def folder_map(allowed):
    rows = ["| folder | what it is | includes |", "|---|---|---|"]
    for folder, entry in allowed.items():
        path = f"`{folder}/`" if folder in TOPS else f"`harness/{folder}/`"
        rows.append(f"| {path} | {entry['is']} | {', '.join(entry['includes']) or 'none'} |")
    return "\n".join(rows) + "\n"


def with_map(text, allowed):
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:begin] + "\n" + folder_map(allowed) + text[end:]


if __name__ == "__main__":
    for name in sys.argv[2:]:
        page = pathlib.Path(name)
        page.write_text(with_map(page.read_text(), allowed_edges()))
