"""Compile a kernel in a fork server before it forks, so that the processes of a cluster have it."""

import numpy as np

import streamloss as sl

sl.evaluate("mean_squared_error", np.zeros((4, 5), np.float32), np.zeros((4, 5), np.float32), executor="inline")
