"""Data flows downwards, includes only point upwards: a folder of harness/ includes only from itself
and from the folders above it in this list. repro/ stands below all of them. Run by ctest."""

import pathlib
import re
import unittest

LAYERS = [
    "core", "kernels", "mesh", "dtensor", "model", "capture", "graph", "workload", "observe", "compare",
    "report", "run", "cli",
]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
ROOT = pathlib.Path(__file__).resolve().parents[2]


def violations(path, text):
    """One line for every include of `text`, the content of harness/FOLDER/..., that may not be."""
    folder = path.split("/")[1]
    if folder not in LAYERS:
        return [f"{path}: harness/{folder} is no layer of the design"]
    found = []
    for included in INCLUDE.findall(text):
        parts = included.split("/")
        if parts[0] != "harness":
            found.append(f'{path}: "{included}" is not a full path from the root')
        elif LAYERS.index(parts[1]) > LAYERS.index(folder):
            found.append(f'{path}: {folder} must not include {parts[1]} ("{included}")')
    return found


class LayersTest(unittest.TestCase):
    def test_every_include_points_upwards(self):
        files = [p for p in sorted((ROOT / "harness").rglob("*")) if p.suffix in (".h", ".cpp", ".inc", ".cu", ".cuh")]
        self.assertGreater(len(files), 100)
        found = []
        for file in files:
            found += violations(file.relative_to(ROOT).as_posix(), file.read_text())
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_an_include_downwards_is_found(self):
        text = '#include "harness/compare/verdict.h"\n'
        self.assertEqual(len(violations("harness/model/qwen3.cpp", text)), 1)
        self.assertEqual(violations("harness/report/record.cpp", text), [])

    def test_a_relative_include_and_an_unknown_folder_are_found(self):
        self.assertEqual(len(violations("harness/core/json.cpp", '#include "json.h"\n')), 1)
        self.assertEqual(len(violations("harness/misc/x.h", "")), 1)


if __name__ == "__main__":
    unittest.main()
