"""The logic of workarounds.py, with interpreters that only say what they are told. Run by ctest."""

import contextlib
import io
import json
import pathlib
import shutil
import stat
import tempfile
import unittest

import workarounds

ENTRY = {"workaround": "narrow always", "where": "a.cpp", "repro": "ceil", "then": "the key is of no use"}


class WorkaroundsTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="samebits-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def interpreter(self, line, code=0):
        """Prints a warning, then `line`, whatever script it is given."""
        file = self.folder / "python"
        file.write_text(f"#!/bin/sh\necho a warning\ncat <<'END'\n{line}\nEND\nexit {code}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return str(file)

    def says(self, state):
        return self.interpreter(json.dumps({"torch": "9.9.0", "state": state, "evidence": "2 rows"}))

    def run_main(self, environment):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = workarounds.main(environment)
        return code, printed.getvalue()

    def test_a_live_bug_keeps_its_workaround(self):
        needed, sentences = workarounds.check(self.says("live"), [ENTRY])
        self.assertTrue(needed)
        self.assertEqual(sentences, ["still needed: narrow always (a.cpp); ceil is live in torch 9.9.0: 2 rows"])

    def test_a_fixed_bug_fails_with_a_sentence(self):
        needed, sentences = workarounds.check(self.says("fixed"), [ENTRY])
        self.assertFalse(needed)
        self.assertEqual(sentences, ["this can go: narrow always (a.cpp); ceil is fixed in torch 9.9.0: 2 rows. "
                                     "Then the key is of no use"])

    def test_any_other_state_asks_for_a_person(self):
        for state in ("changed", "not applicable"):
            needed, sentences = workarounds.check(self.says(state), [ENTRY])
            self.assertFalse(needed)
            self.assertTrue(sentences[0].startswith("look again: "), sentences)

    def test_no_answer_is_no_pass(self):
        for python in (self.folder / "absent", self.interpreter("no JSON"), self.interpreter("{}", code=3),
                       self.says("unheard of")):
            with self.assertRaises(workarounds.NoAnswer):
                workarounds.check(str(python), [ENTRY])

    def test_without_an_interpreter_it_skips_and_says_why(self):
        code, printed = self.run_main({})
        self.assertEqual(code, workarounds.SKIPPED)
        self.assertIn("SAMEBITS_UPSTREAM_PYTHON", printed)

    def test_exit_codes(self):
        for state, expected in (("live", 0), ("fixed", 1)):
            code, printed = self.run_main({workarounds.VARIABLE: self.says(state)})
            self.assertEqual(code, expected, printed)
            self.assertIn("prim_to_local_symbolic_ceil", printed)
        self.assertEqual(self.run_main({workarounds.VARIABLE: self.interpreter("{}", code=3)})[0], 1)

    def test_the_table_names_what_is_there(self):
        table = json.loads(workarounds.TABLE.read_text())
        self.assertGreater(len(table), 0)
        for each in table:
            self.assertEqual(set(each), set(ENTRY))
            self.assertTrue((workarounds.REPRO / each["repro"] / "upstream.py").exists(), each)
            self.assertTrue((workarounds.REPRO.parent / each["where"]).exists(), each)


if __name__ == "__main__":
    unittest.main()
