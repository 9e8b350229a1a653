"""Makes an AOTInductor package of a small block in bfloat16, for the CPU: rotary embedding as Qwen
rotates halves, which eager rounds after every operator and inductor once.

    python make_package.py PACKAGE.pt2 [--record recorded.safetensors]

A package serves the torch that made it. Its inputs are x [2, 3, 5, 8] and cos and sin [2, 1, 5, 8],
its output is [2, 3, 5, 8]. --record writes the inputs, eager's output and the package's (as Python
runs it), for which it needs the package safetensors."""

import argparse
import pathlib

import torch


class Rope(torch.nn.Module):
    def forward(self, x, cos, sin):
        low, high = x.chunk(2, dim=-1)
        return x * cos + torch.cat((-high, low), dim=-1) * sin


def record(file, tensors):
    from safetensors.torch import save_file

    save_file(tensors, file, metadata={"torch": torch.__version__})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=pathlib.Path, help="a file that ends in .pt2")
    parser.add_argument("--record", type=pathlib.Path, help="a safetensors file to write")
    options = parser.parse_args()
    torch.manual_seed(99)
    x = torch.randn(2, 3, 5, 8, dtype=torch.bfloat16)
    cos, sin = (t.clone() for t in torch.randn(2, 2, 1, 5, 8, dtype=torch.bfloat16))
    rope = Rope()
    options.package.parent.mkdir(parents=True, exist_ok=True)
    program = torch.export.export(rope, (x, cos, sin))
    torch._inductor.aoti_compile_and_package(program, package_path=str(options.package))
    eager = rope(x, cos, sin)
    packaged = torch._inductor.aoti_load_package(str(options.package))(x, cos, sin)
    if options.record:
        inputs = {"x": x, "cos": cos, "sin": sin}
        record(options.record, {**inputs, "eager": eager, "packaged": packaged})
    differing = int((eager != packaged).sum())
    print(f"{options.package}: {differing} of {eager.numel()} elements differ from eager")


if __name__ == "__main__":
    main()
