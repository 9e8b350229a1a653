"""Layouts of a map: one program has three weights, another one fused; one has them transposed; one packs its rows."""

from __future__ import annotations

import json
import pathlib
import tempfile
import types
import unittest
from collections.abc import Callable
from typing import Any

import torch
from streams import by_place, read

from samebits_record import InputError, Recording, observe, record, slots

HEADS, GROUPS, HEAD = 4, 2, 3  # query heads, groups of them, each with a key and a value; elements of a head
WIDTH = 8
MAP = pathlib.Path(__file__).resolve().parents[2] / "cases/maps/qwen3-transformers.json"
Weights = dict[str, torch.Tensor]


def weights() -> Weights:
    """Small whole numbers, so that no order of a sum rounds."""
    generator = torch.Generator().manual_seed(5)
    rows = {"q_proj": HEADS * HEAD, "k_proj": GROUPS * HEAD, "v_proj": GROUPS * HEAD, "gate_proj": 5, "up_proj": 5}
    return {name: torch.randint(-4, 5, (count, WIDTH), generator=generator).float() for name, count in rows.items()}


def linear(weight: torch.Tensor) -> torch.nn.Linear:
    module = torch.nn.Linear(weight.size(1), weight.size(0), bias=False)
    module.weight = torch.nn.Parameter(weight.clone())
    return module


