"""Text as sequences of tokens: Tiny Shakespeare read by characters, and windows of tokens for a model to predict."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from muon_theory.problems.data_folder import VARIABLE, data_folder

TINY_SHAKESPEARE_CONTENT = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
"""SHA-256 of Tiny Shakespeare's input.txt, 1,115,394 bytes."""

TEXT_SETS = ("tinyshakespeare",)
TRAINING_SHARE = 0.9


@dataclass(frozen=True)
class Text:
    """A text by characters, its last tenth kept for testing.

    Args:
        name: e.g. "tinyshakespeare".
        train: int64 tokens, shape (N,).
        test: int64 tokens, shape (N_test,).
        characters: the character of each token, in the order of their code points.
        fingerprint: SHA-256 of the file's bytes, for provenance.

    Source: elementary.
    """

    name: str
    train: Tensor
    test: Tensor
    characters: str
    fingerprint: str

    @property
    def vocabulary(self) -> int:
        """Number of different characters.

        Source: elementary.
        """
        return len(self.characters)

    def decoded(self, tokens: Tensor) -> str:
        """The characters of tokens.

        Args:
            tokens: int64, shape (n,).

        Returns:
            A string of n characters.

        Source: elementary.

        >>> text_of_characters("abba").decoded(torch.tensor([1, 0]))
        'ba'
        """
        return "".join(self.characters[token] for token in tokens.tolist())


def load_text(name: str, folder: str | os.PathLike[str] | None = None, *, verify: bool = True) -> Text:
    """Load a text: "tinyshakespeare", the first ninety per cent of the characters for training.

    Args:
        name: "tinyshakespeare".
        folder: data folder, see `data_folder`; the file is `tinyshakespeare/input.txt` in it.
        verify: whether the file must have the published checksum.

    Returns:
        The text.

    Raises:
        ValueError: if the name is unknown, or the file is empty, is no UTF-8 or fails its checksum.
        FileNotFoundError: if the file is missing.

    Source: Karpathy 2015, "The Unreasonable Effectiveness of Recurrent Neural Networks" (the file and the split).
    """
    if name not in TEXT_SETS:
        raise ValueError(f"name is {name!r}; known texts: {', '.join(TEXT_SETS)}")
    path = data_folder(folder) / name / "input.txt"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; put the text there, or name the data folder by {VARIABLE}")
    content = path.read_bytes()
    fingerprint = hashlib.sha256(content).hexdigest()
    if verify and fingerprint != TINY_SHAKESPEARE_CONTENT:
        raise ValueError(
            f"{path} has the wrong checksum: SHA-256 is {fingerprint}, expected {TINY_SHAKESPEARE_CONTENT}; "
            f"get the file anew, or pass verify=False if you mean to use your own text"
        )
    try:
        return text_of_characters(content.decode("utf-8"), name=name)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error}); convert it") from error


def text_of_characters(characters: str, *, name: str = "text") -> Text:
    """A string as a `Text`: tokens number its different characters in the order of their code points.

    Args:
        characters: at least two characters.
        name: name of the text.

    Returns:
        The text.

    Raises:
        ValueError: if there are fewer than two characters.

    Source: elementary.

    >>> text = text_of_characters("abracadabra" * 2)
    >>> text.characters, len(text.train), len(text.test)
    ('abcdr', 19, 3)
    """
    if len(characters) < 2:
        raise ValueError(f"the text {name} has {len(characters)} characters; at least two are needed")
    points, tokens = np.unique(np.array(list(characters)), return_inverse=True)
    numbers = torch.from_numpy(tokens.astype(np.int64))
    cut = min(max(1, int(TRAINING_SHARE * len(numbers))), len(numbers) - 1)
    digest = hashlib.sha256(characters.encode("utf-8")).hexdigest()
    return Text(name, numbers[:cut], numbers[cut:], "".join(points.tolist()), digest)


def windows(tokens: Tensor, length: int, batch: int, *, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of windows without end: inputs, and the same shifted by one token as targets.

    Args:
        tokens: int64, shape (N,).
        length: tokens of a window, 1 to N - 1.
        batch: number of windows a batch, >= 1, drawn with replacement.
        seed: of the starts.

    Yields:
        (inputs, targets), int64 of shape (batch, length) each; targets[:, t] follows inputs[:, t].

    Raises:
        ValueError: if length or batch is out of range.

    Source: elementary.

    >>> inputs, targets = next(windows(torch.arange(9), 3, 2, seed=0))
    >>> bool((targets == inputs + 1).all()), inputs.shape
    (True, torch.Size([2, 3]))
    """
    if not 1 <= length < len(tokens):
        raise ValueError(f"length is {length!r}; with {len(tokens)} tokens it must be from 1 to {len(tokens) - 1}")
    if batch < 1:
        raise ValueError(f"batch is {batch!r}; it must be at least 1")
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.arange(length)
    while True:
        starts = torch.randint(len(tokens) - length, (batch, 1), generator=generator)
        yield tokens[starts + offsets], tokens[starts + offsets + 1]
