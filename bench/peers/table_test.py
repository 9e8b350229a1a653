"""The join of our figures with a peer's. Run by ctest."""

import json
import unittest

import table

FIGURES = {"tokens/s": 100.0, "first_ms": 2.0, "token_mean": 1.0, "token_sd": 0.1, "token_median": 1.0,
           "token_least": 0.9, "token_most": 1.1, "peak": 2**30}
SHAPE = {"prompt": 30, "sequences": 40, "runs": 5}


def ours(mode, new=20, **more):
    name = f"generator/0.6B/{mode}/prompt:30/sequences:40/new:{new}/iterations:5/real_time"
    return {**FIGURES, "name": name, "real_time": 10.0, **more}


def joined(runs, peers):
    context = {"samebits": "0.1.0, commit abc", "LibTorch": "2.11.0"}
    versions = {"torch": "2.11.0", "transformers": "5.0", "device": "H100"}
    return table.table(json.dumps({"context": context, "benchmarks": runs}),
                       "\n".join(["a warning", *map(json.dumps, [versions, *peers])]))


class TableTest(unittest.TestCase):
    def test_the_fastest_mode_is_set_against_every_peer(self):
        peers = [{**FIGURES, **SHAPE, "mode": "eager", "new": 20, "ms": 50.0, "token_median": 4.0},
                 {**FIGURES, **SHAPE, "mode": "compile", "new": 64, "ms": 99.0, "token_median": 1.5}]
        text = joined([ours("eager", token_median=9.0), ours("full_graph", token_median=0.5)], peers)
        self.assertIn("samebits 0.1.0, commit abc, LibTorch 2.11.0; Transformers 5.0, torch 2.11.0, on H100.", text)
        self.assertIn("| samebits, eager | 20 | 5 | 10.0 | 100 | 2.00 | 1.000 | 0.100 | 9.000 | 0.900 to 1.100 | 1.00 |",
                      text)
        # Runs of other lengths are not compared as a whole.
        self.assertIn("Against samebits, full_graph: Transformers, eager: 8.00 times its time a token, 5.00 times a "
                      "run; Transformers, torch.compile: 3.00 times its time a token.", text)

    def test_what_did_not_run_and_what_is_no_generation_are_left_out(self):
        text = joined([ours("eager", error_occurred=True), {"name": "generator/tiny/eager"}], [])
        self.assertNotIn("eager", text)


if __name__ == "__main__":
    unittest.main()
