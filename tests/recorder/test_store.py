"""What lies in a recording folder, whole, torn, damaged, foreign or newer, and what is read from it."""

from __future__ import annotations

import json
import logging
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from muon_theory.recorder import read_matrices, read_spectra
from muon_theory.recorder.journal import FORMAT_VERSION, Journal, read_journal
from muon_theory.recorder.layout import METADATA_KEY, Spectrum, read_spectra_file, recording_files
from muon_theory.recorder.matrices import MatrixKey, read_matrices_file
from muon_theory.recorder.recorder import SpectrumRecorder
from muon_theory.recorder.store import SpectrumStore


def _store(folder: Path, run: str | None = "a", first_step: int = 0, layers=("w",), part: int = 100) -> SpectrumStore:
    return SpectrumStore(folder, run, first_step, dict.fromkeys(layers, (2, 2)), part)


def _spectrum(step: int, layer: str = "w", value: float | None = None) -> Spectrum:
    top = step + 1.0 if value is None else value
    return Spectrum(step, layer, "weight", 2, 2, "float32", 1e-8, np.array([top, 0.5]))


def _record(folder: Path, steps, **options) -> SpectrumStore:
    store = _store(folder, first_step=steps[0], **options)
    for step in steps:
        store.append([_spectrum(step)])
    return store


def _steps(folder: Path) -> list[int]:
    return read_spectra(folder)["step"].tolist()


def test_a_journal_torn_at_any_byte_loses_its_last_record_only(tmp_path):
    _record(tmp_path, range(2))
    (journal,) = tmp_path.iterdir()
    before = journal.stat().st_size
    store = _record(tmp_path, range(3))
    del store
    whole = sorted(tmp_path.iterdir())[1].read_bytes()
    for path in tmp_path.iterdir():
        path.unlink()
    for end in range(before, len(whole) + 1):
        journal.write_bytes(whole[:end])
        assert len(list(read_journal(journal))) == (3 if end < len(whole) else 4)  # the first one is the header
        if end % 50 == 0 or end > len(whole) - 3:
            assert _steps(tmp_path) == ([0, 1] if end < len(whole) else [0, 1, 2])


def test_a_journal_torn_within_its_beginning_holds_no_event(tmp_path):
    store = _store(tmp_path)
    store.append([_spectrum(0)])
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    length = len(next(read_journal(path)))
    for end in range(24 + 16 + length):
        path.write_bytes(whole[:end])
        assert _steps(tmp_path) == []


def test_a_damaged_record_loses_itself_only(tmp_path):
    _record(tmp_path, range(4))
    (path,) = tmp_path.iterdir()
    whole = bytearray(path.read_bytes())
    records = [whole.index(record) for record in list(read_journal(path))[1:]]
    for place in (0, 100, -3, -10, -16):  # in the payload, in the checksum, in the length, in the mark
        damaged = whole.copy()
        damaged[records[1] + place] ^= 0xFF
        path.write_bytes(damaged)
        assert _steps(tmp_path) == [0, 2, 3]


def test_ten_thousand_events_leave_at_most_two_hundred_files(tmp_path):
    store = _store(tmp_path, part=256)
    most = 0
    for step in range(10_000):
        store.append([_spectrum(step)])
        if step % 200 == 0:
            most = max(most, len(list(tmp_path.iterdir())))
    assert most <= 41
    assert len(list(tmp_path.iterdir())) == 40
    store.close()
    assert len(list(tmp_path.iterdir())) == 40
    table = read_spectra(tmp_path)
    assert table["step"].tolist() == list(range(10_000))
    assert table["sigma"].iloc[-1].tolist() == [10_000.0, 0.5]


