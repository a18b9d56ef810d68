"""The public names of the package: listed once, completed by dir, imported when first used."""

import subprocess
import sys

import exitwave


def test_dir_lists_the_public_names() -> None:
    assert dir(exitwave) == sorted(exitwave.__all__)
    assert {"Scan", "Result", "open", "iterate", "simulate", "compare", "to_tike"} <= set(dir(exitwave))


def test_every_public_name_exists_and_has_a_docstring() -> None:
    for name in exitwave.__all__:
        assert getattr(exitwave, name).__doc__, name


def test_the_import_of_the_package_loads_nothing_heavy() -> None:
    heavy = "{'numpy', 'h5py', 'scipy', 'typer'}"
    subprocess.run(
        [sys.executable, "-c", f"import exitwave, sys; dir(exitwave); assert not {heavy} & set(sys.modules)"],
        check=True,
    )
