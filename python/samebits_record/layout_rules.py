"""Layouts of a map (docs/case.md): a tensor is observed as another program has it, each part under a name of its own.

A digest is a sum over elements and their row-major indices, so that of a fused weight does not follow from those of its
parts, nor that of a transposed one. Here the elements are at hand: a split or transposed tensor is a view of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from .errors import InputError

Named = list[tuple[str, torch.Tensor]]
Sizes = Callable[[object], int]  # of a number, or of a key of the model's config


class Rule:
    """What a layout makes of a site in whose name `from` is found."""

    def __init__(self, rule: Mapping[str, Any], where: str) -> None:
        self.pattern = _expression(rule["from"], f"{where}.from")
        to = rule.get("to", [])
        self._to: list[str] = to if isinstance(to, list) else [to]  # what stands there instead, of each that it makes
        groups = [int(group) for name in self._to for group in re.findall(r"\$(\d)", name)]
        if max(groups, default=0) > self.pattern.groups:
            raise InputError(
                f"{where}.to", f"${max(groups)}", f"groups of from, of which there are {self.pattern.groups}"
            )

    def applied(self, site: str, tensor: torch.Tensor, sizes: Sizes) -> Named:
        raise NotImplementedError

    def _names(self, site: str) -> list[str]:
        """Of what it makes: each `to` in the place of what was found, $1 being its first group."""

        def renamed(to: str) -> str:
            def filled(found: re.Match[str]) -> str:
                return re.sub(r"\$(\d)", lambda group: found.group(int(group[1])) or "", to)

            return self.pattern.sub(filled, site, count=1)

        names = [renamed(to) for to in self._to]
        for name in names:
            if self.pattern.search(name):
                raise InputError(f"map: {site}", f"{name!r}, which {self.pattern.pattern} fits too", "other names")
        return names


class Split(Rule):
    def __init__(self, rule: Mapping[str, Any], where: str) -> None:
        super().__init__(rule, where)
        self._shares, self._dim, self._groups = rule["shares"], rule["dim"], rule.get("groups", 1)
        if len(self._to) != len(self._shares):
            raise InputError(f"{where}.shares", f"{len(self._shares)} shares", f"{len(self._to)}, one of each name")

    def applied(self, site: str, tensor: torch.Tensor, sizes: Sizes) -> Named:
        dim = self._dim + tensor.dim() if self._dim < 0 else self._dim
        if not 0 <= dim < tensor.dim():
            raise _unfit(site, tensor, f"a dimension {self._dim}, which is split")
        shares, groups, length = [sizes(each) for each in self._shares], sizes(self._groups), tensor.size(dim)
        unit = sum(shares) * groups
        if any(length * share % unit for share in shares):
            text = " + ".join(map(str, shares)) + (f" in each of {groups} groups" if groups > 1 else "")
            raise _unfit(site, tensor, f"parts that add up to its dimension {self._dim}: {text}")
        grouped = tensor.reshape(*tensor.shape[:dim], groups, length // groups, *tensor.shape[dim + 1 :])
        pieces = torch.split(grouped, [length * share // unit for share in shares], dim + 1)
        return [(name, piece.flatten(dim, dim + 1)) for name, piece in zip(self._names(site), pieces, strict=True)]


class Copies(Rule):
    """One tensor that the other program has at several sites, as the input of a fused module is that of each part."""

    def applied(self, site: str, tensor: torch.Tensor, sizes: Sizes) -> Named:
        return [(name, tensor) for name in self._names(site)]


class Transpose(Rule):
    def applied(self, site: str, tensor: torch.Tensor, sizes: Sizes) -> Named:
        if tensor.dim() < 2:
            raise _unfit(site, tensor, "two dimensions or more, to be transposed")
        return [(name, tensor.mT) for name in self._names(site)]


class Sequences(Rule):
    """Rows of several sequences: each sequence is a site of its own, NAME[i]. What has other dimensions stays whole."""

    def __init__(self, rule: Mapping[str, Any], where: str) -> None:
        super().__init__(rule, where)
        self.by = _expression(rule["by"], f"{where}.by")
        self._spans: list[tuple[int, int]] = []  # of each sequence: its first row and that behind its last
        self._form: tuple[int, ...] = ()  # of the tensor that told them

    def note(self, site: str, tensor: torch.Tensor) -> None:
        self._spans, self._form = self._spans_from(site, tensor), tuple(tensor.shape)

    def applied(self, site: str, tensor: torch.Tensor, sizes: Sizes) -> Named:
        if not self._spans:
            raise InputError(f"map: {site}", "no sequences yet", f"a site {self.by.pattern} before it, that tells them")
        rows = self._rows(tensor)
        if rows is None:
            return [(site, tensor)]
        spans = zip(rows, self._spans, strict=True)
        return [(f"{site}[{i}]", row[begin:end]) for i, (row, (begin, end)) in enumerate(spans)]

    def _spans_from(self, site: str, tensor: torch.Tensor) -> list[tuple[int, int]]:
        raise NotImplementedError

    def _rows(self, tensor: torch.Tensor) -> Sequence[torch.Tensor] | None:
        """For each sequence the tensor whose first dimension has its rows."""
        raise NotImplementedError


class Padded(Sequences):
    """[B, T, ...], told by a mask [B, T]."""

    def _spans_from(self, site: str, tensor: torch.Tensor) -> list[tuple[int, int]]:
        if tensor.dim() != 2:
            raise _unfit(site, tensor, "a mask [sequences, tokens]")
        spans = []
        for row in tensor.ne(0).tolist():
            begin, end = (row.index(True), len(row) - row[::-1].index(True)) if any(row) else (0, 0)
            if not all(row[begin:end]):
                raise InputError(f"map: {site}", "a mask with a hole", "one run of ones in each row")
            spans.append((begin, end))
        return spans

    def _rows(self, tensor: torch.Tensor) -> Sequence[torch.Tensor] | None:
        if tuple(tensor.shape[:2]) == self._form:
            return tensor.unbind()
        if tensor.dim() and tensor.size(0) == self._form[0] * self._form[1]:
            return tensor.reshape(*self._form, *tensor.shape[1:]).unbind()
        return None


class Packed(Sequences):
    """[1, T, ...] or [T, ...], told by positions [1, T] or [T], which are 0 where a sequence begins."""

    def _spans_from(self, site: str, tensor: torch.Tensor) -> list[tuple[int, int]]:
        positions = tensor.flatten().tolist()
        begins = [i for i, position in enumerate(positions) if position == 0]
        if tuple(tensor.shape) not in {(len(positions),), (1, len(positions))} or begins[:1] != [0]:
            raise _unfit(site, tensor, "positions [1, tokens] or [tokens] that begin with 0")
        return list(zip(begins, [*begins[1:], len(positions)], strict=True))

    def _rows(self, tensor: torch.Tensor) -> Sequence[torch.Tensor] | None:
        tokens = self._form[-1]
        if tuple(tensor.shape[:2]) == (1, tokens):
            return [tensor[0]] * len(self._spans)
        return [tensor] * len(self._spans) if tensor.dim() and tensor.size(0) == tokens else None


class Unobserved(Rule):
    def applied(self, site: str, tensor: torch.Tensor, sizes: Sizes) -> Named:
        return []


class Flat(Rule):
    """Left to the comparison, which can do it of any stream."""

    def applied(self, site: str, tensor: torch.Tensor, sizes: Sizes) -> Named:
        return [(site, tensor)]


def _unfit(site: str, tensor: torch.Tensor, expected: str) -> InputError:
    return InputError(f"map: {site}", f"shape {list(tensor.shape)}", expected)


def _expression(pattern: str, where: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(where, f"{pattern!r} ({error})", "a regular expression") from None
