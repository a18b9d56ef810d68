"""The summary of a scan or result as text with units."""

from typing import Any

from exitwave.units import show


def format_summary(summary: dict[str, Any]) -> dict[str, str]:
    """Format a summary (see `exitwave.analysis.summary.summarise`) as text with units, by name of the quantity."""
    detector, scan, result = (summary[key] for key in ("detector", "scan", "result"))
    texts = {
        "sample": " at ".join(part for part in (summary["name"], summary["instrument"]) if part) or "not named",
        "about": summary["description"],
        "frames": f"{summary['frames']} of {_pair(detector['shape'])} pixels",
        "detector": f"pixels of {_pair(detector['pixel_size'], 'm')}, distance {_distance(detector, result)}",
        "energy": f"{show(summary['energy'], 'eV')}, wavelength {show(summary['wavelength'], 'm')}",
        "object pixel": _pair(summary["object_pixel"], "m"),
        "object": f"{_pair(summary['object_shape'])} pixels",
        "field scanned": _pair(summary["field_of_view"], "m", 3),
        "scan pattern": f"{scan['pattern']}, step {show(scan['step'], 'm', 3)}",
        "overlap": _overlap(scan),
        "counts per frame": _counts(summary["counts"]),
        "bad pixels": _bad_pixels(detector, summary["counts"]),
        "size on disk": "" if summary["size_on_disk"] is None else show(summary["size_on_disk"], "B", 3),
        "truth": "in the file" if summary["truth"] else "",
        "result": "none yet; run exitwave reconstruct" if result is None else _result(result),
        "positions": _refined(result["moved"]) if result and result["moved"] else "",
    }
    return {name: text for name, text in texts.items() if text}


def _distance(detector: dict[str, Any], result: dict[str, Any] | None) -> str:
    """Return the detector distance, and the assumed one if a result refined it."""
    assumed = result["assumed_distance"] if result else None
    return show(detector["distance"], "m", 5) + (f" (refined from {show(assumed, 'm', 5)})" if assumed else "")


def _pair(pair: list[Any], unit: str = "", digits: int = 4) -> str:
    """Return a pair (y, x), plain numbers or with a unit, as ``a x b``."""
    return " x ".join(show(number, unit, digits) if unit else str(number) for number in pair)


def _counts(counts: dict[str, Any] | None) -> str:
    if counts is None:
        return "unknown: the frames are missing"
    return (
        f"{counts['median']:.3g} ({counts['minimum']:.3g} to {counts['maximum']:.3g}), "
        f"brightest pixel {counts['brightest']:.3g}, in a sample of {counts['sampled']} frames"
    )


def _bad_pixels(detector: dict[str, Any], counts: dict[str, Any] | None) -> str:
    share = detector["masked"] / (detector["shape"][0] * detector["shape"][1])
    masked, limit = f"{detector['masked']} masked ({share:.2%})", detector["saturation"]
    if counts is None:
        return masked
    saturation = "saturation level unknown" if limit is None else f"saturation level {limit:g}"
    return f"{masked}, {counts['saturated_pixels']} saturated ({saturation}), {counts['bad_counts']} invalid counts"


def _overlap(scan: dict[str, Any]) -> str:
    if scan["overlap"] is None:
        return ""
    diameter = show(scan["probe_diameter"], "m", 3)
    return f"{scan['overlap']:.0%} of the probe diameter, {diameter} (from the {scan['probe_from']})"


def _result(result: dict[str, Any]) -> str:
    error = "" if result["error"] is None else f", error {result['error']:.4g}"
    held_out = "" if result["holdout_error"] is None else f", error on held-out frames {result['holdout_error']:.4g}"
    modes = f"{result['modes']} probe mode{'s' * (result['modes'] != 1)}"
    return f"{result['algorithm']}, {result['iterations']} iterations, {modes}{error}{held_out}"


def _refined(moved: dict[str, float]) -> str:
    return f"refined by {show(moved['metres'], 'm', 3)} rms, {moved['pixels']:.3g} object pixels"
