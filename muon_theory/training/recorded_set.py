"""The project's standard test set: spectra of gradients and momenta from real training, early and late.

    from muon_theory.training.recorded_set import build_recorded_set
    build_recorded_set("muon_theory/spectra/recorded_spectra.parquet")

builds it anew, in about a minute on one core, from the bundled digits and MNIST in the data folder.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from muon_theory.problems import Images, load_images
from muon_theory.recorder import at, read_matrices
from muon_theory.spectra.recorded import FORMAT_VERSION
from muon_theory.training.run import train

logger = logging.getLogger(__name__)

LEARNING_RATES: Mapping[str, float] = {"sgd": 0.05, "adamw": 1e-3, "muon": 0.02}
"""Of SGD with momentum .95, AdamW with beta_1 = .9, and Muon (with AdamW at 1e-3 for head and biases), all constant."""

RECORDED_STEPS: Mapping[str, tuple[int, ...]] = {
    "digits": (1, 10, 50, 200, 500, 1000),
    "mnist": (1, 10, 100, 500, 1000, 2800),
}
"""22 steps are an epoch of the digits, 937 one of MNIST."""

KINDS = ("gradient", "momentum")

_SCHEMA = pa.schema([
    ("name", pa.string()),
    ("dataset", pa.string()),
    ("optimizer", pa.string()),
    ("layer", pa.string()),
    ("kind", pa.string()),
    ("step", pa.int32()),
    ("rows", pa.int32()),
    ("columns", pa.int32()),
    ("sigma", pa.list_(pa.float64())),
])


def build_recorded_set(
    out: str | os.PathLike[str],
    *,
    folder: str | os.PathLike[str] | None = None,
    steps: Mapping[str, Sequence[int]] = RECORDED_STEPS,
    matrices_to: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Build the recorded test set: train, record gradients and momenta, take their exact spectra, write the table.

    The tutorial's perceptron (features-256-128-10, batch 64) is trained by SGD, AdamW and Muon on each data set. A
    momentum is the state after the step: SGD's and Muon's buffer, AdamW's running mean (so also of Muon's head).

    Args:
        out: Parquet file to write; it appears when complete.
        folder: data folder for MNIST, see `data_folder`.
        steps: data sets ("digits", "mnist") and the steps recorded in each; training ends after the last.
        matrices_to: file for the matrices themselves, float32, by name, in safetensors; None: not kept.
        seed: seed of all runs.

    Returns:
        The table: name, dataset, optimizer, layer, kind, step, rows, columns and sigma (see `exact_spectrum`).

    Raises:
        ValueError: if a run diverged before its last recorded step.

    Source: ours; network and batch size of Wei 2025, "Understanding the Muon Optimizer".

    Cost: about a minute on one core for the default steps (11,400 steps of training, 216 SVDs). Bit-equal on the same
    CPU with one thread; elsewhere the late rows differ, as trajectories do.
    """  # noqa: DOC502  (raised by _recorded_run)
    rows: list[dict[str, Any]] = []
    originals: dict[str, Tensor] = {}
    for dataset, recorded in steps.items():
        images = load_images(dataset, folder)
        for optimizer in LEARNING_RATES:
            logger.info("recording %s on %s", optimizer, dataset)
            for row, matrix in _recorded_run(images, optimizer, sorted(recorded), seed):
                rows.append(row | {"sigma": exact_spectrum(matrix)})
                originals[row["name"]] = matrix
    table = pd.DataFrame(rows)
    _write(table, Path(out), {"seed": seed, "learning_rates": dict(LEARNING_RATES), "torch": torch.__version__})
    if matrices_to is not None:
        from safetensors.torch import save_file

        partial = Path(matrices_to).with_name(Path(matrices_to).name + ".partial")
        save_file({name: matrix.contiguous() for name, matrix in originals.items()}, partial)
        partial.replace(matrices_to)
    return table


def exact_spectrum(matrix: Tensor) -> np.ndarray:
    """Singular values by the float64 SVD; those it cannot tell from zero are exactly zero.

    Args:
        matrix: shape (m, n), real floating point, finite.

    Returns:
        float64 array, shape (min(m, n),), descending; zero at and below max(m, n) eps(float64) sigma_1.

    Source: elementary; the threshold is the usual bound on the rounding error of an SVD.

    Accuracy: absolute, max(m, n) eps(float64) sigma_1.

    >>> exact_spectrum(torch.tensor([[3.0, 0.0], [4.0, 0.0], [0.0, 0.0]])).tolist()
    [5.0, 0.0]
    """
    sigma = torch.linalg.svdvals(matrix.double()).numpy()
    return np.where(sigma > max(matrix.shape) * np.finfo(np.float64).eps * sigma[0], sigma, 0.0)


def _recorded_run(
    images: Images, optimizer: str, steps: Sequence[int], seed: int
) -> list[tuple[dict[str, Any], Tensor]]:
    """Train once and return what was recorded, in the order of step, kind and layer."""
    with tempfile.TemporaryDirectory() as folder:
        history = train(
            images,
            optimizer,
            lr=LEARNING_RATES[optimizer],
            steps=steps[-1] + 1,
            seed=seed,
            record_to=folder,
            schedule=at(steps),
            kinds=KINDS,
            store_matrices=True,
        )
        if bool(history["diverged"].iloc[-1]):
            raise ValueError(
                f"{optimizer} on {images.name} diverged at step {len(history) - 1}; lower its learning rate"
            )
        found = [(dict(row), matrix.clone()) for row, matrix in read_matrices(folder)]
    results = []
    for row, matrix in found:
        name = f"{images.name}/{optimizer}/{row['layer'].removesuffix('.weight')}/{row['kind']}/{row['step']}"
        described = {"name": name, "dataset": images.name, "optimizer": optimizer}
        described |= {key: row[key] for key in ("layer", "kind", "step", "rows", "columns")}
        results.append((described, matrix))
    return sorted(results, key=lambda pair: (pair[0]["step"], KINDS.index(pair[0]["kind"]), pair[0]["layer"]))


def _write(table: pd.DataFrame, path: Path, provenance: Mapping[str, Any]) -> None:
    """Write the table as one compressed Parquet file, under a temporary name first."""
    columns = {name: table[name].tolist() for name in _SCHEMA.names}
    stored = pa.Table.from_pydict(columns, _SCHEMA).replace_schema_metadata({
        "format_version": str(FORMAT_VERSION),
        "provenance": json.dumps(provenance),
    })
    partial = path.with_name(path.name + ".partial")
    pq.write_table(
        stored,
        partial,
        compression="zstd",
        compression_level=19,
        use_dictionary=["name", "dataset", "optimizer", "layer", "kind"],  # pyright: ignore[reportArgumentType]
        use_byte_stream_split=["sigma.list.element"],  # pyright: ignore[reportArgumentType]
        write_statistics=False,
    )
    partial.replace(path)
