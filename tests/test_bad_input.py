"""Every bad input gives one message or a finding, every bad output a message; no existing file is changed."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from bad_files import BAD_INPUTS, BAD_OUTPUTS, BadInput, BadOutput, Change, inside, put
from samples import small_result, small_scan
from typer.testing import CliRunner

from exitwave.cli import app
from exitwave.cxi.read import read
from exitwave.cxi.schema import path
from exitwave.errors import InputError, OutputError
from exitwave.scan import Scan


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.name)
def test_a_bad_input_is_refused_or_repaired_and_never_changed(bad: BadInput, scan_file: Path) -> None:
    bad.corrupt(scan_file)
    before = contents(scan_file.parent)
    if bad.refusal:
        with pytest.raises(InputError) as caught:
            read(scan_file, dict(bad.settings))
        message = str(caught.value)
        assert bad.refusal in message
        assert "\n" not in message
        assert caught.value.exit_code == 2
        assert caught.value.found or caught.value.remedy
    else:
        scan, good = read(scan_file, dict(bad.settings)), small_scan()
        assert isinstance(scan, Scan)
        assert [finding.code for finding in scan.findings] == [bad.code]
        lost = {frame for reason in scan.left_out.keys() - good.left_out.keys() for frame in scan.left_out[reason]}
        used = np.setdiff1d(np.arange(len(good.positions)), list(lost))
        assert (lost == {5}) == (bad.code in ("W243", "W244"))
        np.testing.assert_allclose(scan.positions[used], good.positions[used], rtol=1e-12, atol=1e-18)
        assert np.ptp(scan.positions, axis=0).max() <= np.ptp(good.positions, axis=0).max() * 1.001
        assert scan.energy == pytest.approx(good.energy, rel=1e-6)
        np.testing.assert_array_equal(scan.detector.mask, good.detector.mask)
    assert contents(scan_file.parent) == before


REFUSED = [(bad, overwrite) for bad in BAD_OUTPUTS for overwrite in (False, True) if bad.refused(overwrite)]


@pytest.mark.parametrize(("bad", "overwrite"), REFUSED, ids=lambda value: getattr(value, "name", f"overwrite={value}"))
def test_a_bad_output_is_refused_without_any_new_file(bad: BadOutput, overwrite: bool, scan_file: Path) -> None:
    scan = read(scan_file)
    assert isinstance(scan, Scan)
    target = bad.prepare(scan_file)
    if bad.needs_permissions and os.access(target.parent, os.W_OK):
        pytest.skip("this user may write everywhere, also to read-only folders")
    before = contents(scan_file.parent)
    for save in (scan.save, small_result(scan).save):
        with pytest.raises(OutputError) as caught:
            save(target, overwrite=overwrite)
        assert caught.value.exit_code == 2
        assert "\n" not in str(caught.value)
        assert bad.refusal in str(caught.value)
    assert contents(scan_file.parent) == before


def _impossible_counts(value: float) -> Change:
    """Return a change that writes impossible counts to good pixels of one frame."""

    def change(file: h5py.File) -> None:
        file[path("frames")][5, 20, 30:33] = value

    return inside(change)


BROKEN_COUNTS = (
    BadInput("NaN counts", _impossible_counts(np.nan), code="W231"),
    BadInput("infinite counts", _impossible_counts(np.inf), code="W231"),
    BadInput("negative counts", _impossible_counts(-1.0), code="W232"),
    BadInput("saturated counts", _impossible_counts(65535.0), code="W233"),
    BadInput("no counts", put("frames", np.zeros((200, 64, 64), "f4")), "hold no counts"),
)


@pytest.mark.parametrize("bad", [*BAD_INPUTS, *BROKEN_COUNTS], ids=lambda bad: bad.name)
def test_the_command_line_gives_one_message_and_exit_code_2_or_repairs(bad: BadInput, scan_file: Path) -> None:
    bad.corrupt(scan_file)
    before = contents(scan_file.parent)
    target = scan_file.with_name("out.cxi")
    arguments = ["reconstruct", str(scan_file), "-o", str(target), "--iterations", "1", "--threads", "1"]
    settings = [f"--set={key}={value}" for key, value in bad.settings]
    done = CliRunner().invoke(app, [*arguments, *settings])
    if bad.refusal:
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert done.exit_code == 2
        assert len(errors) == 1
        assert bad.refusal in errors[0]
        assert "Traceback" not in done.output
        assert contents(scan_file.parent) == before
    else:
        assert done.exit_code == 0, done.stderr
        assert bad.code in done.stderr
        assert np.isfinite(read(target).object).all()
        target.unlink()
        assert contents(scan_file.parent) == before


@pytest.mark.parametrize("bad", [bad for bad in BAD_OUTPUTS if not bad.needs_permissions], ids=lambda bad: bad.name)
def test_the_command_line_refuses_bad_outputs_before_any_work(bad: BadOutput, scan_file: Path) -> None:
    target = bad.prepare(scan_file)
    before = contents(scan_file.parent)
    done = CliRunner().invoke(app, ["reconstruct", str(scan_file), "-o", str(target)])
    assert done.exit_code == 2
    assert bad.refusal in done.stderr
    assert "loading" not in done.stderr
    assert contents(scan_file.parent) == before
