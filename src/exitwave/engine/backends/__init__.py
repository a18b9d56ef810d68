"""The backends: implementations of the passes over frames that `engine.backend` declares."""
