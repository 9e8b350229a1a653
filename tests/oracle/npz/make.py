"""Writes the archives of this folder."""

import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
ARRAYS = {
    "rows": np.array([[1, 2, 3], [4, 5, 6]], np.float32),
    "columns": np.asfortranarray(np.array([[1, 2, 3], [4, 5, 6]], np.float32)),
    "loss": np.array(0.1, np.float64),
    "ids": np.array([7, -1], np.int64),
    "mask": np.array([True, False]),
    "half": np.array([0.5], np.float16),
    "none": np.zeros((0, 3), np.float32),
}

np.savez(HERE / "stored.npz", **ARRAYS)
np.savez_compressed(HERE / "deflated.npz", **ARRAYS)
np.savez(HERE / "complex.npz", z=np.array([1j]))
