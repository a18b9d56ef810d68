"""Exitwave: reconstruct a complex image of a sample from a ptychography scan in a CXI file, and save it as CXI.

import exitwave

scan = exitwave.open("scan.cxi")
chosen = exitwave.choose(scan)
result = exitwave.reconstruct(chosen.scan, chosen.recipe, choices=chosen.choices)
print(result.errors[-1], result.object.shape)
result.save("result.cxi")

The public names are listed in ``__init__.pyi``. Each is imported when it is first used, so that ``import exitwave`` and
``exitwave --help`` are quick.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
