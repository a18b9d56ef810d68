"""Tests of a part of the model see the problems that the engine's tests share."""
