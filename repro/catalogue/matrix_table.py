"""Whether reports/detectors/README.md holds the table that `samebits repro matrix` prints.

matrix_table.py BINARY checks, and fails with the command that repairs it; with --write it repairs. Run by ctest. Which
detector finds something is compared, and not how often: where LibTorch's own kernels are at fault, that is the CPU's."""

import pathlib
import re
import subprocess
import sys

from readme_table import ROOT, keep_current

README = ROOT / "reports" / "detectors" / "README.md"


def without_counts(text):
    return re.sub(r"(?<=\| )\d+(?= \|)", "n", text)


def printed_table(binary):
    printed = subprocess.run([binary, "repro", "matrix"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return "".join(line for line in printed.stdout.splitlines(keepends=True) if line.startswith("|"))


def main(binary, writes):
    return keep_current(README, "reports/detectors/README.md", lambda: printed_table(binary), "matrix_table.py", writes,
                        compared=without_counts)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:] == ["--write"]))
