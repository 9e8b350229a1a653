"""What Transformers' Qwen3 computes for a model folder: shared by record.py and compare.py."""

import torch
from transformers import Qwen3ForCausalLM


def load(folder, dtype):
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    return model.eval()


def logits_of(model, ids):
    """[length, vocabulary]; the sequence runs alone, without a cache."""
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def logprobs_of(logits, ids):
    """[length - 1]: the log-probability of each token after the first, in float32."""
    targets = torch.tensor(ids[1:]).unsqueeze(1)
    return torch.log_softmax(logits[:-1].float(), dim=-1).gather(1, targets).squeeze(1)


def loss_and_gradients(model, sequences):
    """Mean over all predicted tokens of all sequences of -logprob, and its gradients by name."""
    model.zero_grad(set_to_none=True)
    total = sum(-logprobs_of(logits_of(model, ids), ids).sum() for ids in sequences)
    loss = total / sum(len(ids) - 1 for ids in sequences)
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters()}


def distance(logits, exact):
    """Largest absolute distance and root mean square distance over several sequences' logits."""
    gaps = torch.cat([(a.double() - b.double()).flatten() for a, b in zip(logits, exact)])
    return gaps.abs().max().item(), gaps.square().mean().sqrt().item()
