"""The reader: which variants of a file it accepts, what the user may override, and that patterns are read lazily."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from bad_files import put
from samples import small_scan, small_truth

import exitwave
from exitwave.cxi.read import read
from exitwave.cxi.schema import path
from exitwave.errors import InputError
from exitwave.frames import Frames, MissingFrames, open_hdf5
from exitwave.scan import Result, Scan
from exitwave.units import ELEMENTARY_CHARGE


def change(file: Path, key: str, value, units: str | None = None, **options) -> None:
    put(key, value, units, **options)(file)


def scan_of(file: Path, **overrides: str) -> Scan:
    scan = read(file, overrides)
    assert isinstance(scan, Scan)
    return scan


def test_a_file_is_a_scan_or_a_result(scan_file: Path, result_file: Path) -> None:
    assert isinstance(exitwave.open(scan_file), Scan)
    result = exitwave.open(result_file)
    assert isinstance(result, Result)
    assert result.scan.path == result.scan.patterns.path == scan_file
    assert exitwave.open(scan_file, distance="3m").detector.distance == 3.0


def test_opening_a_file_does_not_read_the_patterns(scan_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self, index):
        raise AssertionError("the patterns were read")

    monkeypatch.setattr(Frames, "__getitem__", refuse)
    shapes = []
    original = h5py.Dataset.__getitem__
    monkeypatch.setattr(
        h5py.Dataset, "__getitem__", lambda self, index: (shapes.append(self.shape), original(self, index))[1]
    )
    scan_of(scan_file)
    assert shapes
    assert (200, 64, 64) not in shapes


@pytest.mark.parametrize("shape", [(), (1,), (200,)])
@pytest.mark.parametrize("dtype", [">f8", "<f4"])
def test_scalars_of_any_shape_and_byte_order(shape, dtype: str, scan_file: Path) -> None:
    for key, value in (
        ("energy", 8800.25),
        ("distance", 2.5),
        ("x_pixel_size", 2.0**-14),
        ("saturation_value", 1000.0),
    ):
        change(scan_file, key, np.full(shape, value, dtype), "eV" if key == "energy" else "m")
    scan = scan_of(scan_file)
    assert scan.findings == ()
    assert (scan.energy, scan.detector.distance) == (8800.25, 2.5)
    assert (scan.detector.pixel_size[1], scan.detector.saturation) == (2.0**-14, 1000.0)


@pytest.mark.parametrize("text", [np.bytes_("eV"), "eV", np.array([b"eV"]), np.array("eV", h5py.string_dtype())])
def test_units_and_names_as_bytes_or_text(text, scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        file[path("energy")].attrs["units"] = text
        file[path("sample")].attrs["name"] = np.bytes_("cell")
        del file[path("instrument_name")]
        file[path("instrument_name")] = np.bytes_("26-ID")
    scan = scan_of(scan_file)
    assert (scan.name, scan.instrument, scan.energy, scan.findings) == ("cell", "26-ID", 8800.25, ())


def test_the_unit_may_be_on_the_group_alone(scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        for key in ("energy", "positions"):
            del file[path(key)].attrs["units"]
        file[path("geometry")].attrs["units"] = "mm"
        file[path("positions")][...] *= 1e3
    scan = scan_of(scan_file)
    assert [finding.code for finding in scan.findings] == ["W204"]
    np.testing.assert_allclose(scan.positions, small_scan().positions, rtol=1e-12)


@pytest.mark.parametrize(("key", "group"), [("frames", "data_frames"), ("positions", "detector_positions")])
def test_frames_and_positions_are_found_at_their_other_paths(key: str, group: str, scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        links = [
            name
            for name in ("data_frames", "data_positions", "detector_positions")
            if name.startswith("data") or key == "positions"
        ]
        for name in links:
            del file[path(name)]
        file.move(path(key), path(group))
    scan = scan_of(scan_file)
    np.testing.assert_array_equal(scan.positions, small_scan().positions)
    np.testing.assert_array_equal(scan.patterns[3], small_scan().patterns[3])
    assert scan.patterns.dataset == path("data_frames" if key == "frames" else "frames")


def test_path_and_dataset_of_frames_are_those_behind_all_links(scan_file: Path) -> None:
    with h5py.File(scan_file.with_name("raw.h5"), "w") as raw:
        raw["/deep/stack"] = np.ones((200, 64, 64), "u2")
        raw["/alias"] = h5py.SoftLink("/deep/stack")
    with h5py.File(scan_file, "r+") as file:
        del file[path("frames")]
        file[path("frames")] = h5py.ExternalLink("raw.h5", "/alias")
    patterns = scan_of(scan_file).patterns
    assert (patterns.path, patterns.dataset) == (scan_file.with_name("raw.h5"), "/deep/stack")
    assert patterns.dtype == np.uint16


def test_virtual_frames_whose_sources_exist_are_read(scan_file: Path) -> None:
    stack = small_scan().patterns[:]
    with h5py.File(scan_file.with_name("part.h5"), "w") as part:
        part["data"] = stack
    with h5py.File(scan_file, "r+") as file:
        layout = h5py.VirtualLayout(stack.shape, "f4")
        layout[...] = h5py.VirtualSource("part.h5", "data", stack.shape)
        del file[path("frames")]
        file.create_virtual_dataset(path("frames"), layout)
    np.testing.assert_array_equal(scan_of(scan_file).patterns[:], stack)


@pytest.mark.parametrize("kind", ["float32", "bool", ">i4", "uint64"])
def test_masks_of_any_type(kind: str, scan_file: Path) -> None:
    change(scan_file, "mask", small_scan().detector.mask.astype(kind))
    scan = scan_of(scan_file)
    assert scan.findings == ()
    assert scan.detector.mask.dtype == np.uint8
    np.testing.assert_array_equal(scan.detector.mask, small_scan().detector.mask)


def test_without_a_mask_the_pixel_mask_is_used_or_all_pixels_are_good(scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        del file[path("mask")]
    np.testing.assert_array_equal(scan_of(scan_file).detector.mask, small_scan().detector.mask)
    with h5py.File(scan_file, "r+") as file:
        del file[path("pixel_mask")]
    scan = scan_of(scan_file)
    assert not scan.detector.mask.any()
    assert [finding.code for finding in scan.findings] == ["I301"]


def test_a_mask_may_be_inverted_kept_or_ignored(scan_file: Path) -> None:
    good = small_scan().detector.mask
    change(scan_file, "mask", 1 - good)
    np.testing.assert_array_equal(scan_of(scan_file, mask="inverted").detector.mask, good)
    np.testing.assert_array_equal(scan_of(scan_file, mask="as-is").detector.mask, 1 - good)
    assert not scan_of(scan_file, mask="none").detector.mask.any()


def test_overrides_replace_values_of_the_file_with_a_finding(scan_file: Path) -> None:
    scan = scan_of(scan_file, energy="9keV", distance="1500 mm", pixel_size="55um", positions="mm")
    assert (scan.energy, scan.detector.distance) == (9000.0, 1.5)
    assert scan.detector.pixel_size == pytest.approx((55e-6, 55e-6))
    np.testing.assert_allclose(scan.positions, small_scan().positions * 1e-3)
    assert {finding.code for finding in scan.findings} == {"I304"}
    assert len(scan.findings) == 4
    for key, value in (("energy", "3eV"), ("distance", "-1m"), ("positions", "miles"), ("pixel_size", "big")):
        with pytest.raises(InputError):
            scan_of(scan_file, **{key: value})


@pytest.mark.parametrize("key", ["incident_beam_energy", "beam_energy"])
def test_the_photon_energy_of_a_nexus_file_is_read_from_beam_1(key: str, scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        file[path("energy")][()] = 7e9
        del file[path("incident_energy")]
        file[path(key)] = 8.80025
        file[path(key)].attrs["units"] = "keV"
    scan = scan_of(scan_file)
    assert scan.energy == pytest.approx(8800.25)
    assert [finding.code for finding in scan.findings] == ["W201", "W202"]


def test_dark_and_flat_stacks_are_averaged(scan_file: Path) -> None:
    stack = np.arange(3 * 64 * 64, dtype="u2").reshape(3, 64, 64)
    change(scan_file, "dark", stack)
    np.testing.assert_allclose(scan_of(scan_file).detector.dark, stack.mean(axis=0))


def test_a_probe_of_the_wrong_shape_is_not_used(scan_file: Path) -> None:
    change(scan_file, "illumination", np.ones((32, 32), "c8"))
    scan = scan_of(scan_file)
    assert scan.probe is None
    assert [finding.code for finding in scan.findings] == ["W207"]


def test_a_result_with_only_the_entries_of_the_specification_opens(result_file: Path) -> None:
    with h5py.File(result_file, "r+") as file:
        image = file[path("image")]
        for name in list(image):
            if name not in ("data", "mask", "process_1"):
                del image[name]
        for name in list(file[path("process")]):
            del file[path("process")][name]
    result = read(result_file)
    assert isinstance(result, Result)
    assert [finding.code for finding in result.scan.findings] == ["I306"]
    assert result.object_pixel == pytest.approx(result.scan.object_pixel)
    middle = result.x[len(result.x) // 2]
    assert middle == pytest.approx((result.positions[:, 0].min() + result.positions[:, 0].max()) / 2)


def test_foreign_file_in_joules_opens(measured: Path) -> None:
    scan = scan_of(measured / "petra_p25_near_field.cxi")
    assert scan.patterns.shape == (200, 100, 100)
    assert scan.energy == pytest.approx(2.0280385e-15 / ELEMENTARY_CHARGE)
    assert [finding.code for finding in scan.findings] == ["W201"]


def test_measured_file_of_the_schema_opens_without_a_finding(measured: Path) -> None:
    scan = scan_of(measured / "velociprobe_siemens_star.cxi")
    assert scan.findings == ()
    assert scan.probe is not None
    assert scan.probe.shape == (1, 128, 128)
    assert scan.energy == 8800.0


SPARSE = """
import re, sys
from pathlib import Path
from exitwave.analysis.summary import summarise
from exitwave.cxi.inspect import tree
from exitwave.cxi.read import read
from exitwave.cxi.validate import validate
file = sys.argv[1]
tree(file), validate(file)
print(summarise(read(file))["frames"])
# the high-water mark of this program alone; ru_maxrss would include the process that started it
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc, which Linux has")
def test_a_scan_of_five_gigabytes_is_inspected_within_200_megabytes(scan_file: Path) -> None:
    shape = (4800, 512, 512)
    with h5py.File(scan_file, "r+") as file:
        for key in ("frames", "positions", "mask", "pixel_mask", "dark", "flat", "illumination", "probe_link"):
            del file[path(key)]
        del file[path("truth")]
        file.create_dataset(path("frames"), shape, "f4", chunks=(1, 512, 512), compression="gzip")
        file[path("frames")][0] = 1.0
        file[path("positions")] = np.resize(small_scan().positions, (4800, 3))
        file[path("mask")] = np.zeros(shape[1:], "u1")
    done = subprocess.run([sys.executable, "-c", SPARSE, str(scan_file)], capture_output=True, text=True, check=True)
    frames, megabytes = map(int, done.stdout.split())
    assert frames == 4800
    assert megabytes < 200


