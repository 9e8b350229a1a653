"""Whether reports/detectors/README.md holds the table that `samebits repro matrix` prints.

matrix_table.py BINARY checks, and fails with the command that repairs it; with --write it repairs. Run by ctest. Which
detector finds something is compared, and not how often: where LibTorch's own kernels are at fault, that is the CPU's."""

import pathlib
import re
import subprocess
import sys

from readme_table import ROOT, replaced

README = ROOT / "reports" / "detectors" / "README.md"


def without_counts(text):
    return re.sub(r"(?<=\| )\d+(?= \|)", "n", text)


def printed_table(binary):
    printed = subprocess.run([binary, "repro", "matrix"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return "".join(line for line in printed.stdout.splitlines(keepends=True) if line.startswith("|"))


def main(binary, writes):
    text = README.read_text()
    try:
        current = replaced(text, printed_table(binary))
    except (ValueError, subprocess.CalledProcessError) as error:
        print(f"reports/detectors/README.md: {error}")
        return 1
    if writes:
        README.write_text(current)
    elif without_counts(current) != without_counts(text):
        print("the table of reports/detectors/README.md is not that of the catalogue. "
              "To make it so: python3 repro/matrix_table.py build/samebits --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:] == ["--write"]))
