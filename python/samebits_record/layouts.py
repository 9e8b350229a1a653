"""The layouts of a map: which there are, and what they make of a site. docs/case.md has their form."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from .errors import InputError
from .layout_rules import Copies, Flat, Named, Packed, Padded, Rule, Sequences, Split, Transpose, Unobserved


class _Form(NamedTuple):
    """What a key of a layout may have."""

    fits: Callable[[Any], bool]
    says: str


def _is_size(value: object) -> bool:
    return (isinstance(value, str) and value != "") or (type(value) is int and value > 0)


_EXPRESSION = _Form(lambda value: isinstance(value, str) and value != "", "a regular expression")
_NAME = _Form(lambda value: isinstance(value, str), "a text")
_NAMES = _Form(
    lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value), "a list of texts"
)
_NUMBER = _Form(lambda value: type(value) is int, "a whole number")
_SIZE = _Form(_is_size, "a number from 1 on, or a key of the model's config")
_SIZES = _Form(lambda value: isinstance(value, list) and all(map(_is_size, value)), f"a list, each {_SIZE.says}")

_KINDS: dict[str, tuple[type[Rule], dict[str, _Form]]] = {
    "split": (Split, {"to": _NAMES, "dim": _NUMBER, "shares": _SIZES, "groups": _SIZE}),
    "copies": (Copies, {"to": _NAMES}),
    "transpose": (Transpose, {"to": _NAME}),
    "flat": (Flat, {}),
    "padded": (Padded, {"by": _EXPRESSION}),
    "packed": (Packed, {"by": _EXPRESSION}),
    "unobserved": (Unobserved, {}),
}


class Layouts:
    """The layouts of a map. A site that one of them fits is observed as what they make of it, in their order."""

    def __init__(self, file: str | os.PathLike[str]) -> None:
        """Throws InputError."""
        self._rules = _read(str(file))
        self._of_sequences = [rule for rule in self._rules if isinstance(rule, Sequences)]
        self._config: object = None
        self._own: set[str] = set()  # sites that no rule fits
        self._made: dict[str, str] = {}  # by the name that a rule gave: the program's own

    def note_model(self, root: torch.nn.Module) -> None:
        """The sizes that rules name are those of the first model that has a config."""
        if self._config is None:
            self._config = getattr(root, "config", None)

    def tells_sequences(self, site: str) -> bool:
        return any(rule.by.search(site) for rule in self._of_sequences)

    def note_sequences(self, site: str, tensor: torch.Tensor) -> None:
        """Reads from the tensor of such a site where the sequences of others are. Waits for its device."""
        for rule in self._of_sequences:
            if rule.by.search(site):
                rule.note(site, tensor)

    def fits(self, site: str) -> bool:
        """Whether a rule fits the site. Throws InputError where what a rule made of another one has its name."""
        if site in self._own:
            return False
        if any(rule.pattern.search(site) for rule in self._rules):
            return True
        self._check_name(site, site)
        self._own.add(site)
        return False

    def laid_out(self, site: str, tensor: torch.Tensor) -> Named:
        """What is observed in the place of a tensor, in views of it where that can be. Throws InputError for a tensor
        that a rule does not fit, and for two sites of one name."""
        found: Named = [(site, tensor)]
        for rule in self._rules:
            found = [made for name, each in found for made in self._made_by(rule, name, each)]
        for name, _ in found:
            self._check_name(name, site)
        return found

    def _made_by(self, rule: Rule, site: str, tensor: torch.Tensor) -> Named:
        return rule.applied(site, tensor, self._size) if rule.pattern.search(site) else [(site, tensor)]

    def _check_name(self, name: str, site: str) -> None:
        other = self._made.setdefault(name, site)
        if other != site:
            raise InputError("map", f"{other!r} and {site!r} as {name!r}", "another name for each site")

    def _size(self, value: object) -> int:
        if isinstance(value, int):
            return value
        found = getattr(self._config, str(value), None)
        if not isinstance(found, int) or found < 1:
            raise InputError(f"map: {value!r}", "no such size in the model's config", "a key of it that is a number")
        return found


def _read(file: str) -> list[Rule]:
    try:
        with open(file, encoding="utf-8") as opened:
            read = json.load(opened)
    except OSError as error:
        raise InputError(file, str(error.strerror), "a map") from None
    except ValueError as error:
        raise InputError(file, str(error), "a map as JSON") from None
    layouts = read.get("layouts", []) if isinstance(read, dict) else []
    known = isinstance(read, list) or (isinstance(read, dict) and read.keys() <= {"layouts", "sites"})
    if not known or not isinstance(layouts, list):
        raise InputError(file, "something else", 'a list of rules, or an object of "layouts" and "sites"')
    return [_rule(each, f"{file}: layouts[{i}]") for i, each in enumerate(layouts)]


def _rule(read: object, where: str) -> Rule:
    if not isinstance(read, dict) or not isinstance(read.get("layout"), str):
        raise InputError(where, f"{read!r}", 'an object with "from" and "layout"')
    if read["layout"] not in _KINDS:
        raise InputError(f"{where}.layout", repr(read["layout"]), f"one of {', '.join(_KINDS)}")
    kind, keys = _KINDS[read["layout"]]
    forms = {"from": _EXPRESSION, **keys}
    for key in read:
        if key not in {"layout", *forms}:
            raise InputError(where, f"unknown key {key!r}", f"one of layout, {', '.join(forms)}")
    for key, form in forms.items():
        if key not in read and key != "groups":
            raise InputError(where, f"no {key!r}", form.says)
        if key in read and not form.fits(read[key]):
            raise InputError(f"{where}.{key}", repr(read[key]), form.says)
    return kind(read, where)
