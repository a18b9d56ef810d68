"""The photon energy: which of the places that files use for it to believe, and in which unit it is."""

import math
from typing import NoReturn

from exitwave.cxi.hdf import Source, known_factor, scalar, units_of
from exitwave.cxi.schema import BY_KEY
from exitwave.errors import InputError
from exitwave.units import H_C, parse, show

LOWEST, HIGHEST = 50.0, 200e3
"""Photon energies in eV that are believed. Above, it is the energy of a storage ring."""
JOULES = 1e-12
"""A number below this without a unit is in joules: 200 keV are 3.2e-14 J."""
ELECTRONVOLTS = 100.0
"""A number from here on without a unit is in eV; between the two it may be keV, and nobody can know."""


def photon_energy(source: Source) -> float:
    """Return the photon energy in eV.

    Believed in this order: the user's ``energy``; ``source_1/energy``, unless it is the storage ring's; ``beam_1``;
    a wavelength. The unit is that of ``@units``, else it follows from the magnitude.

    Raises
    ------
    InputError
        If there is no energy, its unit is unknown or cannot be told, or it lies outside 50 eV to 200 keV.
    """
    if "energy" in source.overrides:
        stated = source.overrides["energy"]
        return _checked(parse(stated, "energy"), "--set energy", stated)
    energy = _energy_at(source, "energy")
    ring = energy is not None and energy > HIGHEST
    if energy is None or ring:
        energy, key = _elsewhere(source)
        if energy is None:
            _refuse_without(source, ring)
        if ring:
            source.remark(
                "W202", "energy", "the storage ring's energy", "the photon energy", f"{source.place(key)} was used"
            )
        else:
            source.remark("I305", "energy", "no energy", "the photon energy", f"{source.place(key)} was used")
    compare_wavelength(source, energy)
    return energy


def _energy_at(source: Source, key: str) -> float | None:
    value = scalar(source, key)
    dataset = source.dataset(key)
    if value is None or dataset is None:
        return None
    unit = units_of(dataset, key) or _unit_by_magnitude(source, key, value)
    energy = value * known_factor(source, key, unit, "energy")
    shown = f"{value:.6g} {unit}"
    if not energy > HIGHEST:
        _checked(energy, source.where(key), shown)
    if unit != BY_KEY[key].units:
        source.remark("W201", key, shown, BY_KEY[key].units, f"It was read as {energy:.6g} eV")
    return energy


def _unit_by_magnitude(source: Source, key: str, value: float) -> str:
    if JOULES <= value < ELECTRONVOLTS:
        raise InputError(
            "The energy has no unit, and its size does not tell one",
            where=source.where(key),
            found=f"{value:g}",
            remedy=f"If it is in keV, give it with --set energy={value:g}keV",
        )
    return "J" if 0 < value < JOULES else "eV"


def _elsewhere(source: Source) -> tuple[float | None, str]:
    for key in ("incident_energy", "incident_beam_energy", "beam_energy"):
        energy = _energy_at(source, key)
        if energy is not None and energy <= HIGHEST:
            return energy, key
    for key in ("wavelength", "incident_wavelength"):
        wavelength = _wavelength_at(source, key)
        if wavelength is not None:
            shown = f"a wavelength of {wavelength:g} m"
            return _checked(H_C / wavelength if wavelength > 0 else math.nan, source.where(key), shown), key
    return None, ""


def _wavelength_at(source: Source, key: str) -> float | None:
    value, dataset = scalar(source, key), source.dataset(key)
    if value is None or dataset is None:
        return None
    return value * known_factor(source, key, units_of(dataset, key) or "m", "length")


def compare_wavelength(source: Source, energy: float) -> None:
    """Remark (W203) where a wavelength in the file differs by more than 1 % from that of the energy in eV."""
    for key in ("wavelength", "incident_wavelength"):
        wavelength = _wavelength_at(source, key)
        if wavelength is not None and not abs(wavelength * energy / H_C - 1) <= 0.01:
            source.remark(
                "W203",
                key,
                f"{wavelength:g} m",
                f"{H_C / energy:g} m, from the energy of {show(energy, 'eV')}",
                "The energy was used; correct the file or give the energy with --set energy=",
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
        remedy=f"Expected 50 eV to 200 keV; give it in its true unit, such as {hint}",
    )


def _refuse_without(source: Source, ring: bool) -> NoReturn:
    raise InputError(
        "The file holds the energy of the storage ring, not of the photons"
        if ring
        else "The file has no photon energy",
        where=source.where("energy"),
        found="an energy above 200 keV, and none in beam_1" if ring else "nothing",
        remedy="Give it with --set energy=8.8keV",
    )
