import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from muon_theory.problems import tutorial_conv_net
from muon_theory.recorder import read_spectra
from muon_theory.training.checkpoint import FILE_NAME, Checkpoints
from muon_theory.training.recipe_run import train_recipe

CHILD = """
import os, signal, sys, torch
sys.path.insert(0, sys.argv[2])
from test_recipe_run import IMAGES
from muon_theory.training.recipe_run import train_recipe
torch.set_num_threads(1)
synced = os.fsync
count = 0
def killed(descriptor):
    global count
    count += 1
    if count == 3:
        os.ftruncate(descriptor, 1000)  # what a crash may leave of a file that is being written
        os.kill(os.getpid(), signal.SIGKILL)
    synced(descriptor)
os.fsync = killed
train_recipe("tutorial", IMAGES, "muon", epochs=3, batch=16, checkpoint_to=sys.argv[1], checkpoint_every=2)
"""


@pytest.fixture(scope="module")
def images():
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("small", Path(__file__).with_name("test_recipe_run.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.IMAGES


class Stopped(Exception):
    """What ends a run in the middle."""


def stop_after(count):
    def progress(step, steps, loss):
        if step == count:
            raise Stopped

    return progress


def timeless(table):
    return table.drop(columns=["time_s", "optimizer_time_s"])


def states(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
    ("optimizer", "precision", "stopped"),
    [("muon", "float32", 5), ("sgd", "float32", 3), ("adamw", "bfloat16", 4), ("hybrid", "float32", 7),
     ("torch.optim:NAdam", "float16", 8)],
)  # fmt: skip
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(images, tmp_path, optimizer, precision, stopped):
    common = {"epochs": 3, "batch": 16, "precision": precision, "seed": 4}
    whole, first, second = (tutorial_conv_net(seed=1) for _ in range(3))
    expected = train_recipe("tutorial", images, optimizer, model=whole, **common)
    keep = {"checkpoint_to": tmp_path, "checkpoint_every": 2}
    with pytest.raises(Stopped):
        train_recipe("tutorial", images, optimizer, model=first, progress=stop_after(stopped), **common, **keep)
    table = train_recipe("tutorial", images, optimizer, model=second, resume=True, **common, **keep)
    assert timeless(table).equals(timeless(expected))
    for name, tensor in states(whole).items():
        assert torch.equal(states(second)[name], tensor), name
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]
    assert timeless(train_recipe("tutorial", images, optimizer, resume=True, **common, **keep)).equals(
        timeless(expected)
    )


def test_dropout_goes_on_with_its_own_random_numbers(images, tmp_path):
    seen = {}

    class Noisy(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.weight, self.name = nn.Parameter(torch.zeros(3072, 10)), name

        def forward(self, x):
            if self.training:
                seen.setdefault(self.name, []).append(torch.rand(3))
            return x.flatten(1) @ self.weight

    common = {"epochs": 3, "batch": 16, "evaluate": False}
    train_recipe("tutorial", images, "sgd", model=Noisy("whole"), **common)
    with pytest.raises(Stopped):
        train_recipe("tutorial", images, "sgd", model=Noisy("parts"), checkpoint_to=tmp_path, checkpoint_every=1,
                     progress=stop_after(4), **common)  # fmt: skip
    torch.manual_seed(99)
    train_recipe("tutorial", images, "sgd", model=Noisy("parts"), checkpoint_to=tmp_path, resume=True, **common)
    assert torch.equal(torch.stack(seen["parts"]), torch.stack(seen["whole"]))


def test_recorded_spectra_of_a_resumed_run_are_those_of_an_uninterrupted_one(images, tmp_path):
    common = {"epochs": 2, "batch": 16, "schedule": lambda _: True, "kinds": ["gradient", "update"], "run": "one"}
    train_recipe("tutorial", images, "muon", record_to=tmp_path / "whole", **common)
    keep = {"checkpoint_to": tmp_path / "kept", "checkpoint_every": 2, "record_to": tmp_path / "parts"}
    with pytest.raises(Stopped):
        train_recipe("tutorial", images, "muon", progress=stop_after(3), **common, **keep)
    train_recipe("tutorial", images, "muon", resume=True, **common, **keep)
    whole, parts = (read_spectra(tmp_path / name) for name in ("whole", "parts"))
    assert whole[["step", "layer", "kind"]].equals(parts[["step", "layer", "kind"]])
    assert sorted(set(whole.step)) == list(range(6))
    assert all(np.array_equal(a, b) for a, b in zip(whole.sigma, parts.sigma, strict=True))


def test_a_process_killed_while_it_writes_leaves_the_checkpoint_before(images, tmp_path):
    folder = str(Path(__file__).parent)
    child = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), folder], env=os.environ, check=False)
    assert child.returncode == -signal.SIGKILL
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left[0] == FILE_NAME
    assert left[1].endswith(".tmp")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        table = train_recipe("tutorial", images, "muon", epochs=3, batch=16, checkpoint_to=tmp_path, resume=True)
        expected = train_recipe("tutorial", images, "muon", epochs=3, batch=16)
    finally:
        torch.set_num_threads(threads)
    assert timeless(table).equals(timeless(expected))
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]


