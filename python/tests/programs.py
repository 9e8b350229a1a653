"""Small programs to record, and a fault to plant in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Block(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.up = torch.nn.Linear(width, 2 * width)
        self.down = torch.nn.Linear(2 * width, width)
        self.drop = torch.nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.drop(self.down(torch.nn.functional.gelu(self.up(self.norm(x)))))


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(50, 16)
        self.blocks = torch.nn.ModuleList([Block(16) for _ in range(3)])
        self.head = torch.nn.Linear(16, 50, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def make(seed: int = 0) -> tuple[Model, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = Model()
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3)


def train(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int = 2,
    after_step: Callable[[torch.Tensor], None] = lambda loss: None,
) -> list[torch.Tensor]:
    """The losses, and the weights after the last step."""
    found = []
    for _ in range(steps):
        ids = torch.randint(0, 50, (4, 6))
        loss = torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.detach().clone())
        after_step(loss)
    return found + [each.detach().clone() for each in model.parameters()]


class Fault(TorchDispatchMode):
    """Moves one element of one operator's output by one ULP: a kernel that rounds otherwise, once.

    It is entered before the recording and so lies below it: the recorder sees what the program sees.
    """

    def __init__(self, operator: str, call: int) -> None:
        super().__init__()
        self._operator, self._call = operator, call
        self.has_struck = False

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        return True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if str(func).removesuffix(".default") == self._operator:
            self._call -= 1
            if self._call == -1:
                output = result if isinstance(result, torch.Tensor) else result[0]
                output.view(-1)[3:4] = output.view(-1)[3:4].nextafter(torch.tensor(9.0))
                self.has_struck = True
        return result
