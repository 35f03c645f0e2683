import numpy as np
import pytest

from muon_theory.rooms.fanions.least_squares import (
    descend,
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
