"""Records the arithmetic of training as plain PyTorch does it (README.md says what).

python record.py
"""

import json
import pathlib

import torch
import torch.nn.functional as functional

HERE = pathlib.Path(__file__).resolve().parent


def numbers(tensor):
    """Nested lists; nine digits give a float32 back exactly. Infinities as strings."""
    if tensor.dim():
        return [numbers(t) for t in tensor]
    value = tensor.item()
    if isinstance(value, int):
        return value
    return float(f"{value:.9g}") if abs(value) != float("inf") else str(value)


def normal(generator, *shape, scale=1.0):
    return torch.randn(*shape, generator=generator) * scale


def adamw(lr, weight_decay, seed):
    g = torch.Generator().manual_seed(seed)
    weight = torch.nn.Parameter(normal(g, 9))
    optimizer = torch.optim.AdamW(
        [weight],
        lr=lr,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=weight_decay,
        foreach=False,
        fused=False,
    )
    out = {
        "lr": lr,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": weight_decay,
        "initial": numbers(weight.detach()),
        "steps": [],
    }
    for step in range(10):
        # Sizes from 1e-7 to 1e2, and a zero, so that eps matters somewhere.
        weight.grad = normal(g, 9) * 10.0 ** torch.tensor([-7, -5, -4, -3, -2, -1, 0, 1, 2.0])
        weight.grad[step % 9] = 0.0
        optimizer.step()
        state = optimizer.state[weight]
        out["steps"].append(
            {
                "grad": numbers(weight.grad),
                "weight": numbers(weight.detach()),
                "m": numbers(state["exp_avg"]),
                "v": numbers(state["exp_avg_sq"]),
            }
        )
    return out


def clipping(scale, max_norm, seed):
    g = torch.Generator().manual_seed(seed)
    weights = [torch.nn.Parameter(torch.zeros(n)) for n in (5, 3, 1)]
    for weight in weights:
        weight.grad = normal(g, weight.numel(), scale=scale)
    grads = [numbers(w.grad) for w in weights]
    norm = torch.nn.utils.clip_grad_norm_(weights, max_norm, foreach=False)
    return {
        "max_norm": max_norm,
        "grads": grads,
        "norm": numbers(norm),
        "clipped": [numbers(w.grad) for w in weights],
    }


def log_softmax(logits, targets, seed):
    g = torch.Generator().manual_seed(seed)
    logits = logits.clone().requires_grad_(True)
    dlogprob = normal(g, len(targets))
    index = torch.tensor(targets).unsqueeze(1)
    logprob = functional.log_softmax(logits, dim=-1).gather(1, index).squeeze(1)
    logprob.backward(dlogprob)
    return {
        "logits": numbers(logits.detach()),
        "targets": targets,
        "logprob": numbers(logprob.detach()),
        "lse": numbers(torch.logsumexp(logits.detach(), dim=-1)),
        "dlogprob": numbers(dlogprob),
        "dlogits": numbers(logits.grad),
    }


def log_softmax_cases():
    g = torch.Generator().manual_seed(31)
    wide = normal(g, 3, 11, scale=40.0)
    wide[1, 4] = float("-inf")
    peaked = torch.zeros(2, 7)
    peaked[:, 3] = 90.0
    return [
        log_softmax(normal(g, 4, 11), [0, 10, 5, 5], 32),
        log_softmax(wide, [2, 0, 9], 33),
        log_softmax(peaked, [3, 6], 34),
        log_softmax(torch.full((1, 5), -3.5), [2], 35),
    ]


def advantages(rewards):
    """float32, as the workload says: exp(r / 0.1) over the group's mean of it, less 1."""
    weight = torch.exp(torch.tensor(rewards, dtype=torch.float32) / 0.1)
    return {"rewards": rewards, "advantages": numbers(weight / weight.mean() - 1.0)}


def grpo(lengths, drift, seed):
    """Loss and its gradient; `drift` is how far the trainer's logprobs are from the generator's."""
    g = torch.Generator().manual_seed(seed)
    reference = [-normal(g, n).abs() for n in lengths]
    trainer = [(r + normal(g, len(r), scale=drift)).requires_grad_(True) for r in reference]
    a = normal(g, len(lengths))
    d = torch.stack([t.sum() - r.sum() for t, r in zip(trainer, reference)])
    ratio = torch.exp(d)
    pg = -torch.minimum(ratio * a, ratio.clamp(0.8, 1.2) * a).mean()
    entropy = -torch.cat(trainer).mean()
    kl = (ratio - 1 - d).mean()
    loss = pg - 0.01 * entropy + 0.1 * kl
    loss.backward()
    return {
        "reference": [numbers(r) for r in reference],
        "trainer": [numbers(t.detach()) for t in trainer],
        "advantages": numbers(a),
        "ratio": numbers(ratio.detach()),
        "pg": numbers(pg.detach()),
        "entropy": numbers(entropy.detach()),
        "kl": numbers(kl.detach()),
        "loss": numbers(loss.detach()),
        "grad": [numbers(t.grad) for t in trainer],
    }


