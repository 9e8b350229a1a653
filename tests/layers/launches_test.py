"""Every kernel of harness/ is launched by launch.cuh, which checks what the card answers; a launch
by <<<>>> is checked by nobody. Run by ctest."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BARE = re.compile(r"<<<|\bcuda(Launch|LaunchCooperative)Kernel\w*\s*\(|\bcuLaunchKernel\w*\s*\(")
LAUNCHES = "harness/kernels/cuda/runtime/launch.cuh"
# Calls whose answer is dropped: statements that begin with the call, or are cast to void.
UNCHECKED = re.compile(r"^\s*(?:\(void\)\s*)?(cuda(?:Func|Memset|Memcpy|Malloc|Stream|Event|Graph)\w*)\(")


def bare_launches(path, text):
    """One line for every launch in `text` that launch.cuh does not make."""
    if path == LAUNCHES:
        return []
    lines = enumerate(text.splitlines(), start=1)
    # A launch whose answer is returned is checked by whoever asked for it.
    return [f"{path}:{i}: {line.strip()}" for i, line in lines
            if BARE.search(line.split("//")[0]) and not line.strip().startswith("return cudaLaunchKernelEx(")]


def unchecked_calls(path, text):
    """One line for every call of the runtime whose answer nobody looks at."""
    lines = text.splitlines()
    # What follows an open bracket or a sign of equality is somebody's argument or value.
    begins = [True] + [not line.split("//")[0].rstrip().endswith(("(", "=")) for line in lines]
    return [f"{path}:{i}: {line.strip()}" for i, line in enumerate(lines, start=1)
            if begins[i - 1] and UNCHECKED.search(line)]


class LaunchesTest(unittest.TestCase):
    def sources(self):
        files = [p for p in sorted((ROOT / "harness").rglob("*")) if p.suffix in (".h", ".cpp", ".cu", ".cuh")]
        self.assertGreater(len(files), 100)
        return [(file.relative_to(ROOT).as_posix(), file.read_text()) for file in files]

    def test_every_launch_is_checked(self):
        found = [line for source in self.sources() for line in bare_launches(*source)]
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_every_call_is_checked(self):
        found = [line for source in self.sources() for line in unchecked_calls(*source)]
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_a_bare_launch_is_found(self):
        for text in ("  kernel<<<1, 32, 0, stream>>>(x);", "  cudaLaunchKernelEx(&config, kernel, x);"):
            self.assertEqual(len(bare_launches("harness/kernels/cuda/rows/rows.cu", text)), 1, text)
        self.assertEqual(bare_launches("harness/kernels/cuda/rows/rows.cu", "  launch(kernel, grid);"), [])

    def test_an_unchecked_call_is_found(self):
        text = "  cudaMemsetAsync(x, 0, n, stream);\n  (void)cudaGraphDestroy(graph);\n"
        self.assertEqual(len(unchecked_calls("harness/kernels/cuda/rows/rows.cu", text)), 2)
        self.assertEqual(unchecked_calls("harness/x.cu", "  check_call(cudaMemsetAsync(x, 0, n, s), w);"), [])
        self.assertEqual(unchecked_calls("harness/x.cu", "  CHECK(\n      cudaMemsetAsync(x, 0, n, s));"), [])
        self.assertEqual(len(unchecked_calls("harness/x.cu", "  x();\n  cudaMemsetAsync(x, 0, n, s);")), 1)


if __name__ == "__main__":
    unittest.main()
