"""Facts of the studies on real training: what their tables are read as, and claims that can fail."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from muon_theory.optimizers import Muon
from muon_theory.problems import load_images, mlp
from muon_theory.problems.image_subsets import small_conv_net
from muon_theory.rooms.isotropic_curvature.exact_solver import power_spectrum
from studies.fanions import gradient_fall, learning_rate_window
from studies.fanions._cifar_rules import RULES, full_recipe, on_kernels, small_hybrid
from studies.fanions._match_claims import full_claims, reduced_claims
from studies.training import tail_classes, when_spectral_helps, which_q_is_enough, which_spectral_map
from studies.training._gain_panels import agreement
from studies.training._spectral_maps import Blend, Radial, exponents, function
from studies.training._tail_groups import advantages

NOISE = np.random.default_rng(0)


def verdicts(claims):
    return {claim.id: (result.verdict, result.mutation_verdicts) for claim in claims for result in [claim.check()]}


def runs_of(losses: dict[Any, float], columns: list[str], seeds: int = 6) -> pd.DataFrame:
    rows = [{**dict(zip(columns, key, strict=True)), "seed": seed, "step": 9, "phase": "runs", "lr": 0.1,
             "test_loss": loss + 1e-3 * NOISE.standard_normal(), "test_accuracy": 1 - loss / 10}
            for (key, loss), seed in product(losses.items(), range(seeds))]  # fmt: skip
    return pd.DataFrame(rows)


def test_enough_is_the_first_q_from_which_on_none_is_worse():
    planted = {
        ("exact", 0): 0.2,
        ("taylor_5", 1): 0.5,
        ("taylor_5", 2): 0.2,
        ("taylor_5", 3): 0.4,
        ("taylor_5", 5): 0.2,
    }
    assert which_q_is_enough.enough(runs_of(planted, ["method", "q"])) == {"taylor_5": 5}
    always = {("exact", 0): 0.2, ("you_2024", 1): 0.5, ("you_2024", 5): 0.5}
    assert np.isnan(which_q_is_enough.enough(runs_of(always, ["method", "q"]))["you_2024"])


def test_no_steps_of_any_set_are_the_same_run_and_many_steps_are_exact():
    settings = {"dataset": "digits", "width": 8, "steps": 6, "seed": 3, "lr": 0.1, "windows": 1}
    exact, many, few = (
        which_q_is_enough.cell(method, q, **settings).test_loss.iloc[-1]
        for method, q in (("exact", 0), ("taylor_5", 40), ("taylor_5", 0))
    )
    assert many == pytest.approx(exact, rel=1e-3)
    assert abs(few - exact) > 1e-3


def test_the_named_maps_are_what_they_say():
    sigma = torch.tensor([1.0, 0.5, 0.1], dtype=torch.float64)
    assert torch.allclose(function("radial", 2.0, 7)(sigma) / function("radial", 2.0, 7)(sigma)[0], sigma)
    assert Radial(2.5, 7)(sigma).tolist() == pytest.approx(power_spectrum(sigma.numpy(), 2.5, 7).s.tolist())
    assert torch.allclose(Blend(1.0)(sigma), torch.ones_like(sigma))
    assert torch.allclose(Blend(0.0)(sigma), sigma / sigma.norm())
    assert torch.allclose(function("p = 1/2", 0.5, 7)(sigma), sigma**0.5)


def test_a_quadratic_of_known_curvature_has_the_exponents_two_and_its_own_slope():
    """Softmax regression is smooth: along small isometries the cost grows as r^2."""
    images, model = load_images("digits"), mlp(64, (), seed=0).double()
    found = exponents(model, "head.weight", images.train_images[:300].double(), images.train_labels[:300], seed=0)
    assert found["e"] == pytest.approx(2.0, abs=0.2)
    assert np.isfinite(found["a"])


def test_muon_switched_off_everywhere_is_the_normalised_momentum():
    settings = {"dataset": "digits", "width": 8, "steps": 6, "seed": 3, "lr": 0.1, "ratio": 1.0, "windows": 1}
    whole, none = (when_spectral_helps.cell(off, **settings).test_loss.iloc[-1] for off in ("all", "none"))
    assert whole != none
    assert when_spectral_helps.cell("layer2.weight", **settings).test_loss.iloc[-1] not in (whole, none)


def test_agreement_counts_right_winners_and_ranks():
    table = pd.DataFrame({"phase": "probe", "seed": 0, "predicted": [0.5, 2.0, 3.0, 4.0], "line": [0.9, 0.8, 1.5, 2.0]})
    (row,) = agreement(table, "line").to_dict("records")
    assert (row["right"], row["wins"], row["rank"]) == (0.75, 0.5, pytest.approx(0.8))


def test_advantages_compare_groups_of_classes_and_their_claims_can_fail():
    rows = []
    for optimizer, seed in product(("muon", "sgd", "adamw"), range(6)):
        accuracy = {f"accuracy_{i}": (0.9 if i < 7 or optimizer == "muon" else 0.5) + 1e-3 * NOISE.standard_normal()
                    for i in range(10)}  # fmt: skip
        rows.append({"optimizer": optimizer, "seed": seed, "phase": "runs", "network": "perceptron", "dataset": "mnist",
                     **accuracy})  # fmt: skip
    table = pd.DataFrame(rows)
    found = advantages(table, "perceptron")
    assert found["sgd rare"]["mean"] == pytest.approx(40, abs=1)
    assert found["adamw rare more"]["mean"] == pytest.approx(40, abs=1)
    assert verdicts(tail_classes.claims(table)) == dict.fromkeys(
        ("TC-RARE-MNIST", "TC-MORE-MNIST"), ("holds", ("refuted",))
    )


def test_a_window_is_measured_between_the_crossings():
    rates = 10.0 ** np.arange(-3, 2)
    table = pd.DataFrame({"rule": "Muon", "seed": 0, "lr": rates, "test_accuracy": [0.9, 0.98, 0.985, 0.96, 0.5]})
    other = table.assign(rule="F-Muon", test_accuracy=[0.98, 0.98, 0.985, 0.98, 0.5])
    found = learning_rate_window.windows(pd.concat([table, other])).iloc[0]
    assert found["Muon"] == pytest.approx(1 + 0.005 / 0.08 + 0.4)
    assert found["F-Muon"] == pytest.approx(3 + 0.005 / 0.48)


def test_the_wider_rule_wins_and_exchanging_the_curves_flips_it():
    rates, rows = 10.0 ** np.arange(-3, 2), []
    for seed, (rule, second) in product(range(6), (("Muon", 0.9), ("F-Muon", 0.98))):
        accuracy = [0.5, second + 1e-3 * NOISE.standard_normal(), 0.985, 0.9, 0.5]
        rows.append(pd.DataFrame({"rule": rule, "seed": seed, "lr": rates, "test_accuracy": accuracy}))
    assert verdicts(learning_rate_window.claims(pd.concat(rows))) == {"TR-04": ("holds", ("refuted",))}


def test_a_fall_is_from_the_largest_norm_to_those_at_full_accuracy_and_to_the_last_ones():
    accuracy, norms = [0.5, 0.9, 1.0, 0.99, 1.0, 1.0, 1.0, 1.0, 1.0], [4.0, 8.0, 4, 4, 4, 1, 1, 1, 1]
    table = pd.DataFrame({"rule": "Muon", "smoothing": 0.0, "gradient": "full", "seed": 0, "step": range(9),
                          "frobenius": norms, "nuclear": 1.0, "train_accuracy": accuracy})  # fmt: skip
    found = gradient_fall.falls(table).set_index("when")
    assert found.frobenius.to_dict() == {"reached": 2.0, "end": 8.0 / 1.6}
    assert found.step.to_dict() == {"reached": 2, "end": 4}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_steps_the_kernels_of_a_small_net_rescaled(name):
    model = small_conv_net((8, 8), 1, seed=0)
    optimizer = small_hybrid(model, name, 0.01, rescaled=True)
    nn.functional.cross_entropy(model(torch.rand(8, 64)), torch.arange(8)).backward()
    optimizer.step()
    kernel = model.get_parameter("conv2.weight").detach()
    assert float(torch.linalg.vector_norm(kernel)) == pytest.approx(32**0.5, rel=0.1)


def test_the_full_recipe_puts_the_rule_in_the_place_of_muon_and_keeps_the_rest():
    model = small_conv_net((8, 8), 1, seed=0)
    optimizer = full_recipe(model, "F-Muon", 0.4, rescaled=True)
    rule, rest = optimizer.optimizers
    assert rule.param_groups[0]["alpha"] == 0.5
    assert isinstance(rest, torch.optim.SGD)
    assert isinstance(on_kernels("Muon", [nn.Parameter(torch.eye(3))], 0.1, rescaled=False), Muon)


def test_the_claims_of_the_full_recipe_hold_for_the_published_numbers_and_can_fail():
    errors = {("own" if i < 5 else "shared", name): 100 - rule.accuracy for i, (name, rule) in enumerate(RULES.items())}
    errors |= {("free", "Muon"): 6.61, ("free", "F-Muon"): 6.61}
    table = pd.DataFrame({key: value + 0.05 * NOISE.standard_normal(6) for key, value in errors.items()})
    found = verdicts(full_claims(table))
    assert found["TR-01"] == ("holds", ("refuted",))
    assert found["TR-02"] == ("holds", ("refuted",))
    assert found["TR-03"][1] == ("refuted",)


def test_the_claims_of_the_reduced_recipe_can_fail():
    errors = {("own", "Muon"): 40.0, ("own", "F-Muon"): 42.0, ("own", "S-Muon"): 40.0, ("own", "SignSGD"): 45.0,
              ("own", "NSGD"): 45.0, ("own", "Neon"): 50.0, ("own", "Fanion-5"): 42.0, ("shared", "Neon"): 70.0,
              ("shared", "Fanion-5"): 50.0}  # fmt: skip
    table = pd.DataFrame({key: value + 0.1 * NOISE.standard_normal(6) for key, value in errors.items()})
    assert set(verdicts(reduced_claims(table)).values()) == {("holds", ("refuted",))}
    table["own", "F-Muon"] += 5
    assert verdicts(reduced_claims(table))["MC-BLEND"][0] == "refuted"


def test_the_claims_on_maps_can_fail():
    losses = {(name,): 0.2 + 0.1 * (name in ("p = 1", "radial")) for name in which_spectral_map.MAPS}
    slopes = pd.DataFrame({"phase": "curvature", "seed": range(5), "a": 1.5 + 0.1 * NOISE.standard_normal(5)})
    found = verdicts(which_spectral_map.claims(pd.concat([runs_of(losses, ["name"]), slopes])))
    assert set(found.values()) == {("holds", ("refuted",))}
