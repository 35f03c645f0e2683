"""What goes wrong on one rank, and what the others do about it."""

from __future__ import annotations

import copy
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from models import raises
from torch import nn

from muon_theory.optimizers import Muon
from muon_theory.optimizers.sharded import Sharded


def refusals(world: int, folder: Path) -> None:
    """Whatever is wrong on one rank only is an error on every rank, before anything is changed."""
    rank, last = dist.get_rank(), dist.get_rank() == world - 1
    shape = (4, 5) if last else (4, 4)
    raises(ValueError, "the same parameters in the same order", lambda: sharded_of([shape]))
    raises(ValueError, "the ranks give", lambda: sharded_of([(4, 4)] * (2 if last else 1)))
    raises(
        ValueError if last else RuntimeError,
        "meta device",
        lambda: sharded_of([(4, 4)], device="meta" if last else "cpu"),
    )
    optimizer, parameter = sharded_of([(8, 8)])
    before = parameter.detach().clone()
    for gradient, error, words in (
        (None if last else torch.ones(8, 8), ValueError, f"missing on rank(s) [{world - 1}]"),
        (torch.full((8, 8), torch.nan if last else 1.0), ValueError, f"NaN or inf on rank(s) [{world - 1}]"),
        (torch.full((8, 8), torch.inf if last else 1.0), ValueError, f"NaN or inf on rank(s) [{world - 1}]"),
        (torch.full((8, 8), 1.0 + rank), ValueError, "average them first"),
        (torch.eye(8).to_sparse() if last else torch.ones(8, 8), TypeError, "sparse"),
    ):
        parameter.grad = gradient
        raises(error, words, optimizer.step)
        assert torch.equal(parameter.detach(), before), words
        assert not optimizer.optimizer.state, words
    parameter.grad = torch.ones(8, 8)
    optimizer.step()
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(3, 3))], "lr": 0.5})
    raises(ValueError, "in the optimizer already", lambda: optimizer.add_param_group({"params": [parameter]}))
    raises(ValueError, "vectors", lambda: optimizer.add_param_group({"params": [nn.Parameter(torch.ones(3))]}))
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 1]
    assert optimizer.param_groups[1]["params"][0] is not optimizer.optimizer.param_groups[1]["params"][0]
    raises(TypeError, "process group", lambda: copy.deepcopy(optimizer))

    class Broken(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            if any(p.grad is not None for group in self.param_groups for p in group["params"]):
                raise ArithmeticError("the owner's trouble")
            return super().step(closure)

    broken = nn.Parameter(torch.ones(2, 2))
    unlucky = Sharded(Broken([broken], lr=0.1), timeout=30)
    broken.grad = torch.ones(2, 2)
    raises(ArithmeticError if unlucky.owner(broken) == rank else RuntimeError, "the owner's trouble", unlucky.step)
    assert torch.equal(broken.detach(), torch.ones(2, 2))


def sharded_of(shapes: list[tuple[int, ...]], **options: Any) -> tuple[Sharded, nn.Parameter]:
    parameters = [nn.Parameter(torch.ones(shape, **options)) for shape in shapes]
    return Sharded(Muon(parameters, lr=0.1), timeout=30), parameters[0]


def rank_lost(world: int, folder: Path, how: Callable[[], Any]) -> None:
    """The last rank is lost between two steps; the others must raise within the timeout."""
    optimizer = Sharded(Muon([nn.Parameter(torch.ones(8, 8))], lr=0.1), timeout=5)
    parameter = optimizer.param_groups[0]["params"][0]
    parameter.grad = torch.ones(8, 8)
    optimizer.step()
    if dist.get_rank() == world - 1:
        how()
    start = time.monotonic()
    raises(RuntimeError, "a rank was lost", optimizer.step)
    assert time.monotonic() - start < 20


def rank_killed(world: int, folder: Path) -> None:
    rank_lost(world, folder, lambda: os.kill(os.getpid(), signal.SIGKILL))


def rank_stuck(world: int, folder: Path) -> None:
    rank_lost(world, folder, lambda: (time.sleep(20), os._exit(3)))


def rank_killed_in_a_step(world: int, folder: Path) -> None:
    """The last rank dies inside the optimizer, after the gradients were gathered."""

    class Dying(Muon):
        def step(self, closure: Any = None) -> Any:
            if dist.get_rank() == world - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().step(closure)

    parameter = nn.Parameter(torch.ones(8, 8))
    optimizer = Sharded(Dying([parameter], lr=0.1), timeout=5)
    parameter.grad = torch.ones(8, 8)
    raises(RuntimeError, "a rank was lost", optimizer.step)
