"""A search that can be stopped: units of work in a fixed order, one line of JSON for each that is
done.

A line is {"unit": ..., "counts": {outcome: cases}, "differences": [{"code", "kind", "detail"},
...]}, in the order of the units. A run begins after the units that the file already has. With
--processes 1 two runs write the same file; with more, what torch has cached in a process depends on
which units it was given."""

import json
import multiprocessing
import pathlib
import sys
import time


def covered_units(path):
    """The units of a log. A last line that was cut off by a kill is dropped from the file."""
    if not path.exists():
        return set()
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return {json.dumps(json.loads(line)["unit"]) for line in whole.splitlines()}


def search(name, units, work, initializer, options):
    """Does work(unit) -> (counts, differences) for every unit that the log lacks, in processes of
    their own that ran initializer(); stops after options.seconds, where that is given."""
    units = list({json.dumps(unit): unit for unit in units}.values())  # without repetitions
    path = pathlib.Path(options.log)
    path.parent.mkdir(parents=True, exist_ok=True)
    covered = covered_units(path)
    left = [unit for unit in units if json.dumps(unit) not in covered]
    print(f"{name}: {len(units)} units, {len(units) - len(left)} covered", file=sys.stderr)
    end = time.monotonic() + options.seconds if options.seconds else None
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes, initializer) as pool, path.open("a") as log:
        for unit, (counts, differences) in zip(left, pool.imap(work, left)):
            line = {"unit": unit, "counts": counts, "differences": differences}
            log.write(json.dumps(line) + "\n")
            log.flush()
            if end and time.monotonic() > end:
                pool.terminate()
                break


def add_options(parser, *, log):
    parser.add_argument("--log", default=log, help="default: %(default)s")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--seconds", type=float, help="stop after so many; run again to go on")
