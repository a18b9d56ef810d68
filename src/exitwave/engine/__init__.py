"""The reconstruction in pixels and counts: algorithms, the model of the experiment, and the backends."""
