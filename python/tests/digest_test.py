"""The digest equals samebits's, to the bit, on every way there is to compute it."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import unittest
from collections.abc import Callable

import torch

from samebits_record import digest, slots
from samebits_record.dtypes import DTYPES
from samebits_record.shards import Part

STREAM = pathlib.Path(__file__).resolve().parents[2] / "docs/stream.md"


def page_digest() -> Callable[[str, tuple[int, ...], bytes], str]:
    """The definition of docs/stream.md, as the page states it in Python."""
    code = re.search(r"```python\n(.*?)```", STREAM.read_text(), re.S)
    assert code is not None
    names: dict[str, Callable[[str, tuple[int, ...], bytes], str]] = {}
    exec(code.group(1), names)
    return names["digest"]


def page_vectors() -> list[tuple[torch.Tensor, str]]:
    """The table of test vectors of docs/stream.md."""
    bf16 = torch.tensor([0x3F80, 0xBF80 - (1 << 16), 0, -(1 << 15), 0x7FC0, 1], dtype=torch.int16)
    tensors = [
        bf16.view(torch.bfloat16).view(2, 3),
        torch.empty(0, dtype=torch.float32),
        torch.tensor(0x412D88A2, dtype=torch.int32).view(torch.float32),
        torch.tensor([42, 0]),
        torch.tensor(list(b"hello"), dtype=torch.uint8),
    ]
    rows = re.findall(r"^\| `(\w+)` \| `(\[.*?\])` \| .* \| `([0-9a-f]{32})` \|$", STREAM.read_text(), re.M)
    assert [(name, shape) for name, shape, _ in rows] == [(DTYPES[t.dtype].name, str(list(t.shape))) for t in tensors]
    return [(tensor, row[2]) for tensor, row in zip(tensors, rows, strict=True)]


def hostile_tensors() -> list[torch.Tensor]:
    """Every dtype with random bits; sizes around the ends of vectors and chunks; views in no memory order."""
    generator = torch.Generator().manual_seed(7)
    found = []
    for dtype, kind in DTYPES.items():
        for count in (1, 2, 63, 64, 65, 300):
            raw = torch.randint(0, 256, (count * kind.size,), generator=generator, dtype=torch.int64).to(torch.uint8)
            found.append(raw > 127 if dtype is torch.bool else raw.view(dtype))
        found.append(found[-1][5])
    base = torch.randn(6, 8, 10, generator=generator)
    base[0, 0, :4] = torch.tensor([float("nan"), float("inf"), -0.0, -float("inf")])
    found += [base.transpose(0, 2), base[::2, 1:, ::3], base[1].expand(4, 8, 10), base[:, :, 3], base[:0], base[2:3].mT]
    for dtype in (torch.uint8, torch.bfloat16, torch.float32, torch.float64):  # longer than what C packs at once
        large = torch.randn(3, 30, 40, generator=generator).mul(100).to(dtype)
        found += [large.transpose(0, 2), large.transpose(0, 1), large[:, ::2, 1::3]]
    found.append(torch.arange((1 << 14) + 17, dtype=torch.int32))
    return found


def digest_in_torch(tensor: torch.Tensor) -> str:
    seals = digest.Seals()
    return seals.seal(sums_in_torch(tensor)[None, :2], [seals.row_of(tensor.dtype, tensor.shape)])[0]


def sums_in_torch(tensor: torch.Tensor) -> torch.Tensor:
    slot = torch.zeros(digest.SLOT_WORDS, dtype=torch.int64)
    digest.write_slot(slot, tensor)
    return slot


class DigestTest(unittest.TestCase):
    def check_native(self) -> None:
        if not slots.has_native():
            self.skipTest("the C function was not built")

    def test_memory_can_be_resized_as_before(self) -> None:
        """As FSDP does between two uses of a weight. Of every way on a CPU, and of the seen tensor itself."""
        for write in {slots._writer_for(torch.device("cpu")), digest.write_slot}:
            tensor = torch.ones(4, 2)
            write(torch.zeros(digest.SLOT_WORDS, dtype=torch.int64), tensor)
            self.assertTrue(tensor.untyped_storage().resizable())

    def test_the_vectors_of_the_page(self) -> None:
        for tensor, expected in page_vectors():
            with self.subTest(str(tensor)):
                self.assertEqual(digest_in_torch(tensor), expected)
                self.assertEqual(slots.digest_of(tensor), expected)

    def test_hostile_tensors_have_the_digest_of_the_definition(self) -> None:
        definition = page_digest()
        for tensor in hostile_tensors():
            with self.subTest(f"{tensor.dtype} {list(tensor.shape)} {tensor.stride()}"):
                flat = tensor.contiguous().view(-1)
                data = bytes(flat.view(torch.uint8).tolist()) if tensor.numel() else b""
                expected = definition(DTYPES[tensor.dtype].name, tuple(tensor.shape), data)
                self.assertEqual(slots.digest_of(tensor), expected)
                self.assertEqual(digest_in_torch(tensor), expected)

    def test_c_and_torch_write_the_same_slot(self) -> None:
        self.check_native()
        for tensor in hostile_tensors():
            with self.subTest(f"{tensor.dtype} {list(tensor.shape)} {tensor.stride()}"):
                board = slots.Slots(torch.device("cpu"), 1)
                board.write(tensor)
                self.assertEqual(board.read()[0].tolist(), sums_in_torch(tensor).tolist())

    def test_the_sums_of_parts_add_up_to_those_of_the_whole(self) -> None:
        generator = torch.Generator().manual_seed(5)
        for dtype in (torch.float32, torch.bfloat16, torch.uint8):
            whole = torch.randn(70, 6, 41, generator=generator).mul(50).to(dtype)
            for axis in range(3):
                # Unequal parts, an empty one, and views in no memory order.
                for cut in ([*whole.split([1, 3, 0, whole.size(axis) - 4], axis)], [*whole.chunk(2, axis)]):
                    sums = {"c": torch.zeros(2, dtype=torch.int64), "torch": torch.zeros(2, dtype=torch.int64)}
                    begin = 0
                    for each in cut:
                        part = Part(tuple(whole.shape), begin * whole.stride(axis), ())
                        begin += each.size(axis)
                        slot = torch.zeros(digest.SLOT_WORDS, dtype=torch.int64)
                        digest.write_slot(slot, each, part)
                        sums["torch"] += slot[:2]
                        board = slots.Slots(torch.device("cpu"), 1)
                        board.write(each, part)
                        sums["c"] += board.read()[0, :2]
                    for name, found in sums.items():
                        with self.subTest(f"{name}: {dtype}, axis {axis}, {len(cut)} parts"):
                            self.assertEqual(found.tolist(), sums_in_torch(whole)[:2].tolist())
        board = slots.Slots(torch.device("cpu"), 1)
        board.write(whole, Part(tuple(whole.shape), 1, ()))  # a part that lies elsewhere
        self.assertNotEqual(board.read()[0, :2].tolist(), sums_in_torch(whole)[:2].tolist())

    def test_nan_and_infinity_are_counted(self) -> None:
        tensor = torch.tensor([1.0, float("nan"), -float("inf"), 0.0])
        self.assertEqual(int(sums_in_torch(tensor)[2]), 2)
        self.assertEqual(int(sums_in_torch(tensor.nan_to_num())[2]), 0)

    def test_one_changed_bit_and_two_swapped_elements_change_the_digest(self) -> None:
        tensor = torch.randn(33, generator=torch.Generator().manual_seed(1))
        swapped = tensor.clone()
        swapped[[3, 20]] = tensor[[20, 3]]
        moved = tensor.clone()
        moved.view(torch.int32)[32] ^= 1
        known = slots.digest_of(tensor)
        self.assertEqual(slots.digest_of(tensor.clone()), known)
        self.assertNotEqual(slots.digest_of(swapped), known)
        self.assertNotEqual(slots.digest_of(moved), known)
        self.assertNotEqual(slots.digest_of(tensor.view(3, 11)), known)

    def by_the_interpreter(self, program: str) -> None:
        """A program that says how many slots of Triton's differ, on a CPU by Triton's interpreter, which needs its
        variable set before a kernel is defined."""
        if importlib.util.find_spec("triton") is None or importlib.util.find_spec("numpy") is None:
            self.skipTest("no Triton, or no NumPy for its interpreter")
        program = (
            "import torch, digest_test as t, samebits_record.triton_digest as k\n"
            "tensors = t.hostile_tensors() + [x for x, _ in t.page_vectors()]\n" + program
        )
        paths = [pathlib.Path(__file__).parent, pathlib.Path(slots.__file__).resolve().parents[1]]
        env = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(map(str, paths))}
        done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout, "0 differ\n", done.stderr)

    def test_triton_writes_the_same_slot(self) -> None:
        self.by_the_interpreter(
            "different = 0\n"
            "for x in tensors:\n"
            "    slot = torch.full((4,), 9)\n"
            "    k.write_slot(slot, x)\n"
            "    different += slot.tolist() != t.sums_in_torch(x).tolist()\n"
            "print(different, 'differ')\n"
        )

    def test_triton_writes_the_slots_of_several_tensors_in_one_launch(self) -> None:
        """As a graph replays them: all launches, when the table has been filled. And again, in pieces of several
        blocks."""
        self.by_the_interpreter(
            "kernel, different = k._add_sums_of_each, 0\n"
            "class Capture:\n"
            "    def __getitem__(self, grid):\n"
            "        return lambda *args, **flags: launches.append(lambda: kernel[grid](*args, **flags))\n"
            "k._add_sums_of_each = Capture()\n"
            "tensors = [x.contiguous() for x in tensors]\n"
            "for k._PROGRAMS in (512, 2):\n"
            "    launches, slots = [], torch.zeros(len(tensors) + 2, 4, dtype=torch.int64)\n"
            "    table, first = k.Table(slots), 1\n"
            "    for count in (1, 3, 0, 26, 64):\n"
            "        several = tensors[first - 1 : first - 1 + count]\n"
            "        if several: table.write(first, several)\n"
            "        first += count\n"
            "    table.fill()\n"
            "    for launch in launches: launch()\n"
            "    different += sum(a.tolist() != t.sums_in_torch(x).tolist() for a, x in zip(slots[1:], tensors))\n"
            "    different += int(slots[0].any()) + (first <= len(tensors))\n"
            "print(different, 'differ')\n"
        )


if __name__ == "__main__":
    unittest.main()
