"""Whether README.md here holds the table that `samebits repro list --format md` prints.

readme_table.py BINARY checks, and fails with the command that repairs it; with --write it repairs. Run by ctest."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = ROOT / "repro" / "README.md"


def replaced(text, table):
    """`text` with the lines of its table of the catalogue replaced by `table`. ValueError where it has none."""
    head = table.splitlines()[0]
    lines = text.splitlines(keepends=True)
    try:
        begin = end = [line.rstrip() for line in lines].index(head)
    except ValueError:
        raise ValueError(f"no line is the head of the table, {head}") from None
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    return "".join(lines[:begin]) + table + "".join(lines[end:])


def printed_table(binary):
    return subprocess.run([binary, "repro", "list", "--format", "md"], cwd=ROOT, check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def main(binary, writes):
    text = README.read_text()
    try:
        current = replaced(text, printed_table(binary))
    except (ValueError, subprocess.CalledProcessError) as error:
        print(f"repro/README.md: {error}")
        return 1
    if writes:
        README.write_text(current)
    elif current != text:
        print("the table of repro/README.md is not that of the catalogue. "
              "To make it so: python3 repro/readme_table.py build/samebits --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:] == ["--write"]))
