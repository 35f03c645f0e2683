import json

import pytest

from muon_theory.cli import main
from muon_theory.recorder import read_spectra


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("MUON_THEORY_DATA", str(tmp_path))
    monkeypatch.delenv("MUON_THEORY_DEBUG", raising=False)


def test_a_recipe_is_carried_out_and_its_epochs_written(capsys, tmp_path):
    words = ["train", "digits", "--recipe", "tutorial", "--epochs", "2", "--record", "spectra", "--out", "epochs.csv"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "tutorial, muon on digits: 2 epochs, train loss " in printed.out
    assert "spectra: muon-theory spectra spectra" in printed.out
    assert "46/46 steps" in printed.err
    assert (tmp_path / "epochs.csv").read_text().startswith("epoch,step,train_loss,train_accuracy,test_loss")
    assert main(["spectra", "spectra", "--step", "0", "--kind", "gradient"]) == 0
    assert "head.weight" in capsys.readouterr().out


@pytest.mark.parametrize("recipe", [[], ["--recipe", "tutorial", "--epochs", "1"]])
def test_every_nth_step_is_recorded_where_asked_for(recipe):
    length = [] if recipe else ["--steps", "23"]
    assert main(["train", "digits", *recipe, *length, "--record", "spectra", "--record-every", "10"]) == 0
    assert read_spectra("spectra")["step"].unique().tolist() == [0, 10, 20]


def test_a_run_is_stopped_and_resumed_from_its_checkpoint(capsys):
    words = ["train", "digits", "--recipe", "tutorial", "--optimizer", "torch.optim:RMSprop", "--lr", "0.001", "--json",
             "--optimizer-args", "alpha=0.9", "--checkpoint", "kept", "--checkpoint-every", "10"]  # fmt: skip
    assert main([*words, "--epochs", "2"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["epoch"] == 2
    assert main([*words, "--epochs", "2"]) == 2
    assert "exists; resume the run (--resume), or name another folder" in capsys.readouterr().err
    assert main([*words, "--epochs", "2", "--resume"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert main([*words, "--epochs", "3", "--resume"]) == 2
    assert "was written by a run with epochs = 2, this one has 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["digits", "--epochs", "2"], "--epochs: give a --recipe, e.g. tutorial"),
        (["digits", "--compile"], "--compile: give a --recipe"),
        (["digits", "--record-every", "5"], "--record-every: give --record"),
        (["digits", "--recipe", "tutorial", "--steps", "5"], "--steps: a recipe has its own"),
        (["digits", "--recipe", "nothing"], "recipe is 'nothing'; choose one of tutorial, airbench"),
        (["digits", "--recipe", "airbench"], "the recipe is for coloured images only"),
        (["digits", "--recipe", "tutorial", "--precision", "half"], "precision is 'half'; choose one of float32"),
        (["digits", "--recipe", "tutorial", "--device", "nowhere"], "--device nowhere: not here"),
        (["digits", "--recipe", "tutorial", "--resume"], "resume and checkpoint_every need checkpoint_to"),
        (["digits", "--recipe", "tutorial", "--optimizer", "adam"], "optimizer is 'adam'; give one of the recipe"),
        (["digits", "--recipe", "tutorial", "--optimizer", "torch.optim:SGD", "--optimizer-args", "x"],
         "--optimizer-args x: give it as KEY=VALUE"),
        (["cifar10", "--recipe", "tutorial"], "run `muon-theory fetch cifar10`"),
    ],
)  # fmt: skip
def test_bad_usage_of_a_recipe_is_told_in_one_line(words, told, capsys):
    assert main(["train", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = [line for line in printed.err.splitlines() if line.startswith("muon-theory: ")]
    assert told in line


def test_fetch_states_the_terms_and_needs_no_network_for_what_is_there(capsys, tmp_path, monkeypatch):
    from muon_theory.problems import data_sets

    paths = [tmp_path / "one"]
    monkeypatch.setattr(data_sets, "download", lambda *_, progress: progress(5000, 10_000) or paths[0])
    assert main(["fetch", "tinyshakespeare"]) == 0
    printed = capsys.readouterr().out
    assert "public domain" in printed
    assert "tinyshakespeare: 1 file, checked, in" in printed
    assert main(["fetch", "mnist", "--data", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "Attribution-ShareAlike" in printed
    assert f"MUON_THEORY_DATA={tmp_path}" in printed
