"""SCALE: the gradient of every output unit is brought to one length, and only the output head keeps momentum.

The step is the linear minimization oracle of the 1 -> 2 operator norm, the largest norm of a column of the d_in x d_out
matrix. torch stores a layer as (out, in), so that a "column" of the paper is a row here, and a column of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from muon_theory.optimizers.checked_optimizer import CheckedOptimizer, matrix_shape, signed_gradient
from muon_theory.optimizers.validation import check_number, check_parameters

Measure = Literal["rms", "l2"]
Outputs = Literal["rows", "columns"]


def normalized_outputs(G: Tensor, *, outputs: Outputs = "rows", measure: Measure = "l2") -> Tensor:
    """The matrix whose output units all have one length: each row (or column) of G divided by its norm.

    With "l2" the result C(G) is the maximiser of <G, X> over the matrices whose output units have norm at most 1, so
    -C(G) is the linear minimization oracle; "rms" is sqrt(p) times that, p being the length of a unit.

    Args:
        G: shape (*batch, rows, columns), real floating point, finite; not modified.
        outputs: "rows" for a layer stored as (out, in), "columns" for an embedding stored as (vocabulary, out).
        measure: "l2" or "rms".

    Returns:
        Shape and dtype of G. A unit that is zero stays zero.

    Source: Glentis et al. 2025, arXiv 2506.16659 ("l2"); its released code ("rms", with the norm bounded from below by
    1e-8, which is not done here: the result does not depend on the scale of G).

    Accuracy: a few units of the last place; half precision is computed in float32.

    Cost: two passes over G.

    >>> normalized_outputs(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    dim = -1 if outputs == "rows" else -2
    X = G.to(torch.promote_types(G.dtype, torch.float32))
    largest = X.abs().amax(dim, keepdim=True)
    X = X / torch.where(largest > 0, largest, 1.0)
    norm = torch.linalg.vector_norm(X, dim=dim, keepdim=True)
    X = X / torch.where(norm > 0, norm, 1.0)
    return (X * G.shape[dim] ** 0.5 if measure == "rms" else X).to(G.dtype)


class Scale(CheckedOptimizer):
    """SCALE, normalised gradient descent by output unit with momentum where it is asked for (the output head).

    With gradient G, momentum b, learning rate lr and decay w::

        B <- b B + (1 - b) G                 (b = 0: B is G, and nothing is stored)
        W <- (1 - lr w) W - lr normalized_outputs(B)

    There is no bias correction, and none is needed: it would multiply B by a number, which the normalisation removes.
    `scale_groups` makes the groups of a model: momentum for the head only, columns for embeddings.

    Args:
        params: parameters, named parameters or parameter groups; each tensor real floating point with ndim >= 2.
            Tensors of more than two dimensions are flattened to (out, -1).
        lr: learning rate >= 0. With "rms" an entry moves by about lr, as with Adam; the paper's eta is "l2"'s, which
            for a layer of n inputs equals lr / sqrt(n).
        momentum: b in [0, 1), 0 by default.
        weight_decay: decoupled decay w >= 0.
        outputs: where output units stand: "rows", or "columns" for embeddings (vocabulary, width).
        measure: "rms", the released code's, or "l2", the paper's.
        maximize: whether to ascend.
        check_finite: whether each step first looks for NaN and inf and raises before anything is changed; None: on CPU.

    Raises:
        ValueError: if an argument or a parameter's shape is out of range.
        TypeError: if a parameter is not a real floating-point tensor.

    Source: Glentis et al. 2025, arXiv 2506.16659, Algorithm 1, and its released code.

    Cost: three passes over each matrix; memory: nothing with momentum 0, else the buffer.

    >>> weight = nn.Parameter(torch.zeros(1, 2))
    >>> optimizer = Scale([weight], lr=0.1, measure="l2")
    >>> (weight @ torch.tensor([3.0, 4.0])).sum().backward()
    >>> optimizer.step()
    >>> weight.data
    tensor([[-0.0600, -0.0800]])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        *,
        outputs: Outputs = "rows",
        measure: Measure = "rms",
        maximize: bool = False,
        check_finite: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "outputs": outputs,
            "measure": measure,
            "maximize": maximize,
        }
        super().__init__(params, defaults, check_finite=check_finite)

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise for options or parameters out of range.

        Args:
            options: a group with the defaults filled in.

        Raises:
            ValueError: if one is out of range.

        Source: elementary.
        """
        check_number("lr", options["lr"])
        check_number("momentum", options["momentum"], below=1.0)
        check_number("weight_decay", options["weight_decay"])
        for name, choices in (("outputs", ("rows", "columns")), ("measure", ("rms", "l2"))):
            if options[name] not in choices:
                raise ValueError(f"{name} is {options[name]!r}; choose {choices[0]!r} or {choices[1]!r}")
        remedy = "SCALE steps matrices: give vectors and scalars to AdamW, as scale_groups(model) sorts them"
        check_parameters(options, "Scale", dimensions=2, remedy=remedy)

    def step_group(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """Step the parameters of a group.

        Args:
            group: the group.
            parameters: those of its parameters that have a gradient.

        Source: Glentis et al. 2025, Algorithm 1.
        """
        lr = float(group["lr"])
        for parameter in parameters:
            B = self._advanced(parameter, group).reshape(matrix_shape(parameter))
            update = normalized_outputs(B, outputs=group["outputs"], measure=group["measure"])
            self.lmo_inputs[parameter] = B
            parameter.mul_(1 - lr * group["weight_decay"])
            parameter.add_(update.reshape(parameter.shape), alpha=-lr)

    def _advanced(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """A copy of the gradient, or of the advanced momentum."""
        gradient = signed_gradient(parameter, group)
        if group["momentum"] == 0:
            return gradient.clone()
        return self.momentum_buffer(parameter).lerp_(gradient, 1 - group["momentum"]).clone()


def scale_groups(model: nn.Module, *, momentum: float = 0.9) -> tuple[list[dict[str, Any]], list[nn.Parameter]]:
    """A model's trainable parameters as SCALE sorts them: the groups for `Scale`, and the rest, for Adam.

    Args:
        model: the model. The head is the weight of its last `Linear`; a head that shares its tensor with an embedding
            is one parameter and is stepped as a head (a choice made here).
        momentum: of the head's group.

    Returns:
        (groups, rest): groups with "params", "outputs" and "momentum" for hidden matrices, embeddings and head, empty
        ones left out; rest: vectors and scalars.

    Source: Glentis et al. 2025, arXiv 2506.16659.

    >>> model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 9))
    >>> groups, rest = scale_groups(model)
    >>> [(group["outputs"], group["momentum"], len(group["params"])) for group in groups], len(rest)
    ([('rows', 0.0, 1), ('columns', 0.0, 1), ('rows', 0.9, 1)], 2)
    """
    linear = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    heads = set(linear[-1:])
    embeddings = {m.weight for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)} - heads
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trainable if parameter.ndim >= 2]
    groups = [
        {"params": [p for p in matrices if p not in heads | embeddings], "outputs": "rows", "momentum": 0.0},
        {"params": [p for p in matrices if p in embeddings], "outputs": "columns", "momentum": 0.0},
        {"params": [p for p in matrices if p in heads], "outputs": "rows", "momentum": momentum},
    ]
    return [group for group in groups if group["params"]], [p for p in trainable if p.ndim < 2]
