"""python -m samebits_record --out DIR [--level step|module|op] -- PROGRAM.py ARGS, or -- -m MODULE ARGS."""

from __future__ import annotations

import argparse
import importlib.util
import os
import runpy
import sys
from typing import NoReturn

from .errors import InputError, RecordError
from .keeper import KEEP_BYTES
from .recording import Recording

_BAD_INPUT = 2
_BROKEN = 3


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"samebits_record: {message} (see --help)", file=sys.stderr)
        sys.exit(_BAD_INPUT)


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = _OneLineParser(prog="samebits_record", description="Runs a PyTorch program and records what it computes.")
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder to write: new or empty")
    parser.add_argument("--level", default="module", metavar="LEVEL", help="step, module (the default) or op")
    parser.add_argument("--part", default="0/1", metavar="I/N", help="of a batch of N, observe sequence I alone")
    parser.add_argument("--begin", default="start", metavar="WHERE", help="start (the default), or forward: a model's")
    parser.add_argument(
        "--keep",
        default="",
        metavar="WHAT",
        help='a place, "STEP OCCURRENCE PHASE SITE", or "/EXPRESSION/" of sites: tensors that are kept',
    )
    parser.add_argument(
        "--keep-bytes", default=KEEP_BYTES, type=int, metavar="N", help="of all of them, at most (1 GiB)"
    )
    parser.add_argument("--alone", default="", metavar="PLACE", help="whose operator becomes a script for stock torch")
    parser.add_argument(
        "--plant", default="", metavar="FAULT", help='"STEP OCCURRENCE PHASE SITE ELEMENT": one ULP of an operator'
    )
    parser.add_argument("--map", default="", metavar="FILE", help="a map, in whose layouts tensors are observed")
    parser.add_argument("program", nargs="+", metavar="-- PROGRAM.py ARGS", help="as python would be given it")
    if "--" not in arguments and not {"-h", "--help"} & set(arguments):
        parser.error("no program: -- PROGRAM.py ARGS is missing")
    return parser.parse_args(arguments)


def _part_from(text: str) -> tuple[int, int]:
    index, _, parts = text.partition("/")
    if not index.isdecimal() or not parts.isdecimal():
        raise InputError("--part", repr(text), "I/N, such as 0/8")
    return int(index), int(parts)


def _check(program: list[str]) -> None:
    """Throws InputError for a program that is not there, before anything is written."""
    if program[0] != "-m":
        if not os.path.isfile(program[0]):
            raise InputError(program[0], "no such file", "a Python program")
        return
    if len(program) < 2:
        raise InputError("-m", "no name of a module", "-- -m MODULE ARGS")
    sys.path[0] = os.getcwd()
    try:
        found = importlib.util.find_spec(program[1])
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise InputError(program[1], "no such module", "the name of a module")


def _run(program: list[str]) -> None:
    """Runs the program as `python PROGRAM` would."""
    if program[0] == "-m":
        sys.argv = program[1:]
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
        return
    sys.argv = program
    sys.path[0] = os.path.dirname(os.path.abspath(program[0]))
    runpy.run_path(program[0], run_name="__main__")


def main(arguments: list[str]) -> int:
    parsed = _parsed(arguments)
    program = parsed.program
    try:
        _check(program)
        part = _part_from(parsed.part)
        recording = Recording(
            parsed.out,
            None,
            None,
            parsed.level,
            part,
            command=program,
            begin=parsed.begin,
            keep=parsed.keep,
            alone=parsed.alone,
            map_file=parsed.map,
            plant=parsed.plant,
            keep_bytes=parsed.keep_bytes,
        )
    except InputError as error:
        print(f"samebits_record: {error}", file=sys.stderr)
        return _BAD_INPUT
    try:
        with recording:
            _run(program)
    except InputError as error:  # what the program itself observes, or a map that does not fit it
        print(f"samebits_record: {error}", file=sys.stderr)
        return _BAD_INPUT
    except RecordError as error:
        print(f"samebits_record: {error}", file=sys.stderr)
        return _BROKEN
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
