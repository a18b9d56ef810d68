"""How a job reports its progress, and how a stop is requested."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from exitwave.reconstruction.iterate import Progress


class Reporter(Protocol):
    """Receives the progress of a job."""

    def announce(self, text: str) -> None:
        """Report what happens outside of the iterations, in one line."""

    def update(self, progress: "Progress") -> None:
        """Report one iteration."""


class Silent:
    """A reporter that reports nothing."""

    def announce(self, text: str) -> None:
        """Do nothing."""

    def update(self, progress: "Progress") -> None:
        """Do nothing."""


class StopRequest:
    """A request to stop a job, which may come from a signal handler or another thread."""

    requested = False
    """Set from outside: stop after the current iteration and save the result."""
    has_result = False
    """Set by the job after the first iteration: there is a result to save."""
    saving = False
    """Set by the job after the last iteration."""
