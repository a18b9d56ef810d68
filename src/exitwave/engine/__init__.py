"""The algorithms, the fused passes that they share, and the backends that run those."""
