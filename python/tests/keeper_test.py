"""Tensors that a recording keeps beside its stream."""

from __future__ import annotations

import json
import pathlib
import tempfile
import unittest

import torch
from programs import make, train
from streams import by_place, read

from samebits_record import InputError, RecordError, record, slots
from samebits_record.graphs import GraphTaps
from samebits_record.recording import Recording


def kept_in(folder: pathlib.Path) -> dict[str, torch.Tensor]:
    data = (folder / "kept-0.safetensors").read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8:begin]).items():
        assert entry["dtype"] == "F32", entry
        first, last = (begin + offset for offset in entry["data_offsets"])
        found[name] = torch.frombuffer(bytearray(data[first:last]), dtype=torch.float32).view(entry["shape"])
    return found


class KeeperTest(unittest.TestCase):
    def setUp(self) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.root = pathlib.Path(self.temporary.name)

    def trained(self, keep: str, keep_bytes: int = 1 << 20) -> dict[str, torch.Tensor]:
        model, optimizer = make()
        with Recording(self.root / "a", model, optimizer, "op", keep=keep, keep_bytes=keep_bytes):
            train(model, optimizer)
        return kept_in(self.root / "a")

    def test_the_tensor_of_a_place_is_kept(self) -> None:
        kept = self.trained("1 0 forward blocks.1.up#0")
        self.assertEqual(list(kept), ["1 0 forward blocks.1.up#0"])
        digest = slots.digest_of(kept["1 0 forward blocks.1.up#0"])
        places = by_place(read(self.root / "a"))
        self.assertEqual(digest, places[1, "forward", "blocks.1.up#0", 0])
        self.assertNotEqual(digest, places[0, "forward", "blocks.1.up#0", 0])

    def test_all_tensors_are_kept_whose_sites_match(self) -> None:
        kept = self.trained(r"/blocks\.[12]\.up#0$|^loss$|norm\.weight$/")
        places = by_place(read(self.root / "a"))
        for name, tensor in kept.items():
            step, occurrence, phase, site = name.split(" ", 3)
            self.assertEqual(slots.digest_of(tensor), places[int(step), phase, site, int(occurrence)], name)
        blocks = [f"{step} 0 forward blocks.{block}.up#0" for step in (0, 1) for block in (1, 2)]
        self.assertLessEqual(set(blocks), set(kept))
        self.assertIn("0 1 weights blocks.0.norm.weight", kept)  # as it is after the step
        self.assertFalse([name for name in kept if "loss" in name], "the stream has the values of scalars")
        self.assertFalse([name for name in kept if "blocks.0.up" in name])

    def test_a_tensor_is_kept_as_it_was_when_it_was_seen(self) -> None:
        value = torch.zeros(3)
        with record(self.root / "a", level="step", keep="/value/") as recording:
            recording.observe("value", value)
            value.fill_(7)
            recording.observe("value", value.expand(2, 3))
        kept = kept_in(self.root / "a")
        self.assertEqual(kept["0 0 program value"].tolist(), [0, 0, 0])
        self.assertEqual(kept["0 1 program value"].tolist(), [[7, 7, 7], [7, 7, 7]])

    def test_what_is_not_there_fails_the_recording(self) -> None:
        for keep, what in (
            ("/no such site/", "no tensor was observed at a site that matches /no such site/"),
            ("0 7 forward blocks.1.up#0", "no tensor was observed at the place 0 7 forward blocks.1.up#0"),
        ):
            with self.subTest(keep), self.assertRaisesRegex(RecordError, what):
                self.trained(keep)
            self.assertFalse((self.root / "a/finished.json").exists())
            self.temporary.cleanup()
            self.root.mkdir()

    def test_what_takes_more_than_it_may_ends_the_recording(self) -> None:
        taken = 2 * 4 * 6 * 32 * 4  # of both steps, in float32
        self.assertEqual(len(self.trained(r"/blocks\.1\.up#0$/", taken)), 2)
        self.temporary.cleanup()
        self.root.mkdir()
        with self.assertRaisesRegex(RecordError, f"'1 0 forward blocks.1.up#0' .*{taken} bytes, .*{taken - 1}"):
            self.trained(r"/blocks\.1\.up#0$/", taken - 1)

    def test_bad_words_are_refused(self) -> None:
        for i, bad in enumerate(("blocks.1.up#0", "x 0 forward a", "1 0 forward", "/(/", "//")):
            with self.subTest(bad), self.assertRaises(InputError):
                Recording(self.root / f"bad {i}", None, None, "op", keep=bad)
        with self.assertRaises(InputError):
            record(self.root / "bytes", keep="/a/", keep_bytes=0)

    def test_nothing_is_kept_inside_a_cuda_graph(self) -> None:
        with (
            self.assertRaisesRegex(RecordError, "forward value is computed inside a CUDA graph"),
            record(self.root / "a", level="step", keep="/value/") as recording,
        ):
            GraphTaps(recording.recorder).before_capture(torch.device("cpu"))
            recording.recorder.see("forward", "other", torch.zeros(3))
            recording.recorder.see("forward", "value", torch.zeros(3))


if __name__ == "__main__":
    unittest.main()
