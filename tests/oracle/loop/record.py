"""Records what normalised rewards and their advantages are (README.md says what): python record.py"""

import json
import math
import pathlib
import random
import statistics

HERE = pathlib.Path(__file__).resolve().parent


def normalised(rewards):
    mean = statistics.fmean(rewards)
    deviation = statistics.stdev(rewards) if len(rewards) > 1 else 0.0
    return [(r - mean) / deviation if deviation > 1e-8 else r - mean for r in rewards]


def advantages(rewards, temperature):
    weights = [math.exp(r / temperature) for r in rewards]
    return [w / statistics.fmean(weights) - 1 for w in weights]


def step(rewards, group, normalize, temperature):
    if normalize == "batch":
        rewards = normalised(rewards)
    result = []
    for begin in range(0, len(rewards), group):
        of_group = rewards[begin:begin + group]
        if normalize == "group":
            of_group = normalised(of_group)
        result += advantages(of_group, temperature)
    return result


def main():
    chance = random.Random(2393)
    entries = []
    for prompts, group in ((5, 8), (1, 2), (3, 1), (2, 40)):
        for spread in ("some", "none"):
            # Multiples of 1/1024 are the same in float32 and in float64.
            rewards = [0.5 if spread == "none" else chance.randrange(0, 2048) / 1024 for _ in range(prompts * group)]
            for normalize in ("none", "group", "batch"):
                entries.append({"rewards": rewards, "group": group, "normalize": normalize, "temperature": 1.0,
                                "advantages": step(rewards, group, normalize, 1.0)})
    (HERE / "reference.json").write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    main()
