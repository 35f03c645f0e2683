import math

import numpy as np
import pytest
import torch

from muon_theory.problems import bigram_zipf, uniform_law


def test_the_law_is_a_stationary_chain():
    law = bigram_zipf(200, seed=1)
    assert law.transition.sum(1) == pytest.approx(np.ones(200))
    assert law.stationary @ law.transition == pytest.approx(law.stationary, abs=1e-12)
    assert law.stationary.sum() == pytest.approx(1)


def test_frequencies_are_nearly_zipfs():
    law = bigram_zipf(500, seed=0)
    slope = np.polyfit(np.log(np.arange(1, 501)), np.log(law.stationary), 1)[0]
    assert -1.3 < slope < -0.7
    exact = bigram_zipf(500, seed=0, strength=0)
    assert exact.stationary * np.arange(1, 501) == pytest.approx(np.full(500, exact.stationary[0]))
    assert exact.entropy() == pytest.approx(exact.unigram_entropy())


def test_the_true_law_attains_the_entropy_floor_and_nothing_goes_below():
    law = bigram_zipf(30, seed=2)
    every = torch.arange(30)
    weights = torch.from_numpy(law.stationary)
    logits = torch.from_numpy(np.log(law.transition))

    def loss(predicted):
        return sum(float(w) * law.cross_entropy(predicted[i : i + 1], every[i : i + 1]) for i, w in enumerate(weights))

    assert loss(logits) == pytest.approx(law.entropy(), abs=1e-12)
    for seed in range(5):
        noise = torch.randn(30, 30, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert loss(logits + 0.1 * noise) > law.entropy()
    unigram = torch.from_numpy(np.log(law.stationary)).expand(30, 30)
    assert loss(unigram) == pytest.approx(law.unigram_entropy(), abs=1e-9)


def test_the_empirical_loss_of_the_true_law_on_samples_is_its_entropy():
    law = bigram_zipf(40, seed=3)
    tokens = law.sample(400, 100, seed=0)
    surprise = -np.log(law.transition[tokens[:, :-1].numpy(), tokens[:, 1:].numpy()])
    error = surprise.mean(1).std() / math.sqrt(400)
    assert abs(surprise.mean() - law.entropy()) < 4 * error


def test_samples_have_the_laws_frequencies():
    law = bigram_zipf(12, seed=4)
    tokens = law.sample(4000, 30, seed=1).numpy()
    counts = np.zeros((12, 12))
    np.add.at(counts, (tokens[:, :-1].ravel(), tokens[:, 1:].ravel()), 1)
    assert counts.sum(1) / counts.sum() == pytest.approx(law.stationary, abs=0.01)
    assert counts / counts.sum() == pytest.approx(law.stationary[:, None] * law.transition, abs=0.003)


def test_sampling_depends_on_the_seed_alone():
    law = bigram_zipf(20, seed=0)
    assert torch.equal(law.sample(3, 5, seed=7), law.sample(3, 5, seed=7))
    assert not torch.equal(law.sample(3, 5, seed=7), law.sample(3, 5, seed=8))
    assert np.array_equal(law.transition, bigram_zipf(20, seed=0).transition)
    assert not np.array_equal(law.transition, bigram_zipf(20, seed=1).transition)


def test_a_drift_moves_the_law_away_step_by_step():
    laws = [bigram_zipf(40, seed=0, drift=drift) for drift in (0.0, 0.3, 1.0)]
    assert np.array_equal(laws[0].transition, bigram_zipf(40, seed=0).transition)
    near, far = (np.abs(laws[0].transition - law.transition).sum(1).mean() for law in laws[1:])
    assert 0 < near < far


def test_a_uniform_model_loses_log_v():
    law = bigram_zipf(17, seed=0)
    tokens = law.sample(5, 2, seed=0)
    assert law.cross_entropy(torch.zeros(5, 17), tokens[:, -1]) == pytest.approx(math.log(17))
    assert uniform_law(17).entropy() == pytest.approx(math.log(17))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary": 0}, "vocabulary is 0"),
        ({"rank": 1.5}, "rank is 1.5"),
        ({"drift": 1.5}, "drift is 1.5; it must be a number from 0 to 1"),
        ({"strength": -1.0}, "strength is -1.0"),
        ({"exponent": math.nan}, "exponent is nan"),
    ],
)
def test_arguments_out_of_range_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        bigram_zipf(**({"vocabulary": 5, "seed": 0} | arguments))


def test_no_sequences_cannot_be_drawn():
    with pytest.raises(ValueError, match="count is 0"):
        uniform_law(3).sample(0, 5, seed=0)
