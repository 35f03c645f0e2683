"""A full, a read-only, a vanished and a shared folder: what was recorded stays, and training does not notice."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from muon_theory.recorder import SpectrumRecorder, every, read_matrices, read_spectra

CALLS = ("open", "write", "close", "fsync", "replace", "unlink", "ftruncate")


def _training():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def _step(model, optimizer, step):
    optimizer.zero_grad()
    model(torch.randn(8, 5, generator=torch.Generator().manual_seed(step))).square().mean().backward()
    optimizer.step()


def _steps(folder) -> list[int]:
    return read_spectra(folder)["step"].unique().tolist()


def _unrecorded(steps: int) -> list[torch.Tensor]:
    model, optimizer = _training()
    for step in range(steps):
        _step(model, optimizer, step)
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize(
    "code", [errno.ENOSPC, *(pytest.param(c, marks=pytest.mark.slow) for c in (errno.EROFS, errno.EIO))]
)
def test_a_disk_that_fails_at_any_call_for_a_while_costs_the_events_of_that_while_only(
    tmp_path, monkeypatch, caplog, code
):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # called for real elsewhere; slow on a busy disk
    expected = _unrecorded(8)
    for number in range(200):
        folder, made, hit = tmp_path / str(number), [0], []
        model, optimizer = _training()
        recorder = SpectrumRecorder(
            optimizer, model, folder, schedule=every(1), kinds=["gradient"], events_per_part=3, store_matrices=True
        )
        caplog.clear()
        with recorder, monkeypatch.context() as patch:
            failing = [True]

            def fused(function, made=made, failing=failing, hit=hit):
                def call(*arguments, **options):
                    made[0] += 1
                    if made[0] > number and failing[0]:  # noqa: B023
                        hit.append(True)
                        raise OSError(code, os.strerror(code))
                    return function(*arguments, **options)

                return call

            for name in CALLS:
                patch.setattr(os, name, fused(getattr(os, name)))
            for step in range(4):
                _step(model, optimizer, step)
            failing[0] = False
            for step in range(4, 8):
                _step(model, optimizer, step)
        for one, other in zip(model.parameters(), expected, strict=True):
            assert torch.equal(one, other)
        steps = _steps(folder)
        assert steps[-4:] == [4, 5, 6, 7]
        assert steps == [step for step in range(8) if step in steps]
        lost = 8 - len(steps)
        said = sum("training goes on" in message for message in caplog.messages)
        assert (lost > 0) <= (said == 1)
        assert len(list(read_matrices(folder))) == 2 * len(steps)
        if not hit:
            break
    assert lost == 0
    assert number > 20


FULL_DISK = """
import json, os, sys
from pathlib import Path
import torch
from torch import nn
from muon_theory.recorder import SpectrumRecorder, every, read_matrices, read_spectra

disk = Path(sys.argv[1])
torch.manual_seed(0)
model = nn.Linear(24, 16, bias=False)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
ballast, stored, descriptors = disk / "ballast", [], []
with SpectrumRecorder(
    optimizer, model, disk / "spectra", schedule=every(1), kinds=["gradient"], store_matrices=True, events_per_part=4
) as recorder:
    for step in range(60):
        if step == int(sys.argv[2]):
            with ballast.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(512)):
                        pass
                except OSError:
                    pass
        if step == 50:
            ballast.unlink()
        model.weight.grad = torch.full_like(model.weight, step + 1.0)
        optimizer.step()
        descriptors.append(len(os.listdir("/proc/self/fd")))
        stored.append(step in set(read_spectra(disk / "spectra")["step"]))
