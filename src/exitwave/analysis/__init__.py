"""How good a reconstruction is: gauge, registration, FRC, comparison, and the summary of a scan."""
