"""Read the photon energy: choose among the entries in which files store it, and determine its unit."""

import math

from exitwave.cxi.hdf import Source, known_factor, scalar, units_of
from exitwave.cxi.schema import BY_KEY
from exitwave.errors import InputError
from exitwave.units import H_C, parse, show

LOWEST, HIGHEST = 50.0, 200e3
"""Range of photon energies in eV that is accepted. A higher energy is that of a storage ring."""
JOULES = 1e-12
"""A number without a unit below this is in joules: 200 keV are 3.2e-14 J."""
ELECTRONVOLTS = 100.0
"""A number without a unit from this value on is in eV. Between the two limits it may be in keV: it is refused."""


def photon_energy(source: Source) -> float:
    """Return the photon energy in eV.

    The first of these is used: the user's ``energy``; ``source_1/energy``, unless it is that of the storage ring;
    ``beam_1``; a wavelength. The unit is that of ``@units``, or else it follows from the magnitude.

    Raises
    ------
    InputError
        If there is no energy, its unit is unknown or ambiguous, or it lies outside 50 eV to 200 keV.
    """
    if "energy" in source.overrides:
        stated = source.overrides["energy"]
        return _checked(parse(stated, "energy"), "--set energy", stated)
    energy = _energy_at(source, "energy")
    ring = energy is not None and energy > HIGHEST
    if energy is None or ring:
        energy, key = _other_energy(source)
        if energy is None:
            raise _no_photon_energy(source, ring)
        if ring:
            found = "the energy of the storage ring"
            source.remark("W202", "energy", found, "the photon energy", f"{source.path(key)} was used")
        else:
            source.remark("I305", "energy", "no energy", "the photon energy", f"{source.path(key)} was used")
    compare_wavelength(source, energy)
    return energy


def _energy_at(source: Source, key: str) -> float | None:
    value, dataset = scalar(source, key), source.dataset(key)
    if value is None or dataset is None:
        return None
    unit = units_of(dataset, key) or _unit_by_magnitude(source, key, value)
    energy = value * known_factor(source, key, unit, "energy")
    shown = f"{value:.6g} {unit}"
    if not energy > HIGHEST:
        _checked(energy, source.where(key), shown)
    if unit != BY_KEY[key].units:
        source.remark("W201", key, shown, BY_KEY[key].units, f"It was converted to {energy:.6g} eV")
    return energy


def _unit_by_magnitude(source: Source, key: str, value: float) -> str:
    if JOULES <= value < ELECTRONVOLTS:
        raise InputError(
            "The energy has no unit, and its unit does not follow from its magnitude",
            where=source.where(key),
            found=f"{value:g}",
            remedy=f"If it is in keV, give it with --set energy={value:g}keV",
        )
    return "J" if 0 < value < JOULES else "eV"


def _other_energy(source: Source) -> tuple[float | None, str]:
    """Return the photon energy in eV from the other entries that may hold it, and the key of the entry."""
    for key in ("incident_energy", "incident_beam_energy", "beam_energy"):
        energy = _energy_at(source, key)
        if energy is not None and energy <= HIGHEST:
            return energy, key
    for key in ("wavelength", "incident_wavelength"):
        wavelength = _wavelength_at(source, key)
        if wavelength is not None:
            shown = f"wavelength {wavelength:g} m"
            return _checked(H_C / wavelength if wavelength > 0 else math.nan, source.where(key), shown), key
    return None, ""


def _wavelength_at(source: Source, key: str) -> float | None:
    value, dataset = scalar(source, key), source.dataset(key)
    if value is None or dataset is None:
        return None
    return value * known_factor(source, key, units_of(dataset, key) or "m", "length")


def compare_wavelength(source: Source, energy: float) -> None:
    """Add W203 where a wavelength in the file differs by more than 1 % from that of the energy in eV."""
    for key in ("wavelength", "incident_wavelength"):
        wavelength = _wavelength_at(source, key)
        if wavelength is not None and not abs(wavelength * energy / H_C - 1) <= 0.01:
            source.remark(
                "W203",
                key,
                f"{wavelength:g} m",
                f"{H_C / energy:g} m, from the energy of {show(energy, 'eV')}",
                "The energy was used; correct the file, or give the energy with --set energy=",
            )


def _checked(energy: float, where: str, found: str) -> float:
    if LOWEST <= energy <= HIGHEST:
        return energy
    hint = f"--set energy={energy:g}keV" if 0.05 <= energy < LOWEST else "--set energy=8.8keV"
    if 0 < energy < JOULES:
        hint = f"--set energy={energy:g}J"
    raise InputError(
        "The photon energy is impossible",
        where=where,
        found=found,
        remedy=f"Give an energy from 50 eV to 200 keV with its unit, such as {hint}",
    )


def _no_photon_energy(source: Source, ring: bool) -> InputError:
    ring_only = "The file has the energy of the storage ring, but not the photon energy"
    return InputError(
        ring_only if ring else "The file has no photon energy",
        where=source.where("energy"),
        found="an energy above 200 keV, and none in beam_1" if ring else "",
        remedy="Give it with --set energy=8.8keV",
    )
