import numpy as np
import pytest
import torch

from muon_theory.norms import Frobenius, MaxEntry, Spectral, f_fanion, s_fanion
from muon_theory.polar import orthogonalize, polar_factor
from muon_theory.rooms.fanions.least_squares import (
    METHODS,
    Route,
    blended_direction,
    descend,
    descend_batch,
    dual_ky_fan_smoothness,
    least_squares,
    one_step_decrease,
)


def test_the_gradient_is_the_derivative_of_the_value():
    problem = least_squares(5, 0)
    X, H = np.random.default_rng(1).standard_normal((2, 5, 5))
    slope = (problem.value(X + 1e-5 * H) - problem.value(X - 1e-5 * H)) / 2e-5
    assert slope == pytest.approx(np.sum(problem.gradient(X) * H), rel=1e-8)


def test_the_eigenbasis_changes_neither_value_nor_singular_values():
    problem = least_squares(6, 3)
    rotated = problem.in_eigenbasis()
    assert rotated.value(rotated.start) == pytest.approx(float(problem.value(problem.start)))
    np.testing.assert_allclose(
        np.linalg.svd(rotated.gradient(rotated.start), compute_uv=False),
        np.linalg.svd(problem.gradient(problem.start), compute_uv=False),
        rtol=1e-10,
    )
    np.testing.assert_allclose(
        rotated.gradient(rotated.start), problem.a[:, None] * problem.b * rotated.start, atol=1e-15
    )


def test_batches_of_points_have_batches_of_values():
    problem = least_squares(3, 0)
    X = np.random.default_rng(0).standard_normal((4, 2, 3, 3))
    assert problem.value(X).shape == (4, 2)
    assert problem.value(X)[1, 1] == pytest.approx(float(problem.value(X[1, 1])))


def test_smoothness_does_not_depend_on_the_order_of_eigenvalues_and_ends_at_their_ranked_product():
    a, b = np.random.default_rng(0).uniform(size=(2, 7))
    first = dual_ky_fan_smoothness(a, b)
    np.testing.assert_allclose(first, dual_ky_fan_smoothness(a[::-1], np.roll(b, 3)))
    assert first[0] == pytest.approx(a.max() * b.max())
    assert first[-1] == pytest.approx(np.sort(a) @ np.sort(b))


def test_smoothness_of_a_wide_problem_has_as_many_orders_as_the_smaller_side():
    assert dual_ky_fan_smoothness(np.ones(2), np.ones(5)).tolist() == [1.0, 2.0]


def test_the_sharpest_direction_of_a_flat_spectrum_gains_nothing_beyond_its_rank():
    problem = least_squares(4, 0)
    for k in range(1, 5):
        D = problem.sharpest_direction(k)
        assert np.sum(D * problem.gradient(D)) == pytest.approx(dual_ky_fan_smoothness(problem.a, problem.b)[k - 1])


def test_a_decrease_is_promised_for_every_order_and_none_exceeds_the_value():
    problem = least_squares(8, 1)
    decrease = one_step_decrease(problem, problem.start)
    assert decrease.shape == (8,)
    assert np.all(decrease > 0)
    assert np.all(decrease <= problem.value(problem.start))


def test_a_run_records_every_value_and_gradient_descent_brings_it_down():
    problem = least_squares(6, 0)
    X, values = descend(problem, lambda M: -M, lr=0.5, beta=0.0, steps=20)
    assert len(values) == 21
    assert values[-1] == pytest.approx(float(problem.value(X)))
    assert np.all(np.diff(values) < 0)


def test_a_seed_gives_the_same_problem_twice_and_no_step_leaves_it_alone():
    first, second = least_squares(4, 7), least_squares(4, 7)
    np.testing.assert_array_equal(first.start, second.start)
    start = first.start.copy()
    descend(first, lambda M: -M, lr=1.0, beta=0.5, steps=3)
    np.testing.assert_array_equal(first.start, start)


def test_an_empty_problem_is_refused():
    with pytest.raises(ValueError, match="n = 0: give an integer >= 1"):
        least_squares(0, 0)


def test_a_step_of_each_route_is_the_librarys_orthogonalizer():
    M = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 12, 12)))
    exact = blended_direction(M, METHODS["muon"], "exact")
    torch.testing.assert_close(exact, polar_factor(M), rtol=0, atol=1e-9)
    routes: list[tuple[Route, int]] = [("ns3", 3), ("ns5", 5)]
    for route, steps in routes:
        torch.testing.assert_close(
            blended_direction(M, METHODS["muon"], route), orthogonalize(M, "jordan_2024", steps), rtol=0, atol=1e-9
        )
    rounded = blended_direction(M.float(), METHODS["muon"], "ns3_bf16")
    library = orthogonalize(M.float(), "jordan_2024", 3, compute_dtype=torch.bfloat16)
    torch.testing.assert_close(rounded, library, rtol=0, atol=0.02)


