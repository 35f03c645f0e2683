"""The optimizers under contract: every test that takes `case` is run with each of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn

from muon_theory.norms import RMSToRMS, Schatten, Spectral, f_fanion
from muon_theory.optimizers import (
    Dion,
    Fanion,
    FFanion,
    Hybrid,
    LmoDescent,
    Muon,
    MuonAll,
    Neon,
    Power,
    RandomSpectrum,
    Scale,
    SFanion,
    SoftThreshold,
    SpectralMap,
    normalized_sgd,
    sign_descent,
)

SHAPES = ((6, 4), (4, 6), (8, 2, 2, 2), (6, 4))


@dataclass(frozen=True)
class Case:
    """An optimizer under contract; `build(params, **options)` makes one."""

    name: str
    build: Callable[..., torch.optim.Optimizer]
    vectors: bool = False  # steps vectors too
    shapes: tuple[tuple[int, ...], ...] = SHAPES
    scale_invariant: bool = True
    continuous: bool = True  # nearly equal gradients give nearly equal steps
    average: str | None = "momentum_buffer"  # where the state holds the average of the gradients
    group_options: dict[str, Any] = field(default_factory=dict)  # what add_param_group needs besides the group

    def add_group(self, optimizer, group):
        optimizer.add_param_group(group, **self.group_options)

    @staticmethod
    def parameters(shapes=SHAPES, *, dtype=torch.float32, seed=0):
        """Fresh parameters, the same for the same seed."""
        generator = torch.Generator().manual_seed(seed)
        return [nn.Parameter(torch.randn(s, generator=generator, dtype=torch.float64).to(dtype)) for s in shapes]

    @staticmethod
    def set_gradients(params, step, *, scale=1.0):
        """Gradients of a step; a parameter's depends on its place in the list and the step only."""
        for index, parameter in enumerate(params):
            generator = torch.Generator().manual_seed(1000 * step + index)
            gradient = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.grad = torch.empty_like(parameter).copy_(scale * gradient)

    @staticmethod
    def train(optimizer, params, steps, *, first=0, scale=1.0):
        """Steps with prescribed gradients; returns copies of the parameters."""
        for step in range(first, first + steps):
            Case.set_gradients(params, step, scale=scale)
            optimizer.step()
        return Case.values(params)

    @staticmethod
    def values(params):
        """Copies of parameters."""
        return [parameter.detach().clone() for parameter in params]

    @staticmethod
    def everything(optimizer, params):
        """Copies of parameters and of all tensors of the state, to see whether anything was changed."""
        stored = [value for p in params for _, value in sorted(optimizer.state.get(p, {}).items())]
        return Case.values(params) + [value.clone() if isinstance(value, torch.Tensor) else value for value in stored]

    @staticmethod
    def same(one, two):
        """Whether two lists of tensors (or numbers) are equal bit by bit."""
        if len(one) != len(two):
            return False
        return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in zip(one, two, strict=True))

    @staticmethod
    def distance(one, two):
        """Largest Frobenius distance of two lists of tensors, in float64."""
        return max(math.sqrt(float(((a.double() - b.double()) ** 2).sum())) for a, b in zip(one, two, strict=True))


def _with(kind, **fixed):
    return lambda params, **options: kind(params, **{"lr": 0.05, "weight_decay": 0.0, **fixed, **options})


def _hybrid(params, **options):
    """Muon for the first group or parameter, AdamW for one of its own: the rest of a network."""
    options = {"lr": 0.05, "weight_decay": 0.0, **options}
    return Hybrid([Muon(params, **options)])


CASES = [
    Case("Muon", _with(Muon)),
    Case("Muon exact", _with(Muon, exact=True)),
    Case("Muon matched", _with(Muon, match_frobenius=True, ns_steps=3, nesterov=False)),
    Case("Muon bfloat16", _with(Muon, compute_dtype=torch.bfloat16), continuous=False),
    Case("Fanion", _with(Fanion, k=2)),
    Case("Fanion full", _with(Fanion, k=None, nesterov="written")),
    Case("Neon", _with(Neon)),
    Case("FFanion", _with(FFanion, k=1.5)),
    Case("SFanion", _with(SFanion, k=None, eta=0.2), continuous=False),
    Case("LmoDescent Spectral", _with(LmoDescent, norm=Spectral(), adjust_lr_fn=None)),
    Case("LmoDescent RMSToRMS", _with(LmoDescent, norm=RMSToRMS(), nesterov=False)),
    Case("LmoDescent Schatten", _with(LmoDescent, norm=Schatten(3.0))),
    Case("LmoDescent combined", _with(LmoDescent, norm=f_fanion(2, 0.5))),
    Case("sign_descent", _with(sign_descent), vectors=True, continuous=False),
    Case("normalized_sgd", _with(normalized_sgd), vectors=True),
    Case("SpectralMap power", _with(SpectralMap, f=Power(-0.25))),
    Case("SpectralMap soft", _with(SpectralMap, f=SoftThreshold(0.2), match="spectral")),
    Case("SpectralMap random", _with(SpectralMap, f=RandomSpectrum(3)), scale_invariant=False, continuous=False),
    Case("SpectralMap raw", _with(SpectralMap, f=Power(1.0), match="none", relative=False), scale_invariant=False),
    Case("Scale", _with(Scale, momentum=0.9)),
    Case("Scale without momentum", _with(Scale), average=None),
    Case("MuonAll", _with(MuonAll), vectors=True),
    Case("MuonAll exact", _with(MuonAll, exact=True, nesterov=False), vectors=True),
    Case("Dion", _with(Dion, rank=2), average=None),
    Case("Dion exact", _with(Dion, rank=2, exact=True, right="polar"), average=None),
    Case("Hybrid", _hybrid, group_options={"optimizer": 0}),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request):
    """Each optimizer under contract."""
    return request.param


@pytest.fixture
def bench():
    """What the contract does with an optimizer, without one."""
    return Case
