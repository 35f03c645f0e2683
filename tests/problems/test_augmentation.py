import pytest
import torch
from torch.nn.functional import pad

from muon_theory.problems.augmentation import Choices, alternating_flips, cropped, drawn_choices


def naive(image, row, column, flipped, padding, mode):
    padded = pad(image[None], (padding,) * 4, mode="constant" if mode == "zero" else "reflect")[0]
    crop = padded[:, row : row + image.shape[1], column : column + image.shape[2]]
    return crop.flip(-1) if flipped else crop


@pytest.mark.parametrize("mode", ["zero", "reflect"])
@pytest.mark.parametrize("padding", [0, 2, 4])
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 6, 9)])
def test_every_image_is_cropped_and_flipped_as_one_would_do_it_by_hand(mode, padding, shape):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(40, *shape, generator=generator)
    before = images.clone()
    choices = drawn_choices(40, padding, generator)
    made = cropped(images, choices, padding, mode)
    parts = zip(choices.rows.tolist(), choices.columns.tolist(), choices.flipped.tolist(), strict=True)
    expected = [naive(image, *part, padding, mode) for image, part in zip(images, parts, strict=True)]
    assert torch.equal(made, torch.stack(expected))
    assert torch.equal(images, before)


def test_choices_are_uniform_and_depend_on_the_seed_only():
    one, again, other = (drawn_choices(9000, 4, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one.rows, again.rows)
    assert not torch.equal(one.rows, other.rows)
    for offsets in (one.rows, one.columns):
        counts = torch.bincount(offsets, minlength=9)
        assert len(counts) == 9
        assert counts.min() > 800  # mean 1000, standard deviation 30
        assert counts.max() < 1200
    assert 4200 < one.flipped.sum() < 4800
    assert abs(torch.corrcoef(torch.stack([one.rows, one.columns]).double())[0, 1]) < 0.05


def test_flips_alternate_from_epoch_to_epoch():
    flips = [alternating_flips(100, epoch, torch.Generator().manual_seed(3)) for epoch in range(4)]
    assert torch.equal(flips[0], flips[2])
    assert torch.equal(flips[1], ~flips[0])
    assert torch.equal(flips[3], flips[1])


def test_an_unknown_mode_and_a_negative_padding_are_errors():
    one = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="mode is 'wrap'"):
        cropped(torch.zeros(1, 1, 2, 2), Choices(one, one, one == 1), 1, "wrap")
    with pytest.raises(ValueError, match="padding is -1"):
        drawn_choices(1, -1, torch.Generator())
