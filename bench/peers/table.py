"""One Markdown table of generations from `samebits bench generator --out OURS` and from hf_generate.py.

    python3 bench/peers/table.py OURS.json PEERS.jsonl >table.md
"""

import json
import re
import sys

NAME = re.compile(r"generator/0\.6B/(?P<mode>\w+)/prompt:(?P<prompt>\d+)/sequences:(?P<sequences>\d+)"
                  r"/new:(?P<new>\d+)/iterations:(?P<runs>\d+)/real_time")
PEERS = {"eager": "Transformers, eager", "compile": "Transformers, torch.compile"}
HEADER = """\
| | new tokens | runs | ms a run | tokens/s | ms to first token | ms a token: mean | sd | median | range | peak, GiB |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""


def read_ours(text):
    """Rows as hf_generate.py prints them, in the file's order, and the versions in one line."""
    measured = json.loads(text)
    rows = []
    for run in measured["benchmarks"]:
        found = NAME.fullmatch(run["name"])
        if found is None or run.get("error_occurred"):
            continue
        shape = {key: int(found[key]) for key in ("prompt", "sequences", "new", "runs")}
        rows.append({**run, **shape, "mode": "samebits, " + found["mode"], "ms": run["real_time"]})
    context = measured["context"]
    return rows, f"samebits {context['samebits']}, LibTorch {context['LibTorch']}"


def read_peers(text):
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    if not lines:
        return [], "no peer measured"
    versions = lines.pop(0)
    rows = [{**line, "mode": PEERS[line["mode"]]} for line in lines]
    return rows, (f"Transformers {versions['transformers']}, torch {versions['torch']}, "
                  f"on {versions['device']}")


def row_text(row):
    figures = [f"{row['ms']:.1f}", f"{row['tokens/s']:,.0f}", f"{row['first_ms']:.2f}", f"{row['token_mean']:.3f}",
               f"{row['token_sd']:.3f}", f"{row['token_median']:.3f}",
               f"{row['token_least']:.3f} to {row['token_most']:.3f}", f"{row['peak'] / 2**30:.2f}"]
    return " | ".join([f"| {row['mode']}", f"{row['new']:,}", str(row["runs"]), *figures]) + " |"


def factors_text(ours, peers):
    """The times of each peer by those of our fastest mode; of a whole run where both make as many tokens."""
    best = min(ours, key=lambda row: row["token_median"])
    said = []
    for peer in peers:
        text = f"{peer['mode']}: {peer['token_median'] / best['token_median']:.2f} times its time a token"
        if peer["new"] == best["new"]:
            text += f", {peer['ms'] / best['ms']:.2f} times a run"
        said.append(text)
    return f"Against {best['mode']}: " + "; ".join(said) + "."


def table(ours_text, peers_text):
    ours, our_versions = read_ours(ours_text)
    peers, peer_versions = read_peers(peers_text)
    shapes = dict.fromkeys((row["sequences"], row["prompt"]) for row in ours + peers)
    lines = [f"{our_versions}; {peer_versions}.", ""]
    for sequences, prompt in sorted(shapes):
        def of_shape(rows):
            return [row for row in rows if (row["sequences"], row["prompt"]) == (sequences, prompt)]

        rows = of_shape(ours), of_shape(peers)
        lines += [f"Sequences: {sequences}; prompt tokens of each: {prompt:,}", "", HEADER]
        lines += [row_text(row) for row in rows[0] + rows[1]]
        lines.append("")
        if rows[0] and rows[1]:
            lines += [factors_text(*rows), ""]
    return "\n".join(lines)


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} OURS.json PEERS.jsonl")
    texts = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    print(table(*texts), end="")


if __name__ == "__main__":
    main()