def test_recorders_that_run_at_once_do_not_touch_one_another(tmp_path):
    stores = [_store(tmp_path, run=name, part=3) for name in ("b", "a")]
    unnamed = [_store(tmp_path, run=None, part=3) for _ in range(2)]
    for step in range(7):
        for store in (*stores, *unnamed):
            store.append([_spectrum(step, value=store.session * 10.0)])
    stores[0].close()
    table = read_spectra(tmp_path)
    assert table["run"].unique().tolist() == ["a", "b", "run_3", "run_4"]
    assert {run: rows["sigma"].iloc[0][0] for run, rows in table.groupby("run")} == {
        "b": 10.0, "a": 20.0, "run_3": 30.0, "run_4": 40.0,
    }  # fmt: skip
    assert (table.groupby("run").size() == 7).all()


def test_many_recorders_entered_at_the_same_moment_get_sessions_of_their_own(tmp_path):
    gate = threading.Barrier(16)
    sessions: list[int] = []

    def enter() -> None:
        gate.wait()
        sessions.append(_store(tmp_path).session)

    threads = [threading.Thread(target=enter) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(sessions)) == sorted(sessions)
    assert len(sessions) == 16


def test_two_recorders_of_one_run_with_different_layers_complete_each_other(tmp_path):
    for layer in ("w", "v"):
        store = _store(tmp_path, layers=[layer])
        for step in range(3):
            store.append([_spectrum(step, layer)])
        store.close()
    assert read_spectra(tmp_path)["layer"].tolist() == ["w", "v"] * 3


def test_a_resumed_run_replaces_the_branch_that_was_given_up(tmp_path):
    _record(tmp_path, range(10)).close()
    other = _store(tmp_path, run="other")
    other.append([_spectrum(8)])
    resumed = _store(tmp_path, first_step=6)
    table = read_spectra(tmp_path)
    assert table[table["run"] == "a"]["step"].tolist() == list(range(10))  # nothing recorded yet: all stands
    resumed.append([_spectrum(7, value=-1.0)])
    table = read_spectra(tmp_path)
    assert table[table["run"] == "a"]["step"].tolist() == [0, 1, 2, 3, 4, 5, 7]
    assert table[table["run"] == "a"]["sigma"].iloc[-1][0] == -1
    assert table[table["run"] == "other"]["step"].tolist() == [8]


def test_a_restart_that_hides_recorded_steps_is_warned_of(tmp_path, caplog):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for compacted in (True, False):
        store = _record(tmp_path, range(4), run=f"run {compacted}")
        if compacted:
            store.close()
        for first_step, expected in ((4, 0), (3, 1)):
            caplog.clear()
            with (
                caplog.at_level(logging.WARNING),
                SpectrumRecorder(optimizer, model, tmp_path, run=f"run {compacted}", first_step=first_step),
            ):
                pass
            assert sum("is replaced" in message for message in caplog.messages) == expected


def test_a_part_and_its_journal_count_once(tmp_path):
    store = _record(tmp_path, range(3))
    (journal,) = tmp_path.iterdir()
    whole = journal.read_bytes()
    store.close()
    journal.write_bytes(whole)
    (tmp_path / "spectra-000009-00000.parquet.tmp").write_bytes(b"torn")
    (tmp_path / "notes.txt").write_text("mine")
    assert _steps(tmp_path) == [0, 1, 2]


def test_events_go_on_after_a_compaction_that_failed(tmp_path, caplog, monkeypatch):
    store = _store(tmp_path, part=2)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        for step in range(5):
            store.append([_spectrum(step)])
    assert sum("compaction failed" in message for message in caplog.messages) == 2
    assert _steps(tmp_path) == [0, 1, 2, 3, 4]
    assert [path.suffix for path in tmp_path.iterdir()] == [".journal"]
    store.close()
    assert _steps(tmp_path) == [0, 1, 2, 3, 4]
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"]


