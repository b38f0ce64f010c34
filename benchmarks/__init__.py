"""Measurements whose results are committed, and what draws them up."""
