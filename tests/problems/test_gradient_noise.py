"""The streaming teacher: everything that is known of it exactly is what simulation finds."""

import numpy as np
import pytest

from muon_theory.problems.gradient_noise import StreamingTeacher, streaming_teacher

TEACHER = streaming_teacher(3, 5, decay=1.0, noise=0.7, seed=0)
POINT = np.random.default_rng(1).standard_normal((3, 5))


def test_the_gradient_is_that_of_the_excess():
    step = 1e-6
    for i, j in ((0, 0), (2, 4), (1, 3)):
        moved = np.zeros((3, 5))
        moved[i, j] = step
        slope = (TEACHER.excess(POINT + moved) - TEACHER.excess(POINT - moved)) / (2 * step)
        assert TEACHER.gradient(POINT)[i, j] == pytest.approx(float(slope), rel=1e-6)
    assert float(TEACHER.excess(TEACHER.weights)) == 0.0


def _samples(count):
    generator, found = np.random.default_rng(2), []
    for _ in range(count):
        S, E = TEACHER.batch_moments(1, generator)
        found.append((POINT - TEACHER.weights) @ S - E)
    return np.stack(found)


def test_batch_gradients_are_unbiased_and_have_the_stated_covariance():
    noise = _samples(40_000) - TEACHER.gradient(POINT)
    mean_error = noise.std(0) / 40_000**0.5
    assert (np.abs(noise.mean(0)) < 5 * mean_error).all()
    products = noise @ np.swapaxes(noise, -1, -2)
    error = products.std(0) / 40_000**0.5
    assert (np.abs(products.mean(0) - TEACHER.noise_covariance(POINT)) < 5 * error).all()


def test_the_noise_of_a_batch_falls_as_its_size():
    generator = np.random.default_rng(3)
    D = POINT - TEACHER.weights
    drawn = [
        D @ S - E - TEACHER.gradient(POINT) for S, E in (TEACHER.batch_moments(16, generator) for _ in range(8000))
    ]
    squares = (np.stack(drawn) ** 2).sum((1, 2))
    expected = np.trace(TEACHER.noise_covariance(POINT)) / 16
    assert abs(squares.mean() - expected) < 5 * squares.std() / 8000**0.5


@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (5, 3)])
def test_the_smoothness_is_attained_and_never_exceeded(rows, columns):
    teacher = streaming_teacher(rows, columns, decay=0.5, noise=0.0, seed=0)
    generator = np.random.default_rng(4)
    for _ in range(100):
        D = generator.standard_normal((rows, columns))
        ratio = np.linalg.norm(D * teacher.eigenvalues, "nuc") / np.linalg.norm(D, 2)
        assert ratio <= teacher.smoothness * (1 + 1e-12)
    isometry = np.eye(rows, columns)  # the eigenvalues descend
    assert np.linalg.norm(isometry * teacher.eigenvalues, "nuc") == pytest.approx(teacher.smoothness, rel=1e-12)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="eigenvalues"):
        StreamingTeacher(np.array([1.0, 0.0]), np.eye(2), 0.1)
    with pytest.raises(ValueError, match="do not fit"):
        StreamingTeacher(np.ones(3), np.eye(2), 0.1)
    with pytest.raises(ValueError, match="noise = -1"):
        StreamingTeacher(np.ones(2), np.eye(2), -1.0)
    with pytest.raises(ValueError, match="batch = 0"):
        TEACHER.batch_moments(0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="rows = 0"):
        streaming_teacher(0, 3, decay=0.0, noise=0.0, seed=0)
