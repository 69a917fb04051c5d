"""Where NONE, the losses of all rows, goes."""

from .base import Sink

__all__ = ["Sink"]
