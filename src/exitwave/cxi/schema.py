"""The schema as one table: every group, dataset, attribute and link of an Exitwave CXI file.

The reader, the writer, the validator, the inspector and the reference page look paths up here by key; no other file
repeats one. ``python -m exitwave.cxi.schema`` prints the reference page.
"""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["group", "dataset", "attribute", "link"]
Part = Literal["data", "result", "truth"]
Need = Literal["required", "added", "optional", "foreign"]


@dataclass(frozen=True)
class Entry:
    """One row of the schema."""

    key: str
    """Short name by which the code finds the row."""
    path: str
    """Absolute path in the file; an attribute is ``owner@name``."""
    kind: Kind
    """group, dataset, attribute or link."""
    meaning: str
    """One line for people."""
    shape: tuple[str | int, ...] = ()
    """Lengths, as numbers or symbols; a symbol with ``?`` may be left out."""
    dtype: str = ""
    """NumPy name of the type, or ``str``."""
    units: str = ""
    """Unit of the values, written as ``@units`` on the dataset."""
    need: Need = "required"
    """required: a file without it is invalid; added: Exitwave always writes it; optional: written where known; foreign:
    read from files of other programs, never written."""
    part: Part = "data"
    """data: in every file; result: in a file with a reconstruction; truth: in a simulated one."""
    value: Any = None
    """The only value that is allowed, or None."""
    target: str = ""
    """Key of the row that a link points at."""
    group_units: str = ""
    """Key of the attribute of the parent group that holds the unit as well, as the specification draws it."""
    also: tuple[str, ...] = ()
    """Where other programs put it; the reader looks there after ``path``, the validator does not."""

    @property
    def owner(self) -> str:
        """Path of the object that carries an attribute, or of the parent group."""
        return self.path.split("@")[0] if self.kind == "attribute" else self.path.rsplit("/", 1)[0] or "/"

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.replace("@", "/").rsplit("/", 1)[1]


FRAME = ("ny_det", "nx_det")
STACK = ("npos", *FRAME)
PROBE = ("modes?", *FRAME)
PLACES = ("npos", 3)
IMAGE = ("ny_obj", "nx_obj")
SLICES = ("slices?", *IMAGE)

