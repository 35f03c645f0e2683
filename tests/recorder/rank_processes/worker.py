"""One rank of the tests of shared recordings: python worker.py FOLDER SCENARIO..., with RANK and WORLD_SIZE set.

Writes `<folder>/<scenario>.<rank>` with "ok" or a traceback. Every scenario records into `<folder>/<scenario>/`.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

from muon_theory.optimizers import Muon, Sharded
from muon_theory.recorder import KINDS, SpectrumRecorder, every, read_matrices, read_spectra
from muon_theory.recorder import ranks as ranks_module

STEPS = 3
WIDTHS = (6, 7, 5, 3)  # odd, so that shards are uneven, and for four ranks some are empty


EVEN = (6, 12, 5, 12)  # tensor parallelism of torch asks for shards of equal size


def model_of(widths: tuple[int, ...] = WIDTHS) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)]
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2]).double()


def inputs_of(step: int, rank: int, world: int) -> Tensor:
    """This rank's share of a batch of 12 samples."""
    batch = torch.randn(12, WIDTHS[0], generator=torch.Generator().manual_seed(step), dtype=torch.float64)
    return batch.chunk(world)[rank]


def optimizer_of(name: str, model: nn.Module, wrap: bool) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim == 2]
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    if name == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=1e-2)
    muon = Muon(matrices, lr=0.02, exact=True)
    return Sharded(muon) if wrap else muon


def train(model: nn.Module, optimizer: torch.optim.Optimizer, rank: int = 0, world: int = 1) -> None:
    for step in range(STEPS):
        optimizer.zero_grad()
        (model(inputs_of(step, rank, world)).square().mean()).backward()
        optimizer.step()


def alone(folder: Path, name: str, widths: tuple[int, ...], **options: Any) -> None:
    """What a single process records."""
    model = model_of(widths)
    optimizer = optimizer_of(name, model, wrap=False)
    with SpectrumRecorder(optimizer, model, folder, schedule=every(2), kinds=KINDS, run="r", strict=True, **options):
        train(model, optimizer)


def compare(shared: Path, single: Path) -> None:
    """Both folders hold the same rows, once each, with the same spectra."""
    one, other = read_spectra(shared), read_spectra(single)
    identity = ["run", "step", "layer", "kind", "rows", "columns", "dtype"]
    assert one[identity].to_dict("records") == other[identity].to_dict("records"), (one[identity], other[identity])
    for a, b in zip(one.to_dict("records"), other.to_dict("records"), strict=True):
        size = 1e-6 if a["kind"] == "activation" else 1e-9
        np.testing.assert_allclose(a["sigma"], b["sigma"], rtol=size, atol=size * b["sigma"][0], err_msg=str(a))
        assert a["kind"] == "activation" or np.isclose(a["noise_floor"], b["noise_floor"], rtol=1e-6), (a, b)


def spread(layout: str, model: nn.Sequential, world: int) -> nn.Module:
    """The model among the ranks."""
    if layout == "ddp":
        return DistributedDataParallel(model)
    if layout == "fsdp":
        mesh = init_device_mesh("cpu", (world,))
        for layer in model:
            if isinstance(layer, nn.Linear):
                fully_shard(layer, mesh=mesh)
        return fully_shard(model, mesh=mesh)
    mesh = init_device_mesh("cpu", (world,))
    plan = {"0": ColwiseParallel(), "2": RowwiseParallel(), "4": ColwiseParallel(output_layouts=Replicate())}
    return parallelize_module(model, mesh, plan)


def recorded(folder: Path, world: int, layout: str, name: str, **options: Any) -> None:
    """One recording of a spread model is that of a single process."""
    rank, widths = dist.get_rank(), EVEN if layout == "tensor" else WIDTHS
    model = spread(layout, model_of(widths), world)
    optimizer = optimizer_of(name, model, wrap=True)
    group = dist.group.WORLD if layout == "ddp" else None
    with SpectrumRecorder(
        optimizer,
        model,
        folder / "shared",
        schedule=every(2),
        kinds=KINDS,
        run="r",
        process_group=group,
        strict=True,
        **options,
    ) as recorder:
        assert recorder.run == "r"
        if layout == "tensor":
            train(model, optimizer)
        else:
            train(model, optimizer, rank, world)
        assert recorder.step == STEPS
    dist.barrier()
    if rank == 0:
        alone(folder / "single", name, widths, **options)
        compare(folder / "shared", folder / "single")
        if options.get("store_matrices"):
            stored = [
                {(row["step"], row["layer"], row["kind"]): matrix for row, matrix in read_matrices(folder / part)}
                for part in ("shared", "single")
            ]
            assert stored[0].keys() == stored[1].keys()
            assert all(torch.allclose(stored[0][key], stored[1][key], rtol=1e-9) for key in stored[0])
    dist.barrier()


def _every(*cases: tuple[str, str]) -> Callable[[int, Path], None]:
    def scenario(world: int, folder: Path) -> None:
        for layout, name in cases:
            recorded(folder / f"{layout}_{name}", world, layout, name)

    return scenario


def matrices(world: int, folder: Path) -> None:
    recorded(folder / "fsdp", world, "fsdp", "muon", store_matrices=True)
    recorded(folder / "ddp", world, "ddp", "sgd", store_matrices=True)


