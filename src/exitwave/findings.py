"""The codes of the findings of reader, validator and engine: E errors, W warnings, I information."""

from exitwave.errors import Finding, Level, shorten

CODES = {
    "E101": "a required entry is missing",
    "E102": "an entry is of the wrong kind (group, dataset, attribute, link)",
    "E103": "a dataset or attribute has the wrong type",
    "E104": "a dataset or attribute has the wrong shape",
    "E105": "a unit is missing or wrong",
    "E106": "a link has no target",
    "E107": "a link has the wrong target",
    "E108": "an attribute or dataset has the wrong value",
    "E109": "the photon energy is impossible",
    "E110": "the mask has values other than 0 and 1, or marks most pixels as bad",
    "E111": "values that must be finite are not finite",
    "E112": "counts are negative or not finite",
    "E113": "`iterations` is not the length of `error_metric`",
    "E114": "the patterns cannot be read: a filter or a source file is missing",
    "E115": "a distance or size is not positive",
    "E116": "the scan is too large for its object pixel",
    "E117": "the geometry gives an impossible object pixel",
    "E118": "the file cannot be opened",
    "E121": "the program of the profile could not read this file",
    "E122": "the program of the profile would read other values than those in the file",
    "W201": "the photon energy was converted to eV",
    "W202": "`source_1/energy` is that of the storage ring; the photon energy was found in another entry",
    "W203": "energy and wavelength are not consistent",
    "W204": "positions or lengths were converted to metres",
    "W205": "the positions were transposed",
    "W206": "the positions were mirrored according to `basis_vectors`",
    "W207": "the probe in the file was not used",
    "W208": "counts lose digits in float32",
    "W209": "the mask was kept although it marks most pixels as bad",
    "W210": "the patterns are not stored as float32",
    "W211": "the patterns of a result are missing; operations that need them are not possible",
    "W212": "linked files with patterns are missing at the end of the scan",
    "W213": "frames without a position, or positions without a frame, were excluded",
    "W221": "unusual number of positions",
    "W222": "unusual number of detector pixels",
    "W223": "unusual photon energy",
    "W224": "unusual detector distance",
    "W225": "unusual pixel size",
    "W226": "unusual size of the file",
    "W231": "counts are not finite; these pixels are excluded in their frames",
    "W232": "counts are negative; these pixels are excluded in their frames",
    "W233": "counts are saturated; these pixels are excluded in their frames",
    "W234": "frames without any counts are excluded",
    "W235": "the reconstruction diverged; its best iteration was kept",
    "W236": "refined positions have reached the edge of their tile of the object",
    "W237": "frames that cannot be read are excluded",
    "W241": "the patterns may be near-field images, not far-field patterns",
    "W242": "the detector may be too far from the sample for the near field",
    "W243": "positions are not finite; their frames are excluded",
    "W244": "positions are far from the scan; their frames are excluded",
    "W245": "the beam monitor was not used",
    "W246": "the patterns were transposed or flipped, because their orientation did not fit the positions",
    "W251": "the format cannot store a part of the scan or the result; it was not written",
    "W252": "the program of the profile ignores a part of the file",
    "W253": "the program of the format needs other or further information than its files contain",
    "W254": "an entry that the format requires is missing; the file can be read without it",
    "W261": "a text cannot be read; it was not used",
    "W262": "the input of a result has changed since the reconstruction",
    "I301": "there is no mask; all pixels are treated as good",
    "I302": "the mask was converted to 0 and 1",
    "I303": "the positions have no z; it was set to 0",
    "I304": "a value was replaced by the user",
    "I305": "the photon energy was taken from another entry or from the wavelength",
    "I306": "the coordinates of the object were derived from the positions",
    "I307": "the file has the format of another program and was read as such",
    "I308": "the frames of a raster are used row by row",
    "I309": "a part of the file does not belong to a scan or a result and was ignored",
    "I310": "the file links to files outside its folder",
}
"""Meaning of each stable code."""

_LEVELS: dict[str, Level] = {"E": "error", "W": "warning", "I": "info"}


def finding(code: str, path: str, found: object, expected: str, remedy: str = "") -> Finding:
    """Return a finding whose level follows from its code.

    Parameters
    ----------
    code : str
        A key of `CODES`.
    path : str
        Path in the file.
    found, expected, remedy : object, str, str
        What was found, what was expected, and what the user can do about it.
    """
    if code not in CODES:
        raise KeyError(code)
    texts = (shorten(text) for text in (path, str(found), expected, remedy))
    return Finding(code, _LEVELS[code[0]], *texts)
