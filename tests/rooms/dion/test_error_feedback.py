import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.rooms.dion.error_feedback import law, law_scale, simulate_modes, smoothed_gap


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=12), st.data())
def test_the_law_is_the_clipped_line_with_sum_r(sigma, data):
    r = data.draw(st.integers(1, len(sigma)))
    f, c = law(sigma, r), law_scale(sigma, r)
    assert f.sum() == pytest.approx(r, rel=1e-12)
    assert ((f > 0) & (f <= 1)).all()
    assert np.array_equal(f, np.minimum(1, c * np.array(sigma)))


def test_the_law_of_the_inventory():
    assert law([10, 8, 2, 1, 0.5, 0.25, 0.1], 3)[2:].sum() == pytest.approx(1)
    assert law_scale([10, 2, 1, 0.5, 0.25], 2) == pytest.approx(1 / 3.75)


def test_the_law_does_not_depend_on_order_or_scale():
    sigma = np.array([0.5, 10, 1, 0.25, 2])
    assert np.allclose(law(sigma, 2), law(np.sort(sigma), 2)[np.argsort(np.argsort(sigma))])
    assert np.allclose(law(1e30 * sigma, 2), law(sigma, 2))


def test_zero_modes_are_never_used_and_full_rank_uses_all():
    assert law([3, 1, 0], 1)[2] == 0
    assert law([3, 1, 0], 2).tolist() == [1, 1, 0]
    assert law([3.0], 1).tolist() == [1]


def test_equal_modes_share_equally():
    assert law([2, 2, 2, 2], 3) == pytest.approx(np.full(4, 0.75))


@pytest.mark.parametrize(
    ("sigma", "r", "message"),
    [
        ([1, 0], 2, "r is 2; it must be an integer from 1 to 1"),
        ([1, 2], 0, "r is 0"),
        ([1, 2], 1.0, "r is 1.0"),
        ([1, -2], 1, "finite numbers >= 0"),
        ([1, np.inf], 1, "finite numbers >= 0"),
        ([[1, 2]], 1, "vector"),
    ],
)
def test_bad_input_is_refused(sigma, r, message):
    with pytest.raises(ValueError, match=message):
        law(sigma, r)


def test_simulated_modes_equal_a_two_line_loop():
    sigma, b, used = np.array([3.0, 2.0, 0.5]), np.zeros(3), np.zeros(3)
    for _ in range(200):
        b = b + sigma
        top = np.argsort(-b)[:2]
        used[top] += 1
        b[top] *= 0.9
    assert np.array_equal(simulate_modes(sigma, 2, 0.9, 200, burn_in=0).frequency * 200, used)


def test_batches_of_spectra_and_momenta_are_simulated_apart():
    sigma = np.array([[[3.0, 2.0, 1.0], [5.0, 1.0, 1.5]]] * 2)
    momentum = np.array([[0.9, 0.9], [0.5, 0.5]])
    together = simulate_modes(sigma, 1, momentum, 300, burn_in=20)
    for i in range(2):
        for j in range(2):
            alone = simulate_modes(sigma[i, j], 1, momentum[i, j], 300, burn_in=20)
            assert np.array_equal(together.frequency[i, j], alone.frequency)
            assert np.array_equal(together.buffer[i, j], alone.buffer)


def test_without_feedback_the_leading_modes_alone_are_used():
    assert simulate_modes([1.0, 3.0, 2.0], 2, 0.95, 100, burn_in=5, error_feedback=False).frequency.tolist() == [
        0,
        1,
        1,
    ]


@pytest.mark.parametrize("r", [1, 2, 4])
def test_the_law_is_the_best_point_of_the_ball_among_random_ones(r):
    generator = np.random.default_rng(r)
    G = generator.standard_normal((6, 5))
    U, sigma, V = np.linalg.svd(G, full_matrices=False)
    c = law_scale(sigma, r)
    D = (U * law(sigma, r)) @ V
    points = generator.standard_normal((500, 6, 5)) * generator.random((500, 1, 1))
    points /= np.maximum(1, np.linalg.norm(points, 2, axis=(1, 2)))[:, None, None]
    points = np.concatenate([points, D + 0.01 * (points - D)])  # the ball is convex: near D too
    values = (points * G).sum((1, 2)) - (points**2).sum((1, 2)) / (2 * c)
    assert values.max() <= (D * G).sum() - (D**2).sum() / (2 * c)
    assert smoothed_gap(G, D, c) == pytest.approx(0, abs=1e-12)
    assert smoothed_gap(G, 0.9 * D, c) > 1e-2