@pytest.mark.parametrize("condition", [1e6, 1e9, 1e14])
def test_the_exact_step_stays_a_step_of_length_one_beyond_the_resolution_of_a_gram_matrix(condition):
    left, right = (torch.linalg.qr(torch.randn(40, 40, dtype=torch.float64, generator=g)).Q
                   for g in (torch.Generator().manual_seed(seed) for seed in (0, 1)))  # fmt: skip
    M = left * torch.logspace(0, -np.log10(condition), 40, dtype=torch.float64) @ right.mT
    D = blended_direction(M, METHODS["muon"], "exact")
    torch.testing.assert_close(torch.linalg.svdvals(D), torch.ones(40, dtype=torch.float64), rtol=0, atol=1e-12)
    assert float((M * D).sum()) == pytest.approx(float(torch.linalg.svdvals(M).sum()), rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_a_blend_is_the_oracle_of_its_norm(method):
    M = torch.from_numpy(np.random.default_rng(1).standard_normal((5, 5)))
    norms = {
        "muon": Spectral(), "f_muon": f_fanion(None), "s_muon": s_fanion(None, 0.5, 0.01), "nsgd": Frobenius(),
        "sign_sgd": MaxEntry(),
    }  # fmt: skip
    scale = 0.01 if method == "sign_sgd" else 1.0
    D = blended_direction(M, METHODS[method], "exact")
    torch.testing.assert_close(D, -scale * norms[method].lmo(M), rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_takes_the_steps_of_single_runs_on_every_problem(method):
    problems, lr, beta = [least_squares(6, seed) for seed in (0, 1)], [0.02, 0.01], [0.0, 0.7]
    runs = descend_batch(
        problems, [0, 1], lr, beta, weights=METHODS[method], route="exact", steps=30, thresholds=[[0.0], [0.0]]
    )

    def step(M):
        return -blended_direction(torch.from_numpy(M), METHODS[method], "exact").numpy()

    for i, problem in enumerate(problems):
        values = descend(problem, step, lr=lr[i], beta=beta[i], steps=30)[1]
        # float32 sign descent may take another sign at a zero crossing, so the check is in float64 ("exact")
        assert runs.last[i] == pytest.approx(values[-1], rel=1e-6)
        assert runs.lowest[i] == pytest.approx(values[::5].min(), rel=1e-6)
        assert np.isinf(runs.first_below[i, 0])


def test_first_looks_below_thresholds_are_those_of_the_recorded_values():
    problem = least_squares(6, 2)
    values = descend(problem, lambda M: -M / np.linalg.norm(M), lr=0.05, beta=0.5, steps=40)[1]
    thresholds = [0.5 * values[0], 0.1 * values[0], 0.0]
    runs = descend_batch([problem], [0], [0.05], [0.5], weights=METHODS["nsgd"], route="exact", steps=40,
                         thresholds=[thresholds], look_every=4)  # fmt: skip
    looks = np.arange(0, 41, 4)
    expected = [min((t for t in looks if values[t] < goal), default=np.inf) for goal in thresholds]
    assert runs.first_below[0].tolist() == expected


def test_linear_decay_ends_lower_than_the_floor_of_a_constant_rate():
    problem = least_squares(8, 0)
    last = [
        descend_batch([problem], [0], [0.05], [0.5], weights=METHODS["muon"], route="exact", steps=100,
                      thresholds=[[0.0]], decay=decay).last[0]
        for decay in (False, True)
    ]  # fmt: skip
    assert last[1] < last[0] / 10


def test_a_run_without_progress_and_a_run_too_late_end_early():
    problem = least_squares(6, 0)
    goal = [[0.01 * float(problem.value(problem.start))]]
    runs = descend_batch([problem], [0, 0, 0], [0.02, 1.0, 0.001], [0.5, 0.5, 0.5], weights=METHODS["muon"],
                         route="exact", steps=2000, thresholds=goal, patience=50, allowance=1.5)  # fmt: skip
    assert np.isfinite(runs.first_below[0, 0])
    assert np.isinf(runs.first_below[1:]).all()
    assert runs.steps[1] <= 100  # stalled at once
    assert runs.steps[0] < runs.steps[2] <= 1.5 * runs.first_below[0, 0] + 5  # hopelessly slow


def test_unequal_lists_and_an_odd_patience_are_refused():
    problem = least_squares(3, 0)
    common = {"weights": METHODS["muon"], "route": "ns3", "steps": 2, "thresholds": [[0.0]]}
    with pytest.raises(ValueError, match="which, lr and beta have shapes"):
        descend_batch([problem], [0, 0], [0.1], [0.5], **common)
    with pytest.raises(ValueError, match="patience = 7: give a multiple of look_every = 5"):
        descend_batch([problem], [0], [0.1], [0.5], patience=7, **common)
