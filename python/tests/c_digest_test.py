"""The C function alone, without torch: the vectors and the definition of docs/stream.md. Run by ctest too."""

from __future__ import annotations

import ctypes
import pathlib
import random
import re
import shutil
import struct
import subprocess
import tempfile
import unittest
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/stream.md").read_text(encoding="utf-8")
EXPONENT = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F80_0000, "float64": 0x7FF0_0000_0000_0000}
COMPILER = shutil.which("cc") or shutil.which("gcc")


def definition() -> dict[str, Any]:
    code = re.search(r"```python\n(.*?)```", PAGE, re.S)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code.group(1), names)
    return names


@unittest.skipIf(COMPILER is None, "no C compiler")
class CDigestTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        library = f"{folder.name}/digest.so"
        source = ROOT / "python/samebits_record/_digest.c"
        flags = ["-O3", "-std=c11", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run([str(COMPILER), *flags, str(source), "-o", library], check=True)
        cls.library = ctypes.CDLL(library)
        cls.page = definition()

    def slot(self, dtype: str, data: bytes, is_scalar: bool = False) -> list[int]:
        slot = (ctypes.c_uint64 * 4)(9, 9, 9, 9)
        size = self.page["DTYPES"][dtype][1]
        exponent = ctypes.c_uint64(EXPONENT.get(dtype, 0))
        sizes = (ctypes.c_int64(size), ctypes.c_int64(len(data) // size))
        self.library.samebits_digest(data, *sizes, exponent, ctypes.c_int64(is_scalar), slot)
        return list(slot)

    def digest(self, dtype: str, shape: tuple[int, ...], data: bytes) -> str:
        """The C function's sums, sealed as the page says."""
        word, page = (1 << 64) - 1, self.page
        a, b, _, fired = self.slot(dtype, data, shape == ())
        self.assertEqual(fired, 1)
        for value in (page["DTYPES"][dtype][0], len(shape), *shape):
            a = page["mix_a"]((a ^ value) + page["A"] & word)
            b = page["mix_b"]((b ^ value) + page["B"] & word)
        return f"{a:016x}{b:016x}"

    def test_the_vectors_of_the_page(self) -> None:
        data = {
            "bfloat16": struct.pack("<6H", 0x3F80, 0xBF80, 0, 0x8000, 0x7FC0, 1),
            "float32[]": struct.pack("<I", 0x412D88A2),
            "float32[0]": b"",
            "int64": struct.pack("<2q", 42, 0),
            "uint8": b"hello",
        }
        rows = re.findall(r"^\| `(\w+)` \| `\[(.*?)\]` \| .* \| `([0-9a-f]{32})` \|$", PAGE, re.M)
        self.assertEqual(len(rows), len(data))
        for dtype, sizes, expected in rows:
            shape = tuple(int(size) for size in sizes.split(", ") if size)
            self.assertEqual(self.digest(dtype, shape, data.get(dtype) or data.get(f"{dtype}[{sizes}]", b"")), expected)

    def test_random_bits_of_every_dtype_and_length(self) -> None:
        random.seed(3)
        for dtype, (_, size) in self.page["DTYPES"].items():
            for count in (0, 1, 7, 8, 9, 63, 64, 65, 2047, 2049):
                data = random.randbytes(count * size)
                self.assertEqual(self.digest(dtype, (count,), data), self.page["digest"](dtype, (count,), data))

    def test_nan_and_infinity_are_counted_and_a_scalar_keeps_its_bits(self) -> None:
        values = [0.0] * 5000
        values[3], values[4000], values[4999] = float("inf"), float("nan"), float("-inf")
        self.assertEqual(self.slot("float32", struct.pack("<5000f", *values))[2], 3)
        self.assertEqual(self.slot("int32", b"\xff" * 400)[2], 0)
        self.assertEqual(self.slot("float32", struct.pack("<I", 0xFF800001), is_scalar=True)[2], 0xFF800001)

    def test_strides_are_those_of_the_view(self) -> None:
        rows, columns = 5, 7
        data = struct.pack(f"<{rows * columns}f", *range(rows * columns))
        turned = struct.pack(f"<{rows * columns}f", *(r * columns + c for c in range(columns) for r in range(rows)))
        slot = (ctypes.c_uint64 * 4)()
        pair, i64 = ctypes.c_int64 * 2, ctypes.c_int64
        exponent = ctypes.c_uint64(EXPONENT["float32"])
        sizes, strides, indices = pair(columns, rows), pair(1, columns), pair(rows, 1)
        self.library.samebits_digest_strided(data, i64(4), i64(2), sizes, strides, i64(0), indices, exponent, slot)
        self.assertEqual(list(slot), self.slot("float32", turned))
        self.assertNotEqual(list(slot), self.slot("float32", data))

    def test_parts_of_rows_add_up_to_the_whole(self) -> None:
        rows, columns, width = 5, 700, 300
        values = [float(value) for value in range(rows * columns)]
        values[10] = values[columns + width] = float("nan")  # one in either part
        whole = self.slot("float32", struct.pack(f"<{rows * columns}f", *values))
        pair, i64 = ctypes.c_int64 * 2, ctypes.c_int64
        exponent = ctypes.c_uint64(EXPONENT["float32"])
        sums = [0, 0, 0]
        for begin, end in ((0, width), (width, columns)):
            own = [values[r * columns + c] for r in range(rows) for c in range(begin, end)]
            slot = (ctypes.c_uint64 * 4)()
            sizes, strides, indices = pair(rows, end - begin), pair(end - begin, 1), pair(columns, 1)
            data = struct.pack(f"<{len(own)}f", *own)
            self.library.samebits_digest_strided(
                data, i64(4), i64(2), sizes, strides, i64(begin), indices, exponent, slot
            )
            self.assertNotEqual(list(slot), whole)
            sums = [(a + b) % (1 << 64) for a, b in zip(sums, slot[:3], strict=True)]
        self.assertEqual(sums, whole[:3])


if __name__ == "__main__":
    unittest.main()
