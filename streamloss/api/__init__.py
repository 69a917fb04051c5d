"""The functions that a user calls and the objects that a user holds."""
