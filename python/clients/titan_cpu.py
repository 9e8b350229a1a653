"""Lets torchtitan 0.2.2 and 0.3.0 train on CPUs over Gloo. Each function here says what of torchtitan it replaces and
why; nothing else of it is touched.

torchtitan asks torch which accelerator there is and takes "cuda" where there is none. The device is named here, and
what it asks of a device that a CPU does not have is answered.
"""

from __future__ import annotations

import os
import types
from typing import Any

import torch
import torch.nn.functional as F


def name_the_device() -> None:
    """To be called before torchtitan is imported: it keeps what torch._utils says of the device.

    Sizes of memory and names of devices enter log lines alone. LOCAL_RANK becomes 0, as there is no `cpu:1` that a
    tensor could be moved to; which rank a process is, RANK says.
    """
    torch._utils._get_available_device_type = lambda: "cpu"
    answers: dict[str, Any] = {
        "current_device": lambda: 0,
        "empty_cache": lambda: None,
        "get_device_name": lambda device=None: "CPU",
        "get_device_properties": lambda device=None: types.SimpleNamespace(total_memory=8 << 30),
        "memory_stats": lambda device=None: {},
        "reset_peak_memory_stats": lambda device=None: None,
        "set_device": lambda device: None,
    }
    for name, answer in answers.items():
        setattr(torch.cpu, name, answer)
    os.environ["LOCAL_RANK"] = "0"


def reduce_with_sums() -> None:
    """FSDP scales gradients within the reduction (NCCL's PREMUL_SUM), which Gloo has not. torch has a switch for such
    back ends: a sum, and the scaling apart from it."""
    from torch.distributed.fsdp import FSDPModule

    original = FSDPModule.set_gradient_divide_factor

    def set_gradient_divide_factor(self: Any, factor: float) -> None:
        self.set_force_sum_reduction_for_comms(True)
        original(self, factor)

    FSDPModule.set_gradient_divide_factor = set_gradient_divide_factor


def attend_to_local_heads() -> None:
    """0.2.2: DTensor knows no way to shard the CPU's attention operator. Under tensor parallelism queries, keys and
    values are sharded by heads, and no head looks at another: each rank attends with those that it has."""
    from torch.distributed.tensor import DTensor
    from torchtitan.models.attention import ScaledDotProductAttentionWrapper

    def forward(
        self: Any, q: Any, k: Any, v: Any, *, scale: Any = None, enable_gqa: bool = False, is_causal: bool = True
    ) -> Any:
        options = {"scale": scale, "enable_gqa": enable_gqa, "is_causal": is_causal}
        if not isinstance(q, DTensor):
            return F.scaled_dot_product_attention(q, k, v, **options)
        out = F.scaled_dot_product_attention(q.to_local(), k.to_local(), v.to_local(), **options)
        return DTensor.from_local(out, q.device_mesh, q.placements, run_check=False)

    ScaledDotProductAttentionWrapper.forward = forward


def attend_with_a_dense_mask() -> None:
    """0.3.0 has FlexAttention alone, which has no backward on a CPU. Its block mask says which key each query may look
    at; written out as a mask, it is what scaled_dot_product_attention takes. Arguments keep their names, as layouts of
    meshes are given by them."""
    from torch.nn.attention.flex_attention import create_mask
    from torchtitan.models.common.attention import FlexAttention

    def forward(
        self: Any,
        q_BLNH: Any,
        k_BLNH: Any,
        v_BLNH: Any,
        *,
        attention_masks: Any,
        scale: Any = None,
        enable_gqa: bool = False,
        **rest: Any,
    ) -> Any:
        if any(value is not None for value in rest.values()):
            raise NotImplementedError(f"FlexAttention with {sorted(rest)}")
        q, k, v = (each.transpose(1, 2) for each in (q_BLNH, k_BLNH, v_BLNH))  # to [batch, heads, length, size]
        mask = create_mask(attention_masks.mask_mod, q.shape[0], 1, q.shape[2], k.shape[2], device="cpu")
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=enable_gqa)
        return out.transpose(1, 2)

    FlexAttention.forward = forward
