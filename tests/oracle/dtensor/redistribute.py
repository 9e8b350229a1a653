"""Cases of redistribute.json: distribute_tensor, and redistribute between every pair."""

from torch.distributed.tensor import distribute_tensor

import harness


def _distribute(mesh, x, to):
    return distribute_tensor(harness.global_value(x), mesh, harness.placements_from_text(to))


def _redistribute(mesh, x, to):
    source = harness.dtensor_from_spec(x, mesh)
    return source.redistribute(placements=harness.placements_from_text(to))


TABLE = {"distribute_tensor": _distribute, "redistribute": _redistribute}


def cases(n):
    out = []
    for size in harness.sizes(n):
        for shape in ([size], [size, 3], [3, size], [2, size, 2]):
            shards = [f"S({d})" for d in range(len(shape))]
            for to in shards + ["R"]:
                out.append(
                    {
                        "op": "distribute_tensor",
                        "inputs": [{"shape": shape, "placement": "plain"}],
                        "args": {"to": to},
                        "full": False,
                    }
                )
            for source in shards + ["R", "P(sum)"]:
                for to in shards + ["R", "P(sum)"]:
                    out.append(
                        {
                            "op": "redistribute",
                            "inputs": [{"shape": shape, "placement": source}],
                            "args": {"to": to},
                        }
                    )
    return out
