"""Small, valid and typical scans and results for all tests."""

from typing import Any

import numpy as np

from exitwave.frames import Frames
from exitwave.frc import FRC
from exitwave.positions import fermat_spiral, object_grid
from exitwave.scan import Decision, Detector, Result, Scan, Truth

NPOS, SIDE = 200, 64


def small_scan(npos: int = NPOS, side: int = SIDE, **changes: Any) -> Scan:
    """Return a scan of sparse counts with a probe, in which all fields but the truth are set."""
    rng = np.random.default_rng(1)
    mask = np.zeros((side, side), np.uint8)
    mask[3, 4:7] = 1
    yy, xx = np.mgrid[:side, :side] - side // 2
    values: dict[str, Any] = {
        "patterns": Frames(rng.poisson(0.1, (npos, side, side)).astype(np.float32)),
        "positions": fermat_spiral(npos, 150e-9) + np.array([3e-6, -2e-6, 0]),
        "energy": 8800.25,
        "detector": Detector(
            distance=2.0,
            pixel_size=(75e-6, 55e-6),
            mask=mask,
            corner_position=np.array([1.5e-3, 2.5e-3, 2.0]),
            saturation=65535.0,
            pixel_mask=mask.astype(np.uint32) * 2,
            dark=rng.random((side, side), np.float32),
            flat=rng.random((side, side), np.float32),
            countrate_correction_applied=True,
        ),
        "probe": np.exp(-(yy**2 + xx**2) / 50 + 0.1j * xx)[None].astype(np.complex64),
        "name": "biofilm §1",
        "description": "A scan made up for a test",
        "instrument": "26-ID",
        "left_out": {"the beam was off": (1, 3)},
        "preparation": (Decision("crop", "window", {"rows": [0, 64]}, "the speckles are there"),),
    }
    return Scan(**(values | changes))


def small_truth(scan: Scan) -> Truth:
    """Return a truth for a scan."""
    y, x = object_grid(scan.positions, scan.patterns.shape[1:], scan.object_pixel)
    rng = np.random.default_rng(2)
    transmission = (rng.random((y.size, x.size)) + 1j * rng.random((y.size, x.size))).astype(np.complex64)
    assert scan.probe is not None
    model = _random_model(len(scan.positions), scan.probe.shape[-2:])
    return Truth(transmission, x, y, scan.probe, scan.positions + 1e-9, model)


def _random_model(npos: int, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return random values for all entries of a model that frames may have."""
    rng = np.random.default_rng(4)
    return {
        "probe_factors": rng.random(npos),
        "opr_modes": rng.random((2, *shape)).astype(np.complex64),
        "opr_weights": rng.random((npos, 2)),
        "pointing": rng.random((npos, 2)),
        "background": rng.random(shape),
    }


def small_result(scan: Scan, modes: int = 2, iterations: int = 5) -> Result:
    """Return a result on the object grid of a scan, with random values."""
    y, x = object_grid(scan.positions, scan.patterns.shape[1:], scan.object_pixel)
    rng = np.random.default_rng(3)
    assert scan.probe is not None
    return Result(
        scan=scan,
        object=(rng.random((y.size, x.size)) + 1j * rng.random((y.size, x.size))).astype(np.complex64),
        probe=np.concatenate([scan.probe / (k + 1) for k in range(modes)]).astype(np.complex64),
        x=x,
        y=y,
        positions=scan.positions + 2e-9,
        mask=(rng.random((y.size, x.size)) > 0.5).astype(np.float32),
        errors=np.linspace(1, 0.1, iterations, dtype=np.float32),
        holdout_errors=np.linspace(1, 0.2, iterations, dtype=np.float32),
        holdout_deviances=np.linspace(2, 1, iterations, dtype=np.float32),
        held_out=np.array([3, 17], np.int64),
        algorithm="rpie",
        recipe={"iterations": iterations, "object_update": {"alpha": 0.05}, "probe": None},
        provenance={
            "program": "exitwave",
            "version": "0",
            "date": "2020-01-01T00:00:00+00:00",
            "stopped_by": "iterations",
            "device": "cpu",
        },
        model=_random_model(len(scan.positions), scan.probe.shape[-2:]),
        frc=FRC(np.array([1e6, 2e6]), np.array([0.9, 0.1]), np.array([0.4, 0.3]), 0.3e-6, False, "counts"),
        choices=(Decision("modes", "two", {"modes": 2}, "the beam is partly coherent"),),
    )
