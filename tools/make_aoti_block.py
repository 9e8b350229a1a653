"""Makes an AOTInductor package of a small block in bfloat16, for the CPU: rotary embedding as Qwen
rotates halves, which eager rounds after every operator and inductor once (repro
inductor_elides_bf16_rounding).

    python tools/make_aoti_block.py out/rope.pt2

A package serves the torch that made it. Its inputs are x [2, 3, 5, 8] and cos and sin [2, 1, 5, 8],
its output is [2, 3, 5, 8]; beside it goes NAME.inputs.pt, a list of the inputs, eager's output and
the output of the package in Python, which torch::pickle_load reads."""

import argparse
import pathlib

import torch


class Rope(torch.nn.Module):
    def forward(self, x, cos, sin):
        low, high = x.chunk(2, dim=-1)
        return x * cos + torch.cat((-high, low), dim=-1) * sin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=pathlib.Path, help="a file that ends in .pt2")
    package = parser.parse_args().package
    torch.manual_seed(99)
    x = torch.randn(2, 3, 5, 8, dtype=torch.bfloat16)
    cos, sin = torch.randn(2, 2, 1, 5, 8, dtype=torch.bfloat16)
    rope = Rope()
    package.parent.mkdir(parents=True, exist_ok=True)
    program = torch.export.export(rope, (x, cos, sin))
    torch._inductor.aoti_compile_and_package(program, package_path=str(package))
    eager = rope(x, cos, sin)
    compiled = torch._inductor.aoti_load_package(str(package))(x, cos, sin)
    torch.save([x, cos, sin, eager, compiled], package.with_suffix(".inputs.pt"))
    differing = int((eager != compiled).sum())
    print(f"{package}: {differing} of {eager.numel()} elements differ from eager")


if __name__ == "__main__":
    main()