def owners(world: int, folder: Path) -> None:
    """Each matrix is measured by one rank, and no rank measures all."""
    measured: list[str] = []
    original = ranks_module.measure

    def spy(matrices: Any) -> Any:
        listed = list(matrices)
        measured.extend(each.key.layer for each in listed if each.key.kind == "gradient")
        return original(listed)

    ranks_module.measure = spy
    model = spread("fsdp", model_of(), world)
    optimizer = optimizer_of("sgd", model, wrap=False)
    with SpectrumRecorder(optimizer, model, folder, schedule=every(5), strict=True):
        train(model, optimizer, dist.get_rank(), world)
    everyone: list[Any] = [None] * world
    dist.all_gather_object(everyone, measured)
    assert sorted(name for mine in everyone for name in mine) == ["0.weight", "2.weight", "4.weight"]
    assert max(len(mine) for mine in everyone) == (2 if world == 2 else 1)


def spectra_of_the_step(world: int, folder: Path) -> None:
    """The owner of a matrix takes the singular values that the sharded Muon formed of its LMO input."""
    taken: list[str] = []
    original = ranks_module.measure

    def spy(matrices: Any) -> Any:
        listed = list(matrices)
        taken.extend(each.key.layer for each in listed if each.key.kind == "lmo_input" and each.known is not None)
        return original(listed)

    ranks_module.measure = spy
    try:
        recorded(folder, world, "fsdp", "muon")
    finally:
        ranks_module.measure = original
    everyone: list[Any] = [None] * world
    dist.all_gather_object(everyone, taken)
    assert sorted(name for mine in everyone for name in mine) == sorted(2 * ["0.weight", "2.weight", "4.weight"])


def one_rank_fails(world: int, folder: Path) -> None:
    """An error of one rank's recorder costs the event on all, and the training goes on."""
    model = spread("fsdp", model_of(), world)
    optimizer = optimizer_of("sgd", model, wrap=False)
    recorder = SpectrumRecorder(optimizer, model, folder / "taking", schedule=every(1), run="r")
    take, calls = recorder._source.take, 0

    def failing(kind: str, layer: Any) -> Any:
        nonlocal calls
        calls += 1
        if dist.get_rank() == 1 and recorder.step == 1:
            raise MemoryError("no memory")
        return take(kind, layer)

    recorder._source.take = failing
    with recorder:
        train(model, optimizer, dist.get_rank(), world)
    dist.barrier()
    if dist.get_rank() == 0:
        assert sorted(set(read_spectra(folder / "taking")["step"])) == [0, 2]
    original = ranks_module.measure

    def unmeasured(matrices: Any) -> Any:
        if dist.get_rank() == 1 and recorder.step == 1:
            raise MemoryError("no memory")
        return original(matrices)

    ranks_module.measure = unmeasured
    recorder = SpectrumRecorder(optimizer, model, folder / "measuring", schedule=every(1), run="r")
    with recorder:
        train(model, optimizer, dist.get_rank(), world)
    dist.barrier()
    if dist.get_rank() == 0:
        assert sorted(set(read_spectra(folder / "measuring")["step"])) == [0, 2]
    dist.barrier()


def first_rank_cannot_write(world: int, folder: Path) -> None:
    model = spread("fsdp", model_of(), world)
    optimizer = optimizer_of("sgd", model, wrap=False)
    recorder = SpectrumRecorder(optimizer, model, folder, schedule=every(1))

    def refuse() -> None:
        raise OSError(28, "No space left on device")

    if dist.get_rank() == 0:
        recorder._open_store = refuse
    with pytest.raises(OSError if dist.get_rank() == 0 else RuntimeError, match="No space left"):
        recorder.__enter__()
    dist.barrier()


def _lost(world: int, folder: Path, leave: Callable[[], None]) -> None:
    """The last rank leaves during an event; the others' recorders give up in time, once, and do not raise."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("muon_theory.recorder.recorder").addHandler(handler)
    model = model_of()
    optimizer = optimizer_of("sgd", model, wrap=False)
    recorder = SpectrumRecorder(
        optimizer, model, folder, schedule=every(1), run="r", process_group=dist.group.WORLD, rank_timeout=5.0
    )
    began = time.monotonic()
    with recorder:
        for step in range(6):
            optimizer.zero_grad()
            model(inputs_of(step, 0, 1)).square().mean().backward()
            if step == 2 and dist.get_rank() == world - 1:
                leave()
            optimizer.step()
            assert recorder.rank_lost == (step >= 2)
    assert time.monotonic() - began < 20
    assert recorder.step == 6
    assert sum("the recorder failed at step 2" in text for text in said) == 1, said
    assert any("a rank was lost" in text for text in said), said
    if dist.get_rank() == 0:
        assert sorted(set(read_spectra(folder)["step"])) == [0, 1]


def rank_killed(world: int, folder: Path) -> None:
    _lost(world, folder, lambda: os._exit(0))


def rank_stuck(world: int, folder: Path) -> None:
    def sleep() -> None:
        time.sleep(12)
        os._exit(0)

    _lost(world, folder, sleep)


SCENARIOS: dict[str, Callable[[int, Path], None]] = {
    "shortest": _every(("fsdp", "adamw")),
    "ddp": _every(("ddp", "sgd"), ("ddp", "adamw"), ("ddp", "muon")),
    "fsdp": _every(("fsdp", "sgd"), ("fsdp", "adamw"), ("fsdp", "muon")),
    "tensor": _every(("tensor", "sgd"), ("tensor", "muon")),
    "matrices": matrices,
    "owners": owners,
    "spectra_of_the_step": spectra_of_the_step,
    "one_rank_fails": one_rank_fails,
    "first_rank_cannot_write": first_rank_cannot_write,
    "rank_killed": rank_killed,
    "rank_stuck": rank_stuck,
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
            SCENARIOS[scenario](world, folder / scenario)
            said = "ok"
        except Exception:
            said = traceback.format_exc()
        (folder / f"{scenario}.{rank}").write_text(said)
    os._exit(0)  # a rank that is gone is not waited for


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