table = read_spectra(disk / "spectra")
print(json.dumps({
    "stored": stored, "read": table["step"].tolist(), "sigma": [sigma[0] for sigma in table["sigma"]],
    "matrices": sum(1 for _ in read_matrices(disk / "spectra")), "descriptors": max(descriptors) - descriptors[5],
    "files": len(list((disk / "spectra").iterdir())), "weight": model.weight.sum().item(),
}))
"""


@pytest.mark.parametrize(
    "full_at", [pytest.param(10, marks=pytest.mark.slow), 12]
)  # within a part, and right after a part was written
def test_a_disk_that_is_really_full_loses_no_stored_event_and_recording_goes_on_when_there_is_space(tmp_path, full_at):
    mount = f"mount -t tmpfs -o size=256k,mode=700 tmpfs {tmp_path}"
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", mount], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("needs the right to mount a tmpfs in a namespace of its own (unshare)")
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", f'{mount} && exec "$@"', "-", sys.executable, "-c",
         FULL_DISK, str(tmp_path), str(full_at)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    kept = [step for step, stored in enumerate(found["stored"]) if stored]
    assert set(range(10)) | set(range(50, 60)) <= set(kept)
    assert len(kept) < 55  # it was full
    assert found["read"] == kept
    assert found["sigma"] == pytest.approx([(step + 1) * (16 * 24) ** 0.5 for step in kept])
    assert found["matrices"] == len(kept)
    assert found["descriptors"] <= 2
    assert found["files"] <= 2 * (len(kept) // 4 + 4)
    assert done.stderr.count("training goes on") == 1
    assert "free space on that disk" in done.stderr


READ_ONLY = """
import os, sys, tempfile
from pathlib import Path
import torch, torch._dynamo
from torch import nn
from muon_theory.recorder import SpectrumRecorder, every, read_spectra

if os.geteuid() == 0:
    os.seteuid(65534)  # root may write anywhere
with tempfile.TemporaryDirectory() as name:
    folder = Path(name) / "spectra"
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, model, folder, schedule=every(1), kinds=["weight"], events_per_part=4) as recorder:
        for step in range(12):
            if step == 2:
                folder.chmod(0o555)
            if step == 10:
                folder.chmod(0o755)
            optimizer.step()
            assert step in set(read_spectra(folder)["step"])
    assert read_spectra(folder)["step"].tolist() == list(range(12))
    folder.chmod(0o555)
    try:
        SpectrumRecorder(optimizer, model, folder)
    except PermissionError as error:
        print(error)
    folder.chmod(0o755)
"""


def test_a_folder_that_becomes_read_only_keeps_every_event_in_its_journal():
    with tempfile.TemporaryDirectory() as cwd:
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY], capture_output=True, text=True, check=False, cwd=cwd, env=environment
        )
    assert done.returncode == 0, done.stderr
    assert "name a folder that this process may write to" in done.stdout
    assert "the events stay in the journals" in done.stderr
    assert "let this process write to the folder" in done.stderr


def test_a_folder_that_is_removed_meanwhile_does_not_end_the_training(tmp_path, caplog):
    model, optimizer = _training()
    with caplog.at_level(logging.WARNING), SpectrumRecorder(
        optimizer, model, tmp_path / "a", schedule=every(1), kinds=["weight"], events_per_part=2, store_matrices=True
    ):  # fmt: skip
        for step in range(6):
            if step == 3:
                shutil.rmtree(tmp_path / "a")
            _step(model, optimizer, step)
    assert "the folder is gone" in caplog.text
    for one, other in zip(model.parameters(), _unrecorded(6), strict=True):
        assert torch.equal(one, other)


TWO_PROCESSES = """
import sys, torch
from torch import nn
from muon_theory.recorder import SpectrumRecorder, every
model = nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = None if sys.argv[2] == "-" else sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
with SpectrumRecorder(
    optimizer, model, sys.argv[1], schedule=every(1), kinds=["weight"], events_per_part=9, run=run
) as recorder:
    for _ in range(60):
        optimizer.step()
