"""The passes on PyTorch tensors, for GPUs. Only `engine.backends` imports this package, if a device requires it.

All frames of a group go through each step of a pass together, so that a step is one launch on the device. The size of a
group is limited by memory and cache. Object and probe stay on the device from the start of a stage to its end. If a
state has tensors, the sums of a pass are tensors, and the misfit is a tensor whose computation need not have finished.
If a state has NumPy arrays, the sums are NumPy arrays, on any device.

- `counts`: the counts, on the device as integers, or on the host, from where they are copied one group at a time
- `probes`: the probe of every frame; `windows`: windows of the object; `propagation`: to the detector and back
- `detector`: the modelled counts and their comparison with the measured ones
- `group_model`: these together, for one group of frames
- `sums`: the sums of a pass; `responses`: the responses that it records
- `passes`: the backend; `updates`: passes that change the state or stored exit waves; `derivatives`: derivatives along
  a line and of the positions; `multislice`: the backend of a thick sample
- `descent`: the regularised step
- `kernels`: several steps in one kernel on a GPU, if `fused` finds Triton; `graphs`: CUDA graphs
- `memory`: the memory that a problem needs, so that a run that does not fit ends before it starts
"""
