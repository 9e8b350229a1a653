"""`samebits repro list --format md` and `bundle` from outside. Run by ctest: command_test.py BINARY."""

import contextlib
import io
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import readme_table

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = None
WITH_SCRIPT = "prim_to_local_symbolic_ceil"
WITHOUT_SCRIPT = "weak_ref_op_unregistered"  # in a checkout that has lost it


def repro(*arguments, checkout=ROOT):
    command = [BINARY, "repro", *map(str, arguments)]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True)


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="samebits-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def interpreter(self, script):
        """A python3 that runs `script`, in a folder of its own."""
        file = self.folder / "bin" / "python3"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file

    def checkout_without_the_script(self):
        """The parts of a checkout that the command reads, without one upstream.py."""
        checkout = self.folder / "checkout"
        shutil.copytree(ROOT / "repro", checkout / "repro")
        shutil.copytree(ROOT / "reports" / "upstream", checkout / "reports" / "upstream")
        (checkout / "repro" / WITHOUT_SCRIPT / "upstream.py").unlink()
        return checkout


class TableTest(Test):
    def check(self, text, *, writes=False):
        """The exit code, what is printed and what is left of a README.md that holds `text`."""
        readme = self.folder / "README.md"
        readme.write_text(text)
        printed = io.StringIO()
        with mock.patch.object(readme_table, "README", readme), contextlib.redirect_stdout(printed):
            code = readme_table.main(BINARY, writes)
        return code, printed.getvalue(), readme.read_text()

    def test_it_names_every_repro_once(self):
        names = [line.split()[0] for line in repro("list").stdout.splitlines()[1:]]
        rows = repro("list", "--format", "md").stdout.splitlines()[2:]
        self.assertEqual([row.split("]")[0] for row in rows], [f"| [{name}" for name in names])

    def test_it_knows_states_finders_and_links(self):
        table = repro("list", "--format", "md").stdout
        row = next(line for line in table.splitlines() if WITH_SCRIPT in line)
        for cell in ("loud", "D1, D8", "live in 2.11.0+cu130, fixed in 2.15.0+cu132",
                     "[pytorch#175690](https://github.com/pytorch/pytorch/issues/175690)"):
            self.assertIn(f"| {cell}", row)

    def test_it_says_where_there_is_no_script(self):
        table = repro("list", "--format", "md", checkout=self.checkout_without_the_script()).stdout
        row = next(line for line in table.splitlines() if f"[{WITHOUT_SCRIPT}]" in line)
        self.assertIn("| no script |", row)
        self.assertNotIn("| no script |", table.replace(row, ""))

    def test_a_table_that_is_not_current_is_found_and_repaired(self):
        current = "# Title\n\n" + readme_table.printed_table(BINARY) + "\n| other | table |\n|---|---|\n"
        self.assertEqual(self.check(current), (0, "", current))
        for stale in (current.replace("| loud |", "| silent |", 1), current.replace("D1, D8", "D1", 1)):
            code, printed, left = self.check(stale)
            self.assertEqual((code, left), (1, stale))
            self.assertIn("python3 repro/catalogue/readme_table.py build/samebits --write", printed)
            self.assertEqual(self.check(stale, writes=True), (0, "", current))

    def test_a_file_without_the_table_is_left_alone(self):
        code, printed, left = self.check("# Title\n", writes=True)
        self.assertEqual((code, left), (1, "# Title\n"))
        self.assertIn("no line is the head of the table", printed)


