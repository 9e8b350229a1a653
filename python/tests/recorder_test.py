"""What a recording has in it, that it changes nothing, and that it names a planted fault."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import io
import json
import os
import pathlib
import tempfile
import threading
import unittest
import weakref

import torch
from programs import Fault, make, train
from streams import by_place, first_difference, read
from torch.utils.checkpoint import checkpoint

import samebits_record
from samebits_record import InputError, RecordError, Recording, observe, record, slots
from samebits_record.graphs import GraphTaps

LEVELS = ("step", "module", "op")


class RecorderTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def recorded(self, name: str, level: str = "op", fault: Fault | None = None) -> pathlib.Path:
        model, optimizer = make()
        with fault or contextlib.nullcontext(), record(self.root / name, model, optimizer, level=level):
            train(model, optimizer)
        return self.root / name

    def test_a_recorded_run_has_the_results_of_an_unrecorded_one_to_the_bit(self) -> None:
        expected = train(*make())
        draw = torch.rand(3)
        for level in LEVELS:
            with self.subTest(level):
                model, optimizer = make()
                with record(self.root / level, model, optimizer, level=level):
                    found = train(model, optimizer)
                self.assertTrue(all(torch.equal(a, b) for a, b in zip(expected, found, strict=True)))
                self.assertTrue(torch.equal(torch.rand(3), draw), "the recorder drew random numbers")
        self.assertFalse(torch.equal(train(*make(seed=1))[0], expected[0]))

    def test_two_runs_write_the_same_bytes(self) -> None:
        for level in LEVELS:
            a, b = self.recorded(f"a-{level}", level), self.recorded(f"b-{level}", level)
            self.assertEqual((a / "rank-0.jsonl").read_bytes(), (b / "rank-0.jsonl").read_bytes())
            self.assertGreater(len(read(a)), 20)

    def test_an_optimizer_of_optimizers_and_a_norm_of_the_programs_own(self) -> None:
        """As torchtitan has them: a container's step runs that of others, and the norm is handed to the clipping."""
        model, adam = make()

        class Container(torch.optim.Optimizer):
            def step(self, closure: None = None) -> None:
                adam.step()

        container = Container(model.parameters(), {})
        clip = torch.nn.utils.clip_grads_with_norm_
        with record(self.root / "a", level="op"):
            for _ in range(3):
                model(torch.zeros(2, 4, dtype=torch.int64)).sum().backward()
                norm = torch.nn.utils.get_total_norm([each.grad for each in model.parameters()])
                torch.nn.utils.clip_grads_with_norm_(model.parameters(), 1.0, total_norm=norm, foreach=False)
                container.step()
                model.zero_grad()
        self.assertIs(torch.nn.utils.clip_grads_with_norm_, clip)
        places = by_place(read(self.root / "a"))
        for step in range(3):  # each of them has its own forward, one norm, and each gradient once
            names = [site for at, phase, site, _ in places if at == step and phase != "backward"]
            for site in ("embed/aten.embedding[0]#0", "grad_norm", "embed.weight.grad", "AdamW/aten.addcdiv_[0]#0"):
                self.assertEqual(names.count(site), 1, (step, site))
            self.assertIn((step, "program", "program/aten.stack[0]#0", 0), places)

    def test_a_fault_of_one_ulp_is_named_to_its_module_and_operator(self) -> None:
        clean = self.recorded("clean")
        places = [
            # operator, which call of the run: step, phase, site
            ("aten.embedding", 0, (0, "forward", "embed/aten.embedding[0]#0", 0)),
            ("aten.addmm", 0, (0, "forward", "blocks.0.up/aten.addmm[0]#0", 0)),
            ("aten.addmm", 3, (0, "forward", "blocks.1.down/aten.addmm[0]#0", 0)),
            ("aten.gelu", 2, (0, "forward", "blocks.2/aten.gelu[0]#0", 0)),
            ("aten.native_layer_norm", 5, (1, "forward", "blocks.2.norm/aten.native_layer_norm[0]#0", 0)),
            ("aten.gelu_backward", 1, (0, "backward", "blocks.1/aten.gelu_backward[0]#0", 0)),
            (
                "aten.native_layer_norm_backward",
                3,
                (1, "backward", "blocks.2.norm/aten.native_layer_norm_backward[0]#0", 0),
            ),
            ("aten.addcdiv_", 4, (0, "optimizer", "AdamW/aten.addcdiv_[4]#0", 0)),
        ]
        for number, (operator, call, expected) in enumerate(places):
            with self.subTest(expected):
                fault = Fault(operator, call)
                faulty = self.recorded(f"faulty-{number}", fault=fault)
                self.assertTrue(fault.has_struck)
                self.assertEqual(first_difference(clean, faulty), expected)
        self.assertIsNone(first_difference(clean, self.recorded("again")))

    def test_a_planted_fault_is_executed_once_and_named(self) -> None:
        clean = self.recorded("clean")
        places = [
            (0, 0, "forward", "blocks.1.down/aten.addmm[0]#0"),
            (1, 0, "forward", "embed/aten.embedding[0]#0"),
            (1, 0, "backward", "blocks.2.norm/aten.native_layer_norm_backward[0]#0"),
            (0, 0, "optimizer", "AdamW/aten.addcdiv_[4]#0"),
        ]
        for number, (step, occurrence, phase, site) in enumerate(places):
            with self.subTest(site):
                folder = self.root / f"planted-{number}"
                self.plant(folder, f"{step} {occurrence} {phase} {site} 5")
                self.assertEqual(first_difference(clean, folder), (step, phase, site, occurrence))
                steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
                self.assertEqual([each["step"] for each in steps if "planted" in each], [step])
                witness = steps[step]["planted"]
                self.assertEqual(int(witness["before"], 16) ^ 1, int(witness["after"], 16))
                self.assertEqual((witness["element"], witness["changed"]), (5, 1))
                self.assertEqual(witness["caller"], site.split("/")[1].split("[")[0])

    def plant(self, folder: pathlib.Path, fault: str, level: str = "op") -> None:
        model, optimizer = make()
        with Recording(folder, model, optimizer, level, plant=fault):
            train(model, optimizer)

    def test_a_fault_that_no_step_comes_to_is_no_recording(self) -> None:
        with self.assertRaisesRegex(RecordError, "nothing was planted, the program did not come to step 7, forward"):
            self.plant(self.root / "a", "7 0 forward embed/aten.embedding[0]#0 5")
        self.assertFalse((self.root / "a/finished.json").exists())
        for number, (fault, level, line) in enumerate(
            (
                ("0 0 forward embed/aten.embedding[0]#0", "op", "a place and an element"),
                ("0 0 forward embed#0 5", "op", "an operator's result"),
                ("0 0 forward embed/aten.embedding[0]#0 5", "module", "level op, in one process"),
                ("0 0 forward embed/aten.embedding[0]#0 384", "op", "one of 384, from 0"),
            )
        ):
            with self.subTest(fault), self.assertRaisesRegex(InputError, line):
                self.plant(self.root / f"bad-{number}", fault, level)

    def test_a_fault_is_named_to_its_module_at_level_module(self) -> None:
        clean = self.recorded("clean", "module")
        faulty = self.recorded("faulty", "module", Fault("aten.addmm", 3))
        self.assertEqual(first_difference(clean, faulty), (0, "forward", "blocks.1.down#0", 0))
        faulty = self.recorded("backward", "module", Fault("aten.gelu_backward", 0))
        self.assertEqual(first_difference(clean, faulty), (0, "backward", "blocks.2.up#0.grad", 0))

    def test_levels_have_what_the_one_before_has(self) -> None:
        seen = [set(by_place(read(self.recorded(level, level)))) for level in LEVELS]
        self.assertLess(seen[0], seen[1])
        self.assertLess(seen[1], seen[2])

    def test_levels_agree_on_what_both_see(self) -> None:
        """Level op keeps digests of unchanged memory, level module computes each."""
        module, op = (by_place(read(self.recorded(level, level))) for level in ("module", "op"))
        self.assertEqual({place: op[place] for place in module}, module)

    def test_memory_that_was_written_to_is_digested_anew(self) -> None:
        with record(self.root / "a", level="op"):
            x = torch.zeros(2, 2)
            observe("before", x)
            x.view(4).add_(1)
            observe("after", x.view(4))
            observe("again", x.view(4))
        found = {each["site"]: each["digest"] for each in read(self.root / "a")}
        self.assertEqual(found["before"], slots.digest_of(torch.zeros(2, 2)))
        self.assertEqual(found["after"], slots.digest_of(torch.ones(4)))
        self.assertEqual(found["again"], found["after"])

    def test_each_line_is_what_the_page_says(self) -> None:
        keys = ["step", "phase", "rank", "site", "dtype", "shape", "digest"]
        for each in read(self.recorded("a")):
            scalar = ["bits", "value"] if each["shape"] == [] else []
            self.assertEqual([key for key in each if key != "nonfinite"], keys + scalar)
            self.assertRegex(each["digest"], "^[0-9a-f]{32}$")
        loss = next(each for each in read(self.root / "a") if each["site"] == "loss")
        tensor = torch.tensor(loss["value"], dtype=torch.float32)
        self.assertEqual(f"{int(tensor.view(torch.int32)):08x}", loss["bits"])
        self.assertEqual(slots.digest_of(tensor), loss["digest"])

    def test_random_draws_and_writes_in_place_are_seen_and_views_are_not(self) -> None:
        with record(self.root / "a", level="op"):
            x = torch.zeros(4)
            x.uniform_()
            x.view(2, 2).add_(1)
            torch.empty(3)
            y = torch.ones(2)
            torch._foreach_mul_([x, y], 3)
        sites = [each["site"] for each in read(self.root / "a")]
        names = ["zeros[0]#0", "uniform_[0]#0", "add_.Tensor[0]#0", "ones[0]#0"]
        names += ["_foreach_mul_.Scalar[0]#self.0", "_foreach_mul_.Scalar[0]#self.1"]
        self.assertEqual(sites, [f"program/aten.{name}" for name in names])
        self.assertEqual(read(self.root / "a")[-1]["digest"], slots.digest_of(torch.full((2,), 3.0)))

    def test_the_line_of_the_program_is_kept(self) -> None:
        sources = json.loads((self.recorded("a") / "sites-0.json").read_text())["sources"]
        self.assertRegex(sources["blocks.1/aten.gelu[0]#0"], r"programs\.py:\d+ in forward$")

    def test_a_step_ends_when_the_next_begins_or_by_hand(self) -> None:
        model, optimizer = make()
        with record(self.root / "a", model, optimizer, level="step"):
            train(model, optimizer, 3, lambda loss: observe("after", loss))
        steps = [each["step"] for each in read(self.root / "a") if each["site"] == "after"]
        self.assertEqual(steps, [0, 1, 2])
        model, optimizer = make()
        calls = iter([False, True, False, True])
        with record(self.root / "b", model, level="step"):
            train(model, optimizer, 4, lambda loss: samebits_record.step() if next(calls) else None)
        # Step 0 ended by itself, as nobody had ended one by hand before.
        losses = [each["step"] for each in read(self.root / "b") if each["site"] == "loss"]
        self.assertEqual(losses, [0, 1, 2, 2])
        lines = (self.root / "a/steps.jsonl").read_text().splitlines()
        self.assertEqual([json.loads(line)["step"] for line in lines], [0, 1, 2])

    def test_a_part_of_a_batch_is_what_the_sequence_alone_gives(self) -> None:
        model, _ = make()
        model.eval()
        ids = torch.randint(0, 50, (8, 6))
        with torch.no_grad(), record(self.root / "alone", model, level="module"):
            model(ids[2:3])
        with torch.no_grad(), record(self.root / "batch", model, level="module", part=(2, 8)):
            model(ids)
        found = [[each for each in read(self.root / name) if each["phase"] == "forward"] for name in ("alone", "batch")]
        self.assertEqual(*[[(each["site"], each["shape"]) for each in run] for run in found])
        self.assertEqual(found[0][0]["digest"], found[1][0]["digest"])  # the ids; what follows depends on the kernels
        with torch.no_grad(), record(self.root / "other", model, level="module", part=(3, 8)):
            model(ids)
        self.assertNotEqual(read(self.root / "other")[-1]["digest"], read(self.root / "batch")[-1]["digest"])

    def test_numbers_and_several_tensors_can_be_observed(self) -> None:
        with record(self.root / "a", level="step"):
            observe("lr", 0.1)
            observe("count", 3)
            observe("pair", [torch.ones(2), torch.tensor(1.5)])
        found = read(self.root / "a")
        self.assertEqual([each["site"] for each in found], ["lr", "count", "pair[0]", "pair[1]"])
        self.assertEqual([each.get("value") for each in found], [0.1, 3, None, 1.5])

    def test_a_recomputed_forward_has_its_own_phase(self) -> None:
        model, _ = make()
        with record(self.root / "a", model, level="op"):
            x = torch.ones(2, 16, requires_grad=True)
            checkpoint(model.blocks[0], x, use_reentrant=False).sum().backward()
        phases = {each["phase"] for each in read(self.root / "a") if each["site"] == "blocks.0.up/aten.addmm[0]#0"}
        self.assertEqual(phases, {"forward", "recompute"})

    def test_what_fails_leaves_no_marker_and_no_hook(self) -> None:
        model, optimizer = make()
        backward = torch.autograd.backward
        with self.assertRaises(ZeroDivisionError), record(self.root / "a", model, optimizer, level="op"):
            train(model, optimizer, 1)
            raise ZeroDivisionError
        self.assertFalse((self.root / "a/finished.json").exists())
        self.assertGreater(len(read(self.root / "a")), 20)
        self.assertIs(torch.autograd.backward, backward)
        self.assertFalse(any(each._forward_hooks or each._forward_pre_hooks for each in model.modules()))
        with self.assertRaises(InputError):
            observe("loss", 1.0)

    def test_an_exception_in_a_module_leaves_the_names_right(self) -> None:
        model, _ = make()
        with record(self.root / "a", model, level="op"):
            with contextlib.suppress(IndexError):
                model(torch.tensor([[99]]))
            torch.ones(1)
            model(torch.tensor([[1]]))
        sites = [each["site"] for each in read(self.root / "a")]
        self.assertIn("program/aten.ones[0]#0", sites)
        self.assertIn("blocks.2.down/aten.addmm[0]#0", sites)

    def test_a_tensor_that_no_digest_fits_is_told(self) -> None:
        error = io.StringIO()
        with contextlib.redirect_stderr(error), record(self.root / "a", level="step"):
            observe("sparse", torch.eye(3).to_sparse())
            observe("nothing", torch.ones(2, device="meta"))
            observe("complex", torch.ones(2, dtype=torch.complex64))
        told = "samebits_record: not observed, 1 times: a Tensor of float32, torch.sparse_coo, cpu\n"
        self.assertEqual(error.getvalue(), told)
        found = read(self.root / "a")
        self.assertEqual(
            [(each["site"], each["dtype"], each["shape"]) for each in found], [("complex.complex64", "float32", [2, 2])]
        )

    def test_equal_bytes_of_another_type_are_another_site(self) -> None:
        """The stream has no float8 and no complex numbers: the site tells them from what they are read through."""
        bytes_of = torch.arange(8, dtype=torch.uint8)
        kinds = ("float8_e4m3fn", "float8_e4m3fnuz", "uint16", "complex64")
        for name in (*kinds, "uint8"):
            with record(self.root / name, level="op"):
                observe("x", bytes_of.view(getattr(torch, name)))
        sites = [read(self.root / name)[-1]["site"] for name in (*kinds, "uint8")]
        self.assertEqual(sites, [*(f"x.{name}" for name in kinds), "x"])
        digests = [read(self.root / name)[-1]["digest"] for name in ("float8_e4m3fn", "float8_e4m3fnuz", "uint8")]
        self.assertEqual(len(set(digests)), 1)  # which is why
        with record(self.root / "op", level="op"):
            torch.ones(2, dtype=torch.complex64) * 2
        self.assertEqual(read(self.root / "op")[-1]["site"], "program/aten.mul.Tensor[0]#0.complex64")

    def test_more_than_the_slots_hold_is_read_in_parts(self) -> None:
        x = torch.zeros(1)
        with record(self.root / "a", level="op"):
            for _ in range((1 << 15) + 5):
                x.add_(1)
        found = read(self.root / "a")
        self.assertEqual(len(found), (1 << 15) + 5)
        self.assertEqual(found[-1]["digest"], slots.digest_of(torch.full((1,), (1 << 15) + 5.0)))
        self.assertEqual({each["step"] for each in found}, {0})

    def test_another_thread_is_not_seen_and_leaves_the_names_alone(self) -> None:
        model, _ = make()
        ids = torch.tensor([[1]])
        with record(self.root / "a", model, level="op"):
            other = threading.Thread(target=model, args=(ids,))
            model.embed.register_forward_hook(lambda *_: None if other.ident else (other.start(), other.join())[0])
            model(ids)
        sites = [each["site"] for each in read(self.root / "a")]
        self.assertEqual(sites.count("blocks.0.up/aten.addmm[0]#0"), 1)
        self.assertEqual(sites.count("embed#0"), 1)

    def test_what_a_dataclass_holds_is_seen(self) -> None:
        @dataclasses.dataclass
        class Output:
            first: torch.Tensor
            rest: list[torch.Tensor]

        class Pair(torch.nn.Module):
            def forward(self, x: torch.Tensor) -> Output:
                return Output(x + 1, [x + 2])

        with record(self.root / "a", level="module"):
            Pair()(torch.zeros(2))
        self.assertEqual([each["site"] for each in read(self.root / "a")], ["Pair#in0", "Pair#0", "Pair#1"])

    def test_a_fork_leaves_the_recording_alone(self) -> None:
        with record(self.root / "a", level="op"):
            child = os.fork()
            if child == 0:
                torch.ones(2)
                os._exit(0)
            os.waitpid(child, 0)
            torch.ones(3)
        self.assertEqual([each["shape"] for each in read(self.root / "a")], [[3]])

    def test_ranks_share_a_folder_and_the_last_to_end_writes_the_marker(self) -> None:
        environment = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(environment)))
        out = self.root / "a"
        for rank in (0, 1):
            os.environ.update(RANK=str(rank), WORLD_SIZE="2")
            with record(out, level="step"):
                for _ in range(rank + 1):
                    observe("loss", float(rank))
            self.assertEqual((out / "finished.json").exists(), rank == 1)
        marker = json.loads((out / "finished.json").read_text())
        self.assertEqual(marker["observations"], [1, 2])
        self.assertEqual(list(marker["files"]), ["rank-0.jsonl", "rank-1.jsonl", "steps.jsonl"])
        self.assertEqual({each["rank"] for each in read(out, 1)}, {1})

    def test_bad_input_is_one_line(self) -> None:
        model, _ = make()
        (self.root / "used").mkdir()
        (self.root / "used/notes.txt").write_text("mine")
        (self.root / "file").write_text("")
        for out, level, expected in (
            ("a", "layer", "level: found 'layer', expected step, module or op"),
            ("used", "op", r"used: found notes\.txt in it, expected a folder that is new or empty"),
            ("file", "op", "file: found .*, expected a folder that"),
        ):
            with self.subTest(out), self.assertRaisesRegex(InputError, expected) as caught:
                record(self.root / out, model, level=level)
            self.assertNotIn("\n", str(caught.exception))
        with self.assertRaisesRegex(InputError, "part: found 8/8, expected I/N with I from 0 to N - 1"):
            record(self.root / "a", part=(8, 8))
        with record(self.root / "b", level="step"):
            with self.assertRaisesRegex(InputError, "one at a time"):
                record(self.root / "c")
            with self.assertRaisesRegex(InputError, "observe"):
                observe("text", "not a number")
            for name in ("a\n\x1b", "a\x85", "a\u202e", "a\ud800"):
                with self.assertRaisesRegex(InputError, r"the name 'a\\.*', expected a name without control char"):
                    observe(name, 1.0)
            with self.assertRaisesRegex(InputError, r"observe: found the phase 'a\\n'"):
                observe("name", 1.0, phase="a\n")
            for number in (1 << 63, -(1 << 63) - 1, 1 << 20000):
                with self.assertRaisesRegex(InputError, r"observe\('big'\): found an integer of \d+ bits"):
                    observe("big", number)
            observe("größe", -(1 << 63))
        self.assertEqual([(each["site"], each["value"]) for each in read(self.root / "b")], [("größe", -(1 << 63))])


