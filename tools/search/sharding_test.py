"""The comparison of sharding.py sees what it should, and nothing else. Needs torch; run it by hand:

    python tools/search/sharding_test.py"""

import unittest

import torch
import torch.distributed as dist
from torch.distributed._local_tensor import LocalTensor, LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

import sharding

PLAIN = torch.arange(15.0).view(5, 3)


class CompareTest(unittest.TestCase):
    def setUp(self):
        if not dist.is_initialized():
            dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())

    def kind(self, parts, placement, shape=(5, 3), stride=(3, 1)):
        with LocalTensorMode(2):
            mesh = init_device_mesh("cpu", (2,))
            got = DTensor.from_local(
                LocalTensor(dict(enumerate(parts))),
                mesh,
                [placement],
                run_check=False,
                shape=torch.Size(shape),
                stride=stride,
            )
        difference = sharding.compare(got, PLAIN)
        return difference and difference[0]

    def test_what_split_lays_out_is_the_same(self):
        partials = [Partial(reduction) for reduction in sharding.REDUCTIONS]
        for placement in (Shard(0), Shard(1), Replicate(), *partials):
            self.assertIsNone(self.kind(sharding.split(PLAIN, [placement], [2]), placement))

    def test_an_element_that_differs_is_a_value(self):
        for placement in (Shard(0), Replicate(), Partial()):
            parts = sharding.split(PLAIN.clone(), [placement], [2])
            parts[1][0, 0] += 1
            try:
                self.assertEqual(self.kind(parts, placement), "value")
            except sharding.Disagreement:
                self.assertIsInstance(placement, Replicate)

    def test_a_wrong_claim_is_named(self):
        parts = sharding.split(PLAIN, [Shard(0)], [2])
        self.assertEqual(self.kind(parts, Shard(0), shape=(5, 4)), "shape")
        self.assertEqual(self.kind(parts, Shard(0), stride=(1, 5)), "stride")
        self.assertEqual(self.kind([p.int() for p in parts], Shard(0)), "dtype")
        self.assertEqual(self.kind(parts[::-1], Shard(0)), "shard")
        self.assertEqual(self.kind(parts, Shard(1)), "shard")

    def test_a_call_that_never_ends_is_a_hang(self):
        endless = "any(False for _ in iter(int, 1))"
        self.assertEqual(sharding.outcome_of(endless, {}, [], gradients=False)[0], "hang")
        self.assertEqual(sharding.outcome_of("[]", {}, [], gradients=False)[0], "same")


if __name__ == "__main__":
    unittest.main()
