"""set_model_state_dict into meta tensors: all keys match, and nothing is loaded. No GPU."""

import json
import warnings

import torch
from torch.distributed.checkpoint.state_dict import set_model_state_dict

NEW = {"weight": torch.full((3, 4), 7.0)}


def weight_after_load(through_meta):
    """What a layer has after a load, and what the load says; the parameters are meta meanwhile, or not."""
    model = torch.nn.Linear(4, 3, bias=False)
    old = model.weight
    if through_meta:
        model.weight = torch.nn.Parameter(torch.empty_like(old, device="meta"))
    said = str(set_model_state_dict(model, dict(NEW)))
    if through_meta:
        model.weight = old
    return model.weight.detach(), said


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        weight, said = weight_after_load(through_meta=True)
        state = "fixed" if torch.equal(weight, NEW["weight"]) else "live"
    except RuntimeError as error:  # a release that refuses
        state, said = "fixed", str(error)
plain, _ = weight_after_load(through_meta=False)
assert torch.equal(plain, NEW["weight"]), "the control: without meta tensors the weights arrive"
warned = ", with a warning" if caught else ", without a warning"
print(json.dumps({"torch": torch.__version__, "state": state,
                  "evidence": f"through meta the layer keeps its old weight; the load says {said}{warned}"
                  if state == "live" else said}))
