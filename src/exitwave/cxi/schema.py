"""The schema as one table: every group, dataset, attribute and link of an Exitwave CXI file.

The reader, the writer, the validator, the inspector and the reference page look up paths in it by key. No other file
repeats a path.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["group", "dataset", "attribute", "link"]
Section = Literal["data", "result", "truth"]
Need = Literal["required", "added", "optional", "foreign"]


@dataclass(frozen=True)
class Entry:
    """One row of the schema."""

    key: str
    """Short name by which the code refers to the row."""
    path: str
    """Absolute path in the file; an attribute is ``owner@name``."""
    kind: Kind
    """group, dataset, attribute or link."""
    meaning: str
    """Description in one line."""
    shape: tuple[str | int, ...] = ()
    """Lengths, as numbers or symbols; a dimension whose symbol ends with ``?`` may be left out."""
    dtype: str = ""
    """Name of the NumPy type, or ``str``."""
    units: str = ""
    """Unit of the values, written as ``@units`` on the dataset."""
    need: Need = "required"
    """required: a file without it is invalid; added: always written by Exitwave; optional: written where known;
    foreign: read from files of other programs, never written."""
    section: Section = "data"
    """data: in every file; result: in a file with a reconstruction; truth: in a simulated file."""
    value: Any = None
    """The only value that is allowed, or None."""
    target: str = ""
    """Key of the row to which a link points."""
    group_units: str = ""
    """Key of the attribute of the parent group that has the unit as well, as the specification requires."""
    also: tuple[str, ...] = ()
    """Paths of other programs or earlier versions; the reader tries them after ``path``, the validator does not."""

    @property
    def owner(self) -> str:
        """Path of the object that has the attribute, or of the parent group."""
        return self.path.split("@")[0] if self.kind == "attribute" else self.path.rsplit("/", 1)[0] or "/"

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.replace("@", "/").rsplit("/", 1)[1]


FRAME = ("ny_det", "nx_det")
STACK = ("npos", *FRAME)
PROBE = ("modes?", *FRAME)
POSITIONS = ("npos", 3)
IMAGE = ("ny_obj", "nx_obj")
SLICES = ("slices?", *IMAGE)

SYMBOLS = {
    "npos": "frames, one position each",
    "ny_det": "rows of the detector",
    "nx_det": "columns of the detector",
    "ny_obj": "rows of the object",
    "nx_obj": "columns of the object",
    "modes?": "probe modes; left out for a single mode",
    "slices?": "slices of a thick sample; left out for a thin one",
    "true_slices?": "slices of the truth; left out for a thin sample",
    "modes": "probe modes",
    "iterations": "iterations of the reconstruction",
    "rings": "rings of a Fourier ring correlation",
    "nheld": "held-out frames",
    "nopr": "OPR modes",
    "nexp": "exposures of a frame in a fly scan",
    "any": "any length",
}

ENTRY = "/entry_1"
INSTRUMENT = f"{ENTRY}/instrument_1"
SOURCE = f"{INSTRUMENT}/source_1"
BEAM = f"{INSTRUMENT}/beam_1"
DETECTOR = f"{INSTRUMENT}/detector_1"
SPECIFIC = f"{DETECTOR}/detectorSpecific"
SAMPLE = f"{ENTRY}/sample_1"
GEOMETRY = f"{SAMPLE}/geometry_1"
DATA = f"{ENTRY}/data_1"
OBJECT = f"{ENTRY}/image_1"
PROCESS = f"{OBJECT}/process_1"
TRUTH = "/truth"


def _group(key: str, path: str, meaning: str, section: Section = "data", need: Need = "required") -> Entry:
    return Entry(key, path, "group", meaning, section=section, need=need)


def _nx(key: str, path: str, nx_class: str, section: Section = "data", need: Need = "added") -> Entry:
    return Entry(f"{key}_class", f"{path}@NX_class", "attribute", "NeXus class", (), "str", "", need, section, nx_class)


def _added(key: str, path: str, meaning: str, value: Any = None, section: Section = "data", shape: Any = ()) -> Entry:
    kind: Kind = "attribute" if "@" in path else "dataset"
    dtype = "int32" if isinstance(value, int) else "str"
    return Entry(key, path, kind, meaning, shape, dtype, "", "added", section, value)


def _result(key: str, meaning: str, shape: Any, dtype: str, name: str = "", units: str = "") -> Entry:
    return Entry(key, f"{PROCESS}/{name or key}", "dataset", meaning, shape, dtype, units, "optional", "result")


def _model(name: str, meaning: str, shape: Any, dtype: str, former: str = "") -> Entry:
    """Return the row of an entry of `Result.model`; ``former`` is its name in files of version 0.1.0."""
    also = (f"{PROCESS}/model_{former}",) if former else ()
    return replace(_result(f"model_{name}", meaning, shape, dtype), also=also)


def _true_model(name: str, meaning: str, shape: Any, dtype: str, units: str = "", former: str = "") -> Entry:
    """Return the row of an entry of `Truth.model`; ``former`` is its name in files of version 0.1.0."""
    entry = Entry(f"true_model_{name}", f"{TRUTH}/{name}", "dataset", meaning, shape, dtype, units, "optional", "truth")
    return replace(entry, also=(f"{TRUTH}/{former}",) if former else ())


def _link(key: str, path: str, target: str, need: Need = "required") -> Entry:
    return Entry(key, path, "link", "soft link", target=target, need=need)


_HEAD = (
    _nx("root", "/", "NXroot"),
    _added("root_default", "/@default", "the entry that viewers open first", "entry_1"),
    _added("cxi_version", "/cxi_version", "version of CXI, times 100", 160),
    _added("number_of_entries", "/number_of_entries", "number of entries", 1),
    _group("entry", ENTRY, "the measurement"),
    _nx("entry", ENTRY, "NXentry", need="required"),
    _added("entry_default", f"{ENTRY}@default", "the group that viewers open first: data_1 or image_1"),
    Entry(
        "description",
        f"{ENTRY}/experiment_description",
        "dataset",
        "description of the experiment",
        (),
        "str",
        "",
        "optional",
    ),
    _group("instrument", INSTRUMENT, "the beamline"),
    _nx("instrument", INSTRUMENT, "NXinstrument", need="required"),
    Entry(
        "preparation", f"{ENTRY}/preparation", "dataset", "what preparation did to the scan and why, as JSON",
        (), "str", "", "optional",
    ),
    Entry(
        "left_out", f"{ENTRY}/left_out", "dataset", "indices of the frames that are excluded, by the reason, as JSON",
        (), "str", "", "optional",
    ),
    Entry(
        "frames_view", f"{ENTRY}/frames_view", "dataset",
        "how the linked patterns are transposed, flipped, cut and binned to the shape used in this file, as JSON",
        (), "str", "", "optional",
    ),
    Entry(
        "digests", f"{ENTRY}/digests", "dataset", "digests of all datasets and attributes, as JSON",
        (), "str", "", "optional",
    ),
    Entry("instrument_name", f"{INSTRUMENT}/name", "dataset", "name of the beamline", (), "str", "", "optional"),
)  # fmt: skip

_BEAM = (
    _group("source", SOURCE, "photon energy and probe"),
    _nx("source", SOURCE, "NXsource"),
    Entry("source_units", f"{SOURCE}@units", "attribute", "unit of the energy", (), "str", "", "added", value="eV"),
    Entry("energy", f"{SOURCE}/energy", "dataset", "photon energy", (), "float64", "eV", group_units="source_units"),
    Entry("wavelength", f"{SOURCE}/wavelength", "dataset", "photon wavelength", (), "float64", "m", "added"),
    Entry(
        "illumination", f"{SOURCE}/illumination", "dataset", "the probe: the starting probe, or that of the result",
        PROBE, "complex64", "", "optional",
        also=(f"{SOURCE}/probe", f"{DETECTOR}/probe", f"{DETECTOR}/Probe", f"{INSTRUMENT}/illumination_1/probe",
              f"{PROCESS}/final_illumination", f"{SOURCE}/data_illumination"),
    ),
    Entry(
        "source_distance", f"{SOURCE}/distance", "dataset",
        "distance from the sample to the source in a cone beam (near field), negative upstream", (), "float64", "m",
        "optional",
    ),
    _link("probe_link", f"{SOURCE}/probe", "illumination", "optional"),
    _group("beam", BEAM, "the beam at the sample, in the units of CXI 1.6", need="added"),
    _nx("beam", BEAM, "NXbeam"),
    Entry("incident_energy", f"{BEAM}/incident_energy", "dataset", "photon energy", (), "float64", "J", "added"),
    Entry(
        "monitor", f"{BEAM}/monitor", "dataset", "intensity of the beam in every frame, from a monitor, in any unit",
        ("npos",), "float64", "", "optional",
        also=(f"{DATA}/monitor", f"{DATA}/intensities", f"{GEOMETRY}/intensities"),
    ),
    Entry(
        "incident_wavelength", f"{BEAM}/incident_wavelength", "dataset", "photon wavelength",
        (), "float64", "m", "foreign",
    ),
    Entry(
        "incident_beam_energy", f"{BEAM}/incident_beam_energy", "dataset", "photon energy in files of NXcxi_ptycho",
        (), "float64", "eV", "foreign",
    ),
    Entry(
        "beam_energy", f"{BEAM}/energy", "dataset",
        "photon energy in older files of NXcxi_ptycho", (), "float64", "eV", "foreign",
    ),
)  # fmt: skip

_DETECTOR = (
    _group("detector", DETECTOR, "the detector and its patterns"),
    _nx("detector", DETECTOR, "NXdetector", need="required"),
    Entry(
        "frames", f"{DETECTOR}/data", "dataset",
        "patterns in counts, zero frequency at n//2", STACK, "float32",
    ),
    Entry("distance", f"{DETECTOR}/distance", "dataset", "from the sample to the detector", (), "float64", "m"),
    Entry("x_pixel_size", f"{DETECTOR}/x_pixel_size", "dataset", "width of a pixel", (), "float64", "m"),
    Entry("y_pixel_size", f"{DETECTOR}/y_pixel_size", "dataset", "height of a pixel", (), "float64", "m"),
    Entry(
        "corner_position", f"{DETECTOR}/corner_position", "dataset",
        "outer corner (x, y, z) of the first pixel in the laboratory frame", (3,), "float64", "m",
    ),
    Entry("mask", f"{DETECTOR}/mask", "dataset", "bad pixels: 0 good, 1 bad", FRAME, "uint8"),
    Entry(
        "saturation_value", f"{DETECTOR}/saturation_value", "dataset",
        "counts above which a pixel is saturated; inf where unknown", (), "float64",
    ),
    Entry(
        "near_field", f"{DETECTOR}/near_field", "dataset",
        "1 if the patterns are near-field images, not far-field patterns", (), "int32", "", "optional",
    ),
    Entry(
        "dark", f"{DETECTOR}/data_dark", "dataset", "mean dark frame in counts", FRAME, "float32", "", "optional",
        also=(f"{DETECTOR}/dark",),
    ),
    Entry(
        "flat", f"{DETECTOR}/data_white", "dataset", "flat field", FRAME, "float32", "", "optional",
        also=(f"{DETECTOR}/qe_mask",),
    ),
    _link("detector_positions", f"{DETECTOR}/translation", "positions", "added"),
    Entry(
        "basis_vectors", f"{DETECTOR}/basis_vectors", "dataset",
        "directions of the detector's rows and columns, (2, 3) or (3, 2)", ("any", "any"), "float64", "m", "foreign",
    ),
    _group("specific", SPECIFIC, "settings and properties of the detector"),
    _nx("specific", SPECIFIC, "NXcollection"),
    Entry(
        "countrate", f"{SPECIFIC}/countrate_correction_applied", "dataset",
        "1 if the counts are corrected for dead time", (), "int32",
    ),
    Entry(
        "flatfield", f"{SPECIFIC}/flatfield_applied", "dataset",
        "1 if the counts are divided by the flat field", (), "int32",
    ),
    Entry(
        "pixel_mask", f"{SPECIFIC}/pixel_mask", "dataset", "reasons why pixels are bad, NeXus bits", FRAME, "uint32",
        also=(f"{DETECTOR}/pixel_mask",),
    ),
    Entry(
        "frame_mask", f"{SPECIFIC}/frame_mask", "dataset", "bad pixels of each frame, if they differ: 0 good, 1 bad",
        STACK, "uint8", "", "optional",
    ),
)  # fmt: skip

_SAMPLE = (
    _group("sample", SAMPLE, "the sample"),
    _nx("sample", SAMPLE, "NXsample", need="required"),
    Entry("name", f"{SAMPLE}@name", "attribute", "name of the sample", (), "str"),
    _added("name_dataset", f"{SAMPLE}/name", "name of the sample, at the path of CXI and NeXus"),
    _group("geometry", GEOMETRY, "the positions"),
    Entry(
        "geometry_units", f"{GEOMETRY}@units", "attribute",
        "unit of the positions", (), "str", "", "added", value="m",
    ),
    Entry(
        "positions", f"{GEOMETRY}/translation", "dataset", "centre of the probe on the sample, columns x, y, z",
        POSITIONS, "float64", "m", group_units="geometry_units",
    ),
    _group("data", DATA, "patterns and positions, for viewers"),
    _nx("data", DATA, "NXdata", need="required"),
    _added("data_signal", f"{DATA}@signal", "the dataset that viewers plot", "data"),
    _added("data_axes", f"{DATA}@axes", "the axes have no scales", (".", ".", "."), shape=(3,)),
    _link("data_frames", f"{DATA}/data", "frames"),
    _link("data_positions", f"{DATA}/translation", "positions"),
)  # fmt: skip

_RESULT = (
    _group("image", OBJECT, "the reconstructed object", "result"),
    _nx("image", OBJECT, "NXdata", "result"),
    _added("image_signal", f"{OBJECT}@signal", "the dataset that viewers plot", "data", "result"),
    _added("image_axes", f"{OBJECT}@axes", "names of the axes: (z,) y, x", None, "result", ("any",)),
    Entry(
        "is_fft_shifted", f"{OBJECT}@is_fft_shifted", "attribute",
        "1: centred for display; the object itself is never shifted", (), "int32", section="result", value=1,
    ),
    Entry(
        "object", f"{OBJECT}/data", "dataset",
        "complex transmission of the sample; of a thick sample one array for each slice", SLICES, "complex64",
        section="result",
    ),
    Entry(
        "object_mask", f"{OBJECT}/mask", "dataset",
        "area that the beam has illuminated: 1 inside, 0 outside", IMAGE, "float32", section="result",
    ),
    Entry(
        "object_x", f"{OBJECT}/x", "dataset",
        "sample coordinate of the columns", ("nx_obj",), "float64", "m", "added", "result",
    ),
    Entry(
        "object_y", f"{OBJECT}/y", "dataset",
        "sample coordinate of the rows", ("ny_obj",), "float64", "m", "added", "result",
    ),
    Entry(
        "object_z", f"{OBJECT}/z", "dataset",
        "coordinate of the slices along the beam, the first at 0", ("slices?",), "float64", "m", "optional", "result",
    ),
    _added("data_type", f"{OBJECT}/data_type", "term of CXI for a complex object", "electron density", "result"),
    _added("data_space", f"{OBJECT}/data_space", "term of CXI for an image of the sample", "real", "result"),
    _group("process", PROCESS, "how the object was reconstructed", "result"),
    _nx("process", PROCESS, "NXprocess", "result"),
    Entry("algorithm", f"{PROCESS}@algorithm", "attribute", "name of the algorithm", (), "str", section="result"),
    Entry("iterations", f"{PROCESS}@iterations", "attribute", "length of error_metric", (), "int32", section="result"),
    Entry(
        "error_metric", f"{PROCESS}@error_metric", "attribute",
        "sum (sqrt(I) - sqrt(model))^2 / sum I over good pixels of all frames, for each iteration",
        ("iterations",), "float32", section="result",
    ),
    Entry(
        "holdout_error_metric", f"{PROCESS}@holdout_error_metric", "attribute", "error_metric of the held-out frames",
        ("iterations",), "float32", "", "optional", "result",
    ),
    Entry(
        "holdout_deviance", f"{PROCESS}@holdout_deviance", "attribute",
        "Poisson deviance of the held-out frames per pixel and frame, for each iteration",
        ("iterations",), "float32", "", "optional", "result",
    ),
    _result("held_out", "indices of the held-out frames", ("nheld",), "int64"),
    _result("used_positions", "positions that were used, columns x, y, z", POSITIONS, "float64", "translation", "m"),
    _model("probe_factors", "factor of the probe in every frame", ("npos",), "float64", former="scales"),
    _model("opr_modes", "modes added to the first probe mode", ("nopr", *FRAME), "complex64", former="variations"),
    _model("opr_weights", "weights of opr_modes in every frame", ("npos", "nopr"), "float64", former="weights"),
    _model("pointing", "shift of the pattern in pixels, columns y, x", ("npos", 2), "float64", former="tilts"),
    _result("model_distance", "refined detector distance; detector_1 has it too", (), "float64", units="m"),
    _result("model_assumed_distance", "detector distance before the refinement", (), "float64", units="m"),
    _result(
        "model_exposures", "positions of the exposures of a fly scan relative to those of their frames, columns x, y",
        ("npos", "nexp", 2), "float64", units="m",
    ),
    _model("background", "counts without the beam, zero frequency at n//2", FRAME, "float64"),
    _result(
        "wide_probe", "probe modes, if their field is larger than a frame; illumination is the central part",
        ("any", "any", "any"), "complex64",
    ),
    _result("recipe", "all settings, as JSON", (), "str"),
    _result("choices", "choices that were made automatically and why, as JSON", (), "str"),
    _result("frc_frequency", "spatial frequency of the rings of the half-scan FRC", ("rings",), "float64", units="1/m"),
    _result("frc_correlation", "Fourier ring correlation of the rings", ("rings",), "float64"),
    _result("frc_threshold", "half-bit threshold of the rings", ("rings",), "float64"),
    _result("frc_resolution", "half period where the correlation falls below the threshold", (), "float64", units="m"),
    _result("frc_halves", "what was halved for the correlation: counts or frames", (), "str"),
    _result("program", "program that made the result", (), "str"),
    _result("version", "version of the program", (), "str"),
    _result("date", "date of the result, ISO 8601", (), "str"),
    _result("command", "command that made the result", (), "str"),
    _result("stopped_by", "reason why the reconstruction stopped", (), "str"),
    _result("device", "device: cpu, or cuda and the number of the GPU", (), "str"),
    _result("input", "name of the input file", (), "str"),
    _result("digest", "digest of the input file", (), "str"),
    _result("input_files", "size, time and digest of a sample of the files with the patterns, as JSON", (), "str"),
    _result("input_frames", "digest of each linked pattern", ("npos", "any"), "uint8"),
)  # fmt: skip


def _truth(key: str, meaning: str, shape: Any, dtype: str, units: str = "") -> Entry:
    return Entry(f"true_{key}", f"{TRUTH}/{key}", "dataset", meaning, shape, dtype, units, "added", "truth")


_TRUTH = (
    _group("truth", TRUTH, "the true object, probe, positions and model of a simulation", "truth", "added"),
    _nx("truth", TRUTH, "NXcollection", "truth"),
    Entry(
        "true_object", f"{TRUTH}/object", "dataset",
        "complex transmission of the sample; of a thick sample one array for each slice",
        ("true_slices?", "any", "any"), "complex64", "", "added", "truth",
    ),
    _truth("x", "sample coordinate of the columns", ("any",), "float64", "m"),
    _truth("y", "sample coordinate of the rows", ("any",), "float64", "m"),
    Entry(
        "true_z", f"{TRUTH}/z", "dataset", "coordinate of the slices along the beam, the first at 0",
        ("true_slices?",), "float64", "m", "optional", "truth",
    ),
    _truth("probe", "probe modes", ("modes", *FRAME), "complex64"),
    _truth("positions", "true centre of the probe on the sample, columns x, y, z", POSITIONS, "float64", "m"),
    _true_model("motion", "displacement of the probe during a frame of a fly scan, columns x, y", (2,), "float64", "m"),
    _true_model("probe_factors", "factor of the probe in every frame", ("npos",), "float64", former="scales"),
    _true_model("opr_modes", "modes added to the first probe mode", ("nopr", *FRAME), "complex64", former="variations"),
    _true_model("opr_weights", "weights of opr_modes in every frame", ("npos", "nopr"), "float64", former="weights"),
    _true_model("pointing", "shift of the pattern in pixels, columns y, x", ("npos", 2), "float64", former="tilts"),
    _true_model("background", "counts without the beam, zero frequency at n//2", FRAME, "float64"),
)  # fmt: skip

TABLE: tuple[Entry, ...] = (*_HEAD, *_BEAM, *_DETECTOR, *_SAMPLE, *_RESULT, *_TRUTH)
"""The schema, in the order in which a file is written."""

BY_KEY = {entry.key: entry for entry in TABLE}
BY_PATH = {entry.path: entry for entry in TABLE}
ALSO = {entry.key: (entry.path, *entry.also) for entry in TABLE if entry.also}
"""All paths of the entries that other programs or earlier versions write elsewhere, by key."""


def path(key: str) -> str:
    """Return the path of a row of the table."""
    return BY_KEY[key].path
