"""Call kernels directly, without a plan: what tests of bits and layouts need of the records that kernels take."""

import numpy as np

from streamloss.aggregation.accumulator import SIZE
from streamloss.aggregation.statistics import accumulation_of
from streamloss.kernels.base import OMIT, PROPAGATE, RAISE, Ignore, KernelKey, Settings, Totals
from streamloss.kernels.build import layout_of

POLICIES = {"raise": RAISE, "omit": OMIT, "propagate": PROPAGATE}


def key_of(spec, dtype, classes, statistics=()):
    """The key of a loss' kernel for results of `dtype`."""
    layout = layout_of(spec.formula, classes)
    return KernelKey(spec.formula, np.dtype(dtype) == np.float32, layout, accumulation_of(statistics))


def settings_of(spec, dtype, classes, policy="raise"):
    ignored = spec.parameters.get("ignore_class")
    ignore = Ignore(0, 0) if ignored is None else Ignore(1, ignored)
    return Settings(ignore, spec.arguments(np.dtype(dtype)), spec.per_class(classes), POLICIES[policy])


def new_totals(key, pieces=None):
    """Empty sums and counts; with `pieces`, a set for each."""
    shape = () if pieces is None else (pieces,)
    sums, counts = len(key.accumulation.sums), key.accumulation.num_counts
    return Totals(np.zeros((*shape, sums, SIZE), np.int64), np.zeros((*shape, counts), np.int64))
