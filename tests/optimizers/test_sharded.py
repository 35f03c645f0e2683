from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from muon_theory.optimizers import Muon
from muon_theory.optimizers.ownership import (
    balanced_owners,
    batch_bundles,
    orthogonalization_cost,
    same_bits_in_any_batch,
)
from muon_theory.optimizers.shard_exchange import Box, Layout
from muon_theory.optimizers.sharded import Sharded
from muon_theory.optimizers.step_metrics import get_post_step_metrics
from muon_theory.polar import orthogonalize

WORKER = Path(__file__).parent / "sharded_processes" / "worker.py"


def launch(world: int, *scenarios: str, patience: float = 60.0, folder: Path, lost: int = 0) -> None:
    """Run scenarios in `world` processes, the last `lost` of which are to disappear; fail with the first traceback."""
    (folder / "store").unlink(missing_ok=True)
    environment = os.environ | {"WORLD_SIZE": str(world), "STORE": f"{folder}/store", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(WORKER), str(folder), *scenarios]
    processes = [
        subprocess.Popen(command, env=environment | {"RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(world)
    ]
    try:
        said = [process.communicate(timeout=patience)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    check(world - lost, scenarios, folder, said)
    assert [process.returncode for process in processes[: world - lost]] == [0] * (world - lost), said


def check(ranks: int, scenarios: Sequence[str], folder: Path, said: list[str]) -> None:
    """Every rank wrote "ok" about every scenario."""
    for scenario in scenarios:
        for rank in range(ranks):
            result = folder / f"{scenario}.{rank}"
            assert result.exists(), f"rank {rank} said nothing about {scenario}: {said[rank][-3000:]}"
            assert result.read_text() == "ok", f"rank {rank}: {result.read_text()}"
            result.unlink()


def test_two_ranks_step_as_one_process_does(tmp_path: Path) -> None:
    launch(2, "two_ranks", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3, 4])
def test_a_sharded_step_is_bit_equal_to_the_single_process_step(world: int, tmp_path: Path) -> None:
    launch(world, "bit_equal_steps", patience=300, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3, 4])
def test_twenty_steps_with_the_batch_split_agree_in_float64(world: int, tmp_path: Path) -> None:
    launch(world, "trainings", patience=300, folder=tmp_path)


@pytest.mark.slow
def test_a_checkpoint_of_four_ranks_resumes_at_two_and_at_one(tmp_path: Path) -> None:
    launch(4, "save_checkpoints", "save_distributed_checkpoint", patience=200, folder=tmp_path)
    launch(2, "resume_checkpoints", patience=200, folder=tmp_path)
    launch(1, "resume_checkpoints", patience=200, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3, 4])
def test_step_metrics_are_those_of_the_whole_matrices(world: int, tmp_path: Path) -> None:
    launch(world, "metrics", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3, 4])
def test_gradients_may_be_placed_unlike_their_parameters(world: int, tmp_path: Path) -> None:
    launch(world, "placements", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_what_is_wrong_on_one_rank_is_an_error_on_all(world: int, tmp_path: Path) -> None:
    launch(world, "refusals", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["rank_killed", "rank_stuck", "rank_killed_in_a_step"])
def test_a_lost_rank_ends_the_others_with_an_error(way: str, tmp_path: Path) -> None:
    launch(3, way, folder=tmp_path, lost=1)


@pytest.mark.slow
def test_torchrun_launches_it(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "STORE"} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(WORKER)]
    done = subprocess.run([*command, str(tmp_path), "two_ranks"], env=environment, timeout=120, capture_output=True)
    check(2, ["two_ranks"], tmp_path, [done.stderr.decode()] * 2)
    assert done.returncode == 0


def test_every_rank_gets_its_share_of_the_cost() -> None:
    shapes = [(768, 768)] * 12 + [(768, 3072)] * 6 + [(64, 64)] * 10
    costs = [orthogonalization_cost(shape) for shape in shapes]
    for world in (1, 2, 3, 4, 7):
        owners = balanced_owners(costs, world)
        loads = [sum(cost for cost, owner in zip(costs, owners, strict=True) if owner == rank) for rank in range(world)]
        assert max(loads) <= 4 / 3 * max(sum(costs) / world, max(costs))
    assert len(set(balanced_owners(costs, 100))) == len(shapes)


def test_matrices_of_64_byte_multiples_get_the_same_bits_in_any_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((8, 8), (8, 20), (16, 64), (64, 32), (24, 32), (32, 33), (128, 128)):
        assert same_bits_in_any_batch(rows, columns)
        for dtype in (torch.float32, torch.float64):
            X = torch.randn(5, rows, columns, generator=generator, dtype=dtype)
            together = orthogonalize(X, "jordan_2024", 5)
            for size in (1, 2, 3):
                assert torch.equal(together[1 : 1 + size], orthogonalize(X[1 : 1 + size], "jordan_2024", 5))


