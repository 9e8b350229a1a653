"""Whether repro/README.md holds the table that `samebits repro list --format md` prints.

readme_table.py BINARY checks, and fails with the command that repairs it; with --write it repairs. Run by ctest."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
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


def keep_current(page, name, print_table, script, writes, compared=lambda text: text):
    """0 where `page`, which people know as `name`, holds the table that `print_table` returns, as far as
    `compared` tells, or holds it now."""
    text = page.read_text()
    try:
        current = replaced(text, print_table())
    except (ValueError, subprocess.CalledProcessError) as error:
        print(f"{name}: {error}")
        return 1
    if writes:
        page.write_text(current)
    elif compared(current) != compared(text):
        print(f"the table of {name} is not that of the catalogue. "
              f"To make it so: python3 repro/catalogue/{script} build/samebits --write")
        return 1
    return 0


def main(binary, writes):
    return keep_current(README, "repro/README.md", lambda: printed_table(binary), "readme_table.py", writes)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:] == ["--write"]))
