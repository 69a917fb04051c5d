"""What a loss is: scalar mathematics by family, and the registry that finds a loss by name.

Every public file of this folder is a family; a new file is found by itself. Nothing here knows of arrays.
"""
