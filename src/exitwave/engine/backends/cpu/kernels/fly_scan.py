"""The compiled loop over frames of several exposures, for fly scans; for arrays and their layout see `kernels`."""

from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.gather import (
    TOLD,
    compare,
    enter,
    hear,
    leave,
    ramps,
    shift_columns,
    shift_columns_back,
    vary_back,
)
from exitwave.engine.backends.cpu.kernels.near_field import forth, judge, shift_back, turn


@compiled
def gather_fly(frames, places, stack, invalid, floor, own, plans, obj, spectrum, noise, want_object, want_probe,
               responses, gradients, near, exposures, scratch, home, object_num, object_den, probe_num,
               spectrum_num, probe_den, varied_num):  # fmt: skip
    """Do what `chain.gather` does where a frame is an incoherent sum of exposures.

    ``own`` has the exposure e of frame j at j * exposures + e. Waves and shifted probes hold all modes of the first
    exposure, then of the second, and so on. The probe's denominator gets the sum over the exposures.
    """
    wave, shifted, row_ramp, column_ramp, model, sums, heard = scratch
    ny, nx = stack.shape[1], stack.shape[2]
    modes = spectrum.shape[0]
    misfit, loss = 0.0, 0.0
    listen = responses.shape[0] > 0
    heard = hear(heard, listen, gradients)
    wanted = want_object or want_probe or listen
    for i, j in enumerate(frames):
        for e in range(exposures):
            v, part = j * exposures + e, slice(e * modes, (e + 1) * modes)
            ramps(row_ramp, column_ramp, own, v, ny, nx)
            shift_columns(shifted[part], spectrum, own.spectra, own.weights[v], row_ramp, column_ramp, plans, ny)
            enter(wave[part], shifted[part], True, obj, own.corners[v, 0], own.corners[v, 1], plans, ny, nx)
            if near is not None:
                forth(wave[part], near, own.shifts[v], plans, ny, nx)
        if near is None:
            frame_misfit, frame_loss = compare(
                wave, stack[j], invalid, floor, noise, wanted, plans, ny, nx, model, sums
            )  # fmt: skip
        else:
            frame_misfit, frame_loss = judge(wave, stack[j], invalid, floor, noise, wanted, plans, ny, nx, near, sums)
        misfit += frame_misfit
        loss += frame_loss
        if not wanted:
            continue
        told = responses[places[i]] if listen else responses[0:0, 0]
        if listen:
            told[0], told[1:TOLD] = frame_misfit, 0
        for e in range(exposures):
            v, part = j * exposures + e, slice(e * modes, (e + 1) * modes)
            if near is not None:
                shift_back(near, own.shifts[v], ny, nx)
                turn(wave[part], near, plans, ny, True)
            leave(
                wave[part], shifted[part], False, False, False, obj, own.corners[v, 0], own.corners[v, 1], plans, ny,
                nx, want_object, want_probe, heard, told[TOLD - heard.shape[0] :], home, 0, object_num, object_den,
                probe_num, probe_den,
            )  # fmt: skip
            if want_probe:
                ramps(row_ramp, column_ramp, own, v, ny, nx)
                shift_columns_back(spectrum_num, wave[part], row_ramp, column_ramp, plans, ny, own.spectra.shape[0])
                one = told[TOLD:].copy()
                vary_back(varied_num, one, own.spectra, own.weights[v], wave[e * modes], plans, ny, sums)
                for m in range(one.shape[0]):
                    told[TOLD + m] = one[m] if e == 0 else told[TOLD + m] + one[m]
    return misfit, loss
