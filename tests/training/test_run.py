import math

import pandas as pd
import pytest
import torch

from muon_theory.problems import first_convolution_net, load_images, mlp
from muon_theory.recorder import at, every, read_spectra
from muon_theory.training import evaluate, minibatches, schedule_factor, train

TIMES = ["time_s", "optimizer_time_s"]


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


@pytest.mark.parametrize(
    "options", [{"optimizer_name": "sgd"}, {"optimizer_name": "adamw"}, {"optimizer_name": "muon"}]
)
def test_the_same_seed_gives_the_same_run_and_another_seed_another(digits, options):
    tables = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(tables))  # the global random state has no say
        table = train(digits, lr=0.01, steps=8, seed=seed, evaluate_every=3, hidden=(32, 16), **options)
        tables.append(table.drop(columns=TIMES))
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
    assert not tables[0].loss.equals(tables[2].loss)


@pytest.mark.parametrize(("name", "lr"), [("sgd", 0.05), ("adamw", 3e-3), ("muon", 0.05)])
def test_every_optimizer_learns_the_digits(digits, name, lr):
    table = train(digits, name, lr=lr, steps=150, schedule_lr="linear")
    assert table.test_accuracy.iloc[-1] > 0.85
    assert table.loss.iloc[-10:].mean() < 0.3
    assert not table.diverged.any()


def test_optimizers_with_one_seed_start_alike(digits):
    losses = [train(digits, name, lr=0.01, steps=1, seed=5).loss[0] for name in ("sgd", "adamw", "muon")]
    assert losses[0] == losses[1] == losses[2]


def test_tests_happen_when_asked_and_at_the_end(digits):
    table = train(digits, "sgd", lr=0.01, steps=8, evaluate_every=3, hidden=(8,))
    assert table.index[table.test_loss.notna()].tolist() == [2, 5, 7]
    assert table.test_loss.notna().equals(table.test_accuracy.notna())
    assert train(digits, "sgd", lr=0.01, steps=4, hidden=(8,)).test_loss.notna().tolist() == [False, False, False, True]


def test_testing_does_not_change_the_run(digits):
    one = train(digits, "muon", lr=0.01, steps=6, hidden=(8,))
    two = train(digits, "muon", lr=0.01, steps=6, hidden=(8,), evaluate_every=1)
    assert one.loss.equals(two.loss)
    assert two.time_s.is_monotonic_increasing


@pytest.mark.parametrize(("name", "lr"), [("sgd", 1e30), ("adamw", 1e30), ("muon", 1e30)])
def test_divergence_ends_the_run_with_a_row(digits, name, lr):
    table = train(digits, name, lr=lr, steps=30, hidden=(8, 8))
    assert len(table) < 30
    assert table.diverged.tolist() == [False] * (len(table) - 1) + [True]
    assert math.isnan(table.test_accuracy.iloc[-1])


