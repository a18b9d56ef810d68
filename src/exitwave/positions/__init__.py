"""Scan patterns, and how well they cover the sample."""
