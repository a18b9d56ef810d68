"""Arrays for pty-chi: types and shapes, and the reconstructions of pty-chi and of Exitwave from the same scan."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from samples import small_result, small_scan

import exitwave
from exitwave.analysis.compare import compare
from exitwave.analysis.error import recompute
from exitwave.dialects.formats import ptychi
from exitwave.frames import Frames
from exitwave.positions import fermat_spiral, object_grid, to_pixels
from exitwave.scan import Detector, Result, Scan
from exitwave.simulation.specimens import texture
from exitwave.units import H_C

FRAMES, ITERATIONS, CORRELATED = 200, 30, 0.9


def test_types_and_shapes_for_pty_chi() -> None:
    scan = small_scan(npos=20, side=8)
    arrays, count = scan.to_ptychi(), len(scan.used_frames)
    assert {name: (each.dtype.name, each.ndim) for name, each in arrays.items()} == {
        "diffraction_data": ("float32", 3),
        "object_data": ("complex64", 3),
        "probe_data": ("complex64", 4),
        "probe_position_x_px": ("float32", 1),
        "probe_position_y_px": ("float32", 1),
        "valid_pixel_mask": ("bool", 2),
    }
    assert len(arrays["diffraction_data"]) == len(arrays["probe_position_x_px"]) == count == 18
    assert not arrays["valid_pixel_mask"][3, 4]
    assert scan.detector.dark is not None
    first = np.maximum(scan.patterns[0] - scan.detector.dark, 0)
    good = scan.detector.mask == 0
    assert np.allclose(arrays["diffraction_data"][0][good], first[good])


@pytest.mark.parametrize("side", [8, 9])
def test_file_and_arrays_are_the_same_scan(tmp_path: Path, side: int) -> None:
    scan = replace(small_scan(npos=20, side=side), left_out={})
    ptychi.write(scan, tmp_path / "out_dp.hdf5", False)
    arrays = scan.to_ptychi()
    with h5py.File(tmp_path / "out_para.hdf5") as file:
        for axis, name in (("x", "width"), ("y", "height")):
            pixels = file[f"probe_position_{axis}_m"][()] / file["object"].attrs[f"pixel_{name}_m"]
            assert np.allclose(pixels, arrays[f"probe_position_{axis}_px"], atol=1e-4)
        assert np.array_equal(file["probe"][()], arrays["probe_data"])
        assert np.array_equal(file["object"][()], arrays["object_data"])


def test_torch_accepts_the_arrays_by_dlpack() -> None:
    torch = pytest.importorskip("torch")
    result = small_result(small_scan(npos=20, side=8))
    for arrays in (result.to_ptychi(), result.to_tike()):
        for array in arrays.values():
            tensor = torch.from_dlpack(np.ascontiguousarray(array))
            assert tuple(tensor.shape) == array.shape


@pytest.fixture(scope="module")
def both() -> tuple[Result, Result]:
    """Return the results of Exitwave and pty-chi from the same scan and starting probe, on the same grid."""
    api, tasks = pytest.importorskip("ptychi.api"), pytest.importorskip("ptychi.api.task")
    scan = _scan()
    ours = exitwave.reconstruct(scan, algorithm="rpie", iterations=ITERATIONS, threads=1)
    image, probe = _run(api, tasks, scan, scan.to_ptychi())
    y, x = object_grid(scan.positions, scan.patterns.shape[1:], scan.object_pixel)
    return ours, replace(ours, object=image, probe=probe, x=x, y=y, mask=np.ones(image.shape, np.float32))


def _scan() -> Scan:
    """Return a scan of a textured object with a curved probe, without symmetry, with positions on whole pixels."""
    side, pixel = 64, H_C / 9e3 * 2 / (64 * 75e-6)
    yy, xx = np.mgrid[:side, :side] - side // 2
    probe = np.exp(-(yy**2 + xx**2) / 150 + 0.02j * (yy**2 + xx**2) + 0.1j * xx) * 300
    positions = np.round(fermat_spiral(FRAMES, 4 * pixel) / pixel) * pixel
    y, x = object_grid(positions, (side, side), (pixel, pixel))
    image = texture((y.size, x.size), seed=3)
    corners = np.rint(to_pixels(positions, y, x)).astype(int) - side // 2
    waves = [probe * image[top : top + side, left : left + side] for top, left in corners]
    counts = np.abs(np.fft.fftshift(np.fft.fft2(np.array(waves), norm="ortho"), axes=(1, 2))) ** 2
    frames = np.random.default_rng(4).poisson(counts).astype(np.float32)
    detector = Detector(2.0, (75e-6, 75e-6), np.zeros((side, side), np.uint8))
    return Scan(Frames(frames), positions, 9e3, detector, probe=probe[None].astype(np.complex64))


def _options(api: Any, scan: Scan) -> Any:
    options = api.RPIEOptions()
    options.data_options.wavelength_m = scan.wavelength
    options.object_options.pixel_size_m = scan.object_pixel[0]
    options.reconstructor_options.default_device = api.Devices.CPU
    return options


@pytest.mark.parametrize("side", [8, 9])
def test_frames_mask_and_windows_in_pty_chi(side: int) -> None:
    """Frames and mask are shifted as in the engine; a patch of the object begins at our pixel - n//2."""
    api, tasks = pytest.importorskip("ptychi.api"), pytest.importorskip("ptychi.api.task")
    mask = np.eye(side, dtype=np.uint8)
    scan = small_scan(npos=20, side=side, left_out={}, detector=Detector(2.0, (75e-6, 75e-6), mask))
    result = small_result(scan)
    pixel = result.object_pixel[0]
    origin = np.array([result.x[0], result.y[0], 0])
    result = replace(result, positions=np.round((result.positions - origin) / pixel) * pixel + origin)
    with tasks.PtychographyTask(_options(api, scan), **result.to_ptychi()) as task:
        good = np.fft.ifftshift(mask == 0)
        seen, ours = task.dataset.patterns.numpy(), np.fft.ifftshift(scan.patterns[:], axes=(1, 2))
        assert np.array_equal(task.dataset.valid_pixel_mask.numpy(), good)
        assert np.array_equal(seen[:, good], ours[:, good])
        task.object.update_pos_origin_coordinates(task.probe_positions.data)
        patches = task.object.extract_patches(task.probe_positions.data, (side, side)).detach().numpy()[:, 0]
    corners = np.rint(to_pixels(result.positions, result.y, result.x)).astype(int) - side // 2
    ours = np.array([result.object[top : top + side, left : left + side] for top, left in corners])
    assert np.abs(patches - ours).max() < 1e-3


