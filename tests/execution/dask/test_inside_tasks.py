"""Evaluations on a cluster from inside of one of its tasks, whose thread is the only one that could compute them."""

import dask.array as da
import distributed
import numpy as np
import pytest

import streamloss as sl


def evaluate_on(address):
    import streamloss

    x = np.arange(10.0)
    return streamloss.evaluate("mse", x, x + 1, executor="dask", scheduler=address).value


def evaluate_lazily():
    import streamloss

    x = da.ones(10, chunks=5)
    return streamloss.evaluate("mse", x, x + 1, executor="dask").value


@pytest.mark.parametrize("processes", [False, True])
def test_a_worker_of_one_thread_evaluates_what_its_task_asks_for(processes):
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=processes, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        address = client.scheduler.address
        expected = sl.evaluate("mse", np.arange(10.0), np.arange(10.0) + 1).value
        assert client.submit(evaluate_on, address).result(timeout=120) == expected
        assert client.submit(evaluate_lazily).result(timeout=120) == 1.0
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3  # the thread is back
