"""Transformers' Qwen3 against itself in vLLM's layout, and packed against padded: the programs of layouts.py.

SAMEBITS=build/samebits python layouts_test.py
"""

from __future__ import annotations

import json
import pathlib
import shutil
import unittest

from run import OUT, ROOT, Done, samebits, say, timed

PROGRAM, MODEL = str(ROOT / "python/clients/layouts.py"), str(ROOT / "cases/models/tiny")
MAP = "cases/maps/qwen3-vllm.json"
FOLDER = OUT / "layouts"


def recorded(name: str, *flags: str, map_file: str = "") -> str:
    out = str(FOLDER / name)
    maps = ("--map", map_file) if map_file else ()
    done = timed("python", "-m", "samebits_record", "--out", out, *maps, "--", PROGRAM, MODEL, *flags)
    assert done.returncode == 0, done.stderr
    return out


def map_of(name: str, *layouts: dict[str, str]) -> str:
    file = FOLDER / name
    file.write_text(json.dumps({"layouts": layouts}))
    return str(file)


class LayoutsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        cls.separate = recorded("separate")

    def compared(self, other: str, *flags: str) -> Done:
        done = samebits("compare", self.separate, other, *flags)
        say(pathlib.Path(other).name, done)
        return done

    def test_in_vllms_layout_every_value_is_the_same(self) -> None:
        done = self.compared(recorded("fused", "--fused", map_file=MAP), "--map", MAP)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("218 observations compared, 0 differ\n", done.stdout)

    def test_a_part_that_was_moved_is_named(self) -> None:
        for name in ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"):
            done = self.compared(recorded(name, "--fused", "--move", name, map_file=MAP), "--map", MAP)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stdout, rf"first: step 0, weights, model\.layers\.1\.\w+\.{name}\.weight: float32")

    def test_weights_in_another_order_are_named(self) -> None:
        done = self.compared(recorded("kqv", "--fused", "--order", "kqv", map_file=MAP), "--map", MAP)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("first: step 0, weights, model.layers.0.self_attn.q_proj.weight: float32", done.stdout)

    def test_a_recording_without_the_map_is_refused(self) -> None:
        done = self.compared(recorded("whole", "--fused"), "--map", MAP)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(
            done.stderr, r'^samebits: map: found "model\.layers\.0\.self_attn\.qkv_proj\.weight" in .*--map\n$'
        )

    def test_packed_sequences_part_from_padded_ones_in_the_first_attention(self) -> None:
        mask = {"from": "#attention_mask", "layout": "unobserved"}
        by_mask = {"from": "#", "layout": "padded", "by": "^model#attention_mask0$"}
        by_position = {"from": "#", "layout": "packed", "by": "^model#position_ids0$"}
        padded = recorded("padded", map_file=map_of("padded.json", mask, by_mask))
        packed = recorded("packed", "--packed", map_file=map_of("packed.json", mask, by_position))
        done = samebits("compare", padded, packed)
        say("packed", done)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("528 observations compared", done.stdout)
        self.assertIn("first: step 0, forward, model.layers.0.self_attn.o_proj#in0[0]: float32 [5, 256]", done.stdout)


if __name__ == "__main__":
    unittest.main()
