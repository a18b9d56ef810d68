"""Every verb on a small simulated scan, as a user would run it."""

import importlib
import json
import shutil
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import exitwave
from exitwave.analysis.error import recompute
from exitwave.cli import app

FRAMES = 40
HELD_OUT = 2


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments, code=0):
    """Return the JSON document of a verb."""
    done = run(*arguments, "--json")
    assert done.exit_code == code, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A scan and its result; both are copied by tests that change them."""
    folder = tmp_path_factory.mktemp("verbs")
    scan = folder / "scan.cxi"
    made = answer("simulate", scan, "--frames", FRAMES, "--detector", 128, "--step", "100nm", "--seed", 3)
    done = answer("reconstruct", scan, "--iterations", 12, "--threads", 1)
    return scan, folder / "scan_result.cxi", made, done


def test_simulate_writes_the_requested_scan(files):
    scan, _, made, _ = files
    data = exitwave.open(scan)
    assert made["output"] == str(scan)
    assert data.patterns.shape == (made["frames"], *made["detector"]) == (FRAMES, 128, 128)
    radii = np.linalg.norm(data.positions, axis=1)  # a Fermat spiral: step * sqrt(n)
    np.testing.assert_allclose(radii, 100e-9 * np.sqrt(np.arange(FRAMES)), rtol=1e-9, atol=1e-15)
    assert data.truth is not None


def test_simulate_prints_what_it_did(tmp_path):
    done = run("simulate", tmp_path / "s.cxi", "--frames", 3, "--detector", 128)
    assert done.exit_code == 0
    assert "3 frames of 128 x 128 pixels at 10 keV" in done.stdout
    assert done.stderr == ""


def test_simulate_refuses_an_existing_file_and_an_invalid_step(files, tmp_path):
    scan = files[0]
    before = scan.read_bytes()
    done = run("simulate", scan)
    assert done.exit_code == 2
    assert "--overwrite" in done.stderr
    assert scan.read_bytes() == before
    done = run("simulate", tmp_path / "s.cxi", "--step", "100 parsec")
    assert done.exit_code == 2
    assert not (tmp_path / "s.cxi").exists()


def test_validate_exits_with_0_if_valid_and_with_1_if_not(files, tmp_path):
    scan = shutil.copy(files[0], tmp_path / "bad.cxi")
    document = answer("validate", scan)
    assert document["valid"]
    assert {finding["level"] for finding in document["findings"]} <= {"warning", "info"}
    with h5py.File(scan, "a") as file:
        del file["entry_1/instrument_1/detector_1/distance"]
    done = run("validate", scan)
    assert done.exit_code == 1
    assert "/entry_1/instrument_1/detector_1/distance" in done.stdout
    assert "not valid: 1 error" in done.stdout
    assert answer("validate", scan, code=1)["counts"]["error"] == 1


def test_inspect_prints_the_tree_and_the_properties(files):
    scan, result, _, _ = files
    done = run("inspect", result)
    assert done.exit_code == 0
    for word in ("illumination", "-> scan.cxi:", f"{FRAMES} of 128 x 128 pixels", "10 keV", "fermat", "mPIE, 12 iter"):
        assert word in done.stdout
    document = answer("inspect", scan)
    assert document["summary"]["frames"] == FRAMES
    assert document["summary"]["energy"] == 10_000
    assert "/entry_1/instrument_1/source_1/energy" in {node["path"] for node in document["tree"]}


def test_inspect_uses_the_values_given_with_set(files):
    assert answer("inspect", files[0], "--set", "energy=12keV")["summary"]["energy"] == 12_000


def test_inspect_shows_the_tree_of_a_file_that_cannot_be_opened(files, tmp_path):
    broken = shutil.copy(files[0], tmp_path / "broken.cxi")
    with h5py.File(broken, "a") as file:
        del file["entry_1/sample_1/geometry_1/translation"]
    done = run("inspect", broken)
    assert done.exit_code == 2
    assert "detectorSpecific" in done.stdout
    assert "translation" in done.stderr


def test_the_json_document_of_reconstruct_has_all_keys(files):
    scan, result, _, done = files
    assert {key: done[key] for key in ("output", "algorithm", "iterations", "stopped_by", "modes", "device")} == {
        "output": str(result),
        "algorithm": "mPIE",
        "iterations": 12,
        "stopped_by": "iterations",
        "modes": 1,
        "device": "cpu",
    }
    assert (done["frames"], done["threads"], done["recipe"]["stages"][0]["iterations"]) == (FRAMES - HELD_OUT, 1, 12)
    assert set(done["seconds"]) == {"open", "choose", "prepare", "compile", "run", "halves", "write"}
    assert done["frames_per_second"] == pytest.approx(done["frames"] * 12 / done["seconds"]["run"])
    saved = exitwave.open(result)
    assert done["error"] == pytest.approx(float(saved.errors[-1]))
    assert done["holdout_error"] == pytest.approx(float(saved.holdout_errors[-1]))
    assert saved.scan.patterns.path == scan.resolve()


def test_reconstruct_prints_what_it_did(files, tmp_path):
    done = run("reconstruct", files[0], "-o", tmp_path / "r.cxi", "--iterations", 2, "--holdout", 0)
    assert done.exit_code == 0
    assert f"Reconstructed {FRAMES} frames with mPIE: 2 iterations, 1 probe mode" in done.stdout
    assert "no frame was held out" in done.stdout
    assert f"exitwave report {tmp_path / 'r.cxi'}" in done.stdout
    assert "iteration 2/2" in done.stderr


def test_reconstruct_measures_the_resolution(files, tmp_path):
    done = answer("reconstruct", files[0], "-o", tmp_path / "r.cxi", "--iterations", 2, "--frc")
    saved = exitwave.open(tmp_path / "r.cxi")
    assert saved.frc.resolution == done["verdict"]["resolution"] > 0
    assert len(saved.frc.frequency) == len(saved.frc.correlation)


def test_reconstruct_refuses_its_output_before_any_work(files, monkeypatch):
    monkeypatch.setattr("exitwave.open", lambda *_: pytest.fail("the file was opened"))
    scan, result, _, _ = files
    for arguments in ([scan], [result, "-o", result, "--overwrite"], [scan, "-o", scan, "--overwrite"]):
        before = arguments[0].read_bytes(), result.read_bytes()
        done = run("reconstruct", *arguments)
        assert done.exit_code == 2
        assert (arguments[0].read_bytes(), result.read_bytes()) == before


def test_reconstruct_never_replaces_the_frames_that_a_result_links_to(files):
    scan, result, _, _ = files
    before = scan.read_bytes()
    done = run("reconstruct", result, "-o", scan, "--overwrite")
    assert done.exit_code == 2
    assert "never changed" in done.stderr
    assert scan.read_bytes() == before


def test_reconstruct_continues_a_result(files):
    _, result, _, first = files
    done = answer("reconstruct", result, "--iterations", 24)
    assert done["output"] == str(result.with_name("scan_result_2.cxi"))
    assert done["iterations"] == 24
    assert done["error"] < first["error"]
    np.testing.assert_array_equal(exitwave.open(done["output"]).errors[:12], exitwave.open(result).errors)


def test_reconstruct_refuses_a_total_that_the_result_has_already(files):
    done = run("reconstruct", files[1], "-o", files[1].with_name("more.cxi"), "--iterations", 12)
    assert done.exit_code == 2
    assert "The result has these iterations already (12 of 12). Give a larger total" in done.stderr


def test_reconstruct_uses_settings_and_the_probe_of_another_file(files, tmp_path):
    scan, result, _, _ = files
    fixed = ["--set", "probe_update.enabled=false", "--set", "energy=10.5keV", "--iterations", 1]
    done = answer("reconstruct", scan, "-o", tmp_path / "r.cxi", "--probe", result, *fixed)
    assert not done["recipe"]["stages"][0]["probe_update"]["enabled"]
    assert [finding["code"] for finding in done["findings"]] == ["I304"]
    np.testing.assert_allclose(exitwave.open(tmp_path / "r.cxi").probe, exitwave.open(result).probe, rtol=1e-5)


def test_reconstruct_explains_unknown_settings(files, tmp_path):
    for arguments, words in (
        (["--algorithm", "magic"], "Unknown name magic. Known: Adam, DM, "),
        (["--set", "enrgy=8keV"], "Did you mean energy?"),
        (["--set", "objct_update.step=1"], "Did you mean object_update?"),
        (["--set", "object_update.stepp=1"], "Did you mean"),
        (["--set", "object_update={"], "--set object_update: Not a value"),
        (["--set", "object_update=3", "--set", "object_update.step=1"], "contradict"),
    ):
        done = run("reconstruct", files[0], "-o", tmp_path / "r.cxi", *arguments)
        assert done.exit_code == 2
        assert done.stderr.splitlines()[-1].startswith("error: ")
        assert words in done.stderr
        assert not (tmp_path / "r.cxi").exists()


def test_compare_with_the_truth_and_with_itself(files):
    scan, result, _, _ = files
    own, given = answer("compare", result), answer("compare", result, scan)
    assert own["error"] == given["error"] > 0
    assert answer("compare", result, result)["error"] < 1e-5
    done = run("compare", result)
    assert "resolution (half period)" in done.stdout
    assert "nm" in done.stdout


def test_compare_needs_a_result(files):
    done = run("compare", files[0])
    assert done.exit_code == 2
    assert "exitwave reconstruct" in done.stderr


def test_plot_ranks_the_orientations(files):
    document = answer("plot", files[0], "--orientations")
    assert len(document["orientations"]) in (2, 4)  # of a detector that is not square, or is square
    assert document["figures"][0].endswith("orientations.png")


def test_plot_writes_figures_beside_the_file(files):
    scan, result, _, _ = files
    document = answer("plot", result)
    assert document["folder"] == str(result.with_name("scan_result_figures"))
    names = [figure.rpartition("/")[2] for figure in document["figures"]]
    assert {"positions.png", "object.png", "probe.png", "errors.png"} <= set(names)
    assert all(scan.with_name("scan_result_figures").joinpath(name).stat().st_size > 0 for name in names)


def test_report_writes_one_page_beside_the_file_and_never_over_another(files):
    scan, result, _, _ = files
    document = answer("report", result)
    assert document["output"] == str(result.with_name("scan_result_report.html"))
    page = result.with_name("scan_result_report.html").read_text(encoding="utf-8")
    assert document["size"] == len(page.encode())
    assert "mPIE, 12 iterations" in page
    assert run("report", result).exit_code == 2
    assert run("report", result, "--overwrite").exit_code == 0
    done = run("report", scan, "-o", scan, "--overwrite")
    assert done.exit_code == 2
    assert "never changed" in done.stderr


def test_a_result_whose_input_was_moved_is_shown_without_frames(files, tmp_path):
    scan, result = (shutil.copy(file, tmp_path / file.name) for file in files[:2])
    before = answer("compare", result)
    scan.unlink()
    shown = answer("inspect", result)
    assert shown["summary"]["counts"] is None
    assert "W211" in {finding["code"] for finding in shown["findings"]}
    assert "unknown: the frames are missing" in run("inspect", result).stdout
    assert answer("compare", result) == before
    done = run("plot", result)
    assert done.exit_code == 0
    assert "W211" in done.stderr
    names = {figure.stem for figure in (tmp_path / "scan_result_figures").iterdir()}
    assert {"positions", "object", "probe", "coverage", "errors", "comparison", "frc"} == names
    assert [finding["code"] for finding in answer("validate", result, code=1)["findings"]][:1] == ["E106"]
    done = run("reconstruct", result, "--iterations", 13)
    assert done.exit_code == 2
    assert "Put the input file back in its place" in done.stderr
    assert not (tmp_path / "scan_result_2.cxi").exists()


def test_lines_are_wrapped_for_a_terminal_only(files, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = run("inspect", files[0]).stdout.splitlines()
    assert [line for line in lines if "brightest pixel" in line and "in a sample of" in line]
    assert not [line for line in lines if line != line.rstrip()]


def test_doctor_reports_that_no_numba_cache_is_writable(monkeypatch):
    real = importlib.import_module

    def refuse(name, package=None):
        if name.startswith("exitwave.engine.backends.cpu.kernels"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(name, package)

    monkeypatch.setattr("importlib.import_module", refuse)
    done = run("doctor")
    assert done.exit_code == 1
    assert "NUMBA_CACHE_DIR" in done.stdout


def test_doctor_finds_this_machine_ready():
    document = answer("doctor")
    assert document["healthy"]
    assert {check["name"] for check in document["checks"]} >= {"Python", "FFTW", "Numba", "HDF5 filters", "disk"}


def test_doctor_fails_if_something_essential_is_missing(monkeypatch):
    monkeypatch.setattr("pyfftw.interfaces.numpy_fft.fft2", lambda wave: wave)
    done = run("doctor")
    assert done.exit_code == 1
    assert "computes wrong numbers" in done.stdout


def test_demo_runs_all_steps_and_replaces_an_earlier_one(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["exitwave.cli.verbs.demo"], "FRAMES", 200)
    iterate = exitwave.iterate
    monkeypatch.setattr("exitwave.iterate", lambda data, **settings: iterate(data, iterations=30, **settings))
    (tmp_path / "scan_result.cxi").write_text("a file of an earlier demo")
    document = answer("demo", "-o", tmp_path)
    assert document["good"]
    assert document["compare"]["error"] < 0.1
    assert document["reconstruct"]["holdout_error"] < 1.5 * document["reconstruct"]["error"]
    assert len(list((tmp_path / "figures").glob("*.png"))) == len(document["figures"]) >= 6
    assert answer("validate", tmp_path / "scan_result.cxi")["findings"] == []
    assert document["report"] == str(tmp_path / "scan_report.html")
    assert (tmp_path / "scan_report.html").read_text(encoding="utf-8").count("<figure") >= 6


def test_reconstruct_runs_a_recipe_and_repeats_that_of_a_result(files, tmp_path):
    scan, *_ = files
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "seed: 4\nthreads: 1\nstages:\n  - {algorithm: ePIE, iterations: 1}\n  - {iterations: 2, batch: 8}\n"
    )
    first = answer("reconstruct", scan, "-o", tmp_path / "a.cxi", "--recipe", recipe)
    assert first["algorithm"] == "ePIE + mPIE"
    assert first["iterations"] == 3
    second = answer("reconstruct", scan, "-o", tmp_path / "b.cxi", "--recipe", tmp_path / "a.cxi")
    assert second["error"] == first["error"]
    np.testing.assert_array_equal(exitwave.open(tmp_path / "a.cxi").object, exitwave.open(tmp_path / "b.cxi").object)


@pytest.mark.parametrize(
    ("text", "words"),
    [("stages: [{iteration: 3}]", "Did you mean stages.0.iterations"), ("- 1", "Not a recipe"), ("{", "Not a recipe")],
)
def test_reconstruct_refuses_an_invalid_recipe(files, tmp_path, text, words):
    (tmp_path / "recipe.yaml").write_text(text)
    done = run("reconstruct", files[0], "-o", tmp_path / "a.cxi", "--recipe", tmp_path / "recipe.yaml")
    assert done.exit_code == 2
    assert words in done.stderr


def test_reconstruct_reconstructs_several_scans_together(files, tmp_path):
    for name in "ab":
        shutil.copy(files[0], tmp_path / f"{name}.cxi")
    scans = tmp_path / "a.cxi", tmp_path / "b.cxi"
    done = answer("reconstruct", *scans, "--share", "probe", "--iterations", 2, "--threads", 1)
    assert done["share"] == "probe"
    results = [exitwave.open(each["output"]) for each in done["results"]]
    assert [result.provenance["input"] for result in results] == [str(scan) for scan in scans]
    assert np.array_equal(results[0].probe, results[1].probe)
    assert [each["error"] for each in done["results"]] == [pytest.approx(recompute(each), rel=1e-4) for each in results]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "--share probe"), (("--share", "probe", "-o", "r.cxi"), "-o"), (("--share", "light"), "share")],
)
def test_reconstruct_refuses_several_scans_without_a_valid_share(files, tmp_path, arguments, words):
    shutil.copy(files[0], tmp_path / "other.cxi")
    done = run("reconstruct", shutil.copy(files[0], tmp_path / "one.cxi"), tmp_path / "other.cxi", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