@pytest.mark.parametrize("when", ["before the journal is removed", "before a new one is used"])
def test_an_interrupted_compaction_leaves_no_journal_behind(tmp_path, monkeypatch, when):
    store = _record(tmp_path, range(3))

    def interrupt(*_):
        monkeypatch.undo()
        raise KeyboardInterrupt

    if when == "before the journal is removed":
        monkeypatch.setattr(Journal, "close", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store._compact()
    else:
        store._compact()
        Journal(store._path("spectra"), store.header).close()
    assert len(list(tmp_path.glob("*.journal"))) == 1
    store.append([_spectrum(3)])
    store.close()
    assert not list(tmp_path.glob("*.journal"))
    assert _steps(tmp_path) == [0, 1, 2, 3]


def test_a_reader_beside_a_living_recorder_sees_every_completed_event(tmp_path):
    store = _store(tmp_path, part=2)
    counts = []

    def write() -> None:
        for step in range(120):
            store.append([_spectrum(step)])
            counts.append(step + 1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while writer.is_alive():
            before = len(counts)
            steps = _steps(tmp_path)
            assert steps == list(range(len(steps)))
            assert len(steps) >= before
    finally:
        writer.join()
    assert len(_steps(tmp_path)) == 120


def test_a_journal_that_was_compacted_after_the_listing_is_read_from_its_part(tmp_path):
    matrix = torch.arange(6.0).reshape(2, 3)
    store = _store(tmp_path)
    store.append([_spectrum(0)], {MatrixKey(0, "weight", "gradient"): matrix})
    listed = recording_files(tmp_path)
    assert {file.path.suffix for file in listed} == {".journal"}
    store.close()
    for file in listed:
        if file.content == "matrices":
            ((_, read),) = read_matrices_file(file.path)
            assert torch.equal(read, matrix)
        else:
            header, batches = read_spectra_file(file.path)
            assert header["run"]
            assert [step for batch in batches for step in batch["step"].to_pylist()] == [0]
    for file in recording_files(tmp_path):
        file.path.unlink()
    with pytest.raises(FileNotFoundError):
        read_spectra_file(listed[0].path.with_name("spectra-000009-00000.journal"))


def test_files_of_a_newer_release_are_refused_by_name(tmp_path):
    store = _record(tmp_path, range(2))
    (journal,) = tmp_path.iterdir()
    newer = bytearray(journal.read_bytes())
    struct.pack_into("<I", newer, 20, FORMAT_VERSION + 1)
    store.close()
    (part,) = tmp_path.iterdir()
    table = pq.read_table(part)
    header = json.loads(table.schema.metadata[METADATA_KEY]) | {"format_version": FORMAT_VERSION + 1}
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: json.dumps(header)}), part)
    with pytest.raises(ValueError, match=rf"{part.name} has format version {FORMAT_VERSION + 1}.*install a newer"):
        read_spectra(tmp_path)
    part.unlink()
    journal.write_bytes(newer)
    with pytest.raises(ValueError, match=rf"{journal.name} has format version {FORMAT_VERSION + 1}.*install a newer"):
        read_spectra(tmp_path)


def test_files_that_are_not_the_recorders_are_refused_by_name(tmp_path):
    journal, part = tmp_path / "spectra-000001-00000.journal", tmp_path / "spectra-000001-00000.parquet"
    journal.write_bytes(b"something else altogether, and long enough")
    with pytest.raises(ValueError, match=r"journal is not a journal of the spectrum recorder: move it"):
        read_spectra(tmp_path)
    journal.unlink()
    part.write_bytes(b"PAR1 torn")
    with pytest.raises(ValueError, match=r"parquet is damaged .*: move it out"):
        read_spectra(tmp_path)
    pq.write_table(pa.table({"x": [1]}), part)
    with pytest.raises(ValueError, match=r"parquet was not written by the spectrum recorder"):
        read_spectra(tmp_path)


def test_a_part_says_what_it_belongs_to(tmp_path):
    _record(tmp_path, range(2), run="mine", layers=("w", "v")).close()
    (part,) = tmp_path.iterdir()
    header = json.loads(pq.read_schema(part).metadata[METADATA_KEY])
    assert header == {"format_version": 1, "run": "mine", "first_step": 0, "layers": {"w": [2, 2], "v": [2, 2]}}


