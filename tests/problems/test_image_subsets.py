"""Parts of image sets: class frequencies, repeatability, refusals; and the small convolution net."""

import pytest
import torch

from muon_theory.problems import load_images
from muon_theory.problems.image_subsets import long_tailed, random_subset, small_conv_net

IMAGES = load_images("digits")


def test_class_frequencies_fall_geometrically_in_an_order_drawn_from_the_seed():
    orders = []
    for seed in (0, 1):
        part, places = long_tailed(IMAGES, largest=100, ratio=100, seed=seed)
        counts = torch.bincount(part.train_labels, minlength=10)
        assert counts[places.argsort()].tolist() == [round(100 * 100 ** (-i / 9)) for i in range(10)]
        assert len(part.test_labels) == len(IMAGES.test_labels)
        orders.append(places.tolist())
    assert orders[0] != orders[1]


def test_the_kept_images_carry_their_own_labels():
    part, _ = long_tailed(IMAGES, largest=50, ratio=5, seed=2)
    pairs = {(tuple(x), y) for x, y in zip(IMAGES.train_images.tolist(), IMAGES.train_labels.tolist(), strict=True)}
    assert {(tuple(x), y) for x, y in zip(part.train_images.tolist(), part.train_labels.tolist(), strict=True)} <= pairs


def test_parts_are_repeatable_differ_by_seed_and_are_told_apart():
    first, again, other = (random_subset(IMAGES, 50, seed=seed, tests=20) for seed in (0, 0, 1))
    assert first.train_labels.equal(again.train_labels)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert len(first.test_labels) == 20


@pytest.mark.parametrize("count", [0, 10**6])
def test_a_count_out_of_range_is_refused(count):
    with pytest.raises(ValueError, match="count is"):
        random_subset(IMAGES, count, seed=0)


def test_a_class_that_is_too_small_and_a_ratio_below_one_are_refused():
    with pytest.raises(ValueError, match="lower it"):
        long_tailed(IMAGES, largest=1000, ratio=10, seed=0)
    with pytest.raises(ValueError, match="ratio is"):
        long_tailed(IMAGES, largest=10, ratio=0.5, seed=0)


@pytest.mark.parametrize(("shape", "channels"), [((8, 8), 1), ((28, 28), 1), ((32, 32), 3)])
def test_the_small_net_takes_every_image_and_depends_on_the_seed_only(shape, channels):
    inputs = torch.rand(3, channels * shape[0] * shape[1])
    first, again, other = (small_conv_net(shape, channels, seed=seed)(inputs) for seed in (0, 0, 1))
    assert first.shape == (3, 10)
    assert first.equal(again)
    assert not first.equal(other)