SYMBOLS = {
    "npos": "positions, one for each frame",
    "ny_det": "rows of the detector",
    "nx_det": "columns of the detector",
    "ny_obj": "rows of the object",
    "nx_obj": "columns of the object",
    "modes?": "probe modes; left out where there is one",
    "slices?": "slices of a thick sample; left out of a thin one",
    "true_slices?": "the same of the truth",
    "modes": "probe modes",
    "iterations": "iterations of the reconstruction",
    "rings": "rings of a Fourier ring correlation",
    "nheld": "frames held out of the reconstruction",
    "nvar": "variations of the probe",
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


def _group(key: str, path: str, meaning: str, part: Part = "data", need: Need = "required") -> Entry:
    return Entry(key, path, "group", meaning, part=part, need=need)


def _nx(key: str, path: str, nx_class: str, part: Part = "data", need: Need = "added") -> Entry:
    return Entry(f"{key}_class", f"{path}@NX_class", "attribute", "NeXus class", (), "str", "", need, part, nx_class)


def _added(key: str, path: str, meaning: str, value: Any = None, part: Part = "data", shape: Any = ()) -> Entry:
    kind: Kind = "attribute" if "@" in path else "dataset"
    dtype = "int32" if isinstance(value, int) else "str"
    return Entry(key, path, kind, meaning, shape, dtype, "", "added", part, value)


def _result(key: str, meaning: str, shape: Any, dtype: str, name: str = "", units: str = "") -> Entry:
    return Entry(key, f"{PROCESS}/{name or key}", "dataset", meaning, shape, dtype, units, "optional", "result")


def _model(name: str, meaning: str, shape: Any, dtype: str) -> Entry:
    """Return the row of a part of `Result.model`."""
    return _result(f"model_{name}", meaning, shape, dtype)


def _true_model(name: str, meaning: str, shape: Any, dtype: str, units: str = "") -> Entry:
    """Return the row of a part of `Truth.model`."""
    return Entry(f"true_model_{name}", f"{TRUTH}/{name}", "dataset", meaning, shape, dtype, units, "optional", "truth")


def _link(key: str, path: str, target: str, need: Need = "required") -> Entry:
    return Entry(key, path, "link", "soft link", target=target, need=need)


_HEAD = (
    _nx("root", "/", "NXroot"),
    _added("root_default", "/@default", "what viewers open first", "entry_1"),
    _added("cxi_version", "/cxi_version", "version of CXI, times 100", 160),
    _added("number_of_entries", "/number_of_entries", "number of entries", 1),
    _group("entry", ENTRY, "the measurement"),
    _nx("entry", ENTRY, "NXentry", need="required"),
    _added("entry_default", f"{ENTRY}@default", "what viewers open first: data_1 or image_1"),
    Entry(
        "description",
        f"{ENTRY}/experiment_description",
        "dataset",
        "the experiment in words",
        (),
        "str",
        "",
        "optional",
    ),
    _group("instrument", INSTRUMENT, "the beamline"),
    _nx("instrument", INSTRUMENT, "NXinstrument", need="required"),
    Entry(
        "preparation", f"{ENTRY}/preparation", "dataset", "what was done to the measurement, and why, as JSON",
        (), "str", "", "optional",
    ),
    Entry(
        "left_out", f"{ENTRY}/left_out", "dataset", "frames that are not to be used, by the reason, as JSON",
        (), "str", "", "optional",
    ),
    Entry(
        "frames_view", f"{ENTRY}/frames_view", "dataset",
        "how the linked frames are turned, cut and binned before anything else here has their shape, as JSON",
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
        "illumination", f"{SOURCE}/illumination", "dataset", "the probe: of the start, or of the result",
        PROBE, "complex64", "", "optional",
        also=(f"{SOURCE}/probe", f"{DETECTOR}/probe", f"{DETECTOR}/Probe", f"{INSTRUMENT}/illumination_1/probe",
              f"{PROCESS}/final_illumination", f"{SOURCE}/data_illumination"),
    ),
    Entry(
        "source_distance", f"{SOURCE}/distance", "dataset",
        "from the sample to the source of a near field in a cone beam, negative upstream", (), "float64", "m",
        "optional",
    ),
    _link("probe_link", f"{SOURCE}/probe", "illumination", "optional"),
    _group("beam", BEAM, "the beam at the sample, in the units of CXI 1.6", need="added"),
    _nx("beam", BEAM, "NXbeam"),
    Entry("incident_energy", f"{BEAM}/incident_energy", "dataset", "photon energy", (), "float64", "J", "added"),
    Entry(
        "monitor", f"{BEAM}/monitor", "dataset", "intensity of the beam in every frame, in any unit",
        ("npos",), "float64", "", "optional",
        also=(f"{DATA}/monitor", f"{DATA}/intensities", f"{GEOMETRY}/intensities"),
    ),
    Entry(
        "incident_wavelength", f"{BEAM}/incident_wavelength", "dataset", "photon wavelength",
        (), "float64", "m", "foreign",
    ),
    Entry(
        "incident_beam_energy", f"{BEAM}/incident_beam_energy", "dataset", "photon energy in NXcxi_ptycho",
        (), "float64", "eV", "foreign",
    ),
    Entry(
        "beam_energy", f"{BEAM}/energy", "dataset",
        "photon energy in older NXcxi_ptycho", (), "float64", "eV", "foreign",
    ),
)  # fmt: skip

_DETECTOR = (
    _group("detector", DETECTOR, "the detector and its frames"),
    _nx("detector", DETECTOR, "NXdetector", need="required"),
    Entry(
        "frames", f"{DETECTOR}/data", "dataset",
        "diffraction patterns in counts, zero frequency at n//2", STACK, "float32",
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
        "1 where the frames are images in the near field, not far-field patterns", (), "int32", "", "optional",
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
    _group("specific", SPECIFIC, "what the detector did"),
    _nx("specific", SPECIFIC, "NXcollection"),
    Entry(
        "countrate", f"{SPECIFIC}/countrate_correction_applied", "dataset",
        "1 where the counts are corrected for dead time", (), "int32",
    ),
    Entry(
        "flatfield", f"{SPECIFIC}/flatfield_applied", "dataset",
        "1 where the counts are divided by the flat field", (), "int32",
    ),
    Entry(
        "pixel_mask", f"{SPECIFIC}/pixel_mask", "dataset", "why pixels are bad, NeXus bits", FRAME, "uint32",
        also=(f"{DETECTOR}/pixel_mask",),
    ),
    Entry(
        "frame_mask", f"{SPECIFIC}/frame_mask", "dataset", "bad pixels of each frame, where they differ: 0 good, 1 bad",
        STACK, "uint8", "", "optional",
    ),
)  # fmt: skip

_SAMPLE = (
    _group("sample", SAMPLE, "the sample"),
    _nx("sample", SAMPLE, "NXsample", need="required"),
    Entry("name", f"{SAMPLE}@name", "attribute", "name of the sample", (), "str"),
    _added("name_dataset", f"{SAMPLE}/name", "the same, where CXI and NeXus look for it"),
    _group("geometry", GEOMETRY, "where the probe was"),
    Entry(
        "geometry_units", f"{GEOMETRY}@units", "attribute",
        "unit of the positions", (), "str", "", "added", value="m",
    ),
    Entry(
        "positions", f"{GEOMETRY}/translation", "dataset", "centre of the probe on the sample, columns x, y, z",
        PLACES, "float64", "m", group_units="geometry_units",
    ),
    _group("data", DATA, "frames and positions, for viewers"),
    _nx("data", DATA, "NXdata", need="required"),
    _added("data_signal", f"{DATA}@signal", "what viewers plot", "data"),
    _added("data_axes", f"{DATA}@axes", "the axes have no scales", (".", ".", "."), shape=(3,)),
    _link("data_frames", f"{DATA}/data", "frames"),
    _link("data_positions", f"{DATA}/translation", "positions"),
)  # fmt: skip

_RESULT = (
    _group("image", OBJECT, "the reconstructed object", "result"),
    _nx("image", OBJECT, "NXdata", "result"),
    _added("image_signal", f"{OBJECT}@signal", "what viewers plot", "data", "result"),
    _added("image_axes", f"{OBJECT}@axes", "names of the axes: z if thick, y, x", None, "result", ("any",)),
    Entry(
        "is_fft_shifted", f"{OBJECT}@is_fft_shifted", "attribute",
        "centred for display; an object is never shifted", (), "int32", part="result", value=1,
    ),
    Entry(
        "object", f"{OBJECT}/data", "dataset",
        "complex transmission of the sample, slice by slice of a thick one", SLICES, "complex64", part="result",
    ),
    Entry(
        "object_mask", f"{OBJECT}/mask", "dataset",
        "where the beam has been: 1 inside, 0 outside", IMAGE, "float32", part="result",
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
        "place of the slices along the beam, the first at 0", ("slices?",), "float64", "m", "optional", "result",
    ),
    _added("data_type", f"{OBJECT}/data_type", "CXI's word for a complex object", "electron density", "result"),
    _added("data_space", f"{OBJECT}/data_space", "CXI's word for an image of the sample", "real", "result"),
    _group("process", PROCESS, "how the object was made", "result"),
    _nx("process", PROCESS, "NXprocess", "result"),
    Entry("algorithm", f"{PROCESS}@algorithm", "attribute", "name of the algorithm", (), "str", part="result"),
    Entry("iterations", f"{PROCESS}@iterations", "attribute", "length of error_metric", (), "int32", part="result"),
    Entry(
        "error_metric", f"{PROCESS}@error_metric", "attribute",
        "sum (sqrt(I) - sqrt(model))^2 / sum I over good pixels and all frames, for each iteration",
        ("iterations",), "float32", part="result",
    ),
    Entry(
        "holdout_error_metric", f"{PROCESS}@holdout_error_metric", "attribute", "the same over the frames held out",
        ("iterations",), "float32", "", "optional", "result",
    ),
    _result("held_out", "indices of the frames held out", ("nheld",), "int64"),
    _result("used_positions", "positions that were used, columns x, y, z", PLACES, "float64", "translation", "m"),
    _model("scales", "factor of the probe in every frame", ("npos",), "float64"),
    _model("variations", "what varies in the first mode", ("nvar", *FRAME), "complex64"),
    _model("weights", "how much of it is in every frame", ("npos", "nvar"), "float64"),
    _model("tilts", "shift of every pattern in detector pixels, columns y, x", ("npos", 2), "float64"),
    _result("model_distance", "distance of the detector that was found, also its own", (), "float64", units="m"),
    _result("model_assumed_distance", "distance of the detector before it was refined", (), "float64", units="m"),
    _result(
        "model_exposures", "where the exposures of a fly scan are beside its positions, columns x, y",
        ("npos", "nexp", 2), "float64", units="m",
    ),
    _model("background", "counts without the beam, zero frequency at n//2", FRAME, "float64"),
    _result(
        "wide_probe", "probe modes where their field is larger than that of a frame; illumination is its middle",
        ("any", "any", "any"), "complex64",
    ),
    _result("recipe", "every setting, as JSON", (), "str"),
    _result("choices", "what was chosen because nobody had said it, and why, as JSON", (), "str"),
    _result("frc_frequency", "spatial frequency of the rings of the half-scan FRC", ("rings",), "float64", units="1/m"),
    _result("frc_correlation", "their Fourier ring correlation", ("rings",), "float64"),
    _result("frc_threshold", "the half-bit threshold of the rings", ("rings",), "float64"),
    _result("frc_resolution", "half period at which the correlation falls below it", (), "float64", units="m"),
    _result("frc_halves", "what of the scan was halved: counts or frames", (), "str"),
    _result("program", "program that made the result", (), "str"),
    _result("version", "its version", (), "str"),
    _result("date", "when it was made, ISO 8601", (), "str"),
    _result("command", "the command that made it", (), "str"),
    _result("stopped_by", "why it stopped", (), "str"),
    _result("device", "where it ran: cpu, or cuda and the number of the GPU", (), "str"),
    _result("input", "name of the input file", (), "str"),
    _result("digest", "digest of the input file", (), "str"),
)  # fmt: skip


def _truth(key: str, meaning: str, shape: Any, dtype: str, units: str = "") -> Entry:
    return Entry(f"true_{key}", f"{TRUTH}/{key}", "dataset", meaning, shape, dtype, units, "added", "truth")


_TRUTH = (
    _group("truth", TRUTH, "what a simulation knows", "truth", "added"),
    _nx("truth", TRUTH, "NXcollection", "truth"),
    Entry(
        "true_object", f"{TRUTH}/object", "dataset",
        "complex transmission of the sample, slice by slice of a thick one",
        ("true_slices?", "any", "any"), "complex64", "", "added", "truth",
    ),
    _truth("x", "sample coordinate of its columns", ("any",), "float64", "m"),
    _truth("y", "sample coordinate of its rows", ("any",), "float64", "m"),
    Entry(
        "true_z", f"{TRUTH}/z", "dataset", "place of the slices along the beam, the first at 0",
        ("true_slices?",), "float64", "m", "optional", "truth",
    ),
    _truth("probe", "probe modes", ("modes", *FRAME), "complex64"),
    _truth("positions", "where the probe really was, columns x, y, z", PLACES, "float64", "m"),
    _true_model("motion", "way of the probe in a frame of a fly scan, columns x, y", (2,), "float64", "m"),
    _true_model("scales", "factor of the probe in every frame", ("npos",), "float64"),
    _true_model("variations", "what varies in the first mode", ("nvar", *FRAME), "complex64"),
    _true_model("weights", "how much of it is in every frame", ("npos", "nvar"), "float64"),
    _true_model("tilts", "shift of every pattern in detector pixels, columns y, x", ("npos", 2), "float64"),
    _true_model("background", "counts without the beam, zero frequency at n//2", FRAME, "float64"),
)  # fmt: skip

TABLE: tuple[Entry, ...] = (*_HEAD, *_BEAM, *_DETECTOR, *_SAMPLE, *_RESULT, *_TRUTH)
"""The schema, in the order in which a file is written."""

BY_KEY = {entry.key: entry for entry in TABLE}
BY_PATH = {entry.path: entry for entry in TABLE}
ALSO = {entry.key: (entry.path, *entry.also) for entry in TABLE if entry.also}
"""Where entries may lie in the files of other programs, by key."""


def path(key: str) -> str:
    """Return the path of a row of the table."""
    return BY_KEY[key].path


if __name__ == "__main__":
    from exitwave.cxi.page import page

    print(page(), end="")