def test_matrices_without_a_completed_event_are_not_read(tmp_path):
    store = _store(tmp_path)
    store.append([_spectrum(0)], {MatrixKey(0, "w", "weight"): torch.eye(2)})
    journal = Journal(tmp_path / "matrices-000001-00001.journal", store.header)
    journal.append(next(r for i, r in enumerate(read_journal(tmp_path / "matrices-000001-00000.journal")) if i == 1))
    os.truncate(tmp_path / "spectra-000001-00000.journal", 200)
    assert _steps(tmp_path) == []
    assert list(read_matrices(tmp_path)) == []


def test_a_matrix_part_is_an_ordinary_safetensors_file(tmp_path):
    import safetensors.torch

    store = _store(tmp_path)
    matrices = {
        MatrixKey(0, "a/b.weight", "weight"): torch.ones(3, 1, dtype=torch.bfloat16),
        MatrixKey(0, "a/b.weight", "update"): torch.full((1, 1), 2.0, dtype=torch.float64),
        MatrixKey(0, "c", "weight"): torch.full((5, 3), 3.0, dtype=torch.float16).T,
    }
    store.append([_spectrum(0)], matrices)
    store.append([_spectrum(1)], {MatrixKey(1, "c", "weight"): torch.full((2, 2), 4.0)})
    store.close()
    (path,) = [file.path for file in recording_files(tmp_path) if file.content == "matrices"]
    loaded = safetensors.torch.load_file(path)
    expected = {key.text(): value for key, value in matrices.items()} | {"1/weight/c": torch.full((2, 2), 4.0)}
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)
    assert {key for key, _ in read_matrices_file(path)} == {MatrixKey.parse(text) for text in expected}


def test_a_fork_of_the_recording_process_does_not_write(tmp_path):
    store = _record(tmp_path, range(2))
    store._process += 1  # what the child of a fork sees
    with pytest.raises(RuntimeError, match="enter a recorder of its own"):
        store.append([_spectrum(2)])
    store.close()
    assert [path.suffix for path in tmp_path.iterdir()] == [".journal"]
    assert _steps(tmp_path) == [0, 1]


def test_an_interrupt_while_a_record_is_written_leaves_no_torn_record(tmp_path, monkeypatch):
    store = _record(tmp_path, range(2))
    write = os.write
    with monkeypatch.context() as patch:

        def interrupted(descriptor, data):
            write(descriptor, bytes(data)[:20])
            raise KeyboardInterrupt

        patch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.append([_spectrum(2)])
    store.append([_spectrum(3)])
    assert _steps(tmp_path) == [0, 1, 3]
    store.close()
    assert _steps(tmp_path) == [0, 1, 3]


def test_an_interrupt_at_any_change_of_a_file_loses_no_earlier_or_later_event(tmp_path, monkeypatch):
    for calls in range(100):
        folder = tmp_path / str(calls)
        folder.mkdir()
        store = _store(folder, part=2)
        kept, hit = [], []
        with monkeypatch.context() as patch:
            remaining = iter(range(calls, -1, -1))

            def fused(function, remaining=remaining, hit=hit):
                def call(*arguments, **options):
                    result = function(*arguments, **options)
                    if next(remaining, 1) == 0:
                        hit.append(True)
                        raise KeyboardInterrupt
                    return result

                return call

            for name in ("open", "close", "fsync", "replace", "unlink"):
                patch.setattr(os, name, fused(getattr(os, name)))
            for step in range(7):
                try:
                    store.append([_spectrum(step)])
                except KeyboardInterrupt:
                    assert set(kept) <= set(_steps(folder))
                kept = [*kept, step] if step in _steps(folder) else kept
            assert set(_steps(folder)) >= set(kept)
        store.close()
        assert _steps(folder) == kept
        assert len(kept) >= 6
        if not hit:
            break
    assert calls > 10
