"""The outcome of a job: a saved result, with its verdict and diagnoses."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from exitwave.analysis.diagnosis import Diagnosis, diagnose
from exitwave.analysis.frame_accounting import USED, account_for_frames
from exitwave.analysis.verdict import Verdict, verdict
from exitwave.scan import Result

if TYPE_CHECKING:
    from exitwave.reconstruction.iterate import Progress


@dataclass(frozen=True)
class Outcome:
    """A reconstruction that is saved."""

    progress: "Progress"
    """The last iteration."""
    result: Result
    """The saved result."""
    output: Path
    """The file of the result."""
    seconds: dict[str, float]
    """Time of each part: open, choose, prepare, compile, run, halves, write."""
    earlier: int = 0
    """Iterations of earlier runs, where the job continued a result."""

    @property
    def stopped_by(self) -> str:
        """Why it ended: ``iterations``, ``seconds``, ``converged``, ``divergence`` or ``interrupted``."""
        return self.result.provenance["stopped_by"]

    @property
    def error(self) -> float:
        """Error metric of the saved object and probe."""
        return float(self.result.errors[-1])

    @property
    def holdout_error(self) -> float:
        """Error metric of the held-out frames; NaN if there are none."""
        return float(self.result.holdout_errors[-1]) if len(self.result.holdout_errors) else math.nan

    @cached_property
    def verdict(self) -> Verdict:
        """How good the result is."""
        return verdict(self.result, self.diagnoses)

    @cached_property
    def diagnoses(self) -> tuple[Diagnosis, ...]:
        """What is wrong with the result or the scan."""
        return diagnose(self.result)

    @property
    def frames(self) -> int:
        """Number of frames that were reconstructed."""
        return len(account_for_frames(self.result)[USED])
