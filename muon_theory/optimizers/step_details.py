"""What a step computes on its way and would throw away, kept for whoever asked before the step."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim import Optimizer


@dataclass
class StepDetails:
    """What was asked of a step, and what it left.

    Args:
        updates: whether the updates are wanted, too.
        spectra: singular values of LMO inputs, by parameter; filled by the step.
        intended: updates before they were rounded into the weights, by parameter; filled by the step.

    Source: elementary.
    """

    updates: bool = False
    spectra: dict[Tensor, Tensor] = field(default_factory=dict)
    intended: dict[Tensor, Tensor] = field(default_factory=dict)


class DetailedSteps:
    """Optimizer that keeps details of a step when asked; nobody asks, and it costs nothing.

    Its updates are bit for bit the same whether it is asked or not.

    Source: elementary.
    """

    details: StepDetails | None = None

    def keep_details(self, *, updates: bool = False) -> None:
        """Ask the next step to keep the singular values it forms.

        Args:
            updates: keep the updates as they were meant, too, one copy of the parameters.

        Source: elementary.
        """
        self.details = StepDetails(updates)

    def drop_details(self) -> None:
        """Release what was kept, and keep no more.

        Source: elementary.
        """
        self.details = None

    def lmo_spectrum(self, parameter: Tensor) -> Tensor | None:
        """Singular values of the LMO input of the last step, if `keep_details` was called and the step formed them.

        Args:
            parameter: a parameter of this optimizer.

        Returns:
            sigma, shape (min(rows, columns),), float64, descending, to be read only; as accurate as `singular_values`
            by "gram", for float64 parameters by "svd". None where the step formed none.

        Source: elementary.
        """
        return None if self.details is None else self.details.spectra.get(parameter)

    def intended_update(self, parameter: Tensor) -> Tensor | None:
        """What the last step meant to add to a parameter, decay included, before it was rounded into the weight.

        Args:
            parameter: a parameter of this optimizer.

        Returns:
            The update in the parameter's shape, float32 or wider, or None if `keep_details(updates=True)` was not
            called before the step.

        Source: elementary.
        """
        return None if self.details is None else self.details.intended.get(parameter)

    def note_updates(self, parameters: list[Tensor], directions: list[Tensor], scale: float, decay: float) -> None:
        """Keep `scale O - decay W` of every parameter, if updates were asked for; to be called before W changes.

        Args:
            parameters: the weights W.
            directions: the directions O, of as many entries.
            scale: signed, without unit.
            decay: lr * weight_decay.

        Source: elementary.
        """
        if self.details is None or not self.details.updates:
            return
        for parameter, direction in zip(parameters, directions, strict=True):
            wide = torch.promote_types(parameter.dtype, torch.float32)
            update = direction.to(wide).reshape(parameter.shape) * scale
            self.details.intended[parameter] = update.sub_(parameter.detach().to(wide), alpha=decay)


class DetailsInside:
    """Hands on the details of the steps of an optimizer inside this one, which steps stand-ins of the parameters.

    Source: elementary.
    """

    optimizer: Optimizer
    _stand_ins: dict[Tensor, Tensor]

    def keep_details(self, *, updates: bool = False) -> None:
        """Ask the next step to keep the singular values that the optimizer inside forms.

        Args:
            updates: ignored: updates before they are rounded stay inside.

        Source: elementary.
        """
        del updates
        for inner in self._detailed():
            inner.keep_details()

    def drop_details(self) -> None:
        """Release what was kept, and keep no more.

        Source: elementary.
        """
        for inner in self._detailed():
            inner.drop_details()

    def lmo_spectrum(self, parameter: Tensor) -> Tensor | None:
        """Singular values of the LMO input of the last step, on the parameter's owner, see `DetailedSteps`.

        Args:
            parameter: a parameter of this optimizer.

        Returns:
            sigma, shape (min(rows, columns),), float64, descending; None where the step formed none, and on every rank
            but the owner.

        Source: elementary.
        """
        stand_in = self._stand_ins.get(parameter)
        offered = [] if stand_in is None else [inner.lmo_spectrum(stand_in) for inner in self._detailed()]
        return next((sigma for sigma in offered if sigma is not None), None)

    def _detailed(self) -> list[DetailedSteps]:
        """Of the optimizer inside and the parts of a hybrid those that keep details."""
        parts = (self.optimizer, *getattr(self.optimizer, "optimizers", ()))
        return [part for part in parts if isinstance(part, DetailedSteps)]
