"""Loops over the rows of a block for GPUs. Nothing outside imports them before a GPU is asked for."""
