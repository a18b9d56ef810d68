"""Find the files to which an HDF5 file links, without following the links: those outside its folder, and pipes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from exitwave.errors import DAMAGE, InputError
from exitwave.frames import open_hdf5
from exitwave.frames.confine import is_outside
from exitwave.inputs import check_regular

MOST_FILES = 10_000
"""Largest number of linked files that are searched."""


def refuse_links_outside(file: Path) -> None:
    """Raise InputError if a file, or a file in its folder to which it links, links to a file outside the folder.

    External links, sources of virtual datasets and external storage count, whether they are used or not.
    """
    waiting, searched = [file], {file.resolve()}
    while waiting:
        current = waiting.pop()
        for where, name in _linked_files(current):
            target = current.absolute().parent / name
            if is_outside(target, file):
                remedy = "Put the linked file into the folder of this file, or open it without --confine"
                raise InputError("A link leads outside the folder of the file", where=where, found=name, remedy=remedy)
            if target.is_file() and target.resolve() not in searched and len(searched) < MOST_FILES:
                searched.add(target.resolve())
                waiting.append(target)


def check_linked_files(file: Path) -> None:
    """Raise InputError if a link of an HDF5 file leads to a pipe or a device, at which HDF5 would wait."""
    for _, name in _linked_files(file):
        check_regular(file.absolute().parent / name)


def _linked_files(file: Path) -> list[tuple[str, str]]:
    """Return place and file of all links of a file; none if it is damaged or not HDF5, which its reader reports."""
    try:
        with open_hdf5(file) as opened:
            return list(_targets(opened["/"], set()))
    except DAMAGE:
        return []


def _targets(group: h5py.Group, visited: set[Any]) -> Iterator[tuple[str, str]]:
    """Yield place and file of all links, sources and external storage of a group, without recursion."""
    groups = [group]
    while groups:
        here = groups.pop()
        if here.id in visited:
            continue
        visited.add(here.id)
        for name in here:
            link = here.get(name, getlink=True)
            where = f"{here.file.filename}:{here.name.rstrip('/')}/{name}"
            if isinstance(link, h5py.ExternalLink):
                yield where, link.filename
            elif isinstance(link, h5py.HardLink):
                child = here[name]
                groups += [child] if isinstance(child, h5py.Group) else []
                for file in files_of(child) if isinstance(child, h5py.Dataset) else ():
                    yield where, file


def files_of(dataset: h5py.Dataset) -> list[str]:
    """Return the files in which a dataset has its values, other than its own: virtual sources and external storage."""
    stored = [name for name, _, _ in dataset.external or ()]
    virtual = [source.file_name for source in dataset.virtual_sources()] if dataset.is_virtual else []
    return sorted({str(name) for name in (*stored, *virtual)} - {"."})
