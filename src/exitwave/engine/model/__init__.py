"""The model of the experiment beside object and probe: refinements, constraints, detector and geometry."""
