"""What is done to a measurement before it is reconstructed: every step is a function from a Scan to a Scan."""

from exitwave.prepare.view import apply_view

__all__ = ["apply_view"]
