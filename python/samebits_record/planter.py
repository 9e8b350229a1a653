"""Plants a fault into a program as it is recorded, to see whether it is found."""

from __future__ import annotations

import torch

from .dtypes import DTYPES
from .errors import InputError, RecordError
from .keeper import Place
from .recorder import Recorder, plain_tensor


class Planter:
    """Moves one element of one operator's result by one ULP, once, before anybody sees it."""

    def __init__(self, text: str) -> None:
        """`text`: a place as Place.parse has it, of an operator's result, and the element. Throws InputError."""
        place, _, element = text.rpartition(" ")
        if not element.isdecimal():
            raise InputError("--plant", repr(text), 'a place and an element, "STEP OCCURRENCE PHASE SITE ELEMENT"')
        self._place = Place.parse("--plant", place)
        if "/" not in self._place.site:
            raise InputError("--plant", repr(self._place.site), "an operator's result, such as mlp/aten.mm[0]#0")
        self._element = int(element)
        self._left = self._place.occurrence
        self._witness: dict[str, object] | None = None
        self._is_planted = False

    def see(self, recorder: Recorder, phase: str, site: str, tensor: torch.Tensor) -> None:
        """Instead of the recorder's: changes what is meant, and lets the recorder see what the program goes on with."""
        place = self._place
        is_place = recorder.step == place.step and site == place.site and phase == place.phase
        if is_place and recorder.captured is None:  # what a CUDA graph captures is not executed yet
            if self._left == 0:
                self._flip(tensor)
            self._left -= 1
        recorder.see(phase, site, tensor)

    def take_witness(self) -> dict[str, object] | None:
        """Of the step that ends, as `planted` of steps.jsonl has it; none where nothing was planted in it."""
        witness, self._witness = self._witness, None
        return witness

    def check(self) -> None:
        """At the end. Throws RecordError where no step came to the place: nothing was planted."""
        if not self._is_planted:
            raise RecordError(f"--plant: nothing was planted, the program did not come to {self._place.text}")

    def _flip(self, tensor: torch.Tensor) -> None:
        plain = plain_tensor(tensor)
        own = getattr(tensor, "_local_tensor", tensor)
        if plain is None or plain.data_ptr() != own.data_ptr():
            raise InputError("--plant", f"a tensor of {tensor.dtype}, {tensor.layout}", "one that has a digest")
        if self._element >= plain.numel():
            raise InputError("--plant", f"element {self._element}", f"one of {plain.numel()}, from 0")
        kind = DTYPES[plain.dtype]
        with torch.no_grad():
            index = torch.unravel_index(torch.tensor(self._element), plain.shape)
            element = plain.detach()[tuple(int(each) for each in index)].view(kind.word)
            bits = [_bits_of(element)]
            element.bitwise_xor_(1)
            bits.append(_bits_of(element))
        self._is_planted = True
        self._witness = {
            "caller": self._place.site.rpartition("/")[2].partition("[")[0],
            "rank": 0,
            "changed": 1,
            "element": self._element,
            "before": f"{bits[0]:x}",
            "after": f"{bits[1]:x}",
        }


def _bits_of(element: torch.Tensor) -> int:
    return int(element) & (1 << 8 * element.element_size()) - 1
