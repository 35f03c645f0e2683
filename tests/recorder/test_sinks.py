"""What a sink is given, what each tracker then holds, and what happens when a sink fails."""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import struct
import time

import pytest
import torch
from torch import nn

from muon_theory.recorder import (
    SpectrumRecorder,
    TensorBoardSink,
    TrackioSink,
    WandbSink,
    every,
    read_spectra,
    summarize_spectra,
)
from muon_theory.recorder.sinks import QUANTITIES, ChosenScalars, ScalarKey


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[tuple[int, dict[ScalarKey, float]]] = []
        self.closed = 0

    def write(self, step, scalars):
        self.events.append((step, dict(scalars)))

    def close(self):
        self.closed += 1


class Broken(Kept):
    def write(self, *_):
        raise ConnectionError("no network")

    def close(self):
        raise ConnectionError("still no network")


def _train(folder, sinks, steps=3, first_step=0, factor=1.0, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    options = {"schedule": every(1), "kinds": ["gradient", "update"], "first_step": first_step} | options
    with SpectrumRecorder(optimizer, model, folder, sinks=sinks, **options):
        for step in range(first_step, first_step + steps):
            optimizer.zero_grad()
            inputs = torch.randn(8, 5, generator=torch.Generator().manual_seed(step))
            (model(inputs).square().mean() * factor).backward()
            optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_a_sink_is_given_every_scalar_of_every_event_at_its_step(tmp_path):
    sink = Kept()
    _train(tmp_path, [sink], first_step=40, schedule=every(2))
    assert [step for step, _ in sink.events] == [40, 42]
    summary = summarize_spectra(read_spectra(tmp_path)).rename(columns={"spectral_norm": "sigma_1"})
    for row in summary.to_dict("records"):
        scalars = dict(sink.events)[row["step"]]
        assert len(scalars) == 2 * 2 * len(QUANTITIES)
        for quantity in QUANTITIES:
            assert scalars[ScalarKey(row["layer"], row["kind"], quantity)] == row[quantity]
    assert sink.closed == 1


def test_nan_reaches_a_sink_as_nan(tmp_path):
    sink = Kept()
    _train(tmp_path, [sink], steps=1, factor=math.nan)
    assert all(math.isnan(value) for value in sink.events[0][1].values())


def test_few_keys_are_logged_unless_more_are_chosen(tmp_path):
    logged: dict[str, dict[str, float]] = {}

    def chosen(name, **choice):
        return ChosenScalars(lambda _step, scalars: logged.setdefault(name, scalars), **choice)

    sinks = [
        chosen("few"),
        chosen("all", quantities=QUANTITIES, layers=True),
        chosen("one", quantities=["entropy"], kinds="update", layers=["2.weight"]),
        chosen("none", kinds=["momentum"]),
    ]
    _train(tmp_path, sinks, steps=1)
    assert sorted(logged["few"]) == [
        "spectra/gradient/sigma_1/median", "spectra/gradient/stable_rank/median",
        "spectra/update/sigma_1/median", "spectra/update/stable_rank/median",
    ]  # fmt: skip
    assert len(logged["all"]) == 16
    assert list(logged["one"]) == ["spectra/update/entropy/2.weight"]
    assert "none" not in logged
    both = [logged["all"][f"spectra/update/sigma_1/{layer}.weight"] for layer in (0, 2)]
    assert logged["few"]["spectra/update/sigma_1/median"] == pytest.approx(sum(both) / 2)


def test_an_error_in_a_sink_is_said_once_and_costs_nothing_else(tmp_path, caplog):
    kept = Kept()
    with caplog.at_level(logging.WARNING):
        weights = _train(tmp_path / "a", [Broken(), kept])
    assert [message for message in caplog.messages if "Broken failed: no network" in message]
    assert len(caplog.messages) == 1
    assert len(kept.events) == 3
    assert kept.closed == 1
    assert read_spectra(tmp_path / "a")["step"].unique().tolist() == [0, 1, 2]
    for one, other in zip(weights, _train(tmp_path / "b", []), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ConnectionError):
        _train(tmp_path / "c", [Broken()], strict=True)
    assert read_spectra(tmp_path / "c")["step"].unique().tolist() == [0]  # stored before the sink was asked


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda folder: _train(folder, [print]), TypeError, "write.step, scalars. and close"),
        (lambda folder: _train(folder, [TensorBoardSink]), TypeError, "TensorBoardSink.folder."),
        (lambda _: ChosenScalars(print, quantities=["rank"]), ValueError, "stable_rank"),
        (lambda _: ChosenScalars(print, kinds=[]), ValueError, "gradient"),
        (lambda _: ChosenScalars(print, layers="fc"), ValueError, r"\['fc'\]"),
        (lambda _: TrackioSink(), ValueError, "project"),
    ],
)
def test_what_is_no_sink_and_no_choice_is_refused(tmp_path, make, error, text):
    with pytest.raises(error, match=text):
        make(tmp_path)


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    from muon_theory.recorder import sinks

    sinks._imported.cache_clear()
    try:
        with pytest.raises(ImportError, match=r"muon_theory\[tensorboard\]"):
            TensorBoardSink("anywhere")
    finally:
        sinks._imported.cache_clear()


