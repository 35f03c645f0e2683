"""A run resumed with a model that is not the recorded one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from muon_theory.recorder import SpectrumRecorder, every, read_spectra


def _record(folder, *widths: int, first_step: int = 0, run: str = "a", layers=None) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(*pair) for pair in zip(widths[:-1], widths[1:], strict=True)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    options = {"schedule": every(1), "kinds": ["gradient"], "run": run, "first_step": first_step, "layers": layers}
    with SpectrumRecorder(optimizer, model, folder, **options):
        for _ in range(2):
            model(torch.ones(1, widths[0])).sum().backward()
            optimizer.step()


def test_a_layer_of_another_shape_is_refused_and_nothing_is_written(tmp_path):
    _record(tmp_path, 4, 3, 2)
    files = sorted(tmp_path.iterdir())
    with pytest.raises(
        ValueError, match=r"recorded 0\.weight with shape \(3, 4\), and the model now has \(3, 5\)"
    ) as said:
        _record(tmp_path, 5, 3, 2, first_step=2)
    assert "another name" in str(said.value)
    assert "1 of 2 layers differ" in str(said.value)
    assert sorted(tmp_path.iterdir()) == files
    _record(tmp_path, 5, 3, 2, run="b")
    assert read_spectra(tmp_path)["run"].unique().tolist() == ["a", "b"]


def test_more_or_fewer_layers_are_the_same_run(tmp_path):
    _record(tmp_path, 4, 3, 2, layers=["0.weight"])
    _record(tmp_path, 4, 3, 2, first_step=2)
    _record(tmp_path, 4, 3, 2, first_step=4, layers=["1.weight"])
    assert read_spectra(tmp_path).groupby("step")["layer"].agg("".join).tolist() == [
        *["0.weight"] * 2,
        *["0.weight1.weight"] * 2,
        *["1.weight"] * 2,
    ]
