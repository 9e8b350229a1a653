"""Ranks in processes, by the command line: runs, launchers, and ranks that break.

ranks_test.py SAMEBITS"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from waiting import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(sys.argv.pop()).resolve()
ARM = ["run", "cases/ranks.json", "--arm"]


def environment(**more):
    """Without what a launcher of this test may have said of itself."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return {**kept, "OMP_NUM_THREADS": "1", **{name: str(value) for name, value in more.items()}}


def start(arguments, **more):
    return subprocess.Popen([str(PROGRAM), *arguments], cwd=ROOT, env=environment(**more), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(arguments, **more):
    process = start(arguments, **more)
    out, error = process.communicate(timeout=300)
    return process.returncode, out, error


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ranks_of(process):
    """The processes of the ranks that `process` started, by rank."""
    ranks = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            status = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            variables = (folder / "environ").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue
        if command[:2] != [b"samebits", b"rank"] or int(status[1]) != process.pid or status[0] == "Z":
            continue
        for variable in variables:
            if variable.startswith(b"RANK="):
                ranks[int(variable[5:])] = int(folder.name)
    return ranks


class Ranks(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.out = pathlib.Path(self.temporary.name) / "run"

    def flags(self, *arms, steps=2):
        arguments = ["run", "cases/ranks.json", "--steps", str(steps), "--out", str(self.out)]
        for arm in arms:
            arguments += ["--arm", arm]
        return arguments

    def lines_of(self, arm, rank):
        return (self.out / arm / f"rank-{rank}.jsonl").read_text().splitlines()

    def test_two_ranks_give_the_bits_of_one_process_in_whole_streams(self):
        code, out, error = run(self.flags("local", "gloo-tp2"))
        self.assertEqual((code, error), (0, ""), out)
        local = self.lines_of("local", 0)
        self.assertEqual(self.lines_of("gloo-tp2", 0), local)
        other = [line.replace('"rank":1,', '"rank":0,') for line in self.lines_of("gloo-tp2", 1)]
        self.assertEqual(other, local)
        self.assertEqual(len((self.out / "gloo-tp2" / "steps-1.jsonl").read_text().splitlines()), 2)

    def test_what_is_asked_after_the_last_step_is_there(self):
        flags = self.flags("gloo-tp2", steps=1) + ["--set", "gloo-tp2.generator=captured", "--set",
                                                   "gloo-tp2.trainer=captured"]
        self.assertEqual(run(flags)[0], 0)
        self.assertTrue(json.loads((self.out / "gloo-tp2" / "guards.json").read_text()))
        self.assertTrue((self.out / "gloo-tp2" / "graph-0.json").exists())

    def test_a_rank_that_saw_something_else_fails_its_arm(self):
        self.assertEqual(run(self.flags("local", "gloo-dp2", steps=1))[0], 0)
        stream = self.out / "gloo-dp2" / "rank-1.jsonl"
        lines = stream.read_text().splitlines()
        at = next(i for i, line in enumerate(lines) if '"site":"layers.1.attention.wo.weight"' in line)
        other = json.loads(lines[at])
        other["digest"] = "0" * 32
        lines[at] = json.dumps(other, separators=(",", ":"))
        stream.write_text("\n".join(lines) + "\n")
        code, out, _ = run(["report", str(self.out), "--format", "json"])
        self.assertEqual(code, 1)
        self.assertIn("ranks 0 and 1 differ at step 0, weights, layers.1.attention.wo.weight", out)

    def test_a_killed_rank_is_named_and_nothing_stays(self):
        process = start(self.flags("gloo-tp2", steps=1000))
        ranks = wait_for(lambda: (found := ranks_of(process)) and len(found) == 2 and found)
        wait_for(lambda: (self.out / "gloo-tp2" / "steps.jsonl").exists()
                 and (self.out / "gloo-tp2" / "steps.jsonl").read_text())
        os.kill(ranks[1], signal.SIGKILL)
        begun = time.monotonic()
        out, error = process.communicate(timeout=60)
        self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual(process.returncode, 3, out)
        self.assertRegex(error, r"^samebits: arm gloo-tp2, step \d+, .*: rank 1 was killed by signal 9")
        self.assertEqual(len(error.splitlines()), 1)
        self.assertFalse([pid for pid in ranks.values() if pathlib.Path(f"/proc/{pid}").exists()])
        self.assertTrue(self.lines_of("gloo-tp2", 1))

    def test_a_checkpoint_of_whole_optimizer_state_goes_on_sharded(self):
        flags = self.flags("gloo-dp2", steps=6) + ["--set", "checkpoint_every=1"]
        process = start(flags)
        ranks = wait_for(lambda: (found := ranks_of(process)) and len(found) == 2 and found)
        wait_for(lambda: (self.out / "gloo-dp2" / "steps.jsonl").exists()
                 and (self.out / "gloo-dp2" / "steps.jsonl").read_text())
        os.kill(ranks[1], signal.SIGKILL)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3)
        layout = '{"kind": "gloo", "dp": 2, "optimizer_state": "sharded"}'
        code, out, error = run(flags + ["--resume", "--set", f"gloo-dp2.mesh={layout}"])
        self.assertEqual((code, error), (0, ""), out)
        resumed = self.lines_of("gloo-dp2", 0)
        self.out = self.out.parent / "undisturbed"
        self.assertEqual(run(self.flags("local", steps=6))[0], 0)
        self.assertEqual(resumed, self.lines_of("local", 0))

    def test_one_machine_may_be_joined_by_gloo(self):
        code, out, error = run(self.flags("local", "gloo-tp2", steps=1), GLOO_SOCKET_IFNAME="lo")
        self.assertEqual((code, error), (0, ""), out)
        self.assertEqual(self.lines_of("gloo-tp2", 0), self.lines_of("local", 0))

    def test_a_stopped_rank_is_named_when_the_time_is_over(self):
        process = start(self.flags("gloo-tp2", steps=1000) + ["--set", "timeout_s=12"])
        ranks = wait_for(lambda: (found := ranks_of(process)) and len(found) == 2 and found)
        wait_for(lambda: (self.out / "gloo-tp2" / "steps.jsonl").exists()
                 and (self.out / "gloo-tp2" / "steps.jsonl").read_text())
        os.kill(ranks[0], signal.SIGSTOP)
        out, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3, out)
        self.assertRegex(error, r"rank 0: arm gloo-tp2, step \d+, .*; rank 1 waits for it in collective \d+ "
                                r"\(all_\w+\)")
        self.assertIn("after timeout_s, 12 s", error)
        wait_for(lambda: not [pid for pid in ranks.values() if pathlib.Path(f"/proc/{pid}").exists()], 5)

    def test_a_stopped_replica_is_named_though_it_has_begun_more_collectives(self):
        process = start(self.flags("gloo-dp2", steps=1000) + ["--set", "timeout_s=15"])
        ranks = wait_for(lambda: (found := ranks_of(process)) and len(found) == 2 and found)
        wait_for(lambda: (self.out / "gloo-dp2" / "steps.jsonl").exists()
                 and (self.out / "gloo-dp2" / "steps.jsonl").read_text())
        os.kill(ranks[1], signal.SIGSTOP)
        _, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3)
        self.assertRegex(error, r"^samebits: rank 1: arm gloo-dp2, step \d+, ")

    def test_a_run_that_is_killed_takes_its_ranks_along(self):
        process = start(self.flags("gloo-tp2", steps=1000))
        ranks = wait_for(lambda: (found := ranks_of(process)) and len(found) == 2 and found)
        process.kill()
        process.communicate()
        wait_for(lambda: not [pid for pid in ranks.values() if pathlib.Path(f"/proc/{pid}").exists()], 5)

    def test_a_rank_that_is_stopped_as_it_starts_ends_with_its_run(self):
        process = start(self.flags("gloo-tp2", steps=1000))
        ranks = wait_for(lambda: ranks_of(process))
        os.kill(min(ranks.values()), signal.SIGSTOP)
        process.kill()
        process.communicate(timeout=20)  # nobody holds its stderr any more
        wait_for(lambda: not [pid for pid in ranks.values() if pathlib.Path(f"/proc/{pid}").exists()], 5)

    def test_a_rank_that_is_stopped_as_it_starts_is_named(self):
        process = start(self.flags("gloo-tp2", steps=1000) + ["--set", "timeout_s=10"])
        os.kill(wait_for(lambda: ranks_of(process).get(1)), signal.SIGSTOP)
        _, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3)
        self.assertRegex(error, r"^samebits: arm gloo-tp2, waiting for rank 1 of 2")

    def launched(self, size, flags_of, **more):
        """As torchrun starts them, without a store of its own."""
        port = free_port()
        processes = [start(flags_of(rank), RANK=rank, WORLD_SIZE=size, LOCAL_RANK=rank, MASTER_ADDR="127.0.0.1",
                           MASTER_PORT=port, **more) for rank in range(size)]
        return [(process.returncode, out, error) for process in processes
                for out, error in [process.communicate(timeout=200)]]

    def test_a_launcher_s_processes_are_the_ranks(self):
        results = self.launched(2, lambda rank: self.flags("local", "gloo-tp2", "gloo-dp2", steps=1))
        self.assertEqual([code for code, _, _ in results], [0, 0], results)
        self.assertIn("equal to the bit", results[0][1])
        self.assertEqual(results[1][1:], ("", ""))
        self.assertEqual(len(self.lines_of("gloo-dp2", 1)), len(self.lines_of("local", 0)))

    def test_ranks_of_another_case_are_refused(self):
        results = self.launched(
            2, lambda rank: self.flags("gloo-tp2", steps=1) + (["--set", "seed=7"] if rank == 1 else []))
        self.assertEqual(results[0][0], 2, results)
        self.assertEqual(results[0][2],
                         "samebits: rank 1: case.arms.gloo-tp2.seed: found 7, expected 42, as rank 0 has it\n")
        self.assertNotEqual(results[1][0], 0)
        self.assertFalse(self.out.exists())

    def test_another_number_of_processes_is_refused(self):
        code, _, error = run(self.flags("gloo-tp4", steps=1), RANK=0, WORLD_SIZE=2, MASTER_PORT=free_port())
        self.assertEqual(code, 2)
        self.assertEqual(error, "samebits: arm gloo-tp4: mesh: found 4 ranks (tp 4, dp 1), expected 2, as many as "
                                "were launched (--arm selects arms)\n")
        self.assertFalse(self.out.exists())

    def test_a_port_in_use_and_a_bad_variable_are_one_line(self):
        with socket.socket() as listener:
            listener.bind(("0.0.0.0", 0))
            listener.listen()
            port = listener.getsockname()[1]
            code, _, error = run(self.flags("gloo-tp2", steps=1), RANK=0, WORLD_SIZE=2, MASTER_PORT=port)
        self.assertEqual(code, 3)
        self.assertIn(f"no store can be served at 127.0.0.1:{port}", error)
        code, _, error = run(self.flags("gloo-tp2", steps=1), RANK="two", WORLD_SIZE=2)
        self.assertEqual((code, error), (2, 'samebits: the environment: RANK: found "two", expected a number from 0 '
                                            'to 1\n'))

    def test_replicas_that_do_not_divide_the_groups_are_refused(self):
        for dp in (3, 16):
            code, _, error = run(self.flags("gloo-dp2") + ["--set", f"gloo-dp2.mesh.dp={dp}"])
            self.assertEqual(code, 2)
            self.assertEqual(error, f"samebits: arm gloo-dp2: mesh.dp: found {dp}, expected a power of two that divides "
                                    "workload.gradient_groups, 8\n")


if __name__ == "__main__":
    unittest.main()
