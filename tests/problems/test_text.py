import pytest
import torch

from muon_theory.problems import load_text, text_of_characters, windows
from muon_theory.problems.data_folder import data_folder

SHAKESPEARE = data_folder() / "tinyshakespeare" / "input.txt"


def _own_text(tmp_path, content: bytes):
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare" / "input.txt").write_bytes(content)
    return tmp_path


@pytest.mark.skipif(not SHAKESPEARE.is_file(), reason="needs tinyshakespeare/input.txt in the data folder")
@pytest.mark.data
def test_tiny_shakespeare_has_its_65_characters_and_its_first_words():
    text = load_text("tinyshakespeare")
    assert text.vocabulary == 65
    assert len(text.train) + len(text.test) == 1_115_394
    assert text.decoded(text.train[:14]) == "First Citizen:"


def test_an_own_text_is_split_and_read_back(tmp_path):
    folder = _own_text(tmp_path, "to be or not to be: é".encode())
    text = load_text("tinyshakespeare", folder, verify=False)
    assert text.decoded(torch.cat([text.train, text.test])) == "to be or not to be: é"
    assert len(text.train) == 18


def test_a_wrong_checksum_is_named(tmp_path):
    with pytest.raises(ValueError, match="wrong checksum"):
        load_text("tinyshakespeare", _own_text(tmp_path, b"to be"))


def test_what_is_no_text_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no UTF-8"):
        load_text("tinyshakespeare", _own_text(tmp_path, b"\xff\xfe\xff"), verify=False)


def test_a_missing_file_and_an_unknown_name_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="MUON_THEORY_DATA"):
        load_text("tinyshakespeare", tmp_path)
    with pytest.raises(ValueError, match="known texts: tinyshakespeare"):
        load_text("hamlet", tmp_path)
    with pytest.raises(ValueError, match="at least two"):
        text_of_characters("a")


def test_windows_are_followed_by_their_targets_and_depend_on_the_seed_alone():
    tokens = torch.arange(50)
    batches = windows(tokens, 8, 4, seed=1)
    for (inputs, targets), (again, _) in zip([next(batches) for _ in range(3)], windows(tokens, 8, 4, seed=1)):  # noqa: B905
        assert inputs.shape == (4, 8)
        assert torch.equal(targets, inputs + 1)
        assert torch.equal(inputs, again)
    assert not torch.equal(next(windows(tokens, 8, 4, seed=1))[0], next(windows(tokens, 8, 4, seed=2))[0])


def test_windows_reach_the_last_token():
    seen = {int(targets.max()) for _, (_, targets) in zip(range(50), windows(torch.arange(6), 5, 1, seed=0))}  # noqa: B905
    assert seen == {5}


def test_windows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="with 5 tokens it must be from 1 to 4"):
        next(windows(torch.arange(5), 5, 1, seed=0))
    with pytest.raises(ValueError, match="batch is 0"):
        next(windows(torch.arange(5), 2, 0, seed=0))
