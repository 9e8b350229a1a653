"""matrix_table.py with a samebits that prints what it is told. Run by ctest."""

import contextlib
import io
import pathlib
import shutil
import tempfile
import unittest
from unittest import mock

import matrix_table

PRINTED = """| side | D1 | D2 | together |
|---|---:|---:|---|
| one buggy | 12 | 3 | found |
| one fixed |  |  | silent |
"""
TEXT = "# Title\n\n" + PRINTED + "\nAfter it.\n"


class MatrixTableTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="samebits-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def check(self, text, *, code=0, writes=False):
        """The exit code, and what is left of a README.md that holds `text`, where the matrix ends with `code`."""
        binary, readme = self.folder / "samebits", self.folder / "README.md"
        binary.write_text(f"#!/bin/sh\ncat <<'END'\n{PRINTED}\nMissed: none. False alarms: none.\nEND\nexit {code}\n")
        binary.chmod(0o755)
        readme.write_text(text)
        with mock.patch.object(matrix_table, "README", readme), contextlib.redirect_stdout(io.StringIO()):
            return matrix_table.main(binary, writes), readme.read_text()

    def test_a_table_that_is_current_passes(self):
        self.assertEqual(self.check(TEXT)[0], 0)

    def test_how_often_a_detector_finds_something_is_not_compared(self):
        self.assertEqual(self.check(TEXT.replace("12", "8"))[0], 0)

    def test_another_finder_verdict_or_side_fails(self):
        for found, other in (("| 12 | 3 |", "| 12 |  |"), ("silent", "FALSE ALARM"), ("one buggy", "two buggy")):
            self.assertEqual(self.check(TEXT.replace(found, other))[0], 1, other)

    def test_a_page_without_table_and_a_matrix_that_misses_a_side_fail(self):
        self.assertEqual(self.check("# Title\n")[0], 1)
        self.assertEqual(self.check(TEXT, code=1)[0], 1)

    def test_it_repairs_the_table_and_nothing_else(self):
        code, left = self.check(TEXT.replace("12", "8").replace("silent", "found"), writes=True)
        self.assertEqual((code, left), (0, TEXT))


if __name__ == "__main__":
    unittest.main()