def test_a_gradient_overflow_is_a_divergence(digits):
    class Explosive(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.matrix = torch.nn.Parameter(torch.zeros(64, 10))

        def forward(self, inputs):
            return inputs @ (self.matrix.abs() + 1e-30).sqrt().sqrt().log() * 1e38 * self.matrix

    table = train(digits, "sgd", lr=0.1, steps=5, model=Explosive())
    assert table.diverged.iloc[-1]


def test_learning_rates_follow_the_schedule(digits):
    table = train(digits, "muon", lr=0.4, steps=4, schedule_lr="linear", hidden=(8,))
    assert table.learning_rate.tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert [schedule_factor("cosine", t, 4) for t in range(5)] == pytest.approx([1, 0.85355339, 0.5, 0.14644661, 0])


def test_progress_is_told_after_every_step(digits):
    told = []
    table = train(digits, "sgd", lr=0.01, steps=3, hidden=(8,), progress=lambda *what: told.append(what))
    assert told == [(1, 3, table.loss[0]), (2, 3, table.loss[1]), (3, 3, table.loss[2])]


def test_a_given_model_is_trained_in_place(digits):
    model = first_convolution_net(16, seed=0)
    stem, first = model.get_parameter("stem.weight").clone(), model.get_parameter("first.weight").clone()
    train(digits, "muon", lr=0.1, steps=2, model=model, exact=True)
    assert torch.equal(model.get_parameter("stem.weight"), stem)
    assert not torch.equal(model.get_parameter("first.weight"), first)


def test_exact_and_rescaled_muon_are_other_runs(digits):
    arms = [{}, {"exact": True}, {"ns_steps": 1}, {"ns_steps": 1, "match_frobenius": True}, {"matrices": "all"}]
    losses = [train(digits, "muon", lr=0.05, steps=4, hidden=(16, 16), **arm).loss.iloc[-1] for arm in arms]
    assert len(set(losses)) == len(losses)


def test_every_sample_is_drawn_once_an_epoch():
    batches = minibatches(10, 5, seed=1)
    for _ in range(3):
        assert sorted(torch.cat([next(batches), next(batches)]).tolist()) == list(range(10))


def test_evaluation_in_pieces_is_evaluation_at_once_and_keeps_the_mode(digits):
    model = torch.nn.Sequential(mlp(64, (16,), seed=0), torch.nn.Dropout(0.5)).train()
    pieces = evaluate(model, digits.test_images, digits.test_labels, batch=7)
    assert pieces == pytest.approx(evaluate(model, digits.test_images, digits.test_labels), rel=1e-5)
    assert model.training


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0},
        {"steps": 1.5},
        {"batch": 0},
        {"batch": 1438},
        {"evaluate_every": 0},
        {"seed": -1},
        {"lr": -0.1},
        {"lr": math.nan},
        {"lr": 1e31},
        {"adamw_lr": -1.0},
        {"momentum": 1.0},
        {"optimizer_name": "lion"},
        {"schedule_lr": "step"},
        {"weight_decay": -1.0},
        {"hidden": (0,)},
    ],
)
@pytest.mark.parametrize("name", ["sgd", "muon"])
def test_arguments_out_of_range_are_rejected(digits, change, name):
    with pytest.raises(ValueError):
        train(digits, **{"optimizer_name": name, "lr": 0.1, "steps": 2} | change)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("sgd", {"gradient", "momentum", "lmo_input", "update", "weight"}),
        ("adamw", {"gradient", "momentum", "update", "weight"}),
        ("muon", {"gradient", "momentum", "lmo_input", "update", "weight"}),
    ],
)
def test_recording_takes_every_kind_and_does_not_change_the_run(digits, tmp_path, name, kinds):
    plain = train(digits, name, lr=0.01, steps=4, hidden=(9, 8))
    recorded = train(digits, name, lr=0.01, steps=4, hidden=(9, 8), record_to=tmp_path, schedule=at([1, 3]), run="one")
    assert recorded.loss.equals(plain.loss)
    table = read_spectra(tmp_path)
    assert set(table.step) == {1, 3}
    assert set(table.run) == {"one"}
    assert set(table.layer) == {"layer1.weight", "layer2.weight", "head.weight"}
    assert set(table[table.layer == "layer1.weight"].kind) == kinds
    if name == "muon":  # the head is AdamW's
        assert "lmo_input" not in set(table[table.layer == "head.weight"].kind)
        updates = table[(table.layer == "layer2.weight") & (table.kind == "update")]
        assert all(sigma[0] <= 0.01 * 1.21 for sigma in updates.sigma)


def test_what_was_recorded_before_a_divergence_is_kept(digits, tmp_path):
    table = train(digits, "sgd", lr=1e18, steps=20, hidden=(9, 8), record_to=tmp_path, schedule=every(1))
    assert table.diverged.iloc[-1]
    assert len(set(read_spectra(tmp_path).step)) == len(table) - 1
