"""The codes of everything that reader, validator and engine remark: E errors, W warnings, I information."""

from exitwave.errors import Finding, Level

CODES = {
    "E101": "a required entry is missing",
    "E102": "an entry is of another kind (group, dataset, attribute, link)",
    "E103": "a dataset or attribute has another type",
    "E104": "a dataset or attribute has another shape",
    "E105": "a unit is missing or another",
    "E106": "a link leads nowhere",
    "E107": "a link leads to another place",
    "E108": "an attribute or dataset has another value",
    "E109": "the photon energy is impossible",
    "E110": "the mask is not strictly 0 or 1, or marks most pixels as bad",
    "E111": "numbers that must be finite are not",
    "E112": "counts are negative or not finite",
    "E113": "`iterations` is not the length of `error_metric`",
    "E114": "the frames cannot be read: filter or source file missing",
    "E115": "a distance or size is not positive",
    "E116": "the scan is too large for its object pixel",
    "E117": "the geometry gives an impossible object pixel",
    "E121": "the program of the profile could not read this file",
    "E122": "the program of the profile would read something else than it says",
    "W201": "the photon energy was converted to eV",
    "W202": "`source_1/energy` is the storage ring's; the photons' was found elsewhere",
    "W203": "energy and wavelength contradict each other",
    "W204": "positions or lengths were converted to metres",
    "W205": "the positions were transposed",
    "W206": "the positions were mirrored, after `basis_vectors`",
    "W207": "the probe in the file was not used",
    "W208": "counts lose digits in float32",
    "W209": "the mask was kept although it marks most pixels as bad",
    "W210": "frames are not stored as float32",
    "W211": "the frames of a result are missing; what needs them cannot be done",
    "W212": "files of frames that the file links to are missing at the end of the scan",
    "W213": "frames without a position, or positions without a frame, were left out",
    "W221": "unusual number of positions",
    "W222": "unusual size of the detector",
    "W223": "unusual photon energy",
    "W224": "unusual distance of the detector",
    "W225": "unusual pixel size",
    "W226": "unusual size of the file",
    "W231": "counts are not finite; these pixels are left out of their frames",
    "W232": "counts are negative; these pixels are left out of their frames",
    "W233": "counts are saturated; these pixels are left out of their frames",
    "W234": "frames without a single count are left out",
    "W235": "the reconstruction diverged; its best iteration was kept",
    "W236": "refined positions have come to the edge of their tile of the object",
    "W241": "the frames may be near-field images, not far-field patterns",
    "W242": "the detector may be too far away for the near field",
    "W243": "positions are not finite; their frames are left out",
    "W244": "positions lie far from the scan; their frames are left out",
    "W245": "the beam monitor was not used",
    "W246": "the frames were turned, for they do not fit the positions as they are",
    "W251": "a part of the scan or the result has no place in the format, and was left out",
    "W252": "the program of the profile ignores a part of the file",
    "W253": "the program of the format needs more than its files say, or something else",
    "W254": "the format asks for an entry that is missing, though it can be read without",
    "I301": "there is no mask: all pixels are taken as good",
    "I302": "the mask was reduced to 0 and 1",
    "I303": "the positions have no z: it is 0",
    "I304": "a value was overridden by the user",
    "I305": "the photon energy was taken from the wavelength",
    "I306": "the coordinates of the object were derived",
    "I307": "the file is of another program, and was read as such",
    "I308": "the frames of a raster were taken row after row",
    "I309": "a part of the file has no place in a scan or a result, and was left aside",
}
"""What each stable code means."""

_LEVELS: dict[str, Level] = {"E": "error", "W": "warning", "I": "info"}


def finding(code: str, path: str, found: object, expected: str, remedy: str = "") -> Finding:
    """Return a finding whose level follows from its code.

    Parameters
    ----------
    code : str
        A key of `CODES`.
    path : str
        Where in the file.
    found, expected, remedy : object, str, str
        What was found, what should be there, what to do about it.
    """
    if code not in CODES:
        raise KeyError(code)
    return Finding(code, _LEVELS[code[0]], path, str(found), expected, remedy)
