"""The algorithms: one file each, and the modules that they share.

A file of an algorithm has three parts: a docstring with the update equation and its source, the default settings as
constants, and a function ``step(state, backend, stage, memory)`` that does one iteration in place and returns the
misfit of the model before it. `epie` is the shortest example.

To add an algorithm:

1. Copy `epie.py` (an update after every frame) or `rpie.py` (an update after every batch) to a new file here.
2. Write the update with the passes of `exitwave.engine.backend.Backend`: `gather` sums the corrections of some frames,
   `descend` adds a regularised step to object or probe. Then it runs on every backend. For other arithmetic on arrays,
   use operators, or the functions of `exitwave.engine.arrays`: an array may be a tensor on a device.
3. If something is kept from one iteration to the next, define a dataclass derived from `exitwave.engine.state.Memory`,
   or use `exitwave.engine.state.QuantityMemory` for one item of the object and one of the probe.
4. End the file with ``ALGORITHM = Algorithm(...)``. It names the settings that the algorithm uses and what it supports;
   see `algorithm.Algorithm`. The register finds it there, and so do recipes, the help and the tests.

Shared modules: `steps` (length and alpha of the steps in an iteration), `step_decay` (the last part of a stage),
`batches` (frames that share an update), `momentum`, `projections` (what DM and RAAR share), and
`slice_preconditioner` (thick samples). `algorithm` and `registry` define what an algorithm is, and list all of them.

Another package adds an algorithm with an entry point in the group ``exitwave.algorithms``.
"""