def test_another_run_model_or_optimizer_is_refused_and_says_what_differs(images, tmp_path):
    common = {"epochs": 1, "batch": 16, "checkpoint_to": tmp_path}
    train_recipe("tutorial", images, "sgd", **common)
    with pytest.raises(ValueError, match=r"checkpoint.pt exists; resume the run"):
        train_recipe("tutorial", images, "sgd", **common)
    changed = tutorial_conv_net(seed=0)
    changed.head = nn.Linear(512, 11)
    with pytest.raises(ValueError, match=r"of another model: head.weight is \[\[10, 512\], 'float32'\] there and "
                       r"\[\[11, 512\], 'float32'\] in the model"):  # fmt: skip
        train_recipe("tutorial", images, "sgd", model=changed, resume=True, **common)
    changed.extra = nn.Linear(2, 2)
    changed.head = nn.Linear(512, 10)
    with pytest.raises(ValueError, match=r"it lacks extra.weight"):
        train_recipe("tutorial", images, "sgd", model=changed, resume=True, **common)
    for told, options in {
        "seed = 0, this one has 1": {"seed": 1},
        "epochs = 1, this one has 2": {"epochs": 2},
        "options of the optimizer = {}, this one has {'lr': 0.5}": {"lr": 0.5},
        "precision = 'float32', this one has 'bfloat16'": {"precision": "bfloat16"},
    }.items():
        with pytest.raises(ValueError, match=told):
            train_recipe("tutorial", images, "sgd", resume=True, **{**common, **options})
    with pytest.raises(ValueError, match=r"optimizer = 'sgd'|groups of the optimizer"):
        train_recipe("tutorial", images, "adamw", resume=True, **common)


@pytest.mark.parametrize("kept", [0, 1, 1000, -1])
def test_a_damaged_checkpoint_says_so(images, tmp_path, kept):
    common = {"epochs": 1, "batch": 16, "checkpoint_to": tmp_path}
    train_recipe("tutorial", images, "sgd", **common)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"checkpoint.pt is damaged \(.*\); delete it to begin anew"):
        train_recipe("tutorial", images, "sgd", resume=True, **common)


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(images, tmp_path, monkeypatch, caplog):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    table = train_recipe("tutorial", images, "sgd", epochs=2, batch=16, checkpoint_to=tmp_path)
    assert len(table) == 2
    assert list(tmp_path.iterdir()) == []
    assert [record.message for record in caplog.records if "no checkpoint at step 3" in record.message]
    assert len(caplog.records) == 1


def test_a_folder_that_is_a_file_and_a_senseless_interval_are_errors(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="name a folder that this process may write to"):
        Checkpoints(tmp_path / "file", None, {})
    with pytest.raises(ValueError, match="checkpoint_every is 0"):
        Checkpoints(tmp_path, 0, {})