def _run(api: Any, tasks: Any, scan: Scan, arrays: dict[str, Any]) -> tuple[Any, Any]:
    import torch

    torch.set_num_threads(1)  # more threads are slower on a busy machine
    options = _options(api, scan)
    options.object_options.optimizer = options.probe_options.optimizer = api.Optimizers.SGD
    options.object_options.step_size = options.probe_options.step_size = 1.0
    options.probe_position_options.optimizable = False
    reconstructor = options.reconstructor_options
    reconstructor.batch_size, reconstructor.num_epochs = 20, ITERATIONS
    reconstructor.random_seed = 0
    with tasks.PtychographyTask(options, **arrays) as task:
        task.run()
        return task.get_data_to_cpu("object", as_numpy=True)[0], task.get_data_to_cpu("probe", as_numpy=True)[0]


def test_pty_chi_reconstructs_the_same_object_without_a_flip(both: tuple[Result, Result]) -> None:
    ours, theirs = both
    found = compare(theirs, ours)
    rings = found.frc.correlation
    assert rings.mean() > CORRELATED
    assert rings[: 3 * len(rings) // 4].min() > CORRELATED
    assert np.abs(np.array(found.shift) / ours.object_pixel).max() < 0.25
    for turned in (theirs.object[::-1], theirs.object[:, ::-1], theirs.object.conj(), theirs.object[::-1, ::-1].conj()):
        wrong = compare(replace(theirs, object=np.ascontiguousarray(turned)), ours)
        assert wrong.frc.correlation.mean() < 0.3


def test_a_result_of_pty_chi_explains_the_frames_in_our_model(both: tuple[Result, Result], tmp_path: Path) -> None:
    """Saved by hand, as its users do: the scale of the probe and the coordinates of the object fit our model."""
    _, theirs = both
    scan, arrays = theirs.scan, theirs.scan.to_ptychi()
    with h5py.File(tmp_path / "run_dp.hdf5", "w") as file:
        file["dp"] = scan.patterns[:]
    with h5py.File(tmp_path / "run_para.hdf5", "w") as file:
        file["object"], file["probe"] = theirs.object[None], theirs.probe[None]
        for axis, pixel, name in zip("yx", scan.object_pixel, ("height", "width"), strict=True):
            file["object"].attrs[f"pixel_{name}_m"] = pixel
            file[f"probe_position_{axis}_m"] = arrays[f"probe_position_{axis}_px"] * pixel
    back = exitwave.open(tmp_path / "run_dp.hdf5", energy="9keV", distance="2m")
    assert isinstance(back, Result)
    assert recompute(back) < 2 * recompute(both[0])  # with a shift of one pixel it is much larger
    shifted = replace(back, y=back.y + back.object_pixel[0])
    assert recompute(shifted) > 10 * recompute(both[0])
