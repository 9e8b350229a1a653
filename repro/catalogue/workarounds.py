"""What the code base does only because of an upstream bug, and whether that can go.

workarounds.json ties each workaround to the repro of its bug. Where the repro's upstream.py no longer says "live" of the
torch at hand, this script fails with a sentence that says what can go. It asks the interpreter in SAMEBITS_UPSTREAM_PYTHON,
and skips (exit code 77) where the variable is not set."""

import json
import os
import pathlib
import subprocess
import sys

REPRO = pathlib.Path(__file__).resolve().parents[1]
TABLE = REPRO / "catalogue" / "workarounds.json"
VARIABLE = "SAMEBITS_UPSTREAM_PYTHON"
SKIPPED = 77
STATES = ("live", "fixed", "changed", "not applicable")


class NoAnswer(Exception):
    """upstream.py did not say what state the bug is in."""


def ask(python, script):
    """The last line that a repro's upstream.py prints, as a dictionary."""
    try:
        ended = subprocess.run([python, str(script)], capture_output=True, text=True)
    except OSError as error:
        raise NoAnswer(f"{python}: {error.strerror}") from error
    lines = ended.stdout.strip().splitlines()
    if ended.returncode not in (0, SKIPPED):
        complaint = (ended.stderr.strip().splitlines() or ["nothing"])[-1]
        raise NoAnswer(f"{script.parent.name}/{script.name}: exit code {ended.returncode}: {complaint}")
    try:
        answer = json.loads(lines[-1])
        if answer["state"] in STATES and answer["torch"] and "evidence" in answer:
            return answer
    except (IndexError, ValueError, KeyError, TypeError):
        pass
    raise NoAnswer(f"{script.parent.name}/{script.name}: the last line is no state: {lines[-1:]}")


def verdict(workaround, answer):
    """(whether the workaround is still needed, one sentence)."""
    what = f"{workaround['workaround']} ({workaround['where']})"
    seen = f"{workaround['repro']} is {answer['state']} in torch {answer['torch']}: {answer['evidence']}"
    if answer["state"] == "live":
        return True, f"still needed: {what}; {seen}"
    if answer["state"] == "fixed":
        return False, f"this can go: {what}; {seen}. Then {workaround['then']}"
    return False, f"look again: {what}; {seen}"


def check(python, workarounds, folder=REPRO):
    """(whether every workaround is still needed, a sentence each). Throws NoAnswer."""
    verdicts = [verdict(each, ask(python, folder / each["repro"] / "upstream.py")) for each in workarounds]
    return all(needed for needed, _ in verdicts), [sentence for _, sentence in verdicts]


def main(environment):
    python = environment.get(VARIABLE)
    if not python:
        print(f"skipped: {VARIABLE} names no interpreter with a torch to ask")
        return SKIPPED
    try:
        all_needed, sentences = check(python, json.loads(TABLE.read_text()))
    except NoAnswer as error:
        print(error)
        return 1
    print("\n".join(sentences))
    return 0 if all_needed else 1


if __name__ == "__main__":
    sys.exit(main(os.environ))