def test_a_batch_in_common_makes_a_bundle() -> None:
    assert batch_bundles([]) == ()
    assert batch_bundles([{1}, {2}, {3, 2}, {3}, set()]) == (0, 1, 1, 1, 4)
    assert batch_bundles([{1}, {2}, {1, 2}]) == (0, 0, 0)
    assert orthogonalization_cost((4, 8, 8), stacked=1) == 4 * orthogonalization_cost((8, 8))
    assert orthogonalization_cost((24, 8), split_rows=(8, 8, 8)) == 3 * orthogonalization_cost((8, 8))


def test_bundles_keep_one_owner_and_preferred_ranks_break_ties() -> None:
    assert len(set(balanced_owners([3.0, 3.0, 3.0, 1.0], 2, bundles="aaab")[:3])) == 1
    assert balanced_owners([1.0, 1.0], 3, preferred=[[2], [1]]) == (2, 1)
    assert balanced_owners([1.0], 2, loads=[5.0, 0.0]) == (1,)
    with pytest.raises(ValueError, match="world_size is 0"):
        balanced_owners([1.0], 0)
    with pytest.raises(ValueError, match="finite and >= 0"):
        balanced_owners([float("nan")], 1)
    with pytest.raises(ValueError, match="bundles has 1 entries for 2 costs"):
        balanced_owners([1.0, 2.0], 1, bundles="a")


def test_boxes_that_overlap_or_leave_gaps_do_not_cover() -> None:
    top, bottom, middle = Box((0, 0), (2, 3)), Box((2, 0), (2, 3)), Box((1, 0), (2, 3))
    assert Layout((4, 3), (top, bottom), 0).covers()
    assert Layout((4, 3), (top, bottom, top), 0).covers()
    assert not Layout((4, 3), (top, middle), 0).covers()
    assert not Layout((4, 3), (top, None), 0).covers()
    assert Layout((4, 3), (None, bottom, top, bottom), 3).sources() == [(2, top), (3, bottom)]


def test_alone_it_is_the_optimizer_inside() -> None:
    torch.manual_seed(0)
    one, two = torch.nn.Linear(6, 4), torch.nn.Linear(6, 4)
    two.load_state_dict(one.state_dict())
    plain = torch.optim.AdamW(one.parameters(), lr=0.1)
    sharded = Sharded(torch.optim.AdamW(two.parameters(), lr=0.1), record_updates=True)
    schedule = [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5) for optimizer in (plain, sharded)]
    x = torch.randn(3, 6)
    for _ in range(3):
        for model, optimizer, scheduler in zip((one, two), (plain, sharded), schedule, strict=True):

            def closure(model: torch.nn.Module = model, optimizer: torch.optim.Optimizer = optimizer) -> torch.Tensor:
                optimizer.zero_grad()
                loss = model(x).square().sum()
                loss.backward()
                return loss

            assert optimizer.step(closure) > 0  # type: ignore[arg-type]
            scheduler.step()
    assert torch.equal(one.weight, two.weight)
    assert sharded.param_groups[0]["lr"] == sharded.optimizer.param_groups[0]["lr"] * 0.5 == plain.param_groups[0]["lr"]
    assert sharded.get_post_step_metrics(two).keys() == {
        f"update/{name}.{kind}" for name in ("weight", "bias") for kind in ("norm", "max")
    }
    assert get_post_step_metrics(sharded, two) == sharded.get_post_step_metrics(two)
    restored = torch.optim.AdamW(one.parameters(), lr=0.1)
    restored.load_state_dict(sharded.state_dict())
    assert torch.equal(restored.state[one.weight]["exp_avg"], plain.state[one.weight]["exp_avg"])


def test_bad_arguments_are_named() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    with pytest.raises(TypeError, match="optimizer is a Linear"):
        Sharded(torch.nn.Linear(2, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout is 0 seconds"):
        Sharded(Muon([weight]), timeout=0)
    stepped = Muon([weight])
    weight.grad = torch.ones(2, 2)
    stepped.step()
    with pytest.raises(ValueError, match="has taken steps already"):
        Sharded(stepped)
    with pytest.raises(ValueError, match="record_updates=True"):
        Sharded(Muon([torch.nn.Parameter(torch.ones(2, 2))])).get_post_step_metrics(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="meta device"):
        Sharded(Muon([torch.nn.Parameter(torch.ones(2, 2, device="meta"))]))
