"""The settings of a stage as an algorithm reads them."""

from typing import Any, Literal

from pydantic import Field, SerializeAsAny

from exitwave.engine.algorithms.batches import Batching
from exitwave.engine.backend import Noise
from exitwave.engine.model.object_constraints import ObjectConstraints
from exitwave.engine.model.probe_constraints import ProbeConstraints
from exitwave.engine.settings import RefinementSettings, Settings, Update


class StageSettings(Settings):
    """One algorithm for some iterations, without any check against the registers; `recipe.Stage` adds these."""

    algorithm: str = Field("mPIE", description="the update rule, a file of engine/algorithms or a plug-in")
    iterations: int = Field(
        1, ge=1, description="passes over all frames, at most; the algorithm's own number where not given"
    )
    coarse: Literal[1, 2, 4] = Field(
        1, description="crop the diffraction by this factor, so that object pixels are larger and passes faster"
    )
    batch: int | None = Field(None, ge=1, description="frames that share an update; None: chosen from the scan")
    batching: Batching | None = Field(None, description="how frames are grouped; None: the algorithm's own")
    noise: Noise | None = Field(None, description="noise model of the counts; None: the algorithm's own")
    relaxation: float | None = Field(
        None, gt=0, le=1, description="alpha of DM, beta of RAAR: length of the reflection; None: the algorithm's own"
    )
    decay: float | None = Field(
        None, ge=0, le=1, description="last part of the iterations, in which steps become shorter; None: 0.4"
    )
    object_update: Update = Update()
    probe_update: Update = Update()
    object_constraints: ObjectConstraints | None = Field(None, description="prior knowledge of the object; None: none")
    probe_constraints: ProbeConstraints | None = Field(None, description="prior knowledge of the probe; None: none")
    refinements: dict[str, SerializeAsAny[RefinementSettings]] = Field(
        {}, description="settings of the refinements that are on, by name; written beside the other settings"
    )

    def refinement(self, name: str) -> Any:
        """Return the settings of a refinement, or None where it is off."""
        return self.refinements.get(name)

    def updated(self, iteration: int) -> frozenset[str]:
        """Return what an iteration updates: ``object``, ``probe``, ``positions``."""
        positions = self.refinement("position_update")
        active = {
            "object": self.object_update.active(iteration),
            "probe": self.probe_update.active(iteration),
            "positions": positions is not None and positions.schedule.active(iteration),
        }
        return frozenset(name for name, is_active in active.items() if is_active)
