"""The join of our figures with a peer's. Run by ctest."""

import json
import unittest

import table

FIGURES = {"token_mean": 1.0, "token_sd": 0.1, "token_median": 1.0, "token_least": 0.9, "token_most": 1.1,
           "peak": 2**20}
OURS = {**FIGURES, "tokens": 4000.0, "rate_mean": 100.0, "rate_sd": 1.5, "rate_median": 99.0, "rate_least": 98.0,
        "rate_most": 102.0, "reserved": 2**22, "pool": 2**21, "first_mean": 2.0, "first_sd": 0.2, "first_median": 2.1, "first_least": 1.8,
        "first_most": 2.3}
PEER = {**FIGURES, "tokens/s": 25.0, "first_ms": 4.0}
SHAPE = {"prompt": 30, "sequences": 40, "runs": 5}


def ours(mode, new=20, model="0.6B", **more):
    name = f"generator/{model}/{mode}/prompt:30/sequences:40/new:{new}/iterations:5/real_time"
    return {**OURS, "name": name, **more}


def joined(runs, peers):
    context = {"samebits": "0.1.0, commit abc", "LibTorch": "2.11.0"}
    versions = {"torch": "2.11.0", "transformers": "5.0", "device": "H100"}
    return table.table(json.dumps({"context": context, "benchmarks": runs}),
                       "\n".join(["a warning", *map(json.dumps, [versions, *peers])]))


class TableTest(unittest.TestCase):
    def test_the_fastest_mode_is_set_against_every_peer(self):
        peers = [{**PEER, **SHAPE, "mode": "eager", "new": 20, "token_median": 4.0},
                 {**PEER, **SHAPE, "mode": "compile", "new": 64, "token_median": 1.5}]
        text = joined([ours("eager", token_median=9.0), ours("full_graph", token_median=0.5, rate_mean=250.0)], peers)
        self.assertIn("samebits 0.1.0, commit abc, LibTorch 2.11.0; Transformers 5.0, torch 2.11.0, on H100.", text)
        self.assertIn("| samebits, eager | 4,000 | 5 | 100.0 | 1.5 | 99.0 | 98.0 to 102.0 | 2.00 | 0.20 | 2.10 | "
                      "1.80 to 2.30 | 1.000 | 0.100 | 9.000 | 0.900 to 1.100 | 1.0 | 4.0 | 2.0 | 1.00 |", text)
        self.assertIn("| 1.0 | 4.0 | 2.0 | 2.50 |", text)  # full_graph's tokens/s by eager's
        self.assertIn("| Transformers, eager | 4,000 | 5 | 25.0 |  |  |  |  |  | 4.00 |  | 1.000 |", text)
        # Runs of other lengths are not compared as a whole.
        self.assertIn("Against samebits, full_graph: Transformers, eager: 8.00 times its time a token, 10.00 times a "
                      "run; Transformers, torch.compile: 3.00 times its time a token.", text)

    def test_eager_of_another_model_is_no_measure(self):
        text = joined([ours("eager"), ours("full_graph", model="tiny")], [])
        self.assertRegex(text, r"samebits, full_graph .* 2\.0 \|  \|")

    def test_what_did_not_run_and_what_is_no_generation_are_left_out(self):
        text = joined([ours("eager", error_occurred=True), {"name": "generator/tiny/eager"}], [])
        self.assertNotIn("eager", text)


if __name__ == "__main__":
    unittest.main()
