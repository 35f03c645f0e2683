import os

import numpy as np
import pytest

from muon_theory.problems import load_images
from muon_theory.problems.cifar10 import FOLDER, RECORD_BYTES, TEST_FILE, TRAINING_FILES, cifar10, read_records
from muon_theory.problems.data_folder import data_folder


def write_cifar10(folder, records=20, seed=0):
    """A small set in the official layout: labels of all classes in turn."""
    generator = np.random.default_rng(seed)
    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    tables = []
    for name in (*TRAINING_FILES, TEST_FILE):
        table = generator.integers(0, 256, (records, RECORD_BYTES), dtype=np.uint8)
        table[:, 0] = np.arange(records) % 10
        (target / name).write_bytes(table.tobytes())
        tables.append(table)
    return target, tables


def test_records_are_read_in_order_as_rows_channel_by_channel(tmp_path):
    folder, tables = write_cifar10(tmp_path)
    images = cifar10(folder, verify=False)
    assert (images.train_images.shape, images.test_images.shape) == ((100, 3072), (20, 3072))
    assert (images.channels, images.image_shape, images.classes, images.features) == (3, (32, 32), 10, 3072)
    third = tables[1][2]
    assert images.train_labels[22] == third[0]
    red = images.train_images[22].reshape(3, 32, 32)[0] * 255
    assert np.allclose(red.numpy(), third[1:1025].reshape(32, 32), atol=1e-4)
    assert images.train_images.min() >= 0
    assert images.train_images.max() <= 1
    assert cifar10(folder, verify=False).fingerprint == images.fingerprint
    (folder / TEST_FILE).write_bytes(tables[0].tobytes())
    assert cifar10(folder, verify=False).fingerprint != images.fingerprint


def test_load_images_reads_cifar10_from_the_data_folder(tmp_path):
    write_cifar10(tmp_path)
    assert load_images("cifar10", tmp_path, verify=False).name == "cifar10"
    assert load_images("digits").channels == 1
    with pytest.raises(ValueError, match=r"holds 20 images, the published file 10000; delete it and fetch CIFAR-10"):
        load_images("cifar10", tmp_path)


@pytest.mark.parametrize("kept", [0, 1, RECORD_BYTES - 1, RECORD_BYTES + 1])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, kept):
    folder, tables = write_cifar10(tmp_path)
    (folder / TEST_FILE).write_bytes(tables[-1].tobytes()[:kept])
    with pytest.raises(ValueError, match=rf"test_batch.bin is truncated or no file of CIFAR-10: {kept} bytes"):
        cifar10(folder, verify=False)


def test_labels_out_of_range_and_unbalanced_labels_are_errors(tmp_path, monkeypatch):
    folder, tables = write_cifar10(tmp_path)
    spoilt = tables[2].copy()
    spoilt[7, 0] = 10
    (folder / TRAINING_FILES[2]).write_bytes(spoilt.tobytes())
    with pytest.raises(ValueError, match=r"data_batch_3.bin has label 10 \(record 7"):
        cifar10(folder, verify=False)
    spoilt[7, 0] = 0
    (folder / TRAINING_FILES[2]).write_bytes(spoilt.tobytes())
    monkeypatch.setattr("muon_theory.problems.cifar10.IMAGES_A_FILE", 20)
    with pytest.raises(ValueError, match=r"training labels occur \[11, 10, 10, 10, 10, 10, 10, 9, 10, 10\] times"):
        cifar10(folder)


def test_missing_files_are_named(tmp_path):
    folder, _ = write_cifar10(tmp_path)
    (folder / TRAINING_FILES[4]).unlink()
    with pytest.raises(FileNotFoundError, match=r"missing: data_batch_5.bin\); run `muon-theory fetch cifar10`"):
        cifar10(folder, verify=False)


@pytest.mark.data
def test_cifar10_itself_has_fifty_thousand_balanced_images():
    if not (data_folder() / FOLDER).is_dir() or "MUON_THEORY_DATA" not in os.environ:
        pytest.skip("needs CIFAR-10 in the folder that MUON_THEORY_DATA names")
    labels, pixels = read_records(data_folder() / FOLDER / TEST_FILE, count=10_000)
    assert np.bincount(labels).tolist() == [1000] * 10
    assert pixels.mean() / 255 == pytest.approx(0.4765, abs=0.002)
