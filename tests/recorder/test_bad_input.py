"""What the recorder refuses, at once and with a remedy."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from muon_theory.recorder import SpectrumRecorder, every, read_matrices, read_spectra


def _parts():
    model = nn.Linear(3, 2)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("option", "error", "text"),
    [
        ({"kinds": ["gradients"]}, ValueError, "choose one or more of gradient, momentum, lmo_input"),
        ({"kinds": []}, ValueError, "choose one or more"),
        ({"kinds": "weight"}, TypeError, r"pass a list, \['weight'\]"),
        ({"layers": ["head"]}, ValueError, "choose among the optimizer's matrices, weight"),
        ({"layers": []}, ValueError, "pass names of parameters"),
        ({"layers": "weight"}, TypeError, "pass a list"),
        ({"schedule": 10}, TypeError, r"such as every\(10\)"),
        ({"run": ""}, TypeError, "pass a name"),
        ({"run": 3}, TypeError, "pass a name"),
        ({"first_step": -1}, ValueError, "first_step is -1"),
        ({"first_step": 1.5}, TypeError, "first_step must be an integer"),
        ({"events_per_part": 0}, ValueError, "events_per_part is 0"),
    ],
)
def test_options_that_mean_nothing_are_refused_before_the_folder_is_touched(tmp_path, option, error, text):
    model, optimizer = _parts()
    with pytest.raises(error, match=text):
        SpectrumRecorder(optimizer, model, tmp_path / "run", **option)
    assert not (tmp_path / "run").exists()
    assert not optimizer._optimizer_step_pre_hooks


def test_a_model_that_is_not_the_optimizers_is_refused(tmp_path):
    model, optimizer = _parts()
    with pytest.raises(ValueError, match=r"shape \(2, 3\) in param_groups\[0\], is not in the model"):
        SpectrumRecorder(optimizer, nn.Linear(3, 2), tmp_path)
    with pytest.raises(TypeError, match="pass the torch.nn.Module"):
        SpectrumRecorder(optimizer, model.parameters(), tmp_path)
    with pytest.raises(TypeError, match=r"pass a torch\.optim\.Optimizer"):
        SpectrumRecorder(model, optimizer, tmp_path)


def test_parameters_of_the_model_that_the_optimizer_does_not_hold_are_left_alone(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, model, tmp_path):
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    assert set(read_spectra(tmp_path)["layer"]) == {"1.weight"}


def test_an_optimizer_without_matrices_is_refused(tmp_path):
    model = nn.Linear(3, 2)
    with pytest.raises(ValueError, match="no parameter with two or more dimensions"):
        SpectrumRecorder(torch.optim.SGD([model.bias], lr=0.1), model, tmp_path)


def test_complex_and_uninitialised_matrices_are_refused(tmp_path):
    model = nn.Linear(3, 2, dtype=torch.complex64)
    with pytest.raises(TypeError, match=r"weight has dtype torch\.complex64"):
        SpectrumRecorder(torch.optim.SGD(model.parameters(), lr=0.1), model, tmp_path)
    lazy = nn.LazyLinear(2)
    with pytest.raises(ValueError, match="run the model once"):
        SpectrumRecorder(torch.optim.SGD(lazy.parameters(), lr=0.1), lazy, tmp_path)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    model, optimizer = _parts()
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match="name a folder"):
            SpectrumRecorder(optimizer, model, folder)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    model, optimizer = _parts()
    tmp_path.chmod(0o555)
    try:
        if os.geteuid() == 0:  # root may write anywhere: let the kernel's answer be that of another user

            def deny(self, *_, **__):
                raise PermissionError(13, "Permission denied", str(self))

            monkeypatch.setattr("pathlib.Path.write_bytes", deny)
        with pytest.raises(PermissionError, match="name a folder that this process may write to"):
            SpectrumRecorder(optimizer, model, tmp_path)
    finally:
        tmp_path.chmod(0o755)


def test_reading_nothing_is_an_error_where_there_is_no_folder_and_no_rows_where_it_is_empty(tmp_path, caplog):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        read_spectra(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file"):
        read_spectra(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        table = read_spectra(tmp_path)
    assert len(table) == 0
    assert table.columns.tolist()[-1] == "sigma"
    assert "no recorded event" in caplog.text
    assert list(read_matrices(tmp_path)) == []


def test_a_recorder_is_entered_once_at_a_time_and_goes_on_where_it_stopped(tmp_path):
    model, optimizer = _parts()
    recorder = SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=["weight"], run="a")
    for _ in range(2):
        with recorder:
            with pytest.raises(RuntimeError, match="recording already"):
                recorder.__enter__()
            optimizer.step()
        optimizer.step()
    assert read_spectra(tmp_path)["step"].tolist() == [0, 1]


def test_the_step_may_be_moved_forward_only(tmp_path):
    model, optimizer = _parts()
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=["weight"]) as recorder:
        optimizer.step()
        recorder.advance_to(10)
        optimizer.step()
        with pytest.raises(ValueError, match="enter a new recorder with first_step"):
            recorder.advance_to(3)
    assert read_spectra(tmp_path)["step"].tolist() == [0, 10]


def test_importing_the_recorder_pulls_in_no_heavy_package():
    code = (
        "import sys, muon_theory.recorder; "
        "heavy = 'sklearn matplotlib sympy torch._dynamo tensorboard wandb trackio lightning transformers'.split(); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