class Graph:
    """Stands for a torch.cuda.CUDAGraph."""


class GraphTapsTest(unittest.TestCase):
    """The book-keeping of CUDA graphs, with a graph that is a list of calls, on a CPU."""

    def test_each_replay_is_read_and_a_tap_that_never_fired_is_named(self) -> None:
        with (
            tempfile.TemporaryDirectory() as root,
            self.assertRaisesRegex(RecordError, "twice: its tap never fired"),
            record(pathlib.Path(root) / "a", level="step") as recording,
        ):
            recorder, value = recording.recorder, torch.zeros(3)
            taps, graph = GraphTaps(recorder), Graph()
            taps.before_capture(torch.device("cpu"))
            recorder.see("forward", "value", value)
            recorder.see("forward", "twice", value * 2)
            captured = recorder.captured
            taps.end(graph)
            assert captured is not None
            for step in range(3):
                value.fill_(step)
                captured.begin()  # what a replay launches again
                captured.slots.used = 0
                for tensor in (value, value * 2)[: 2 if step < 2 else 1]:
                    captured.slots.write(tensor)
                taps.replayed(graph)
                if step == 1:
                    samebits_record.step()
                    digests = [each["digest"] for each in read(pathlib.Path(root) / "a")]
                    expected = [slots.digest_of(torch.full((3,), x)) for x in (0.0, 0.0, 1.0, 2.0)]
                    self.assertEqual(digests, expected)

    def test_slots_live_as_long_as_the_graph_whose_replays_write_them(self) -> None:
        with tempfile.TemporaryDirectory() as root:
            graph = Graph()
            with record(pathlib.Path(root) / "a", level="step") as recording:
                taps = GraphTaps(recording.recorder)
                taps.before_capture(torch.device("cpu"))
                recording.recorder.see("forward", "value", torch.zeros(3))
                captured = recording.recorder.captured
                taps.end(graph)
                assert captured is not None
                words = weakref.ref(captured.slots.words)
            del taps, captured, recording
            gc.collect()
            self.assertIsNotNone(words(), "a replay after the recording would write into freed memory")
            del graph
            gc.collect()
            self.assertIsNone(words())

    def test_what_is_allocated_for_a_graph_is_no_operator_of_the_program(self) -> None:
        with tempfile.TemporaryDirectory() as root:
            with record(pathlib.Path(root) / "a", level="op") as recording:
                taps = GraphTaps(recording.recorder)
                taps.before_capture(torch.device("cpu"))
                taps.begin()
                recording.recorder.captured = None
            self.assertEqual(read(pathlib.Path(root) / "a"), [])


if __name__ == "__main__":
    unittest.main()
