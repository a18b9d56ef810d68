"""The settings of a stage, as an algorithm receives them."""

from typing import Any, Literal

from pydantic import Field, SerializeAsAny

from exitwave.engine.algorithms.batches import Batching
from exitwave.engine.backend import Noise
from exitwave.engine.model.object_constraints import ObjectConstraints
from exitwave.engine.model.probe_constraints import ProbeConstraints
from exitwave.engine.settings import RefinementSettings, Settings, Update


class StageSettings(Settings):
    """One algorithm for some iterations; `recipe.Stage` adds the checks against the registers."""

    algorithm: str = Field("mPIE", description="name of the algorithm")
    iterations: int = Field(
        1, ge=1, description="largest number of passes over all frames; not given: the algorithm's default"
    )
    coarse: Literal[1, 2, 4] = Field(
        1, description="crop the frames by this factor, so that object pixels are larger and passes are faster"
    )
    batch: int | None = Field(None, ge=1, description="frames that share an update; None: from the number of frames")
    batching: Batching | None = Field(None, description="grouping of the frames into batches; None: random")
    noise: Noise | None = Field(None, description="noise model of the counts; None: amplitude")
    relaxation: float | None = Field(
        None, gt=0, le=1, description="alpha of DM, beta of RAAR; None: the algorithm's default"
    )
    decay: float | None = Field(
        None, ge=0, le=1, description="fraction of the iterations at the end with the step decay; None: 0.4"
    )
    regularisation: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="strength of the prior of ML, total variation of the object, which reduces noise; 1 suits most "
        "objects; None: no prior",
    )
    object_update: Update = Update()
    probe_update: Update = Update()
    object_constraints: ObjectConstraints | None = Field(None, description="constraints on the object; None: none")
    probe_constraints: ProbeConstraints | None = Field(None, description="constraints on the probe; None: none")
    refinements: dict[str, SerializeAsAny[RefinementSettings]] = Field(
        {}, description="settings of the active refinements by name; given and stored beside the other settings"
    )

    def refinement(self, name: str) -> Any:
        """Return the settings of a refinement, or None if it is off."""
        return self.refinements.get(name)

    def updated(self, iteration: int) -> frozenset[str]:
        """Return the names of the quantities that an iteration updates: ``object``, ``probe``, ``positions``."""
        positions = self.refinement("position_update")
        active = {
            "object": self.object_update.active(iteration),
            "probe": self.probe_update.active(iteration),
            "positions": positions is not None and positions.schedule.active(iteration),
        }
        return frozenset(name for name, is_active in active.items() if is_active)
