"""Records what stock torch.distributed.tensor does.

python record.py [NAME]...      a NAME is one of FILES; all of them if none is given
"""

import pathlib
import sys

import autograd
import grid_autograd
import grid_ops
import grid_redistribute
import harness
import ops_matmul
import ops_pointwise
import ops_reduce
import ops_shape
import redistribute

FILES = {
    "redistribute": redistribute,
    "autograd": autograd,
    "ops_pointwise": ops_pointwise,
    "ops_shape": ops_shape,
    "ops_reduce": ops_reduce,
    "ops_matmul": ops_matmul,
    "grid_redistribute": grid_redistribute,
    "grid_autograd": grid_autograd,
    "grid_ops": grid_ops,
}

if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parent
    for name in sys.argv[1:] or FILES:
        harness.record(here / f"{name}.json", FILES[name])
