"""Steps of one layer: curvature against finite differences, restored weights, patches of a convolution, the gain."""

import numpy as np
import pytest
import torch
from torch import nn

from muon_theory.problems import load_images, mlp
from muon_theory.problems.image_subsets import small_conv_net
from muon_theory.spectra import nuclear_rank, singular_values
from muon_theory.training.measured_network_run import measured_network_run, smooth_network
from muon_theory.training.one_layer_steps import curvatures, decreases, incoming_activations, layer_gradient
from muon_theory.training.spectral_gain import spectral_gain

IMAGES = load_images("digits")
INPUTS, LABELS = IMAGES.train_images[:200].double(), IMAGES.train_labels[:200]


def test_the_curvature_is_the_second_difference_of_the_loss():
    model = mlp(64, (12, 8), seed=1).double()
    D = torch.randn(2, 8, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = curvatures(model, "layer2.weight", D, INPUTS, LABELS)
    for each, curvature in zip(D, found, strict=True):
        ahead, behind = decreases(model, "layer2.weight", each, [1e-4, -1e-4], INPUTS, LABELS)
        assert curvature == pytest.approx(-(ahead + behind) / 1e-8, rel=1e-3)


def test_the_first_difference_is_the_gradient_and_weights_are_restored():
    model = mlp(64, (8,), seed=0).double()
    before = model.get_parameter("layer1.weight").detach().clone()
    G = layer_gradient(model, "layer1.weight", INPUTS, LABELS)
    (fallen,) = decreases(model, "layer1.weight", G, [1e-6], INPUTS, LABELS)
    assert fallen == pytest.approx(1e-6 * float(G.square().sum()), rel=1e-4)
    assert before.equal(model.get_parameter("layer1.weight"))


def test_incoming_patches_times_the_kernel_are_the_convolution():
    model = small_conv_net((8, 8), 1, seed=0)
    A = incoming_activations(model, "conv2.weight", IMAGES.train_images[:3])
    layer = model.get_submodule("conv2")
    assert isinstance(layer, nn.Conv2d)
    seen = []
    layer.register_forward_hook(lambda *each: seen.append(each[2]))
    model(IMAGES.train_images[:3])
    assert layer.bias is not None
    expected = seen[0].detach().flatten(2).transpose(1, 2).flatten(0, 1)
    assert torch.allclose(A @ layer.weight.detach().flatten(1).T + layer.bias.detach(), expected, atol=1e-5)


def test_activations_of_other_layers_are_refused():
    model = nn.Sequential(nn.BatchNorm1d(64), nn.Linear(64, 10))
    with pytest.raises(TypeError, match="BatchNorm1d"):
        incoming_activations(model, "0.weight", IMAGES.train_images[:4])


def test_the_prediction_is_nuclear_rank_over_stable_rank_and_the_second_order_gain_its_part():
    model = mlp(64, (12, 8), seed=1).double()
    found = spectral_gain(model, "layer2.weight", INPUTS, LABELS)
    sigma = singular_values(layer_gradient(model, "layer2.weight", INPUTS, LABELS)).numpy()
    A = incoming_activations(model, "layer2.weight", INPUTS)
    stable = float(A.square().sum() / torch.linalg.matrix_norm(A, 2) ** 2)
    assert found["stable_rank"] == pytest.approx(stable, rel=1e-6)
    assert found["predicted"] == pytest.approx(float(nuclear_rank(sigma)) / stable, rel=1e-6)
    assert found["predicted"] == pytest.approx(found["quadratic"] * found["loosen"], rel=1e-9)


def test_in_a_linear_layer_with_white_inputs_the_gradient_cannot_lose_by_more_than_the_stable_rank():
    """With A A^T ~ I the stable rank is the number of columns, at least the nuclear rank: the prediction is <= 1."""
    model = nn.Sequential()
    model.add_module("head", nn.Linear(6, 10, bias=False))
    white = torch.linalg.qr(torch.randn(60, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    labels = torch.arange(60) % 10
    found = spectral_gain(model.double(), "head.weight", 8 * white, labels)
    assert found["stable_rank"] == pytest.approx(6)
    assert found["predicted"] <= 1
    assert found["quadratic"] <= 1.5


def test_an_exact_oracle_has_no_deficit_and_a_smooth_network_no_biases():
    settings = {"hidden": (8,), "count": 64, "steps": 6, "lr": 0.02, "momentum": 0.9, "batch": 16, "lag": 3}
    exact = measured_network_run(IMAGES, exact=True, **settings)
    assert exact.deficit.max() < 1e-4
    assert exact.overshoot.max() < 1e-4
    rough = measured_network_run(IMAGES, ns_steps=1, **settings)
    assert rough.deficit.max() > 0.05
    assert np.isnan(exact.secant.iloc[0])
    assert bool((exact.secant.iloc[1:] > 0).all())
    assert all(parameter.ndim == 2 for parameter in smooth_network(64, (8,), 10, seed=0).parameters())


def test_more_images_than_there_are_are_refused():
    with pytest.raises(ValueError, match="count is"):
        measured_network_run(IMAGES, count=10**6, steps=1, lr=0.1, momentum=0.9)
