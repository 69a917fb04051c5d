"""Decisions that are made before anything is read: axes, blocks, dtypes, memory."""
