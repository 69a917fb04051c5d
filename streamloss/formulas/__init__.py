"""The losses as scalar mathematics, by family, and the registry that finds a loss by name.

Every public file of this folder is a family; a new file is imported without being registered anywhere. Nothing here
knows of arrays.
"""