def test_a_result_with_a_missing_input_file_opens_without_its_patterns(result_file: Path, scan_file: Path) -> None:
    before = read(result_file)
    scan_file.rename(scan_file.with_name("elsewhere.cxi"))
    result = read(result_file)
    assert isinstance(result, Result)
    assert isinstance(result.scan.patterns, MissingFrames)
    assert result.scan.patterns.shape == before.scan.patterns.shape
    assert result.scan.patterns.path == scan_file
    assert [(finding.code, finding.path) for finding in result.scan.findings] == [("W211", path("frames"))]
    np.testing.assert_array_equal(result.object, before.object)
    for read_frames in (lambda frames: frames[0], np.asarray, lambda frames: next(frames.blocks())):
        with pytest.raises(InputError, match="patterns of this result are missing"):
            read_frames(result.scan.patterns)
    result.save(result_file.with_name("copy.cxi"))
    scan_file.with_name("elsewhere.cxi").rename(scan_file)
    again = read(result_file.with_name("copy.cxi"))
    np.testing.assert_array_equal(again.scan.patterns[:], before.scan.patterns[:])


def test_a_scan_whose_frames_are_missing_is_refused(result_file: Path, scan_file: Path) -> None:
    with h5py.File(result_file, "r+") as file:
        del file[path("image")]
    scan_file.unlink()
    with pytest.raises(InputError, match="The link has no target"):
        read(result_file)


