"""Models, optimizers and layouts of the sharded tests."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

from muon_theory.optimizers import Fanion, Hybrid, Muon, Power, Scale, SFanion, SpectralMap
from muon_theory.optimizers.dion import Dion
from muon_theory.optimizers.muon_all import MuonAll


def make(name: str, parameters: Any) -> torch.optim.Optimizer:
    """An optimizer of the package by name, over named parameters."""
    parameters = [parameter for _, parameter in parameters]
    matrices = [p for p in parameters if p.ndim >= 2]
    wide = [{"params": [p for p in matrices if min(p.shape) > 1]}]
    narrow = [{"params": [p]} for p in matrices if min(p.shape) == 1]
    match name:
        case "Muon":
            return Muon(matrices, lr=0.03, weight_decay=0.1)
        case "exact":
            return Muon(matrices, lr=0.03, exact=True, nesterov=False)
        case "auto":
            return Muon(matrices, lr=0.03, method="auto", compute_dtype=torch.bfloat16)
        case "fused":
            fused = [
                {"params": [p], "split_rows": (3, p.shape[0] - 3)} for p in matrices if p.shape[0] > 6 and p.ndim == 2
            ]
            return Muon([*fused, {"params": [p for p in matrices if p.ndim == 4], "stacked": 1}], lr=0.03)
        case "Hybrid":
            vectors = [p for p in parameters if p.ndim < 2]
            return Hybrid([Muon(matrices, lr=0.03), torch.optim.AdamW(vectors, lr=0.01)])
        case "MuonAll":
            return MuonAll(parameters, lr=0.02)
        case "Fanion":
            return Fanion([*wide, *[group | {"k": 1} for group in narrow]], lr=0.02, k=2)
        case "SFanion":
            return SFanion([*wide, *[group | {"k": 1} for group in narrow]], lr=0.02, k=2)
        case "SpectralMap":
            return SpectralMap(matrices, Power(0.25), lr=0.02)
        case "Dion":
            return Dion([*wide, *[group | {"rank": 1} for group in narrow]], lr=0.02, rank=3)
        case "Scale":
            return Scale(matrices, lr=0.02)
        case _:
            raise ValueError(name)


REQUIRED = ["Muon", "Hybrid", "Fanion", "MuonAll", "Dion"]
OPTIMIZERS = [*REQUIRED, "exact", "auto", "fused", "SFanion", "SpectralMap", "Scale"]


def whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def placed_parameters(layout: str, world: int, tensors: list[Tensor]) -> list[nn.Parameter]:
    """The tensors as parameters of a layout."""
    if layout == "replicated":
        return [nn.Parameter(t.clone()) for t in tensors]
    if layout == "rows":
        mesh, placements = init_device_mesh("cpu", (world,)), [[Shard(0)]]
    elif layout == "columns":
        mesh, placements = init_device_mesh("cpu", (world,)), [[Shard(1)], [Shard(0)]]
    else:  # two dimensions, only where the world divides
        mesh = init_device_mesh("cpu", (2, world // 2), mesh_dim_names=("outer", "inner"))
        placements = {
            "hybrid": [[Replicate(), Shard(0)]],
            "blocks": [[Shard(0), Shard(1)], [Shard(1), Shard(0)], [Shard(0), Replicate()]],
        }[layout]
    return [
        nn.Parameter(
            distribute_tensor(t, mesh, placements[i % len(placements)] if t.ndim > 1 else [Replicate()] * mesh.ndim)
        )
        for i, t in enumerate(tensors)
    ]


def like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor placed as a parameter is."""
    if isinstance(parameter, DTensor):
        return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
    return tensor.clone()


class Net(nn.Module):
    """A small network with uneven sizes."""

    def __init__(self, seed: int = 0, width: int = 20) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Linear(12, width, dtype=torch.float64)
        self.second = nn.Linear(width, 16, dtype=torch.float64)
        self.third = nn.Linear(16, 3, bias=False, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.third(torch.tanh(self.second(torch.tanh(self.first(x)))))


def spread_model(kind: str, world: int) -> tuple[nn.Module, int, int]:
    """The network under a kind of parallelism, and how many parts the batch has and which is this rank's."""
    model, rank = Net(), dist.get_rank()
    if kind == "ddp":
        return DistributedDataParallel(model), world, rank
    if kind == "fsdp":
        mesh = init_device_mesh("cpu", (world,))
        for layer in (model.first, model.second):
            fully_shard(layer, mesh=mesh)
        return fully_shard(model, mesh=mesh), world, rank
    mesh = init_device_mesh("cpu", (2, world // 2), mesh_dim_names=("data", "other"))
    if kind == "hsdp":
        return fully_shard(model, mesh=mesh), world, rank
    plan = {"first": ColwiseParallel(), "second": RowwiseParallel()}
    parallelize_module(model, mesh["other"], plan)
    return fully_shard(model, mesh=mesh["data"]), 2, mesh["data"].get_local_rank()


def some_gradients(parameters: list[Tensor], seed: int) -> None:
    """Give parameters gradients that depend on the seed only."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        gradient = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = like(gradient, parameter)


def bits_equal(one: Any, two: Any, where: str = "") -> None:
    """Nested states of equal bits."""
    if isinstance(one, Tensor):
        assert one.dtype == two.dtype, where
        assert one.shape == two.shape, where
        difference = (one.double() - two.double()).abs().max().item() if one.numel() else 0.0
        assert torch.equal(one.cpu(), two.cpu()), f"{where}: differs by {difference}"
    elif isinstance(one, dict):
        assert one.keys() == two.keys(), f"{where}: {sorted(map(str, one))} != {sorted(map(str, two))}"
        for key in one:
            bits_equal(one[key], two[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(two), where
        for index, (first, second) in enumerate(zip(one, two, strict=True)):
            bits_equal(first, second, f"{where}[{index}]")
    else:
        assert one == two, f"{where}: {one!r} != {two!r}"


def raises(kind: type[Exception], words: str, action: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        action()
