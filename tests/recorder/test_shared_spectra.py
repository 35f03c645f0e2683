"""Spectra that the optimizer formed itself, and updates it tells: taken from it, with the same numbers."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import nn

from muon_theory.optimizers import Muon, Sharded, muon_with_adamw
from muon_theory.recorder import SpectrumRecorder, every, measure, read_spectra, source


def _model(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 150), nn.Tanh(), nn.Linear(150, 140), nn.Tanh(), nn.Linear(140, 3)).to(dtype)


def _train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 3) -> None:
    dtype = next(model.parameters()).dtype
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(16, 6, generator=generator).to(dtype)).square().mean().backward()
        optimizer.step()


def _matrices(model: nn.Module) -> list[torch.Tensor]:
    return [parameter for parameter in model.parameters() if parameter.ndim == 2]


@pytest.fixture
def taken(monkeypatch):
    """Kinds of the matrices whose spectra were taken from the optimizer."""
    kinds = []
    original = measure.row

    def spy(each, sigma, *rest):
        if each.known is not None:
            kinds.append(each.key.kind)
        return original(each, sigma, *rest)

    monkeypatch.setattr(measure, "row", spy)
    return kinds


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_lmo_spectrum_is_the_one_an_exact_muon_formed(tmp_path, monkeypatch, dtype):
    taken, computed = [], []
    original = measure.row

    def spy(each, sigma, *rest):
        (computed if each.known is None else taken).append((each.key.layer, each.key.kind))
        return original(each, sigma, *rest)

    monkeypatch.setattr(measure, "row", spy)
    for name, shared in (("shared", True), ("alone", False)):
        model = _model(dtype)
        optimizer = Muon(_matrices(model), lr=0.02, exact=True)
        if not shared:
            monkeypatch.setattr(source, "lmo_spectrum", lambda *_: None)
        with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(2), run=name):
            _train(model, optimizer)
        assert optimizer.details is None
    layers = ["0.weight", "2.weight", "4.weight"]
    assert sorted(taken) == sorted(2 * [(layer, "lmo_input") for layer in layers])
    table = read_spectra(tmp_path)
    shared, alone = (table[table["run"] == name].reset_index(drop=True) for name in ("shared", "alone"))
    assert (
        shared[["step", "layer", "kind", "noise_floor"]].shape == alone[["step", "layer", "kind", "noise_floor"]].shape
    )
    for one, other in zip(shared.to_dict("records"), alone.to_dict("records"), strict=True):
        assert (one["step"], one["layer"], one["kind"]) == (other["step"], other["layer"], other["kind"])
        above = other["sigma"] > other["noise_floor"]
        np.testing.assert_allclose(one["sigma"][above], other["sigma"][above], rtol=1e-5)
        assert one["noise_floor"] == pytest.approx(other["noise_floor"], rel=1e-6)


def test_without_nesterov_the_momentum_shares_the_spectrum_of_the_lmo_input(tmp_path, taken):
    model = _model()
    optimizer = Muon(_matrices(model), lr=0.02, exact=True, nesterov=False)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(5)):
        _train(model, optimizer)
    assert sorted(taken) == ["lmo_input"] * 3 + ["momentum"] * 3
    table = read_spectra(tmp_path)
    one, other = (table[table["kind"] == kind]["sigma"].tolist() for kind in ("momentum", "lmo_input"))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_optimizer_is_asked_at_scheduled_steps_only_and_steps_with_the_same_bits(tmp_path, monkeypatch):
    asked = []
    original = Muon.keep_details
    monkeypatch.setattr(Muon, "keep_details", lambda self, **options: asked.append(1) or original(self, **options))
    outcomes = []
    for record in (False, True):
        model = _model()
        optimizer = muon_with_adamw(model, lr=0.02, adamw_lr=1e-3, exact=True)
        if record:
            with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(2)):
                _train(model, optimizer)
        else:
            _train(model, optimizer)
        outcomes.append(list(model.parameters()))
    assert len(asked) == 2
    assert all(torch.equal(one, other) for one, other in zip(*outcomes, strict=True))


def test_the_update_of_bfloat16_weights_is_what_muon_meant(tmp_path, caplog):
    model = _model(torch.bfloat16)
    optimizer = Muon(_matrices(model), lr=2e-4, weight_decay=0.0, exact=True, adjust_lr_fn="none")
    with caplog.at_level(logging.WARNING), SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1)):
        _train(model, optimizer, steps=1)
    assert "update" not in caplog.text
    table = read_spectra(tmp_path).query("kind == 'update' and layer != '2.weight'")
    assert table["dtype"].unique().tolist() == ["bfloat16"]
    for row in table.to_dict("records"):
        np.testing.assert_allclose(row["sigma"][:3] / 2e-4, 1.0, rtol=0.02)  # by weight difference: 0.07 to 1.7
        assert 0 < row["noise_floor"] < 1e-2 * row["sigma"][0]


def test_the_update_of_bfloat16_weights_is_refused_where_the_optimizer_tells_none(tmp_path, caplog):
    model = _model(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with caplog.at_level(logging.WARNING), SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1)):
        _train(model, optimizer)
    assert "update" not in set(read_spectra(tmp_path)["kind"])
    said = [record.message for record in caplog.records if "mostly rounding" in record.message]
    assert len(said) == 1
    assert "SGD tells none" in said[0]


def test_a_sharded_muon_hands_on_the_spectra_it_formed(tmp_path, taken):
    model = _model()
    for inner in (Muon(_matrices(model), lr=0.02, exact=True), muon_with_adamw(model, lr=0.02, exact=True)):
        taken.clear()
        optimizer = Sharded(inner)
        with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(5)):
            _train(model, optimizer)
        assert set(taken) == {"lmo_input"}
        assert optimizer.lmo_spectrum(model[2].weight) is None  # released after the event
