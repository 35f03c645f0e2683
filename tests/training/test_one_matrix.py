"""Training with the rule under study on one matrix: what is recorded, what is held equal, what is refused."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from muon_theory.polar import polar_factor
from muon_theory.problems import load_images
from muon_theory.problems.networks import first_convolution_net, mlp
from muon_theory.training import minibatches
from muon_theory.training.one_matrix import RULES, train_one_matrix

IMAGES = load_images("digits")
SETTINGS = {"lr": 0.05, "momentum": 0.5, "rest_lr": 0.01, "steps": 6, "batch": 32}


def net(seed=0):
    return mlp(IMAGES.features, (12,), seed=seed)


def gradient_of(model, index, name="layer1.weight"):
    loss = nn.functional.cross_entropy(model(IMAGES.train_images[index]), IMAGES.train_labels[index])
    return torch.autograd.grad(loss, model.get_parameter(name))[0].flatten(1).double()


def test_the_recorded_norms_are_those_of_the_first_minibatch():
    run = train_one_matrix(IMAGES, net(), "layer1.weight", "sgd", **SETTINGS)
    sigma = torch.linalg.svdvals(gradient_of(net(), next(minibatches(len(IMAGES.train_labels), 32, seed=0))))
    assert run.nuclear[0] == pytest.approx(float(sigma.sum()), rel=1e-5)
    assert run.frobenius[0] == pytest.approx(float(sigma.norm()), rel=1e-5)


def test_a_probe_separates_the_large_batch_from_the_noise():
    run = train_one_matrix(IMAGES, net(), "layer1.weight", "muon", **SETTINGS, probed=128, probe_every=1)
    probe = next(minibatches(len(IMAGES.train_labels), 128, seed=10_000))
    large = gradient_of(net(), probe)
    noise = [torch.linalg.matrix_norm(gradient_of(net(), part) - large, "nuc") for part in probe.split(32)]
    assert run.large_nuclear[0] == pytest.approx(float(torch.linalg.matrix_norm(large, "nuc")), rel=1e-5)
    assert run.noise_nuclear[0] == pytest.approx(float(torch.stack(noise).mean()), rel=1e-5)


def test_probing_and_norms_do_not_change_the_training():
    watched, unwatched = net(), net()
    train_one_matrix(IMAGES, watched, "layer1.weight", "muon", **SETTINGS, probed=128, probe_every=2)
    run = train_one_matrix(IMAGES, unwatched, "layer1.weight", "muon", **SETTINGS, norms_every=None)
    assert run.nuclear.isna().all()
    for one, other in zip(watched.parameters(), unwatched.parameters(), strict=True):
        assert torch.equal(one, other)


def test_probes_come_at_the_middle_of_their_intervals():
    run = train_one_matrix(IMAGES, net(), "layer1.weight", "sgd", **SETTINGS, probed=64, probe_every=3, norms_every=2)
    assert run.step[run.large_nuclear.notna()].tolist() == [1, 4]
    assert run.step[run.nuclear.notna()].tolist() == [0, 2, 4]


def test_the_first_step_of_exact_muon_is_the_polar_factor_of_the_gradient():
    model, before = net(), net()
    train_one_matrix(IMAGES, model, "layer1.weight", "muon_exact", **(SETTINGS | {"steps": 1, "momentum": 0.0}))
    index = next(minibatches(len(IMAGES.train_labels), 32, seed=0))
    step = before.get_parameter("layer1.weight").double() - model.get_parameter("layer1.weight").double()
    assert torch.allclose(step, 0.05 * polar_factor(gradient_of(before, index)), atol=1e-5)


def test_the_rest_steps_alike_under_every_rule():
    heads = []
    for rule in RULES:
        model = first_convolution_net(8, seed=0)
        train_one_matrix(IMAGES, model, "first.weight", rule, **(SETTINGS | {"steps": 1}))
        heads.append(model.get_parameter("head.weight").detach())
    assert all(torch.equal(heads[0], head) for head in heads[1:])
    assert not torch.equal(heads[0], first_convolution_net(8, seed=0).get_parameter("head.weight"))


def test_a_run_that_breaks_ends_there_and_keeps_the_last_finite_weights():
    third = list(itertools.islice(minibatches(len(IMAGES.train_labels), 32, seed=0), 3))[2]
    broken = IMAGES.train_images.clone()
    broken[third[0]] = math.nan
    model = net()
    run = train_one_matrix(replace(IMAGES, train_images=broken), model, "layer1.weight", "muon", **SETTINGS)
    assert run.diverged.tolist() == [False, False, True]
    assert np.isnan(run.nuclear.iloc[-1])
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "adam"}, "rule is 'adam'; choose one of sgd, muon, muon_exact"),
        ({"name": "layer9.weight"}, "trainable matrices: layer1.weight, head.weight"),
        ({"name": "layer1.bias"}, "name is 'layer1.bias'"),
        ({"lr": -1.0}, "lr is -1.0"),
        ({"rest_lr": math.nan}, "rest_lr is nan"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"steps": 0}, "steps is 0"),
        ({"batch": 10_000}, "batch is 10000; it must be an integer from 1 to 1437"),
        ({"probed": 33}, "probed is 33; it must be a multiple of batch = 32"),
        ({"probe_every": 0}, "probe_every is 0"),
        ({"schedule_lr": "step"}, "schedule_lr is 'step'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(change, message):
    model = net()
    arguments = {"name": "layer1.weight", "rule": "sgd", **SETTINGS} | change
    with pytest.raises(ValueError, match=message):
        train_one_matrix(IMAGES, model, **arguments)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), net().parameters(), strict=True))
