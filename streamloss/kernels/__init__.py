"""Loops over the rows of a block, compiled from the formulas, for the processor; those for GPUs are in ``cuda``."""
