"""Facts in the cells of the tutorial's studies, on small sizes."""

import pandas as pd
import pytest
import torch
from torch import nn

from muon_theory.optimizers import Hybrid, Muon
from muon_theory.problems import transformer
from studies.tutorial import lessons, muonw_hybrid, small_batches, step_metrics, when_to_use
from studies.tutorial._muonw_names import RENAMED, muonw
from studies.tutorial.muon_from_scratch import TutorialMuon, cell


def test_the_muon_from_scratch_is_the_librarys_to_rounding():
    rows = cell("float64", "digits", 6, 0)
    assert rows[["update_difference", "drift"]].to_numpy().max() < 1e-11
    assert rows["scratch_loss"].iloc[0] == pytest.approx(rows["library_loss"].iloc[0], rel=1e-9)


def test_the_muon_from_scratch_scales_kernels_by_the_unflattened_shape():
    kernel = nn.Parameter(torch.zeros(32, 3, 3, 3))
    kernel.grad = torch.randn(kernel.shape, generator=torch.Generator().manual_seed(0))
    other = nn.Parameter(torch.zeros(32, 3, 3, 3))
    other.grad = kernel.grad.clone()
    TutorialMuon([kernel], dtype=torch.float32).step()
    Muon([other], 0.01, 0.0).step()
    ratio = (other.norm() / kernel.norm()).item()
    assert ratio == pytest.approx((32 / 27) ** 0.5, rel=1e-4)


def test_names_decide_what_muonw_steps_by_muon():
    model = transformer(16, 8, 2, 1, 4, seed=0)
    matrices = {}
    for arm in ("roles", "AdamW", *RENAMED):
        rules = {group["rule"]: len(group["params"]) for group in muonw(arm, model, 0.1).param_groups}
        matrices[arm] = rules.get("muon", 0)
    assert matrices == {"roles": 4, "AdamW": 0, "as named here": 5, "attention_heads": 3, "OLMo's names": 7}


@pytest.mark.parametrize("arm", when_to_use.COLORS)
def test_an_arm_gives_muon_its_roles_and_adamw_the_rest(arm):
    model = transformer(16, 8, 2, 1, 4, seed=0)
    optimizer = when_to_use.optimizer_of(arm, model, 0.1)
    found = sum(len(group["params"]) for group in optimizer.param_groups)
    assert found == len(list(model.parameters()))
    expected = {"hidden": 4, "and head": 5, "and embeddings": 6, "everything": 7, "adamw": 0}[arm]
    inner = optimizer.optimizers[0].param_groups if isinstance(optimizer, Hybrid) else []
    assert sum(len(group["params"]) for group in inner) == expected


def test_a_masked_decay_spares_what_has_no_gradient():
    shared = {"arm": "as named here", "lr": 0.02, "size": "quick", "steps": 6, "seed": 0, "windows": 1}
    rare = [muonw_hybrid.cell(**shared, weight_decay=1.0, masked=masked)["rare"] for masked in (True, False)]
    assert rare[0] > rare[1]


def test_runs_fail_at_rates_above_the_best_one_only():
    rows = []
    for lr, loss, norm in ((0.01, 2.3, 1.0), (0.1, 0.4, 2.0), (1.0, 3.0, 30.0), (9.0, 99.0, 50.0)):
        row = {"optimizer": "sgd", "lr": lr, "seed": 0, "step": 1, "norm": norm, "max": norm}
        rows.append(row | {"test_loss": loss, "diverged": loss > 50})
    found = step_metrics.outcomes(pd.DataFrame(rows))
    assert found["failing"].tolist() == [False, False, True, True]
    assert step_metrics.separation(pd.DataFrame(rows))["sgd"]["norm"] == pytest.approx(40 / 1.5)


def test_compiling_is_never_paid_back_where_nothing_is_saved():
    found = lessons._calls_to_pay_back(compile_s=10.0, eager_s=1e-4, compiled_s=2e-4)
    assert found.measured == float("inf")
    found = lessons._calls_to_pay_back(compile_s=10.0, eager_s=3e-3, compiled_s=1e-3)
    assert found.measured == pytest.approx(5000)


def test_all_batches_see_the_same_number_of_images():
    for batch in (16, 64):
        run = small_batches.cell("muon", batch, 1.0, "digits", 256, [8], 0, 1)
        assert (run["step"].iloc[-1] + 1) * batch == 256