class Separate(torch.nn.Module):
    def __init__(self, own: Weights) -> None:
        super().__init__()
        self.attn, self.mlp = torch.nn.Module(), torch.nn.Module()
        for name in own:
            (self.mlp if name in ("gate_proj", "up_proj") else self.attn).add_module(name, linear(own[name]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (self.attn.get_submodule(name)(x) for name in ("q_proj", "k_proj", "v_proj"))
        return q.sum() + 2 * k.sum() + 3 * v.sum() + (self.mlp.gate_proj(x) * self.mlp.up_proj(x)).sum()


class Fused(torch.nn.Module):
    """As vLLM has it: q, k and v one after the other, and so gate and up."""

    def __init__(self, own: Weights, order: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")) -> None:
        super().__init__()
        self.config = types.SimpleNamespace(num_attention_heads=HEADS, num_key_value_heads=GROUPS)
        self.attn, self.mlp = torch.nn.Module(), torch.nn.Module()
        self.attn.qkv_proj = linear(torch.cat([own[name] for name in order]))
        self.mlp.gate_up_proj = linear(torch.cat([own["gate_proj"], own["up_proj"]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.attn.qkv_proj(x).split([HEADS * HEAD, GROUPS * HEAD, GROUPS * HEAD], -1)
        gate, up = self.mlp.gate_up_proj(x).chunk(2, -1)
        return q.sum() + 2 * k.sum() + 3 * v.sum() + (gate * up).sum()


class LayoutsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def map_of(self, *layouts: dict[str, Any]) -> pathlib.Path:
        file = self.root / f"map-{len(list(self.root.iterdir()))}.json"
        file.write_text(json.dumps({"layouts": layouts}))
        return file

    def recorded(self, run: Callable[[], object], map_file: str | pathlib.Path = "", level: str = "module") -> Any:
        out = self.root / f"out-{len(list(self.root.iterdir()))}"
        with record(out, level=level, map_file=map_file):
            run()
        return by_place(read(out))

    def observed(self, tensors: Weights, *layouts: dict[str, Any]) -> dict[str, str]:
        """Digests by site, of tensors that a program observes by hand."""

        def run() -> None:
            for name, tensor in tensors.items():
                observe(name, tensor)

        places = self.recorded(run, self.map_of(*layouts) if layouts else "")
        return {site: digest for (_, _, site, _), digest in places.items()}

    def train(self, model: torch.nn.Module) -> None:
        model(torch.arange(2.0 * 3 * WIDTH).reshape(2, 3, WIDTH) % 5).backward()

    def differing(self, separate: Any, fused: Any) -> list[str]:
        self.assertEqual(set(separate), set(fused))
        return sorted({place[2] for place in separate if separate[place] != fused[place]})

    def test_a_fused_program_has_every_value_of_one_that_is_not(self) -> None:
        separate = self.recorded(lambda: self.train(Separate(weights())), MAP)
        fused = self.recorded(lambda: self.train(Fused(weights())), MAP)
        for phase, site in (
            ("weights", "attn.k_proj.weight"),
            ("forward", "attn.v_proj#in0"),
            ("forward", "mlp.up_proj#0"),
            ("backward", "attn.q_proj#0.grad"),
            ("backward", "mlp.gate_proj.weight.grad"),
        ):
            self.assertIn((0, phase, site, 0), separate)
        # The names of the two classes, which a map of sites would make one.
        separate, fused = (
            {(*place[:2], place[2].replace(kind, "Model"), place[3]): digest for place, digest in found.items()}
            for found, kind in ((separate, "Separate"), (fused, "Fused"))
        )
        self.assertEqual(self.differing(separate, fused), [])

    def test_an_element_of_k_is_told_to_lie_in_k(self) -> None:
        own = weights()
        separate = self.observed(
            {"attn.qkv_proj.weight": torch.cat([own[name] for name in ("q_proj", "k_proj", "v_proj")])}, *self.split(0)
        )
        for name, row in (("q_proj", 0), ("q_proj", 11), ("k_proj", 0), ("k_proj", 5), ("v_proj", 0), ("v_proj", 5)):
            moved = {**own, name: own[name].clone()}
            moved[name][row, 7] += 1
            fused = self.observed(
                {"attn.qkv_proj.weight": torch.cat([moved[each] for each in ("q_proj", "k_proj", "v_proj")])},
                *self.split(0),
            )
            self.assertEqual([site for site in fused if fused[site] != separate[site]], [f"attn.{name}.weight"])

    def split(self, dim: int, **more: Any) -> list[dict[str, Any]]:
        shares = [HEADS, GROUPS, GROUPS]
        to = [".q_proj", ".k_proj", ".v_proj"]
        return [{"from": r"\.qkv_proj", "layout": "split", "dim": dim, "shares": shares, "to": to, **more}]

    def test_another_order_of_q_and_k_is_told_of_both(self) -> None:
        separate = self.recorded(lambda: self.train(Separate(weights())), MAP)
        fused = self.recorded(lambda: self.train(Fused(weights(), ("k_proj", "q_proj", "v_proj"))), MAP)
        weight = [place[2] for place in separate if place[1] == "weights" and separate[place] != fused[place]]
        self.assertEqual(weight, ["attn.q_proj.weight", "attn.k_proj.weight"])

    def test_groups_of_heads_as_megatron_interleaves_them(self) -> None:
        own = weights()
        q = own["q_proj"].view(GROUPS, -1, WIDTH)
        k, v = (own[name].view(GROUPS, HEAD, WIDTH) for name in ("k_proj", "v_proj"))
        fused = torch.cat([q, k, v], 1).reshape(-1, WIDTH)
        expected = {f"attn.{name}.weight": slots.digest_of(own[name]) for name in ("q_proj", "k_proj", "v_proj")}
        self.assertEqual(self.observed({"attn.qkv_proj.weight": fused}, *self.split(0, groups=GROUPS)), expected)
        self.assertEqual(
            self.observed({"attn.qkv_proj.weight": fused.T.contiguous()}, *self.split(1, groups=GROUPS)),
            {site: slots.digest_of(own[site.split(".")[1]].T) for site in expected},
        )
        self.assertNotEqual(self.observed({"attn.qkv_proj.weight": fused}, *self.split(0)), expected)

    def test_the_tensor_of_a_part_is_kept(self) -> None:
        own = weights()
        with Recording(self.root / "kept", None, None, "step", keep="0 0 weights attn.k_proj.weight", map_file=MAP):
            self.train(Fused(own))
        data = (self.root / "kept/kept-0.safetensors").read_bytes()
        kept = torch.frombuffer(bytearray(data[-4 * own["k_proj"].numel() :]), dtype=torch.float32)
        self.assertTrue(torch.equal(kept.view_as(own["k_proj"]), own["k_proj"]))

    def test_a_transposed_weight_is_the_other_ones(self) -> None:
        weight = weights()["q_proj"]
        rule = {"from": r"^h\.(.*)\.kernel$", "layout": "transpose", "to": "$1.weight"}
        found = self.observed({"h.q_proj.kernel": weight.T.contiguous(), "h.k.kernel": weight}, rule)
        self.assertEqual(found, {"q_proj.weight": slots.digest_of(weight), "k.weight": slots.digest_of(weight.T)})

    def test_layouts_follow_each_other(self) -> None:
        own = weights()
        fused = torch.cat([own["gate_proj"], own["up_proj"]]).T.contiguous()
        split = {"from": "both", "layout": "split", "dim": 1, "shares": [1, 1], "to": ["gate.t", "up.t"]}
        found = self.observed({"both": fused}, split, {"from": r"\.t$", "layout": "transpose", "to": ""})
        expected = {"gate": own["gate_proj"], "up": own["up_proj"]}
        self.assertEqual(found, {name: slots.digest_of(each) for name, each in expected.items()})

    def test_packed_sequences_are_those_that_are_padded(self) -> None:
        lengths, width = [3, 5, 1], 4
        rows = [torch.randn(length, width) for length in lengths]

        class Rows(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.clip = torch.nn.Hardtanh(-1, 1)

            def forward(self, x: torch.Tensor, mask: Any = None, positions: Any = None) -> torch.Tensor:
                return self.clip(x) + self.clip(x.flatten(0, -2)).view_as(x)

        padded = torch.zeros(len(rows), max(lengths), width)
        mask = torch.zeros(padded.shape[:2], dtype=torch.int64)
        for i, row in enumerate(rows):
            begin = max(lengths) - len(row) if i == 1 else 0  # one of them is padded on its left
            padded[i, begin : begin + len(row)], mask[i, begin : begin + len(row)] = row, 1
        positions = torch.cat([torch.arange(length) for length in lengths])
        leave = {"from": "#(mask|positions)0$", "layout": "unobserved"}
        of_rows = r"#(in)?\d+$"
        by_mask = self.map_of(leave, {"from": of_rows, "layout": "padded", "by": "#mask0$"})
        by_position = self.map_of(leave, {"from": of_rows, "layout": "packed", "by": "#positions0$"})
        model = Rows()
        found = []
        for x, more, file in (
            (padded, {"mask": mask}, by_mask),
            (torch.cat(rows)[None], {"positions": positions[None]}, by_position),
            (torch.cat(rows), {"positions": positions}, by_position),
        ):
            out = self.root / f"rows-{len(found)}"
            with record(out, model, level="module", map_file=file):
                model(x, **more)
            found.append(by_place(read(out)))
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[0], found[2])
        self.assertEqual(found[0][0, "forward", "clip#in0[1]", 0], slots.digest_of(rows[1]))
        self.assertEqual(len(found[0]), 2 * 3 * len(rows))  # the root and two calls of its module, in and out
        told = json.loads((self.root / "rows-0/sites-0.json").read_text())["unobserved"]
        self.assertEqual(told, {"tensor that the map leaves out": 1})

    def test_what_does_not_fit_is_one_line(self) -> None:
        fused = {"attn.qkv_proj.weight": torch.zeros(7, WIDTH)}
        mask = {"from": "^x$", "layout": "padded", "by": "^mask$"}
        packed = {"from": "^x$", "layout": "packed", "by": "^positions$"}
        for tensors, layouts, expected in (
            (fused, self.split(0), r"attn\.qkv_proj\.weight: found shape \[7, 8\], expected parts .*: 4 \+ 2 \+ 2"),
            (fused, self.split(2), "a dimension 2, which is split"),
            (fused, self.split(0, shares=["heads", 1, 1]), "'heads': found no such size in the model's config"),
            (fused, self.split(1, groups=3), "in each of 3 groups"),
            (
                {"a.qkv_proj.w": torch.zeros(8), "a.k_proj.w": torch.zeros(2)},
                self.split(0),
                r"map: found 'a\.qkv_proj\.w' and 'a\.k_proj\.w' as 'a\.k_proj\.w'",
            ),
            (
                {"a.k_proj.w": torch.zeros(2), "a.qkv_proj.w": torch.zeros(8)},
                self.split(0),
                r"map: found 'a\.k_proj\.w' and 'a\.qkv_proj\.w' as 'a\.k_proj\.w'",
            ),
            ({"w": torch.zeros(2)}, [{"from": "w", "layout": "transpose", "to": "v"}], "two dimensions or more"),
            ({"w": torch.eye(2)}, [{"from": "w", "layout": "transpose", "to": "w_t"}], "which w fits too"),
            ({"x": torch.zeros(2, 3)}, [mask], r"found no sequences yet, expected a site \^mask\$"),
            ({"mask": torch.tensor([[1, 0, 1]])}, [mask], "a mask with a hole"),
            ({"mask": torch.ones(3)}, [mask], r"shape \[3\], expected a mask"),
            ({"positions": torch.tensor([1, 2])}, [packed], "that begin with 0"),
            ({"positions": torch.zeros(2, 2)}, [packed], "that begin with 0"),
        ):
            with self.subTest(expected), self.assertRaisesRegex(InputError, expected) as caught:
                self.observed(tensors, *layouts)
            self.assertNotIn("\n", str(caught.exception))

    def test_a_bad_map_is_one_line(self) -> None:
        split = self.split(0)[0]
        for layout, expected in (
            ({**split, "layout": "fused"}, r"layouts\[0\]\.layout: found 'fused', expected one of split, copies"),
            ({**split, "shares": [1, 1]}, "shares: found 2 shares, expected 3"),
            ({**split, "shares": [1, 0, 1]}, "shares: found .*, expected a list, each a number from 1 on"),
            ({**split, "dim": True}, "dim: found True, expected a whole number"),
            ({**split, "from": "("}, "regular expression"),
            ({**split, "to": ["a", "b", "$1"]}, r"found \$1, expected groups of from, of which there are 0"),
            ({**split, "size": 3}, "unknown key 'size'"),
            ({"from": "a", "layout": "padded"}, "no 'by'"),
            (7, "expected an object"),
        ):
            with self.subTest(expected), self.assertRaisesRegex(InputError, expected) as caught:
                record(self.root / "none", map_file=self.map_of(layout))  # type: ignore[arg-type]
            self.assertNotIn("\n", str(caught.exception))
        for text in ("7", "{", '{"sites": [], "other": 1}', '{"layouts": {}}'):
            file = self.root / "bad.json"
            file.write_text(text)
            with self.subTest(text), self.assertRaises(InputError):
                record(self.root / "none", map_file=file)
        with self.assertRaisesRegex(InputError, "No such file"):
            record(self.root / "none", map_file=self.root / "none.json")
        self.assertFalse((self.root / "none").exists())


if __name__ == "__main__":
    unittest.main()