def test_the_file_is_opened_once_for_many_frames(scan_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(scan_file, "frames", lambda old: old, chunks=(100, 64, 64), compression="gzip")
    frames, stack, opened = scan_of(scan_file).patterns, small_scan().patterns[:], []
    monkeypatch.setattr("exitwave.frames.frames.open_hdf5", lambda file: opened.append(file) or open_hdf5(file))
    np.testing.assert_array_equal(list(frames.pick([7, 3, 150])), stack[[7, 3, 150]])
    np.testing.assert_array_equal(np.concatenate([block for _, block in frames.blocks(70)]), stack)
    assert opened == [scan_file, scan_file]


def test_lists_of_variable_length_are_refused(scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        del file[path("saturation_value")]
        file.create_dataset(path("saturation_value"), (), h5py.vlen_dtype(np.uint8))
    with pytest.raises(InputError, match="lists of variable length"):
        read(scan_file)


@pytest.mark.parametrize("key", ["recipe", "choices", "preparation"])
def test_a_text_of_a_result_that_is_no_json_costs_only_the_text(key: str, result_file: Path) -> None:
    before = read(result_file)
    with h5py.File(result_file, "r+") as file:
        del file[path(key)]
        file[path(key)] = "[[[[{no JSON"
    result = read(result_file)
    assert isinstance(result, Result)
    assert isinstance(before, Result)
    np.testing.assert_array_equal(result.object, before.object)
    assert [(each.code, each.path) for each in result.scan.findings if each.level == "warning"] == [("W261", path(key))]
    assert not {"recipe": result.recipe, "choices": result.choices, "preparation": result.scan.preparation}[key]


def test_a_provenance_that_cannot_be_read_costs_only_itself(result_file: Path) -> None:
    with h5py.File(result_file, "r+") as file:
        file.create_dataset(f"{path('process')}/remark", (), h5py.vlen_dtype(np.uint8))
        del file[path("program")]
        file[path("program")] = h5py.SoftLink("/nowhere")
    result = read(result_file)
    assert isinstance(result, Result)
    assert {each.path for each in result.scan.findings if each.code == "W261"} == {
        path("program"),
        f"{path('process')}/remark",
    }
    assert result.provenance["version"] == "0"


def test_patterns_that_were_deleted_after_opening_raise_an_error(scan_file: Path) -> None:
    scan = scan_of(scan_file)
    with h5py.File(scan_file, "r+") as file:
        del file[scan.patterns.dataset]
    with pytest.raises(InputError, match="has changed since it was opened"):
        scan.patterns[0]


FORMER = {"probe_factors": "scales", "opr_modes": "variations", "opr_weights": "weights", "pointing": "tilts"}


@pytest.mark.parametrize("former", FORMER.values())
def test_entries_of_the_model_are_read_at_their_former_paths(former: str, result_file: Path, scan_file: Path) -> None:
    name = next(name for name, before in FORMER.items() if before == former)
    expected = read(result_file)
    assert isinstance(expected, Result)
    for file, new, old in (
        (result_file, path(f"model_{name}"), f"{path('process')}/model_{former}"),
        (scan_file, path(f"true_model_{name}"), f"{path('truth')}/{former}"),
    ):
        with h5py.File(file, "r+") as opened:
            opened.move(new, old)
    result, scan = read(result_file), read(scan_file)
    assert isinstance(result, Result)
    assert isinstance(scan, Scan)
    np.testing.assert_array_equal(result.model[name], expected.model[name], strict=True)
    assert scan.truth is not None
    np.testing.assert_array_equal(scan.truth.model[name], small_truth(small_scan()).model[name], strict=True)
