"""Settings that every update of a quantity has: whether, when and how far."""

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """A group of settings. It is frozen, and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Schedule(Settings):
    """In which iterations a quantity is updated, counted from 0."""

    start: int = Field(0, ge=0, description="first iteration with an update")
    stop: int | None = Field(None, ge=0, description="first iteration without one again; None: never")
    every: int = Field(1, ge=1, description="update in every n-th iteration only")

    def active(self, iteration: int) -> bool:
        """Say whether the quantity is updated in this iteration."""
        stopped = self.stop is not None and iteration >= self.stop
        return iteration >= self.start and not stopped and (iteration - self.start) % self.every == 0


class Update(Settings):
    """How one quantity (object or probe) is updated."""

    enabled: bool = Field(True, description="False leaves the quantity exactly as it is")
    step: float | None = Field(None, gt=0, le=2, description="length of the step; None: the algorithm's own")
    alpha: float | None = Field(None, ge=0, le=1, description="regularisation of rPIE; None: the algorithm's own")
    schedule: Schedule = Schedule()

    def active(self, iteration: int) -> bool:
        """Say whether the quantity is updated in this iteration."""
        return self.enabled and self.schedule.active(iteration)


class ScheduledSettings(Settings):
    """Settings of a refinement or a constraint, with the iterations in which it acts."""

    schedule: Schedule = Schedule()


class RefinementSettings(ScheduledSettings):
    """Settings of a refinement, a part of the forward model that is refined after an iteration."""
