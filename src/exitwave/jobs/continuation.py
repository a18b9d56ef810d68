"""Compute the remaining iterations of a result that a job continues."""

from typing import Any

from exitwave.errors import InputError
from exitwave.scan import Result


def continued(result: Result, settings: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the settings of the remaining iterations of a result, and what the run does in one line.

    ``iterations`` of the settings is the total, with those that the result has. Without any setting of the stages an
    interrupted result gets the remaining iterations of its recipe.

    Parameters
    ----------
    result : Result
        The result that is continued.
    settings : dict
        The given settings.

    Raises
    ------
    InputError
        If the result has the wanted number of iterations already.
    """
    done, total = len(result.errors), settings.get("iterations")
    says = f"continuing the result after {done} iterations with its object, probe and positions. The memory of the "
    says += "algorithm starts anew, so the run differs slightly from an uninterrupted one"
    if isinstance(total, int):
        if total <= done:
            remedy = f"Give a larger total; --iterations {done + total} adds {total}"
            raise InputError("The result has these iterations already", found=f"{done} of {total}", remedy=remedy)
        return settings | {"iterations": total - done}, f"{says}; {total - done} of {total} iterations remain"
    if result.provenance.get("stopped_by") == "interrupted" and not {"stages", "algorithm", "recipe"} & set(settings):
        stages = _remaining_stages(result)
        if stages:
            left = sum(stage["iterations"] for stage in stages)
            recipe = {name: result.recipe[name] for name in ("patience",) if result.recipe.get(name) is not None}
            return recipe | settings | {"stages": stages}, f"{says}; at most {left} iterations of its recipe remain"
    return settings, says


def _remaining_stages(result: Result) -> list[dict[str, Any]]:
    """Return the stages of a result's recipe that have not ended, the first with its remaining iterations.

    A stage that has ended early has left no trace but the algorithm of the next one. So the stage that was running is
    the one to which the number of iterations belongs, or a later one whose algorithm has already run.
    """
    stages = [dict(stage) for stage in result.recipe.get("stages", ())]
    begun = len(result.algorithm.split(" + "))
    done = len(result.errors)
    while stages and (done >= stages[0]["iterations"] or begun > 1):
        done, begun = max(done - stages[0]["iterations"], 0), begun - 1
        stages = stages[1:]
    if stages:
        stages[0]["iterations"] -= done
    return stages
