"""Which iterations remain when a result is continued."""

from dataclasses import replace

import numpy as np
import pytest
from samples import small_result, small_scan

from exitwave.errors import InputError
from exitwave.jobs.continuation import continued

STAGES = [{"algorithm": "mPIE", "iterations": 60}, {"algorithm": "ML", "iterations": 150, "noise": "Poisson"}]


def interrupted(done, algorithm):
    """Return a result of the stages above that was interrupted after some iterations."""
    result = small_result(small_scan())
    return replace(
        result,
        errors=np.ones(done, np.float32),
        algorithm=algorithm,
        recipe={"stages": STAGES, "patience": 8},
        provenance={"stopped_by": "interrupted"},
    )


@pytest.mark.parametrize(
    ("done", "algorithm", "left"),
    [(20, "mPIE", [40, 150]), (60, "mPIE", [150]), (100, "mPIE + ML", [110]), (45, "mPIE + ML", [150])],
)
def test_an_interrupted_result_gets_the_remaining_iterations_of_its_recipe(done, algorithm, left):
    settings, says = continued(interrupted(done, algorithm), {"threads": 1})
    assert [stage["iterations"] for stage in settings["stages"]] == left
    assert settings["threads"] == 1
    assert settings["patience"] == 8
    assert f"after {done} iterations" in says
    assert f"at most {sum(left)} iterations" in says


def test_iterations_are_the_total():
    settings, says = continued(interrupted(20, "mPIE"), {"iterations": 50})
    assert settings == {"iterations": 30}
    assert "30 of 50 iterations remain" in says
    with pytest.raises(InputError, match="has these iterations already"):
        continued(interrupted(50, "mPIE"), {"iterations": 50})


def test_a_complete_result_gets_the_default_iterations():
    result = replace(interrupted(20, "mPIE"), provenance={"stopped_by": "iterations"})
    assert continued(result, {"seed": 1})[0] == {"seed": 1}
