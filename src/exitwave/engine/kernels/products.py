"""The compiled loops that weigh a change of object and probe against what the frames ask for; see `kernels`."""

from exitwave.engine.kernels import rows
from exitwave.engine.kernels.chain import as_it_is, end_shift, pour, ramps, shift_columns
from exitwave.engine.kernels.compiled import compiled


@compiled
def products(out, frames, places, chi, own, plans, objects, beams, changes, scratch, sums, ny, nx):
    """Write the five products of every frame at its place; see `Sweeps.products`.

    ``objects`` are the object and its change, ``beams`` the probe and its spectrum, ``changes`` the same of the
    probe's change; ``chi`` is (frames, modes, 2 * ny * nx), and ``sums`` scratch for a vector of each product.
    """
    first, second, row_ramp, column_ramp = scratch[:4]
    obj, d_obj = objects
    for i, j in enumerate(frames):
        beam, change, top, left = beams[0], changes[0], own.corners[j, 0], own.corners[j, 1]
        if not as_it_is(own, j):
            beam, change = first, second
            ramps(row_ramp, column_ramp, own, j, ny, nx)
            shift_columns(beam, beams[1], own.spectra, own.weights[j], row_ramp, column_ramp, plans, ny)
            shift_columns(change, changes[1], own.spectra[:0], own.weights[j], row_ramp, column_ramp, plans, ny)
            end_shift(beam, own, j, column_ramp, plans, ny, nx)
            end_shift(change, own, j, column_ramp, plans, ny, nx)
        out[places[i]] = 0
        for k in range(beam.shape[0]):
            for r in range(ny):
                w = chi[places[i], k, 2 * r * nx : 2 * (r + 1) * nx]
                o, d = obj[top + r, 2 * left : 2 * (left + nx)], d_obj[top + r, 2 * left : 2 * (left + nx)]
                rows.add_products(d, beam[k, r], change[k, r], o, w, sums[0], sums[1], sums[2], sums[3], sums[4], nx)
                if (r + 1) % plans.rows == 0 or r + 1 == ny:
                    pour(out[places[i]], sums)
