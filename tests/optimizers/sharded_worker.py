"""One process of the sharded tests: python sharded_worker.py FOLDER SCENARIO..., started with RANK and WORLD_SIZE set.

Writes `<folder>/<scenario>.<rank>` with "ok" or a traceback. A scenario is a function of the world's size and a folder.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

from muon_theory.optimizers import Hybrid, Muon
from muon_theory.optimizers.sharded import Sharded

SHAPES = [(64, 32), (64, 32), (64, 32), (7, 13), (7, 13), (7, 13), (5, 3, 3, 3), (1, 20), (3, 70), (33, 9), (32, 128)]


def muon(parameters: Any, **options: Any) -> Muon:
    return Muon(parameters, **{"lr": 0.03, "weight_decay": 0.1, **options})


def make(name: str, parameters: Any) -> torch.optim.Optimizer:
    """An optimizer of the package by name, over named parameters."""
    import muon_theory.optimizers as package

    parameters = list(parameters)
    if name == "Hybrid":
        matrices = [p for _, p in parameters if p.ndim >= 2]
        rest = [p for _, p in parameters if p.ndim < 2]
        return Hybrid([muon(matrices), torch.optim.AdamW(rest, lr=0.01)])
    if name == "MuonAll":
        return package.MuonAll([p for _, p in parameters], lr=0.02)
    matrices = [p for _, p in parameters if p.ndim >= 2]
    if name == "Muon":
        return muon(matrices)
    if name == "exact":
        return muon(matrices, exact=True, nesterov=False)
    if name == "Fanion":
        narrow = [p for p in matrices if min(p.shape) < 2]
        groups = [{"params": [p for p in matrices if min(p.shape) > 1]}, {"params": narrow, "k": 1}]
        return package.Fanion([group for group in groups if group["params"]], lr=0.02, k=2)
    if name == "Dion":
        return package.Dion(matrices, lr=0.02, rank=3)
    raise ValueError(name)


OPTIMIZERS = ["Muon", "exact", "Hybrid", "Fanion", "MuonAll", "Dion"]


def available(name: str) -> bool:
    import muon_theory.optimizers as package

    return name in {"Muon", "exact", "Hybrid"} or hasattr(package, name)


def whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


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


def steps_are_bit_equal(world: int, layout: str, name: str, dtype: torch.dtype, count: int = 3) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [*SHAPES, (6,), (1,)] if name in {"Hybrid", "MuonAll"} else SHAPES
    tensors = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    alone = [nn.Parameter(t.clone()) for t in tensors]
    spread = placed_parameters(layout, world, tensors)
    labels = [f"p{i}" for i in range(len(tensors))]
    torch.manual_seed(1)
    reference = make(name, zip(labels, alone, strict=True))
    torch.manual_seed(1)
    sharded = Sharded(make(name, zip(labels, spread, strict=True)), timeout=30)
    for step in range(count):
        for index, (one, other) in enumerate(zip(alone, spread, strict=True)):
            if (step + index) % 5 == 4:  # a missing gradient now and then
                one.grad = other.grad = None
                continue
            gradient = torch.randn(one.shape, generator=generator).to(dtype)
            one.grad, other.grad = gradient, like(gradient, other)
        reference.step()
        sharded.step()
        for index, (one, other) in enumerate(zip(alone, spread, strict=True)):
            bits_equal(one.detach(), whole(other).detach(), f"{layout} {name} {dtype} step {step} parameter {index}")
    bits_equal(reference.state_dict(), sharded.state_dict(), "state")
    owners = {sharded.owner(p) for p in spread if p.ndim > 1}
    assert len(owners) == world, f"only ranks {owners} own something"
    for parameter in spread:
        offered = sharded.lmo_input(parameter)
        assert offered is None or sharded.owner(parameter) == dist.get_rank()


class Net(nn.Module):
    """A small network with uneven sizes."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Linear(12, 20, dtype=torch.float64)
        self.second = nn.Linear(20, 16, dtype=torch.float64)
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


def training_agrees(world: int, kind: str, name: str, steps: int = 20) -> None:
    alone = Net()
    model, parts, part = spread_model(kind, world)
    torch.manual_seed(1)
    reference = make(name, alone.named_parameters())
    torch.manual_seed(1)
    sharded = Sharded(make(name, model.named_parameters()), timeout=30)
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        x = torch.randn(24, 12, generator=generator, dtype=torch.float64)
        y = torch.sin(x[:, :3] * 3)
        reference.zero_grad()
        sharded.zero_grad()
        (alone(x) - y).square().mean().backward()
        rows = slice(24 // parts * part, 24 // parts * (part + 1))
        (model(x[rows]) - y[rows]).square().mean().backward()
        reference.step()
        sharded.step()
    for (label, one), other in zip(alone.named_parameters(), model.parameters(), strict=True):
        difference = (one - whole(other)).abs().max().item()
        assert difference < 1e-8, f"{kind} {name} {label}: {difference} after {steps} steps"


def two_ranks(world: int, folder: Path) -> None:
    for layout in ("replicated", "rows"):
        steps_are_bit_equal(world, layout, "Muon", torch.float32)
    steps_are_bit_equal(world, "columns", "Hybrid", torch.float64)
    training_agrees(world, "fsdp", "Muon")


def bit_equal_steps(world: int, folder: Path) -> None:
    layouts = ["replicated", "rows", "columns"] + (["hybrid", "blocks"] if world % 2 == 0 else [])
    for layout in layouts:
        for name in filter(available, OPTIMIZERS):
            for dtype in (torch.float32, torch.float64):
                steps_are_bit_equal(world, layout, name, dtype)
    steps_are_bit_equal(world, "rows", "Muon", torch.bfloat16)


def trainings(world: int, folder: Path) -> None:
    kinds = ["ddp", "fsdp"] + (["hsdp", "tensor_parallel"] if world % 2 == 0 else [])
    for kind in kinds:
        for name in filter(available, OPTIMIZERS):
            training_agrees(world, kind, name)


SCENARIOS: dict[str, Callable[[int, Path], None]] = {
    function.__name__: function for function in (two_ranks, bit_equal_steps, trainings)
}


def main(folder: Path, scenarios: list[str]) -> None:
    torch.set_num_threads(1)
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = os.environ.get("STORE")
    dist.init_process_group(
        "gloo",
        rank=rank,
        world_size=world,
        init_method=f"file://{store}" if store else "env://",
        timeout=timedelta(seconds=60),
    )
    for scenario in scenarios:
        try:
            SCENARIOS[scenario](world, folder)
            said = "ok"
        except Exception:
            said = traceback.format_exc()
        (folder / f"{scenario}.{rank}").write_text(said)
        if said != "ok":
            sys.exit(1)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
