import pytest
import torch

from muon_theory.problems import airbench_net, set_whitening, tutorial_conv_net


def test_the_tutorials_network_has_the_published_layers_and_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    model = tutorial_conv_net(seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    shapes = [tuple(p.shape) for p in model.parameters() if p.ndim > 1]
    assert shapes == [(32, 3, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (512, 2048), (10, 512)]
    assert model.dropout.p == 0.5
    again, other = tutorial_conv_net(seed=0), tutorial_conv_net(seed=1)
    assert torch.equal(again.head.weight, model.head.weight)
    assert not torch.equal(other.head.weight, model.head.weight)


def test_airbenchs_network_starts_with_pass_through_filters_and_a_head_of_unit_spread():
    model = airbench_net(seed=0)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 1_971_352
    assert model.head.weight.std().item() == pytest.approx(1.0, rel=1e-5)
    kernel = model.group1.conv1.weight
    assert torch.equal(kernel[:24, :, 1, 1], torch.eye(24))
    assert float(kernel[:24].detach().abs().sum()) == 24
    assert kernel[24:].std() > 0
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    norms = {f"group{group}.norm{norm}.weight" for group in (1, 2, 3) for norm in (1, 2)}
    assert frozen == {"whiten.weight"} | norms
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_the_first_layer_whitens_the_patches_and_adds_their_negatives():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(400, 3, 8, 8, generator=generator).cumsum(-1)
    layer = torch.nn.Conv2d(3, 24, 2)
    set_whitening(layer, images, eps=1e-8)
    outputs = torch.nn.functional.conv2d(images, layer.weight).transpose(0, 1).flatten(1)
    assert torch.allclose(outputs[:12] @ outputs[:12].T / outputs.shape[1], torch.eye(12), atol=2e-3)
    assert torch.equal(layer.weight[12:], -layer.weight[:12])
    with pytest.raises(ValueError, match="needs 24"):
        set_whitening(torch.nn.Conv2d(3, 8, 2), images)


def test_bad_sizes_are_errors():
    with pytest.raises(ValueError, match="at least 8 pixels"):
        tutorial_conv_net((4, 4), seed=0)
    with pytest.raises(ValueError, match="dropout is 1"):
        tutorial_conv_net(dropout=1.0, seed=0)
    with pytest.raises(ValueError, match="give three"):
        airbench_net(widths=(8, 8), seed=0)
