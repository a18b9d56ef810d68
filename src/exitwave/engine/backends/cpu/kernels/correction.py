"""The compiled correction of one row of pixels at an ideal detector, in the far field and in the near field."""

from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.noise import AMPLITUDE, correction_factors


@compiled
def correct_row(wave, r, part, counts, invalid, mark, fade, noise, normal, width, model, sums):
    """Replace a part of row r of all modes by normal * factor times itself, with m = normal * sum_k |wave_k|^2.

    The factor of the amplitude model is ``(sqrt(I) - sqrt(m)) sqrt(m) / (m + fade)``, and that of the other models
    `noise.likelihood_force`; both are 0 on invalid pixels. Returns misfit and loss of the row; those of the amplitude
    model are added to ``sums`` instead, a vector. ``mark`` is ``invalid`` in single precision, and ``model`` scratch
    for a row.
    """
    modes = wave.shape[0]
    misfit, loss = 0.0, 0.0
    if noise == AMPLITUDE and modes == 1:
        rows.correct_wave(wave[0, r, part], counts, sums, mark, fade, normal, normal, width)
        return misfit, loss
    rows.power(model, wave[0, r, part], width)
    for k in range(1, modes):
        rows.add_power(model, wave[k, r, part], width)
    if noise == AMPLITUDE:
        rows.correct(model, counts, sums, mark, fade, normal, normal, width)
    else:
        misfit, loss = correction_factors(model[:width], counts, invalid, noise, normal)
    for k in range(modes):
        rows.scale(wave[k, r, part], model, width)
    return misfit, loss
