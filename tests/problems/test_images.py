import gzip
import hashlib
import struct

import numpy as np
import pytest
import torch

from muon_theory.problems import data_folder, images, load_images, read_idx

NAMES = tuple(images.MNIST_CONTENT)


def idx_bytes(array):
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_mnist(folder, *, train=20, test=10):
    generator = np.random.default_rng(0)
    (folder / "mnist").mkdir()
    arrays = []
    for count in (train, test):
        arrays += [generator.integers(0, 256, (count, 28, 28)), generator.integers(0, 10, count)]
    for name, array in zip(NAMES, arrays, strict=True):
        (folder / "mnist" / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
    return arrays


def test_digits_need_no_folder_and_split_by_writer():
    digits = load_images("digits", "/nowhere")
    assert digits.train_images.shape == (1437, 64)
    assert digits.test_images.shape == (360, 64)
    assert digits.train_images.dtype == torch.float32
    assert digits.train_labels.dtype == torch.int64
    assert (float(digits.train_images.min()), float(digits.train_images.max())) == (0.0, 1.0)
    assert digits.features == 64
    assert set(digits.test_labels.tolist()) == set(range(digits.classes))
    assert load_images("digits").fingerprint == digits.fingerprint


def test_idx_files_are_read_packed_and_unpacked(tmp_path):
    arrays = write_mnist(tmp_path)
    packed = load_images("mnist", tmp_path, verify=False)
    for name in NAMES:
        path = tmp_path / "mnist" / f"{name}.gz"
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    plain = load_images("mnist", tmp_path, verify=False)
    for read in (packed, plain):
        assert np.array_equal((read.train_images.numpy() * 255).round().reshape(-1, 28, 28), arrays[0])
        assert read.test_labels.tolist() == arrays[3].tolist()
    assert packed.image_shape == (28, 28)
    assert packed.fingerprint == plain.fingerprint


def test_a_wrong_checksum_is_an_error_that_names_the_file(tmp_path):
    write_mnist(tmp_path)
    with pytest.raises(
        ValueError, match=r"train-images-idx3-ubyte.gz has the wrong checksum.*fetch mnist.*verify=False"
    ):
        load_images("mnist", tmp_path)


def test_content_with_the_right_checksum_is_accepted(tmp_path):
    array = np.arange(5)
    path = tmp_path / "labels"
    path.write_bytes(idx_bytes(array))
    assert read_idx(path, 1, hashlib.sha256(path.read_bytes()).hexdigest()).tolist() == array.tolist()


@pytest.mark.parametrize("kept", [0, 5, 9, 40, -9, -1])
def test_a_truncated_gzip_file_is_an_error(tmp_path, kept):
    write_mnist(tmp_path)
    path = tmp_path / "mnist" / f"{NAMES[0]}.gz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"train-images.*(truncated|damaged)"):
        load_images("mnist", tmp_path, verify=False)


def test_a_flipped_bit_is_an_error_even_without_checksums(tmp_path):
    write_mnist(tmp_path)
    path = tmp_path / "mnist" / f"{NAMES[0]}.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=NAMES[0]):
        load_images("mnist", tmp_path, verify=False)


@pytest.mark.parametrize(("change", "fault"), [(-1, "truncated"), (1, "too long"), (-10_000, "truncated")])
def test_content_of_the_wrong_size_is_an_error(tmp_path, change, fault):
    content = idx_bytes(np.zeros((4, 28, 28)))
    path = tmp_path / "images"
    path.write_bytes(content[:change] if change < 0 else content + b"\0" * change)
    with pytest.raises(ValueError, match=fault):
        read_idx(path, 3)


def test_labels_in_place_of_images_are_an_error(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(idx_bytes(np.zeros(100)))
    with pytest.raises(ValueError, match="0x00000801, expected 0x00000803"):
        read_idx(path, 3)


@pytest.mark.parametrize("count", [19, 0])
def test_images_and_labels_must_match(tmp_path, count):
    write_mnist(tmp_path)
    path = tmp_path / "mnist" / f"{NAMES[1]}.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(count))))
    with pytest.raises(ValueError, match=f"20 images.*{count} labels"):
        load_images("mnist", tmp_path, verify=False)


def test_a_missing_file_says_which_and_what_to_do(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "mnist" / f"{NAMES[2]}.gz").unlink()
    with pytest.raises(FileNotFoundError, match=rf"missing: {NAMES[2]}.gz\); run `muon-theory fetch mnist`"):
        load_images("mnist", tmp_path)


def test_an_unknown_image_set_lists_the_known_ones():
    with pytest.raises(ValueError, match="'cifar'; known image sets: digits, mnist"):
        load_images("cifar")


@pytest.mark.data
def test_mnist_itself_has_the_published_content():
    if not (data_folder() / "mnist").is_dir():
        pytest.skip("needs MNIST in the data folder: set MUON_THEORY_DATA, or run `muon-theory fetch mnist`")
    mnist = load_images("mnist")
    assert mnist.train_images.shape == (60_000, 784)
    assert mnist.test_labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert float(mnist.train_images.mean()) == pytest.approx(0.1306604762738429, abs=1e-5)
