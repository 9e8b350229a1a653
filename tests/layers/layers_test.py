"""Data flows downwards, includes only point upwards: a folder of harness/ includes only from itself
and from the folders above it in this list. repro/ stands below all of them. Run by ctest."""

import pathlib
import re
import unittest

LAYERS = [
    "base", "bits", "dispatch", "kernels", "mesh", "dtensor", "model", "tokenizer", "capture", "graph", "execution",
    "workload", "case", "observe", "compare", "report", "run", "detect", "cli",
]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
# What would reach a terminal or a file past harness/base/output.h and harness/base/file.h.
PRINTS = re.compile(r"\bstd::(?:cout|cerr|clog|puts|printf|fputs|putchar)\b|\b(?:fmt|std)::print(?:ln)?\b"
                    r"|\bfprintf\b|\bstd::fwrite\b")
OPENS = re.compile(r"\bstd::(?:basic_)?[io]?fstream\b|\bfopen\b|(?<!\w)::(?:open|openat|creat)\("
                   r"|\bopen\(.*\bO_(?:RDONLY|WRONLY|RDWR)\b|\bcreate_director(?:y|ies)\b")
PRINTERS = {"harness/base/output.cpp"}
# The system's own files, of names that nobody gives; and a test's and a benchmark's scratch files.
OPENERS = {"harness/base/file.cpp", "harness/base/memory.cpp", "harness/base/environment.cpp",
           "harness/base/stopwatch.cpp", "harness/base/output.cpp", "bench/ledger_bench.cpp",
           "bench/trace_bench.cpp"}
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


def lines_with(pattern, path, text, allowed):
    """One line for every line of code in `text` that does what only the files of `allowed` may."""
    if path in allowed:
        return []
    code = [line.split("//")[0] for line in text.splitlines()]
    return [f"{path}:{i}: {line.strip()}" for i, line in enumerate(code, 1) if pattern.search(line)]


def sources():
    for folder in ("harness", "repro", "bench"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in (".h", ".cpp", ".inc", ".cu", ".cuh") and not file.name.endswith("_test.cpp"):
                yield file.relative_to(ROOT).as_posix(), file.read_text()


class GatesTest(unittest.TestCase):
    """What comes from outside reaches a terminal through one writer, and files are opened in one place."""

    def test_one_file_prints_and_one_opens_files(self):
        found = []
        for path, text in sources():
            found += lines_with(PRINTS, path, text, PRINTERS) + lines_with(OPENS, path, text, OPENERS)
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_what_goes_past_them_is_found(self):
        for line in ('  fmt::print("{}", x);', "  std::cerr << x;", '  std::fprintf(stderr, "x");', '  fprintf(f, "x");'):
            self.assertEqual(len(lines_with(PRINTS, "harness/cli/run.cpp", line, PRINTERS)), 1, line)
        for line in ("  std::ifstream in(file);", "  int fd = ::open(p, O_RDONLY);", "  return open(p, O_WRONLY);",
                     "  fs::create_directories(p);", "  std::ofstream(file) << x;"):
            self.assertEqual(len(lines_with(OPENS, "harness/cli/run.cpp", line, OPENERS)), 1, line)
        self.assertEqual(lines_with(PRINTS, "harness/cli/run.cpp", '  say("x");  // not std::cout', PRINTERS), [])
        self.assertEqual(lines_with(OPENS, "a.cpp", "bool open(Json x) { levels.open(x); }", OPENERS), [])


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
        self.assertEqual(len(violations("harness/base/json.cpp", '#include "json.h"\n')), 1)
        self.assertEqual(len(violations("harness/misc/x.h", "")), 1)


if __name__ == "__main__":
    unittest.main()
