"""What stands in for the recorder (python/) in tests of how it is called: it runs a program that observes itself, as
`python -m samebits_record --out DIR --level LEVEL [--alone PLACE] -- PROGRAM ARGS`, and writes a script where it is asked
to and the program's arguments have no `--whole`, of which no operator alone would differ."""

import pathlib
import runpy
import sys

end = sys.argv.index("--")
flags = dict(zip(sys.argv[1:end:2], sys.argv[2:end:2]))
program, *rest = sys.argv[end + 1:]
is_whole = "--whole" in rest
sys.argv = [program, flags["--out"], "--level", flags["--level"], *(word for word in rest if word != "--whole")]
runpy.run_path(program, run_name="__main__")
if "--alone" in flags and is_whole:
    print("no operator alone differs: what the compiler fuses does")
elif "--alone" in flags:
    out = pathlib.Path(flags["--out"])
    (out / "upstream.py").write_text(f"# {flags['--alone']}\n")
    (out / "inputs.safetensors").write_text("inputs\n")
    print("aten.mul.Tensor[0] alone, for stock torch")
