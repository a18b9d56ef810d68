"""The compiled loop over frames of several exposures; for arrays, layout and arguments see `kernels`."""

from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.gather import (
    RESPONSE_COUNT,
    add_probe_sums,
    add_to_sums,
    begin_frame_probe,
    compare,
    form_exit_wave,
    select_response_sums,
    write_ramps,
)
from exitwave.engine.backends.cpu.kernels.near_field import (
    apply_transfer,
    correct_near,
    propagate_near,
    write_ramps_back,
)


@compiled
def gather_fly(frames, indices, counts, invalid, floor, parameters, plans, obj, spectrum, noise, sum_object, sum_probe,
               responses, gradients, near, exposures, scratch, set_of_row, object_num, object_den, probe_num,
               spectrum_num, probe_den, opr_num):  # fmt: skip
    """Do what `gather.gather` does for frames that are incoherent sums of exposures.

    ``parameters`` has exposure e of frame j at j * exposures + e. Waves and shifted probes hold all modes of the first
    exposure, then of the second, and so on. The probe's denominator gets the sum over the exposures.
    """
    wave, shifted, row_ramp, column_ramp, model, sums, response_sums = scratch
    ny, nx = counts.shape[1], counts.shape[2]
    modes = spectrum.shape[0]
    misfit, loss = 0.0, 0.0
    requested = responses.shape[0] > 0
    response_sums = select_response_sums(response_sums, requested, gradients)
    back = sum_object or sum_probe or requested
    for i, j in enumerate(frames):
        for e in range(exposures):
            v, part = j * exposures + e, slice(e * modes, (e + 1) * modes)
            top, left = parameters.corners[v, 0], parameters.corners[v, 1]
            begin_frame_probe(shifted[part], spectrum, parameters, v, row_ramp, column_ramp, plans, ny, nx)
            form_exit_wave(wave[part], shifted[part], True, obj, top, left, plans, ny, nx)
            if near is not None:
                propagate_near(wave[part], near, parameters.shifts[v], plans, ny, nx)
        if near is None:
            frame_misfit, frame_loss = compare(
                wave, counts[j], invalid, floor, noise, back, plans, ny, nx, model, sums
            )  # fmt: skip
        else:
            frame_misfit, frame_loss = correct_near(
                wave, counts[j], invalid, floor, noise, back, plans, ny, nx, near, sums
            )  # fmt: skip
        misfit += frame_misfit
        loss += frame_loss
        if not back:
            continue
        of_frame = responses[indices[i]] if requested else responses[0:0, 0]
        if requested:
            of_frame[0], of_frame[1:RESPONSE_COUNT] = frame_misfit, 0
        for e in range(exposures):
            v, part = j * exposures + e, slice(e * modes, (e + 1) * modes)
            top, left = parameters.corners[v, 0], parameters.corners[v, 1]
            if near is not None:
                write_ramps_back(near, parameters.shifts[v], ny, nx)
                apply_transfer(wave[part], near, plans, ny, True)
            add_to_sums(
                wave[part], shifted[part], False, False, False, obj, top, left, plans, ny, nx, sum_object, sum_probe,
                response_sums, of_frame[RESPONSE_COUNT - response_sums.shape[0] :], set_of_row, 0, object_num,
                object_den, probe_num, probe_den,
            )  # fmt: skip
            if sum_probe:
                write_ramps(row_ramp, column_ramp, parameters, v, ny, nx)
                of_exposure = of_frame[RESPONSE_COUNT:].copy()
                add_probe_sums(
                    spectrum_num, opr_num, of_exposure, wave[part], parameters, v, row_ramp, column_ramp, plans, ny,
                    sums,
                )  # fmt: skip
                for m in range(of_exposure.shape[0]):
                    before = of_frame[RESPONSE_COUNT + m]
                    of_frame[RESPONSE_COUNT + m] = of_exposure[m] if e == 0 else before + of_exposure[m]
    return misfit, loss
