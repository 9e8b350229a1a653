"""Three steps of TRL's GRPOTrainer on a tiny Qwen3, on a CPU: 2 prompts, 4 samples each.

    python grpo.py MODEL OUT [--attention sdpa|eager] [--logprobs]

With --logprobs it observes, besides what the recorder sees by itself, the logprob of each sampled token twice: as the
model had it when the token was drawn (phase rollout), and as the trainer finds it (phase train). Both are named
logprob[sample,token], as samebits's own loop names them, and samples are counted in the order of generation: TRL
shuffles them before it trains.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

STEPS, SAMPLES, LENGTH = 3, 4, 16
PROMPTS = {"The capital of France is": "paris", "What is 7 times 8?": "56"}


def reward(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    return [float(a in c.lower()) + min(len(c), 40) / 100 for c, a in zip(completions, answer, strict=True)]


class Logprobs:
    """Of the tokens of a rollout: who drew them, and the sample that a row of the trainer's batch is."""

    def __init__(self, model: Any, padding: int, end: int) -> None:
        self._padding, self._end = padding, end
        self._samples: dict[tuple[int, ...], list[int]] = {}
        self._generate = model.generate
        model.generate = self.generate

    def generate(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        out = self._generate(*args, **kwargs, return_dict_in_generate=True, output_logits=True)
        count = len(out.logits)
        drawn = out.sequences[:, -count:]
        logprobs = torch.stack(out.logits, 1).float().log_softmax(-1).gather(-1, drawn[..., None])[..., 0]
        self._samples = collections.defaultdict(list)
        for sample, row in enumerate(drawn.tolist()):
            length = row.index(self._end) + 1 if self._end in row else count
            self._samples[self._key(out.sequences[sample, :-count].tolist(), row[:length])].append(sample)
            self._observe("rollout", sample, logprobs[sample, :length])
        return out.sequences

    def see_trained(self, inputs: dict[str, torch.Tensor], logprobs: torch.Tensor) -> None:
        unused = {key: list(samples) for key, samples in self._samples.items()}
        rows = zip(inputs["prompt_ids"].tolist(), inputs["completion_ids"].tolist(), strict=True)
        found = {}
        for row, (prompt, completion) in enumerate(rows):
            length = int(inputs["completion_mask"][row].sum())
            found[unused[self._key(prompt, completion[:length])].pop(0)] = logprobs[row, :length]
        for sample in sorted(found):
            self._observe("train", sample, found[sample])

    def _key(self, prompt: list[int], completion: list[int]) -> tuple[int, ...]:
        return (*(token for token in prompt if token != self._padding), -1, *completion)

    @staticmethod
    def _observe(phase: str, sample: int, values: torch.Tensor) -> None:
        from samebits_record import observe

        for token, value in enumerate(values.detach()):
            observe(f"logprob[{sample},{token}]", value, phase)


class Trainer(GRPOTrainer):
    logprobs: Logprobs | None = None

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        self._inputs = inputs
        return super()._compute_loss(model, inputs)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if self.logprobs is not None and kwargs.get("compute_entropy"):  # not the reference's
            self.logprobs.see_trained(self._inputs, found[0])
        return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--logprobs", action="store_true")
    flags = parser.parse_args()
    settings = GRPOConfig(
        output_dir=flags.out,
        max_steps=STEPS,
        per_device_train_batch_size=len(PROMPTS) * SAMPLES,
        num_generations=SAMPLES,
        max_completion_length=LENGTH,
        learning_rate=1e-5,
        beta=0.1,
        bf16=False,
        use_cpu=True,
        seed=42,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    rows = [{"prompt": prompt, "answer": answer} for prompt, answer in PROMPTS.items()] * 4
    tokenizer = AutoTokenizer.from_pretrained(flags.model)
    model = AutoModelForCausalLM.from_pretrained(flags.model, dtype=torch.float32, attn_implementation=flags.attention)
    trainer = Trainer(
        model=model,
        reward_funcs=reward,
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    if flags.logprobs:
        trainer.logprobs = Logprobs(model, tokenizer.pad_token_id, tokenizer.eos_token_id)
    trainer.train()
    trainer.state.save_to_json(str(pathlib.Path(flags.out) / "trainer_state.json"))


if __name__ == "__main__":
    main()
