"""What comes from outside reaches a terminal through one writer, and files are opened in one place. Run by ctest."""

import re
import unittest

from edges import sources

# What would reach a terminal or a file past harness/base/output.h and harness/base/file.h.
PRINTS = re.compile(r"\bstd::(?:cout|cerr|clog|puts|printf|fputs|putchar)\b|\b(?:fmt|std)::print(?:ln)?\b"
                    r"|\bfprintf\b|\bstd::fwrite\b")
OPENS = re.compile(r"\bstd::(?:basic_)?[io]?fstream\b|\bfopen\b|(?<!\w)::(?:open|openat|creat)\("
                   r"|\bopen\(.*\bO_(?:RDONLY|WRONLY|RDWR)\b|\bcreate_director(?:y|ies)\b")
PRINTERS = {"harness/base/output.cpp"}
# The system's own files, of names that nobody gives; and a test's and a benchmark's scratch files.
OPENERS = {"harness/base/file.cpp", "harness/base/memory.cpp", "harness/base/environment.cpp",
           "harness/base/stopwatch.cpp", "harness/base/output.cpp", "bench/ledger_bench.cpp",
           "bench/trace_bench.cpp",
           "harness/run/rank_pool.cpp", "harness/run/program_run.cpp",  # /dev/null, between fork and exec
           "harness/run/supervise.cpp",  # /proc
           "harness/mesh/shared_memory_transport.cpp"}  # memory of another rank


def lines_with(pattern, path, text, allowed):
    """One line for every line of code in `text` that does what only the files of `allowed` may."""
    if path in allowed:
        return []
    code = [line.split("//")[0] for line in text.splitlines()]
    return [f"{path}:{i}: {line.strip()}" for i, line in enumerate(code, 1) if pattern.search(line)]


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


if __name__ == "__main__":
    unittest.main()
