"""rPIE in mini-batches.

For every batch B of frames, all at the same object and probe:

    O   <- O   + step_O * sum_jk conj(P_k) chi_jk / ((1 - alpha_O) sum_jk |P_k|^2 + alpha_O max sum_jk |P_k|^2)
    P_k <- P_k + step_P * sum_j  conj(O_j) chi_jk / ((1 - alpha_P) sum_j  |O_j|^2 + alpha_P max sum_j  |O_j|^2)

with chi_jk = psi'_jk - psi_jk the change that the measured amplitudes ask for, each term placed at its position. With
batches of one frame this is rPIE as in A. M. Maiden, D. Johnson and P. Li, Optica 4, 736 (2017), table 1; alpha = 1 is
ePIE, and alpha -> 0 the least-squares solution of the batch.
"""

from exitwave.engine.algorithms.batches import random_batches
from exitwave.engine.algorithms.epie import choose
from exitwave.engine.recipe import Recipe
from exitwave.engine.sweeps import Misfit, State, Step, Sweeps

OBJECT, PROBE = Step(1.0, 0.05), Step(1.0, 0.5)
"""Length and alpha of the steps, where the recipe does not say."""
BATCH = 32
"""Frames that share an update, where the recipe does not say."""


def step(state: State, sweeps: Sweeps, recipe: Recipe) -> Misfit:
    """Do one iteration in place and return its misfit."""
    object_step = choose(recipe.object_update, OBJECT, state.iteration)
    probe_step = choose(recipe.probe_update, PROBE, state.iteration)
    difference = signal = 0.0
    for batch in random_batches(state.rng, sweeps.problem.used, recipe.batch or BATCH):
        sums = sweeps.gather(state, batch, object=object_step is not None, probe=probe_step is not None)
        if object_step:
            sweeps.descend(state.object, sums.object, sums.illumination, object_step)
        if probe_step:
            sweeps.descend(state.probe, sums.probe, sums.transmission, probe_step)
        difference, signal = difference + sums.misfit.difference, signal + sums.misfit.signal
    return Misfit(difference, signal)
