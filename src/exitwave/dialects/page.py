"""Print the page docs/conventions.md from the dialects: ``python -m exitwave.dialects.page > docs/conventions.md``."""

from dataclasses import fields

from exitwave.dialects.dialect import Conventions, Dialect
from exitwave.dialects.registry import DIALECTS

_HEAD = """# Conventions

*This page is printed by `python -m exitwave.dialects.page`; do not edit it.*

## Exitwave's own

```
   sample, viewed along the beam          object and probe arrays             detector frame

   +y                                     row ny-1                            row 0 ... row ny-1
    ^        probe at (x, y)                 ^   y grows with the row            zero frequency at
    |            o                           |                                   [ny//2, nx//2]
    |                                        |
    +-----------> +x                      row 0 ---> column: x grows
```

- Positions are the centre of the probe on the sample, in metres. In pixels: (row, column) = (+y, +x) / object pixel.
  No axis is negated. Row 0 of the object has the smallest y; figures draw it at the bottom.
- Object pixel, far field: wavelength * distance / (n * detector pixel), for each axis.
- Index n//2 of the probe lies on the position; `image_1/x[c]` and `y[r]` are the coordinates of pixel centres.
- Frames are intensities in counts, stored with the zero frequency at n//2. The FFT is unitary.
- The mask is 0 where a pixel is good and 1 where it is bad. The energy is in eV.
- Negating both axes of the positions gives the same frames if the object is rotated by 180 degrees and its phase is
  reversed; no fit can detect it. A negated or swapped axis can be detected, and `exitwave reconstruct` tests for it.

## File formats of other programs

`read`: `exitwave.open` and every verb accept such files and report the detected format and the reason; `--from NAME`
of `exitwave convert` and `dialect=` of `exitwave.open` replace the detection. `write`: `exitwave convert IN OUT --to
NAME`. `check`: `exitwave validate FILE --profile NAME` reports whether that program can read a file.
"""

_NOTATION = """In the next table, N is the number of frames. `-` alone means that the format has no such entry. Beside
positions, `+` means that they are used as stored, and `-` that they are negated on reading. Centred: the zero frequency
is at index n//2. The order of columns or axes is given as x y z or y x."""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _abilities(dialect: Dialect) -> str:
    return ", ".join(verb for verb in ("read", "write", "check") if getattr(dialect, verb))


def page() -> str:
    """Return the page as Markdown."""
    names = [field.name for field in fields(Conventions)]
    lines = [_HEAD, "| Dialect | Files | Supports |", "|---|---|---|"]
    lines += [f"| `{each.name}` | {_cell(each.title)} | {_abilities(each)} |" for each in DIALECTS.all().values()]
    lines += [
        "",
        _NOTATION,
        "",
        f"| Dialect | {' | '.join(name.capitalize() for name in names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for each in DIALECTS.all().values():
        cells = " | ".join(_cell(getattr(each.conventions, name)) for name in names)
        lines.append(f"| `{each.name}` | {cells} |")
    settings = {each.name: each.settings for each in DIALECTS.all().values() if each.settings}
    if settings:
        lines += ["", "Values that a format lacks are given with `--set KEY=VALUE`:", ""]
        for name, keys in settings.items():
            lines.append(f"- `{name}`: {', '.join(f'`{key}={example}`' for key, example in keys.items())}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
