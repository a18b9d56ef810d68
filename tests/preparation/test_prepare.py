"""All steps together: a raw scan gives as good a result as a clean one, and the ledger lists every frame."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import exitwave
from exitwave.analysis.frame_accounting import USED, account_for_frames
from exitwave.cli import app
from exitwave.cxi.validate import validate
from exitwave.errors import InputError
from exitwave.frames import Frames, View
from exitwave.preparation import apply_view
from exitwave.scan import Scan
from exitwave.simulation import simulate

CLEAN = {"frames": 60, "detector": 128, "photons": 1e6, "seed": 5}


@pytest.fixture(scope="module")
def raw() -> Scan:
    """Return a scan off centre with dark current, unmasked bad pixels, two frames without beam and a wrong position."""
    scan = simulate(**CLEAN, dark=0.1, bad_pixels=0.005)
    changed = apply_view(scan, View(rows=(-6, 122), columns=(4, 132)))
    stack = changed.patterns[:]
    stack[:, (changed.detector.pixel_mask & 1) != 0] = 0
    stack[[20, 21]] = 0
    positions = scan.positions.copy()
    positions[30] += 1e-4
    detector = replace(changed.detector, mask=np.zeros((128, 128), np.uint8), pixel_mask=None)
    return replace(
        changed, patterns=Frames(stack), positions=positions, detector=detector, probe=scan.probe, truth=scan.truth
    )


@pytest.fixture(scope="module")
def raw_file(raw: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("raw") / "raw.cxi"
    raw.save(file)
    return file


def test_a_prepared_raw_scan_gives_as_good_a_result_as_a_clean_one(raw: Scan) -> None:
    how = {"iterations": 8, "threads": 1}
    clean = exitwave.compare(exitwave.reconstruct(simulate(**CLEAN), **how)).error
    ready = exitwave.prepare(raw)
    result = exitwave.reconstruct(ready, **how)
    assert exitwave.compare(result).error < 1.1 * clean
    accounts = account_for_frames(result)
    assert accounts["no beam"].tolist() == [20, 21]
    assert accounts["position far from the scan"].tolist() == [30]
    assert sum(len(frames) for frames in accounts.values()) == 60
    assert {decision.heading for decision in ready.preparation} == {"pixels", "background", "positions", "crop"}


def test_frames_without_counts_are_counted_in_a_result(raw: Scan) -> None:
    whole = replace(raw, positions=simulate(**CLEAN).positions)
    accounts = account_for_frames(exitwave.reconstruct(whole, iterations=1, threads=1))
    known = np.concatenate(list(accounts.values()))
    np.testing.assert_array_equal(np.sort(known), np.arange(60))
    assert len(accounts[USED]) + len(accounts["held out to judge the result"]) >= 58


def test_the_command_writes_a_prepared_scan(raw_file: Path) -> None:
    before, out = raw_file.read_bytes(), raw_file.with_name("out.cxi")
    done = CliRunner().invoke(app, ["prepare", str(raw_file), str(out), "--bin", "2", "--optics", "26-ID", "--json"])
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["detector"] == [64, 64]
    assert sum(len(frames) for frames in answer["ledger"].values()) == answer["frames"] == 60
    assert "writing 60/60 frames" in done.stderr
    assert raw_file.read_bytes() == before
    assert [each for each in validate(out) if each.level == "error"] == []
    scan = exitwave.open(out)
    assert scan.left_out == {"no beam": (20, 21), "position far from the scan": (30,)}
    assert [decision.heading for decision in scan.preparation] == ["pixels", "background", "positions", "crop", "probe"]
    assert scan.probe.shape == (1, 64, 64)
    raw = exitwave.open(raw_file)
    centre = scan.detector.mask.copy() * 0
    centre[20:44, 20:44] = 1
    same = (scan.detector.mask == 0) & (centre == 1)
    rows, columns = scan.preparation[3].settings["size"]
    whole = raw.patterns[7][max(rows[0], 0) : rows[1], max(columns[0], 0) : columns[1]]
    padded = np.zeros((128, 128), np.float32)
    padded[max(-rows[0], 0) :, max(-columns[0], 0) :][: whole.shape[0], : whole.shape[1]] = whole
    binned = padded.reshape(64, 2, 64, 2).sum(axis=(1, 3))
    np.testing.assert_array_equal(scan.patterns[7][same], binned[same])


def test_the_command_reads_dark_frames_and_a_monitor_from_files(raw_file: Path, raw: Scan) -> None:
    dark, monitor = raw_file.with_name("dark.h5"), raw_file.with_name("monitor.npy")
    with h5py.File(dark, "w") as file:
        file["entry/dark"] = np.full((3, 128, 128), 0.2, np.float32)
    np.save(monitor, raw.patterns[:].sum(axis=(1, 2)) + 1)
    out = raw_file.with_name("subtracted.cxi")
    options = ["--dark", str(dark), "--monitor", str(monitor), "--background", "subtract", "--crop", "none", "--pixels"]
    done = CliRunner().invoke(app, ["prepare", str(raw_file), str(out), *options, "interpolate"])
    assert done.exit_code == 0, done.stderr
    scan = exitwave.open(out)
    assert scan.detector.dark is None
    assert scan.monitor is not None
    good = scan.detector.mask == 0
    expected = np.maximum(raw.patterns[3][good] - np.float32(0.2), 0)
    np.testing.assert_allclose(scan.patterns[3][good], expected, atol=1e-5)
    assert scan.patterns[3].max() < 2e4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--crop", "some"], "Not a size"),
        (["--centre", "3"], "Not a point"),
        (["--bin", "0"], "binned"),
        (["--dark", "nowhere.npy"], "does not exist"),
        (["--optics", "zone-plate:diameter=1um"], "Not the dimensions of zone-plate"),
        (["--optics", "lens:f=1m"], "Unknown optics"),
    ],
)
def test_bad_options_are_refused(raw_file: Path, options: list[str], words: str) -> None:
    out = raw_file.with_name("never.cxi")
    done = CliRunner().invoke(app, ["prepare", str(raw_file), str(out), *options])
    assert done.exit_code == 2
    assert words in done.stderr
    assert not out.exists()


def test_an_existing_output_and_an_unused_dark_frame_are_refused(raw_file: Path, raw: Scan) -> None:
    for out in (raw_file, raw_file.with_name("there.cxi")):
        out.touch()
        done = CliRunner().invoke(app, ["prepare", str(raw_file), str(out)])
        assert done.exit_code == 2
    with pytest.raises(InputError, match="background is none"):
        exitwave.prepare(raw, background="none", dark=np.zeros((128, 128)))


def test_optics_are_parsed_from_the_command_line() -> None:
    from exitwave.cli.lens import parse_optics
    from exitwave.preparation import Mirrors, ZonePlate

    plate = parse_optics("zone-plate:diameter=160um,outermost_zone=30nm,defocus=0.1mm")
    assert isinstance(plate, ZonePlate)
    assert (plate.diameter, plate.outermost_zone, plate.defocus) == pytest.approx((160e-6, 30e-9, 1e-4))
    pair = parse_optics("mirrors:aperture=0.3mm/0.2mm,focal_length=0.3m/0.2m")
    assert isinstance(pair, Mirrors)
    assert (*pair.aperture, *pair.focal_length) == pytest.approx((3e-4, 2e-4, 0.3, 0.2))