class BundleTest(Test):
    def bundle(self, *arguments, name=WITH_SCRIPT):
        result = repro("bundle", name, "--out", self.folder / "bundle", *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return self.folder / "bundle"

    def refused(self, *arguments, naming, checkout=ROOT):
        result = repro("bundle", *arguments, checkout=checkout)
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for words in naming:
            self.assertIn(words, result.stderr)

    def run_command_of(self, bundle, interpreter):
        """Runs the one command of a bundle's README in it, with this python3 first in the path."""
        commands = [line.strip() for line in (bundle / "README.md").read_text().splitlines()
                    if line.startswith("    python3 ")]
        self.assertEqual(len(commands), 1)
        path = f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(commands[0], shell=True, cwd=bundle, env={**os.environ, "PATH": path},
                              capture_output=True, text=True)

    def test_it_holds_what_a_stranger_needs(self):
        bundle = self.bundle()
        self.assertEqual(sorted(file.name for file in bundle.iterdir()), ["README.md", "upstream.py"])
        folder = ROOT / "repro" / WITH_SCRIPT
        self.assertEqual((bundle / "upstream.py").read_text(), (folder / "upstream.py").read_text())
        readme = (bundle / "README.md").read_text()
        for words in (f"# {WITH_SCRIPT}: ", (folder / "issue.md").read_text(),
                      '**Expected:** `"state": "fixed"`', "| 2.11.0+cu130 | live | `rows of",
                      "| 2.15.0+cu132 | fixed |", "- https://github.com/pytorch/pytorch/pull/175692\n", "compiler "):
            self.assertIn(words, readme)
        self.assertNotIn(str(ROOT), readme)

    def test_its_command_runs_the_script_in_it(self):
        says = json.dumps({"torch": "9.9.0", "state": "fixed", "evidence": "s rows"})
        ended = self.run_command_of(self.bundle(), self.interpreter(f"test -f \"$1\" || exit 9\necho '{says}'"))
        self.assertEqual((ended.returncode, ended.stdout.strip()), (0, says), ended.stderr)

    def test_without_torch_its_command_says_so(self):
        ended = self.run_command_of(self.bundle(), self.interpreter(f'exec "{sys.executable}" -S -E "$@"'))
        self.assertEqual(ended.returncode, 1)
        self.assertEqual(ended.stderr.strip().splitlines()[-1], "ModuleNotFoundError: No module named 'torch'")

    def test_an_interpreter_that_is_given_is_asked(self):
        says = json.dumps({"torch": "9.9.0", "state": "changed", "evidence": "a | b"})
        bundle = self.bundle("--python", self.interpreter(f"echo '{says}'"))
        readme = (bundle / "README.md").read_text()
        self.assertIn("| 9.9.0 | changed | `a \\| b` |", readme)
        self.assertNotIn("2.11.0+cu130", readme)
        self.assertIn(f"### Versions\n\n```\n{says}\n```\n", readme)  # what its collect_env says, too

    def test_without_one_whoever_files_is_told_to_ask_torch_for_the_versions(self):
        readme = (self.bundle() / "README.md").read_text()
        versions = readme[readme.index("### Versions"):]
        self.assertIn("To be replaced by what `python3 -m torch.utils.collect_env` prints", versions)
        self.assertIn("samebits  ", versions)

    def test_an_interpreter_without_torch_is_refused_and_nothing_written(self):
        python = self.interpreter("echo no torch; exit 1")
        self.refused(WITH_SCRIPT, "--out", self.folder / "bundle", "--python", python,
                     naming=["--python", "no torch", "a Python interpreter that can import torch"])
        self.assertFalse((self.folder / "bundle").exists())

    def test_a_repro_without_a_script_is_refused(self):
        self.refused(WITHOUT_SCRIPT, "--out", self.folder / "bundle", checkout=self.checkout_without_the_script(),
                     naming=[f"repro {WITHOUT_SCRIPT}: found no upstream.py", f"samebits repro run {WITHOUT_SCRIPT}"])
        self.assertFalse((self.folder / "bundle").exists())

    def test_what_is_there_is_not_written_over(self):
        mine = self.folder / "mine.txt"
        mine.write_text("mine")
        self.refused(WITH_SCRIPT, "--out", self.folder, naming=[str(self.folder), "a folder that is not empty"])
        self.refused(WITH_SCRIPT, "--out", mine, naming=[str(mine), "found a file"])
        self.assertEqual([file.name for file in self.folder.iterdir()], ["mine.txt"])

    def test_an_empty_folder_is_filled(self):
        (self.folder / "bundle").mkdir()
        self.bundle()


class IssueTest(Test):
    def test_versions_are_those_of_torch_where_one_is_given(self):
        python = self.interpreter('case "$*" in *torch.utils.collect_env) echo "PyTorch version: 9.9.0";; esac')
        text = repro("issue", WITH_SCRIPT, "--python", python).stdout
        self.assertIn("### Versions\n\n```\nPyTorch version: 9.9.0\n```\n", text)

    def test_they_are_asked_for_where_none_is(self):
        text = repro("issue", WITH_SCRIPT).stdout
        self.assertEqual(text.count("### Versions"), 1)
        self.assertIn("`python3 -m torch.utils.collect_env`", text)

    def test_an_interpreter_without_torch_is_refused(self):
        result = repro("issue", WITH_SCRIPT, "--python", self.interpreter("echo no torch; exit 1"))
        self.assertEqual(result.returncode, 2)
        self.assertIn("a Python interpreter that can import torch", result.stderr)


class UpstreamTest(Test):
    """What a script may end with."""

    def ask(self, state, code):
        says = json.dumps({"torch": "9.9.0", "state": state, "evidence": "a GPU"})
        script = f"test \"$1\" = -c && exit 0\necho '{says}'\nexit {code}"
        return repro("upstream", WITH_SCRIPT, "--python", self.interpreter(script))

    def test_skipped_is_not_applicable_and_nothing_else(self):
        skipped = self.ask("not applicable", 77)
        self.assertEqual(skipped.returncode, 0, skipped.stderr)
        self.assertIn("| 9.9.0 | not applicable | `a GPU` |", skipped.stdout)
        for state, code in (("live", 77), ("not applicable", 0)):
            odd = self.ask(state, code)
            self.assertEqual(odd.returncode, 2, odd.stdout)
            self.assertIn("exit code 77 with", odd.stderr)

    def test_any_other_code_is_refused(self):
        self.assertIn('found exit code 1: ', self.ask("live", 1).stderr)


class RunBundlesTest(Test):
    def run_bundles(self, state):
        """What tools/run_bundles says of a python3 in whose torch every bug is in the state that a command prints."""
        python = self.interpreter(f"""state=$({state})
echo "{{\\"torch\\": \\"2.11.0+cu130\\", \\"state\\": \\"$state\\"}}\"""")
        command = [ROOT / "tools" / "run_bundles", "--samebits", BINARY, "--python", python]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    def test_a_state_that_is_not_the_table_s_is_named(self):
        table = ROOT / "reports" / "upstream" / "README.md"
        row = f"grep -m1 -F \"| $(basename $PWD) | 2.11.0+cu130 |\" '{table}'"
        as_known = self.run_bundles(f"{row} | cut -d'|' -f4 | xargs")
        self.assertEqual(as_known.returncode, 0, as_known.stdout + as_known.stderr)
        self.assertIn(f"| {WITH_SCRIPT} | 2.11.0+cu130 | live | yes |\n", as_known.stdout)
        all_fixed = self.run_bundles("echo fixed")
        self.assertEqual(all_fixed.returncode, 1, all_fixed.stdout + all_fixed.stderr)
        self.assertIn(f"| {WITH_SCRIPT} | 2.11.0+cu130 | fixed | no: live |\n", all_fixed.stdout)


if __name__ == "__main__":
    BINARY = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
