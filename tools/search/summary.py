"""Logs of the searches as text: cases by outcome, then differences in classes, the first case of
each. A class is one call, its numbers apart, and one kind; for errors also one message."""

import argparse
import collections
import json
import re


def without_numbers(text):
    return re.sub(r"\d+(\.\d+)?", "N", text)


def class_of(difference):
    message = difference["detail"][:60] if difference["kind"] == "error" else ""
    return (difference["kind"], without_numbers(difference["code"]), without_numbers(message))


def summarise(path):
    units, counts, classes = 0, collections.Counter(), collections.OrderedDict()
    with open(path) as log:
        for line in map(json.loads, log):
            units += 1
            counts.update(line["counts"])
            for difference in line["differences"]:
                classes.setdefault(class_of(difference), []).append((line["unit"], difference))
    outcomes = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
    print(f"{path}: {units} units, {outcomes}")
    for (kind, _, _), cases in sorted(classes.items(), key=lambda item: item[0]):
        unit, first = cases[0]
        print(f"{len(cases):6} {kind:6} {first['code']}  {json.dumps(unit)}")
        print(f"{'':14}{first['detail'][:160]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", nargs="+")
    for path in parser.parse_args().log:
        summarise(path)
