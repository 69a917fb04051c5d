"""Exact sums, the states that hold them, and the values, files and checks that are derived from states."""
