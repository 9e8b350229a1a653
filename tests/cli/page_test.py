"""The page of a run in a browser without a screen; skipped where there is none.

page_test.py [TEST...] SAMEBITS"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(sys.argv.pop()).resolve()
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((path for path in map(shutil.which, BROWSERS) if path), None)


@unittest.skipUnless(BROWSER, f"none of {', '.join(BROWSERS)} is installed")
class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        cls.run_folder = cls.folder / "run"
        subprocess.run([PROGRAM, "run", "cases/grpo-tiny.json", "--steps", "1", "--arm", "eager", "--arm", "piecewise",
                        "--set", 'piecewise.passes=["drop_roundings"]', "--out", cls.run_folder],
                       cwd=ROOT, capture_output=True)

    def browse(self, *flags):
        """What the browser wrote to stdout and stderr."""
        result = subprocess.run(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
             f"--user-data-dir={self.folder / 'profile'}", *flags, (self.run_folder / "report.html").as_uri()],
            capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout, result.stderr

    def picture(self, name, width, scheme):
        file = self.folder / name
        self.browse(f"--screenshot={file}", f"--window-size={width},2000", f"--blink-settings=preferredColorScheme={scheme}")
        return file.read_bytes()

    def test_it_says_what_failed_and_the_browser_has_nothing_to_complain_of(self):
        page, complaints = self.browse("--dump-dom")
        self.assertIn("eager and piecewise diverge", page)
        self.assertIn("layers.0.attention_norm#0", page)
        self.assertNotIn("CONSOLE", complaints)

    def test_it_is_drawn_light_and_dark_and_narrow(self):
        light, dark, narrow = (self.picture("light.png", 1100, 1), self.picture("dark.png", 1100, 0),
                               self.picture("narrow.png", 400, 1))
        self.assertNotEqual(light, dark)
        self.assertEqual(light, self.picture("again.png", 1100, 1))
        self.assertGreater(len(narrow), 20_000)  # an empty page has 6,400 bytes

    def test_it_can_be_printed(self):
        file = self.folder / "page.pdf"
        self.browse(f"--print-to-pdf={file}", "--no-pdf-header-footer")
        self.assertTrue(file.read_bytes().startswith(b"%PDF-"))
        self.assertGreater(file.stat().st_size, 50_000)


if __name__ == "__main__":
    unittest.main()
