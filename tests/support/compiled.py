"""Imported by a fork server before it forks: the processes of a cluster then have the kernel they need."""

import numpy as np

import streamloss as sl

sl.evaluate("mean_squared_error", np.zeros((4, 5), np.float32), np.zeros((4, 5), np.float32), executor="inline")
