"""compiled.json, run and reduced: eager and compiled Transformers part, and one operator shows it on stock torch.

    SAMEBITS=build/samebits python compiled_test.py        prints what reports/recorder/README.md has

Needs requirements.txt, the recorder, and a C++ compiler.
"""

from __future__ import annotations

import pathlib
import shutil
import sys
import tempfile
import unittest

from run import OUT, samebits, say, timed

NO_RECORDER = "import runpy, sys; sys.modules['samebits_record'] = None; runpy.run_path(sys.argv[1])"


class CompiledTest(unittest.TestCase):
    def test_two_commands_are_reduced_to_a_script_that_fails_on_stock_torch(self) -> None:
        folder, reduced = OUT / "run-compiled", OUT / "run-compiled-reduced"
        for each in (folder, reduced):
            shutil.rmtree(each, ignore_errors=True)
        run = samebits("run", "python/clients/compiled.json", "--out", str(folder))
        say("samebits run", run)
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("eager = compiled FAILS", " ".join(run.stdout.split()))

        reduction = samebits("reduce", str(folder))
        say("samebits reduce", reduction)
        self.assertEqual(reduction.returncode, 0, reduction.stderr)
        self.assertRegex(reduction.stdout, r"input_layernorm/aten\.rsqrt, always, in 5 runs")
        self.assertIn("aten.mean.dim[0] alone, for stock torch", reduction.stdout)

        with tempfile.TemporaryDirectory() as elsewhere:
            for name in ("upstream.py", "inputs.safetensors"):
                shutil.copy(reduced / name, elsewhere)
            alone = timed(sys.executable, "-c", NO_RECORDER, "upstream.py", cwd=pathlib.Path(elsewhere))
        say("python upstream.py", alone)
        self.assertEqual(alone.returncode, 1, alone.stderr)
        self.assertRegex(alone.stdout, r"differ in [1-9]\d* of 188 elements\nfirst: 0\.\d+ against 0\.\d+\n")


if __name__ == "__main__":
    unittest.main()