"""


@pytest.mark.parametrize("run", [pytest.param("-", marks=pytest.mark.slow), "same"])
def test_two_processes_on_one_folder_do_not_harm_each_other(tmp_path, run):
    command = [sys.executable, "-c", TWO_PROCESSES, str(tmp_path), run]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        assert "failed" not in errors
    counts = read_spectra(tmp_path).groupby("run")["step"].agg(list).to_dict()
    assert counts == dict.fromkeys(["same"] if run == "same" else ["run_1", "run_2"], list(range(60)))
    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet"}


@pytest.mark.parametrize("keep", [0, 3, 200, -1])
def test_a_part_truncated_by_hand_is_named_and_moved_out_of_the_way_of_the_rest(tmp_path, caplog, keep):
    model, optimizer = _training()
    for first_step in (0, 4):
        with SpectrumRecorder(
            optimizer, model, tmp_path, schedule=every(1), kinds=["weight"], run="a", first_step=first_step
        ):
            for step in range(first_step, first_step + 4):
                _step(model, optimizer, step)
    damaged = sorted(tmp_path.iterdir())[0]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:keep])
    with pytest.raises(ValueError, match=rf"{damaged.name} is damaged .*: move it out of the folder to read the rest"):
        read_spectra(tmp_path)
    with caplog.at_level(logging.WARNING), SpectrumRecorder(
        optimizer, model, tmp_path, schedule=every(1), kinds=["weight"], run="a", first_step=8
    ):  # fmt: skip
        _step(model, optimizer, 8)  # recording goes on beside it
    assert f"{damaged.name} is damaged" in caplog.text
    assert "failed" not in caplog.text
    damaged.rename(tmp_path.parent / f"{tmp_path.name}-{damaged.name}")
    assert _steps(tmp_path) == [4, 5, 6, 7, 8]


def test_a_matrix_part_truncated_by_hand_is_named_and_the_spectra_are_read(tmp_path):
    model, optimizer = _training()
    with SpectrumRecorder(optimizer, model, tmp_path, kinds=["weight"], store_matrices=True):
        _step(model, optimizer, 0)
    (part,) = tmp_path.glob("*.safetensors")
    part.write_bytes(part.read_bytes()[:40])
    assert _steps(tmp_path) == [0]
    with pytest.raises(ValueError, match=rf"{part.name} is damaged .*: move it out of the folder to read the rest"):
        list(read_matrices(tmp_path))


def test_a_folder_of_the_first_schema_is_read_and_recorded_into(tmp_path):
    header = {"format_version": 1, "run": "a", "first_step": 0, "layers": {"0.weight": [4, 5], "2.weight": [3, 4]}}
    rows = [
        {"run": "a", "step": step, "layer": layer, "kind": "weight", "rows": m, "columns": n, "dtype": "float32",
         "noise_floor": 1e-7, "sigma": [step + 1.0] * min(m, n)}
        for step in range(3) for layer, (m, n) in header["layers"].items()
    ]  # fmt: skip
    import pyarrow as pa

    kinds = [pa.string(), pa.int64(), pa.string(), pa.string(), pa.int64(), pa.int64(), pa.string(), pa.float64()]
    names = ["run", "step", "layer", "kind", "rows", "columns", "dtype", "noise_floor"]
    schema = pa.schema([*zip(names, kinds, strict=True), ("sigma", pa.list_(pa.float64()))])
    table = pa.Table.from_pylist(rows, schema=schema.with_metadata({b"muon_theory": json.dumps(header).encode()}))
    pq.write_table(table, tmp_path / "spectra-000001-00000.parquet")
    assert _steps(tmp_path) == [0, 1, 2]
    model, optimizer = _training()
    with SpectrumRecorder(
        optimizer, model, tmp_path, schedule=every(1), kinds=["weight"], run="a", first_step=2
    ):  # fmt: skip
        for step in (2, 3):
            _step(model, optimizer, step)
    read = read_spectra(tmp_path)
    assert read["step"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert read["sigma"].iloc[3].tolist() == [2.0] * 3
    assert read["sigma"].iloc[4][0] != 3.0  # replaced
