"""What counts as a step of the training: the hooks on one or several optimizers, and where one step ends.

A step is one round of the optimizers. It ends when each has stepped; it also ends, with those that did, when one comes
round again, or when one steps that stands earlier in the list than the last one did (a gradient scaler may have skipped
another). Inside a backward pass, where every parameter may have an optimizer of its own, the order does not matter.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

_logger = logging.getLogger(__name__)
_TORCH_FILE = sys.modules[Optimizer.__module__].__file__


class StepListener(NamedTuple):
    """Who is told about the steps.

    Source: elementary.
    """

    begin: Callable[[], None]
    """A step of the training begins."""
    before: Callable[[Optimizer], None]
    """An optimizer is about to step."""
    after: Callable[[Optimizer, object], None]
    """An optimizer has stepped, its gradients are still there; the truth value says if it left all as it was."""
    end: Callable[[bool], None]
    """The step is over; it does not count where a gradient scaler made every optimizer skip it."""


class StepHooks:
    """Hooks on the `step` of each optimizer, and the rounds they make.

    A subclass that calls its parent's step, which torch hooks as well, steps once. A step that raises is no step. Where
    a fused optimizer is called with a scaled gradient that holds inf (`found_inf`), it does nothing, and so no step is
    counted; on a GPU that is known only when the next step begins, so that nothing waits for it.

    Args:
        optimizers: in the order in which the loop steps them.
        listener: who is told.

    Source: torch.optim.Optimizer.register_step_pre_hook; torch.amp.GradScaler.step (`found_inf`).
    """

    def __init__(self, optimizers: Sequence[Optimizer], listener: StepListener) -> None:
        self._order = {id(optimizer): place for place, optimizer in enumerate(optimizers)}
        self._listener = listener
        self._frames: dict[int, FrameType] = {}
        self._inner: dict[int, int] = {}
        self._came: list[int] = []
        self._skips: list[bool | _LateFlag] = []
        self._in_backward = False
        self._said_order = False
        self._handles: list[RemovableHandle] = []
        before: Any = torch.compiler.disable(self._before)
        after: Any = torch.compiler.disable(self._after)
        for optimizer in optimizers:  # in steps that are compiled, too, the hooks are plain Python
            self._handles.append(optimizer.register_step_pre_hook(before))
            self._handles.append(optimizer.register_step_post_hook(after))

    def remove(self) -> None:
        """Unhook the optimizers; a step under way is not ended.

        Source: elementary.
        """
        for handle in self._handles:
            handle.remove()
        self._handles, self._frames = [], {}

    def finish(self) -> None:
        """End the step under way, if an optimizer has taken it; wait for a GPU's word on whether it did.

        Source: elementary.
        """
        if self._came:
            skips, self._came, self._skips = [bool(skip) for skip in self._skips], [], []
            self._listener.end(not all(skips))

    def finish_whole(self) -> None:
        """End the step under way if every optimizer has taken it.

        Source: elementary.
        """
        if len(self._came) == len(self._order):
            self.finish()

    def _before(self, optimizer: Optimizer, _args: object, _kwargs: object) -> None:
        key, caller = id(optimizer), _stepping_frame()
        outer = self._frames.get(key)
        if outer is not None and _encloses(outer, caller):
            self._inner[key] += 1  # a subclass that calls its parent's step, which torch has hooked as well
            return
        if self._came and self._opens_a_round(key):
            self.finish()
        self._frames[key], self._inner[key] = caller, 0
        if not self._came:
            self._listener.begin()
        self._listener.before(optimizer)

    def _after(self, optimizer: Optimizer, _args: object, _kwargs: object) -> None:
        key = id(optimizer)
        if self._inner.get(key):
            self._inner[key] -= 1
            return
        self._frames.pop(key, None)
        skip = _skipped(optimizer)
        self._came.append(key)
        self._skips.append(skip)
        self._in_backward = _within_backward()
        self._listener.after(optimizer, skip)
        late = any(isinstance(each, _LateFlag) and each.late for each in self._skips)
        if len(self._came) == len(self._order) and not late:
            self.finish()

    def _opens_a_round(self, key: int) -> bool:
        """Whether the optimizer that is about to step takes another step than those that came last."""
        if key in self._came or len(self._came) == len(self._order):
            return True
        if self._in_backward or _within_backward() or self._order[key] > self._order[self._came[-1]]:
            return False
        if not self._said_order:
            self._said_order = True
            text = "an optimizer stepped after one that is listed behind it, which was taken for the next step"
            remedy = "list them in the order in which the loop steps them, unless a gradient scaler skipped one"
            _logger.warning("%s: %s", text, remedy)
        return True


class _LateFlag:
    """A number on its way from a GPU, as a truth value once it is here."""

    def __init__(self, flag: Tensor) -> None:
        self.late = True
        self._number = torch.empty(flag.shape, dtype=flag.dtype, pin_memory=True)
        self._number.copy_(flag, non_blocking=True)
        self._copied = torch.cuda.Event()
        self._copied.record(torch.cuda.current_stream(flag.device))

    def __bool__(self) -> bool:
        self._copied.synchronize()
        self.late = False
        return bool(self._number.item())


def _skipped(optimizer: Optimizer) -> bool | _LateFlag:
    """Whether a fused optimizer, called by a gradient scaler, left everything as it was."""
    flag = getattr(optimizer, "found_inf", None)
    if not isinstance(flag, Tensor):
        return False
    return _LateFlag(flag) if flag.is_cuda else bool(flag.item())


def _stepping_frame() -> FrameType:
    """The frame that runs for as long as the step does: the one that torch puts around it."""
    frame = near = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename != _TORCH_FILE:
        frame = frame.f_back
    return frame or near


def _within_backward() -> bool:
    return torch._C._current_graph_task_id() != -1


def _encloses(outer: FrameType, inner: FrameType | None) -> bool:
    """Whether `outer` is still running, below `inner` on the stack."""
    while inner is not None and inner is not outer:
        inner = inner.f_back
    return inner is not None
