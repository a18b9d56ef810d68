"""The reference backend: the definition of every pass, in plain NumPy and complex128.

The physics of a pass stands here once, and every other backend is tested against it: the loss of the noise models and
the amplitude correction in `likelihood`, the sub-pixel shift in `shift`, and the model of one frame in `frame_model`.
"""
