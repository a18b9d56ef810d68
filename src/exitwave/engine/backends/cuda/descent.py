"""The regularised step of an algorithm, in place."""

from typing import Any

import torch
from torch import Tensor

from exitwave.engine.backend import Step
from exitwave.engine.backends.cuda.fused import fused_kernels
from exitwave.engine.backends.cuda.graphs import Recorder


def descend(
    recorder: Recorder, target: Any, numerator: Any, denominator: Any, step: Step, velocity: Any = None
) -> None:
    """Add the regularised step to the target in place; see `Backend.descend`. The recorder replays repeated steps."""
    out, num, den = (torch.as_tensor(each) for each in (target, numerator, denominator))
    moving = None if velocity is None else torch.as_tensor(velocity)
    if out.is_contiguous() and isinstance(step.length, float) and (kernels := fused_kernels(out.device)) is not None:
        length, alpha = float(step.length), float(step.alpha)

        def action() -> tuple[Tensor, ...]:
            kernels.descend(out, num, den, length, alpha, moving)
            return ()

        arrays = [each is not None and (each.data_ptr(), each.shape, each.stride()) for each in (out, num, den, moving)]
        recorder.run((*arrays, length, alpha), action, in_place=True)
        return
    change = num * (step.length / ((1 - step.alpha) * den + (step.alpha * den.max() + 1e-20)))
    out += change
    if moving is not None:
        moving += change
