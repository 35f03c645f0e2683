"""Checkpoints saved at one number of ranks and resumed at another."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from models import REQUIRED, Net, bits_equal, like, make, some_gradients, spread_model, whole
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from muon_theory.optimizers.sharded import Sharded


def checkpointed(world: int, folder: Path, name: str, saved: Path | None) -> None:
    """Five steps of a model under FSDP2; with `saved`, the last two from a checkpoint; then compare or store."""
    model, _, _ = spread_model("fsdp", world) if world > 1 else (Net(), 1, 0)
    parameters = list(model.parameters())
    optimizer = make(name, model.named_parameters())
    if world > 1:
        optimizer = Sharded(optimizer, timeout=30)
    first = 0
    if saved is not None:
        state = torch.load(saved, weights_only=True)
        with torch.no_grad():
            for parameter, tensor in zip(parameters, state["model"], strict=True):
                parameter.copy_(like(tensor, parameter))
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    for step in range(first, 5):
        some_gradients(parameters, step)
        optimizer.param_groups[0]["lr"] = 0.03 / (1 + step)
        optimizer.step()
        if step == 2 and saved is None:
            state = {"optimizer": optimizer.state_dict(), "model": [whole(p).detach() for p in parameters], "step": 3}
            if dist.get_rank() == 0:
                torch.save(state, folder / f"{name}.checkpoint")
    end = {"state": optimizer.state_dict()["state"], "model": [whole(p).detach() for p in parameters]}
    if saved is None:
        if dist.get_rank() == 0:
            torch.save(end, folder / f"{name}.end")
    else:
        bits_equal(torch.load(folder / f"{name}.end", weights_only=True), end, f"{name} resumed at {world}")


def save_checkpoints(world: int, folder: Path) -> None:
    for name in REQUIRED:
        checkpointed(world, folder, name, None)


def resume_checkpoints(world: int, folder: Path) -> None:
    for name in REQUIRED:
        checkpointed(world, folder, name, folder / f"{name}.checkpoint")
    distributed_checkpoint(world, folder)


def save_distributed_checkpoint(world: int, folder: Path) -> None:
    distributed_checkpoint(world, folder, save=True)


def distributed_checkpoint(world: int, folder: Path, *, save: bool = False) -> None:
    """torch.distributed.checkpoint's own functions, saved at one world size and loaded at another."""
    model, _, _ = spread_model("fsdp", world) if world > 1 else (Net(), 1, 0)
    parameters = list(model.parameters())
    optimizer = Sharded(make("Hybrid", model.named_parameters()), timeout=30)
    if save:
        for step in range(3):
            some_gradients(parameters, step)
            optimizer.step()
        weights, state = get_state_dict(model, optimizer)
        checkpoint.save({"model": weights, "optimizer": state}, checkpoint_id=folder / "dcp")
    else:
        weights, state = get_state_dict(model, optimizer)
        checkpoint.load({"model": weights, "optimizer": state}, checkpoint_id=folder / "dcp")
        set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=state)
    some_gradients(parameters, 3)
    optimizer.step()
    end = {"state": optimizer.state_dict()["state"], "model": [whole(p).detach() for p in parameters]}
    if not save:
        bits_equal(torch.load(folder / "dcp.end", weights_only=True), end, f"resumed at {world}")
    elif dist.get_rank() == 0:
        torch.save(end, folder / "dcp.end")
