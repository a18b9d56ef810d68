"""The sweeps on PyTorch tensors, for GPUs. Nothing imports this package but `engine.backends`, and that when asked to.

All frames of a part of a pass go through a step together, so that a step is one launch; a part has as many frames as
memory and cache have room for. Object and probe live on the device from the start of a stage to its end: where a state
has tensors, sums are tensors, and the misfit is a tensor that nobody has waited for. Where it has NumPy arrays, so have
the sums, whatever the device.

- `frames`: the counts, on the device as integers, or on the host, from where a part at a time comes
- `beams`: the probe of a frame; `windows`: the object that it sees; `ways`: to the detector and back
- `detector`: comparison with the counts; `totals`: what a pass adds up
- `sweeps`: the passes made of these; `updates`, `lines`, `slices`: those that change something as they go, those of
  lines and moves, and those of a thick sample
- `kernels`: several steps in one, on a GPU
- `memory`: what a problem takes, so that a run that does not fit ends before it begins
"""
