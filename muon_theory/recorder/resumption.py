"""A run that goes on: its model must be the one that was recorded before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from muon_theory.recorder.layout import read_spectra_file, recording_files


def refuse_another_model(folder: Path, run: str, shapes: Mapping[str, Sequence[int]]) -> None:
    """Refuse to go on with a run whose layers had other shapes.

    Layers that are new or no longer recorded are no contradiction: a run may unfreeze a part or record less.

    Args:
        folder: an existing folder.
        run: name of the run.
        shapes: name and shape of each parameter that is going to be recorded.

    Raises:
        ValueError: a session of this run in the folder has a layer of this name with another shape.

    Source: elementary.
    """
    looked_at: set[int] = set()
    for file in recording_files(folder):
        if file.content != "spectra" or file.session in looked_at:
            continue
        looked_at.add(file.session)
        try:
            header, _ = read_spectra_file(file.path)
        except (ValueError, OSError):  # damaged: whoever reads the folder is told
            continue
        if header is None or header["run"] != run:
            continue
        recorded = header["layers"]
        changed = [name for name in shapes if name in recorded and list(recorded[name]) != list(shapes[name])]
        if changed:
            name = changed[0]
            raise ValueError(
                f"run {run!r} in {folder} recorded {name} with shape {tuple(recorded[name])}, and the model now has "
                f"{tuple(shapes[name])} ({len(changed)} of {len(shapes)} layers differ): a changed model is another "
                "run, give it another name (run) or another folder"
            )
