"""Sharded steps against a single process's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from models import (
    OPTIMIZERS,
    REQUIRED,
    Net,
    bits_equal,
    like,
    make,
    placed_parameters,
    some_gradients,
    spread_model,
    whole,
)
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

from muon_theory.optimizers import Muon
from muon_theory.optimizers.sharded import Sharded

SHAPES = [(64, 32), (64, 32), (64, 32), (7, 13), (7, 13), (7, 13), (5, 3, 3, 3), (1, 20), (3, 70), (33, 9), (32, 128)]


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
    stepped = [parameter for group in sharded.param_groups for parameter in group["params"]]
    owners = {sharded.owner(parameter) for parameter in stepped}
    assert len(owners) == world, f"only ranks {owners} own something"
    for parameter in stepped:
        offered = sharded.lmo_input(parameter)
        assert offered is None or sharded.owner(parameter) == dist.get_rank()


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


def metrics_agree(world: int, kind: str) -> None:
    """The metrics of a sharded step are those of the whole matrices, on every rank."""
    alone = Net()
    model, _, _ = spread_model(kind, world)
    reference = make("Hybrid", alone.named_parameters())
    sharded = Sharded(make("Hybrid", model.named_parameters()), timeout=30, record_updates=True)
    some_gradients(list(alone.parameters()), 5)
    some_gradients(list(model.parameters()), 5)
    next(alone.parameters()).grad = next(model.parameters()).grad = None
    before = [parameter.detach().clone() for parameter in alone.parameters()]
    reference.step()
    sharded.step()
    expected = {}
    for (name, parameter), old in zip(alone.named_parameters(), before, strict=True):
        update = parameter.detach() - old
        expected |= {f"update/{name}.norm": update.norm().item(), f"update/{name}.max": update.abs().max().item()}
    measured = sharded.get_post_step_metrics(model)
    assert measured.keys() == expected.keys(), measured
    for key, value in expected.items():
        assert abs(measured[key] - value) <= 1e-14 * value, f"{key}: {measured[key]} is not {value}"
    assert measured["update/first.weight.norm"] == 0.0 < measured["update/second.weight.norm"]


def metrics(world: int, folder: Path) -> None:
    for kind in ["ddp", "fsdp"] + (["hsdp", "tensor_parallel"] if world % 2 == 0 else []):
        metrics_agree(world, kind)


def same_steps(world: int, parameter: nn.Parameter, gradient: Tensor, placed: Tensor, group: Any = None) -> None:
    """Two steps of one parameter with a gradient that is placed in some way, against a single process."""
    alone = nn.Parameter(whole(parameter.detach()).clone())
    reference, sharded = Muon([alone], lr=0.1), Sharded(Muon([parameter], lr=0.1), process_group=group, timeout=30)
    for _ in range(2):
        alone.grad, parameter.grad = gradient.clone(), placed.clone()
        reference.step()
        sharded.step()
    bits_equal(alone.detach(), whole(parameter).detach(), f"gradient {getattr(placed, 'placements', 'on a group')}")


def placements(world: int, folder: Path) -> None:
    """Gradients placed unlike their parameter, parameters on a part of the mesh, and groups of some of the ranks."""
    rank = dist.get_rank()
    mesh = init_device_mesh("cpu", (world,))
    gradient = torch.arange(48.0).reshape(8, 6).sin()
    start = torch.ones(8, 6)
    for own, of_gradient in ((Replicate(), Shard(0)), (Shard(0), Replicate()), (Shard(1), Shard(0))):
        parameter = nn.Parameter(distribute_tensor(start, mesh, [own]))
        same_steps(world, parameter, gradient, distribute_tensor(gradient, mesh, [of_gradient]))
    parameter = nn.Parameter(distribute_tensor(start, mesh, [Shard(0)]))
    partial = DTensor.from_local(gradient * (rank + 1), mesh, [Partial()])
    same_steps(world, parameter, partial.full_tensor(), partial)
    if world != 4:
        return
    square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))
    parameter = nn.Parameter(distribute_tensor(start, square["tensor"], [Shard(1)]))
    same_steps(world, parameter, gradient, distribute_tensor(gradient, square["tensor"], [Shard(1)]))
    mine = gradient + square["data"].get_local_rank()  # a stage of its own on every pair of ranks
    same_steps(world, nn.Parameter(mine.clone()), mine, mine, square["tensor"].get_group())


def two_ranks(world: int, folder: Path) -> None:
    for layout in ("replicated", "rows"):
        steps_are_bit_equal(world, layout, "Muon", torch.float32)
    steps_are_bit_equal(world, "columns", "Hybrid", torch.float64)
    training_agrees(world, "fsdp", "Muon")
    metrics_agree(world, "ddp")


def bit_equal_steps(world: int, folder: Path) -> None:
    layouts = ["replicated", "rows", "columns"] + (["hybrid", "blocks"] if world % 2 == 0 else [])
    for layout in layouts:
        for name in OPTIMIZERS:
            for dtype in (torch.float32, torch.float64):
                steps_are_bit_equal(world, layout, name, dtype)
    steps_are_bit_equal(world, "rows", "Muon", torch.bfloat16)


def trainings(world: int, folder: Path) -> None:
    kinds = ["ddp", "fsdp"] + (["hsdp", "tensor_parallel"] if world % 2 == 0 else [])
    for kind in kinds:
        for name in REQUIRED:
            training_agrees(world, kind, name)
