"""The time limit of a job counts from the start of the command."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from exitwave.engine.recipe import make_recipe
from exitwave.jobs.job import Job
from exitwave.jobs.run import RESERVE, SHORTEST, _with_time_left

JOB = Job((Path("a.cxi"),), (Path("b.cxi"),))


def test_what_the_start_has_used_is_subtracted_from_the_limit():
    job = replace(JOB, started=time.time() - 7)
    assert _with_time_left(job, {"seconds": 20})["seconds"] == pytest.approx(20 - 7 - RESERVE, abs=0.2)
    recipe = _with_time_left(job, {"recipe": make_recipe({"seconds": 20})})["recipe"]
    assert recipe.seconds == pytest.approx(20 - 7 - RESERVE, abs=0.2)
    assert _with_time_left(replace(job, frc=True), {"seconds": 20})["seconds"] == pytest.approx(
        (13 - RESERVE) / 3, abs=0.1
    )


def test_a_limit_that_has_passed_leaves_a_few_iterations():
    assert _with_time_left(replace(JOB, started=time.time() - 60), {"seconds": 20})["seconds"] == SHORTEST


def test_without_a_limit_nothing_changes():
    assert _with_time_left(JOB, {"modes": 2}) == {"modes": 2}
