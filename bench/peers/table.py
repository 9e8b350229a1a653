"""Markdown tables of generations from `samebits bench generator --out OURS`, and from hf_generate.py where it ran.

    python3 bench/peers/table.py OURS.json [PEERS.jsonl] >table.md
"""

import json
import re
import sys

NAME = re.compile(r"generator/(?P<model>[^/]+)/(?P<mode>\w+)/prompt:(?P<prompt>\d+)/sequences:(?P<sequences>\d+)"
                  r"/new:(?P<new>\d+)/iterations:(?P<runs>\d+)/real_time")
PEERS = {"eager": "Transformers, eager", "compile": "Transformers, torch.compile"}
FIGURES = "mean | sd | median | range"
HEADER = f"""\
| | tokens | runs | tokens/s: {FIGURES} | ms to first token: {FIGURES} | ms a token: {FIGURES} | peak, MiB | reserved | graphs | to eager |
|---|{"---:|" * 18}"""


def read_ours(text):
    """Rows in the file's order, and the versions in one line."""
    measured = json.loads(text)
    rows = []
    for run in measured["benchmarks"]:
        found = NAME.fullmatch(run["name"])
        if found is None or run.get("error_occurred"):
            continue
        shape = {key: int(found[key]) for key in ("prompt", "sequences", "new", "runs")}
        rows.append({**run, **shape, "model": found["model"], "mode": "samebits, " + found["mode"]})
    context = measured["context"]
    return rows, f"samebits {context['samebits']}, LibTorch {context['LibTorch']}"


def read_peers(text):
    """The same of a peer, which tells the rate of all runs and one time to the first token."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    if not lines:
        return [], "no peer measured"
    versions = lines.pop(0)
    rows = [{**line, "mode": PEERS[line["mode"]], "rate_mean": line["tokens/s"], "first_median": line["first_ms"],
             "tokens": line["sequences"] * line["new"] * line["runs"]} for line in lines]
    return rows, (f"Transformers {versions['transformers']}, torch {versions['torch']}, "
                  f"on {versions['device']}")


def figures_text(row, name, digits):
    def text(figure):
        value = row.get(f"{name}_{figure}")
        return "" if value is None else f"{value:,.{digits}f}"

    ends = [text("least"), text("most")]
    return [text("mean"), text("sd"), text("median"), " to ".join(ends) if all(ends) else ""]


def mebibytes(row, name):
    return f"{row[name] / 2**20:,.1f}" if name in row else ""


def row_text(row, eager):
    cells = [row["mode"], f"{row['tokens']:,.0f}", str(row["runs"]), *figures_text(row, "rate", 1),
             *figures_text(row, "first", 2), *figures_text(row, "token", 3),
             *(mebibytes(row, name) for name in ("peak", "reserved", "pool")),
             f"{row['rate_mean'] / eager['rate_mean']:.2f}" if eager else ""]
    return "| " + " | ".join(cells) + " |"


def factors_text(ours, peers):
    """The times of each peer by those of our fastest mode, and its tokens in a second by ours."""
    best = min(ours, key=lambda row: row["token_median"])
    said = []
    for peer in peers:
        text = f"{peer['mode']}: {peer['token_median'] / best['token_median']:.2f} times its time a token"
        if peer["new"] == best["new"]:
            text += f", {best['rate_mean'] / peer['rate_mean']:.2f} times a run"
        said.append(text)
    return f"Against {best['mode']}: " + "; ".join(said) + "."


def table(ours_text, peers_text=""):
    ours, our_versions = read_ours(ours_text)
    peers, peer_versions = read_peers(peers_text)
    shapes = dict.fromkeys((row["sequences"], row["prompt"]) for row in ours + peers)
    lines = [f"{our_versions}; {peer_versions}.", ""]
    for sequences, prompt in sorted(shapes):
        def of_shape(rows):
            return [row for row in rows if (row["sequences"], row["prompt"]) == (sequences, prompt)]

        rows = of_shape(ours), of_shape(peers)
        lines += [f"Sequences: {sequences}; prompt tokens of each: {prompt:,}", "", HEADER]
        for row in rows[0] + rows[1]:
            eager = [each for each in rows[0]
                     if each["mode"] == "samebits, eager" and each["model"] == row.get("model")]
            lines.append(row_text(row, eager[0] if eager else None))
        lines.append("")
        if rows[0] and rows[1]:
            lines += [factors_text(*rows), ""]
    return "\n".join(lines)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(f"usage: {sys.argv[0]} OURS.json [PEERS.jsonl]")
    texts = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    print(table(*texts), end="")


if __name__ == "__main__":
    main()