def _tensorboard(folder):
    """What TensorBoard shows: {tag: [(step, value)]}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(folder))
    shown.Reload()
    return {tag: [(e.step, e.value) for e in shown.Scalars(tag)] for tag in shown.Tags()["scalars"]}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_shows_what_is_recorded_at_the_global_step_and_once_after_a_resume(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    sink = TensorBoardSink(tmp_path / "events", quantities=["sigma_1"], kinds=["gradient"], layers=["2.weight"])
    _train(tmp_path / "a", [sink], steps=6, run="a")
    _train(tmp_path / "a", [sink], steps=6, first_step=4, run="a")
    shown = _tensorboard(tmp_path / "events")
    assert list(shown) == ["spectra/gradient/sigma_1/2.weight"]
    table = read_spectra(tmp_path / "a").query("layer == '2.weight' and kind == 'gradient'")
    expected = [(step, pytest.approx(sigma[0])) for step, sigma in zip(table["step"], table["sigma"], strict=True)]
    assert len(expected) == 10
    assert shown["spectra/gradient/sigma_1/2.weight"] == expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_writer_of_the_users_is_shared_and_left_open(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "events")) as writer:
        writer.add_scalar("loss", 1.0, 5)
        _train(tmp_path / "a", [TensorBoardSink(writer)])
        writer.add_scalar("loss", 0.5, 6)
    shown = _tensorboard(tmp_path / "events")
    assert shown["loss"] == [(5, 1.0), (6, 0.5)]
    assert len(shown) == 5


def _wandb_records(data):
    """The records of an offline run's file."""
    from wandb.proto import wandb_internal_pb2

    position, payload = 7, b""
    while position + 7 <= len(data):  # LevelDB's log format: blocks of 32 KiB, records of whole or split payloads
        if 2**15 - position % 2**15 < 7:
            position += 2**15 - position % 2**15
            continue
        length, part = struct.unpack_from("<HB", data, position + 4)
        payload = (b"" if part in {1, 2} else payload) + data[position + 7 : position + 7 + length]
        position += 7 + length
        if part in {1, 4}:
            record = wandb_internal_pb2.Record()
            record.ParseFromString(payload)
            yield record


def _wandb_rows(folder):
    """The history of the one offline run below a folder, once its process has written the end: finish does not wait."""
    (path,), records = folder.rglob("*.wandb"), []
    for _ in range(300):
        records = list(_wandb_records(path.read_bytes()))
        if any(record.WhichOneof("record_type") == "exit" for record in records):
            break
        time.sleep(0.1)
    items = [record.history.item for record in records if record.WhichOneof("record_type") == "history"]
    return [{"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in row} for row in items]


@pytest.mark.filterwarnings("ignore")
def test_wandb_keeps_the_scalars_offline_at_the_global_step(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    _train(tmp_path / "a", [WandbSink(project="spectra", dir=str(tmp_path))], first_step=7)
    rows = _wandb_rows(tmp_path)
    assert [row["_step"] for row in rows] == [7, 8, 9]
    assert all("spectra/gradient/stable_rank/median" in row for row in rows)
    with wandb.init(mode="offline", dir=str(tmp_path / "b"), settings=wandb.Settings(console="off")) as run:
        for step in (0, 1):
            run.log({"loss": 1.0}, step=step)
            _train(tmp_path / "a", [WandbSink(run)], steps=1, first_step=step)
    rows = _wandb_rows(tmp_path / "b")
    assert [row["spectra/step"] for row in rows if "spectra/step" in row] == [0, 1]
    assert sum("loss" in row for row in rows) == 2


@pytest.mark.filterwarnings("ignore")
def test_trackio_keeps_the_scalars_at_the_global_step(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="needs the extra trackio")
    _train(tmp_path / "a", [TrackioSink(project="spectra", name="one")], first_step=7)
    (path,) = (tmp_path / "trackio").rglob("spectra.db")
    with sqlite3.connect(path) as database:
        rows = database.execute("select step, metrics from metrics order by step").fetchall()
    assert [step for step, _ in rows] == [7, 8, 9]
    assert all("spectra/gradient/stable_rank/median" in json.loads(metrics) for _, metrics in rows)
