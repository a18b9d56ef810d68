"""Figures as in a paper."""
