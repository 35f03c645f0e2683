"""The tuned comparison: who is measured on which seed, a refined optimum, paired words; and runs of hidden matrices."""

import math

import pandas as pd
import pytest
import torch

from muon_theory.optimizers.fanion import Fanion
from muon_theory.optimizers.muon import Muon
from muon_theory.problems import load_images
from muon_theory.training.hidden_matrices import train_hidden_matrices
from muon_theory.training.tuned_comparison import differences_to, final_losses, tuned_runs
from muon_theory.training.tuning import learning_rates, momenta


def cell(target, length, momentum, offset, seed, windows):
    """A loss with its optimum at length = target and momentum = .9, and a seed's own level."""
    loss = offset + math.log2(length / target) ** 2 + 10 * (momentum - 0.9) ** 2 + 0.01 * seed
    return [{"target": target, "length": length, "momentum": momentum, "seed": seed, "step": w, "test_loss": loss}
            for w in range(windows)]  # fmt: skip


def serially(function, cells):
    return pd.DataFrame([row for one in cells for row in function(**one)])


def runs_of(targets, refined, **options):
    grids = {"length": learning_rates(1.0, count=3), "momentum": momenta()}
    settings = {"shared": {"offset": 1.0}, "tuning_seeds": [100, 101], "seeds": [0, 1, 2], "windows": 2}
    compared = [{"target": target} for target in targets]
    start = {"length": 1.0, "momentum": 0.8}
    return tuned_runs(cell, compared, start, grids, map_cells=serially, refined=refined, **(settings | options))


def test_every_configuration_runs_at_its_own_optimum_on_the_paired_seeds():
    table = runs_of([0.03125, 8.0], None)
    runs = table.query("phase == 'runs'")
    assert runs.groupby("target")["length"].unique().map(list).to_dict() == {0.03125: [0.03125], 8.0: [8.0]}
    assert set(runs["momentum"]) == {0.9}
    assert set(runs["seed"]) == {0, 1, 2}
    assert set(table.query("phase == 'tuning'")["seed"]) == {100, 101}


def test_the_refinement_finds_an_optimum_between_the_points_of_the_grid():
    table = runs_of([2**1.5], "length")
    assert table.query("phase == 'runs'")["length"].iloc[0] == pytest.approx(2**1.5)
    assert len(table.drop_duplicates()) == len(table)


def test_a_seed_may_not_be_used_twice():
    with pytest.raises(ValueError, match="among the tuning seeds"):
        runs_of([1.0], None, seeds=[0, 100])


def test_diverged_trials_are_passed_over():
    def map_cells(function, cells):
        table = serially(function, cells)
        return table.assign(test_loss=table["test_loss"].where(table["length"] < 1.5, math.inf))

    grids = {"length": learning_rates(1.0, count=3)}
    table = tuned_runs(cell, [{"target": 4.0}], {"length": 1.0, "momentum": 0.9}, grids, shared={"offset": 0.0},
                       tuning_seeds=[9], seeds=[0, 1], windows=1, map_cells=map_cells)  # fmt: skip
    assert set(table.query("phase == 'runs'")["length"]) == {1.0}


def test_words_come_from_the_differences_of_the_last_window():
    table = runs_of([1.0], None)
    other = table.query("phase == 'runs'").assign(target=2.0)
    other["test_loss"] += 0.5 + 0.01 * other["seed"]
    losses = final_losses(pd.concat([table, other]), ["target"])
    found = differences_to(losses, 1.0)
    assert found["word"].tolist() == ["undecided", "worse"]
    assert found["mean"].tolist() == pytest.approx([0.0, 0.51])


def run(build, **options):
    return train_hidden_matrices(
        load_images("digits"), build, **({"steps": 12, "seed": 1, "hidden": (16, 8)} | options)
    )


def test_the_rule_steps_the_hidden_matrices_and_nothing_else():
    shapes = []

    def build(matrices):
        shapes.extend(tuple(matrix.shape) for matrix in matrices)
        return Fanion(matrices, 1, lr=0.1)

    run(build)
    assert shapes == [(16, 64), (8, 16)]


def test_fanion_of_all_directions_trains_as_muon_with_the_exact_polar_factor():
    losses = [
        run(lambda matrices: Fanion(matrices, None, 0.1, 0.9), windows=3),
        run(lambda matrices: Muon(matrices, 0.1, 0.0, momentum=0.9, exact=True, adjust_lr_fn="none"), windows=3),
    ]
    assert losses[0]["test_loss"].to_numpy() == pytest.approx(losses[1]["test_loss"].to_numpy(), rel=1e-3)


def test_windows_hold_all_steps_and_observations_do_not_disturb_the_run():
    def observe(model):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        return {"seen": 1.0}

    def build(matrices):
        return Fanion(matrices, 2, lr=0.1)

    whole, parts = run(build), run(build, windows=4, observe=observe)
    assert parts["step"].tolist() == [2, 5, 8, 11]
    assert parts["train_loss"].to_numpy().mean() == pytest.approx(whole["train_loss"].iloc[0])
    assert parts["test_loss"].tolist()[-1:] == whole["test_loss"].tolist()
    assert parts["seen"].tolist() == [1.0] * 4


def test_a_run_that_diverges_ends_with_an_infinite_loss():
    found = run(lambda matrices: torch.optim.SGD(matrices, lr=1e25), steps=30)
    assert found["diverged"].tolist() == [True]
    assert found["test_loss"].tolist() == [math.inf]


@pytest.mark.parametrize("windows", [0, 13])
def test_more_windows_than_steps_are_refused(windows):
    with pytest.raises(ValueError, match="windows is"):
        run(lambda matrices: Fanion(matrices, 1, lr=0.1), windows=windows)


def test_a_network_without_hidden_matrices_is_refused():
    with pytest.raises(ValueError, match="no hidden matrix"):
        run(lambda matrices: Fanion(matrices, 1, lr=0.1), hidden=())
