"""Scans of known truth."""