def reward(completion, expected):
    if not completion:
        return 0.0
    out = 1.0
    if sum(ord(c) > 127 for c in completion) / len(completion) > 0.1:
        out *= 0.1
    out *= 1.0 - 0.9 * (sum(c.isupper() for c in completion) / len(completion))
    return out * (2.0 if expected in completion.lower() else 0.5)


REWARD_STRINGS = [
    ("", "paris"),
    (" ", "paris"),
    ("\n\n\t", "paris"),
    ("paris", "paris"),
    ("Paris.", "paris"),
    ("PARIS", "paris"),
    ("pARIS is it", "paris"),
    ("par is", "paris"),
    ("Pari", "paris"),
    ("comparison parison", "paris"),
    ("París", "paris"),
    ("PARÍS", "paris"),
    ("PARİS", "paris"),
    ("parıs", "paris"),
    ("pari\u017f", "paris"),
    ("par\u0131s paris", "paris"),
    ("p\u0430ris", "paris"),
    ("paris\u00a0", "paris"),
    ("abcdefghi\u00e9 paris", "paris"),
    ("abcdefghi\u00e9", "paris"),
    ("abcdefgh\u00e9", "paris"),
    ("abcdefghij\u00e9", "paris"),
    ("\u00e9" * 10, "paris"),
    ("56", "56"),
    (" 56.", "56"),
    ("5 6", "56"),
    ("1567", "56"),
    ("\uff15\uff16", "56"),
    ("\u0665\u0666", "56"),
    ("fifty-six", "56"),
    ("7 TIMES 8 IS 56!", "56"),
    ("It is 65.", "56"),
    ("H2O", "h2o"),
    ("h2o", "h2o"),
    ("H\u2082O", "h2o"),
    ("H 2 O", "h2o"),
    ("NH2OH", "h2o"),
    ("\u210b2O", "h2o"),
    ("\uff282O", "h2o"),
    ("H2\u039f", "h2o"),
    ("H20", "h2o"),
    ("Jupiter", "jupiter"),
    ("JUPITER, JUPITER", "jupiter"),
    ("\u0130upiter", "jupiter"),
    ("jupiter\u0307", "jupiter"),
    ("\u6728\u661f Jupiter", "jupiter"),
    ("\U0001f30d Jupiter", "jupiter"),
    ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "jupiter"),
    ("Washington", "washington"),
    ("GEORGE WASHINGTON", "washington"),
    ("\u212aing washington", "washington"),
    ("\ufffd\ufffd washington", "washington"),
    ("\u01c5 \u01c4 \u01c6", "washington"),
    ("\u2160\u2161\u2167 \u24b6\u24b7 \u24d0", "washington"),
    ("\u00df \u1e9e \ufb01", "washington"),
    ("\u03a3\u03a3 \u03a3", "washington"),
    ("\U0001d400\U0001d41a", "washington"),
    ("\U00010400 \U00010428", "washington"),
    ("\u13a0 \uab70", "washington"),
    ("\u10a0 \u10d0 \u1c90", "washington"),
    ("\u00aa \u00ba \u2071", "washington"),
    ("e\u0301 E\u0301", "washington"),
    ("\x00\x7f\x80", "washington"),
    ("a" * 200 + "WASHINGTON", "washington"),
    ("\u202eWashington\u202c" + "x" * 20, "washington"),
]


def main():
    torch.set_num_threads(1)
    content = {
        "torch": torch.__version__.split("+")[0],
        "adamw": [adamw(1e-5, 0.01, 1), adamw(1e-2, 0.01, 2), adamw(1e-2, 0.0, 3)],
        "clipping": [
            clipping(1.0, 1.0, 11),
            clipping(0.1, 1.0, 12),
            clipping(1e4, 1.0, 13),
            clipping(0.0, 1.0, 14),
        ],
        "log_softmax": log_softmax_cases(),
        "advantages": [
            advantages([0.5, 2.0, 1.743, 0.485, 0.0, 0.572, 1.88, 0.5]),
            advantages([0.5] * 8),
            advantages([2.0] + [0.05] * 7),
            advantages([0.0] * 7 + [0.1]),
        ],
        "grpo": [
            grpo([3, 1, 5, 2], 0.0, 21),
            grpo([3, 1, 5, 2], 0.05, 22),
            grpo([20, 7, 1], 0.4, 23),
            grpo([1], 0.1, 24),
        ],
        "reward": [
            {"completion": c, "expected": e, "reward": reward(c, e)} for c, e in REWARD_STRINGS
        ],
    }
    # One item a line, so that a change can be read.
    parts = []
    for key, value in content.items():
        if isinstance(value, list):
            lines = ",\n".join(json.dumps(v, separators=(",", ":")) for v in value)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    (HERE / "reference.json").write_text("{" + ",\n".join(parts) + "}\n")


if __name__ == "__main__":
    main()
