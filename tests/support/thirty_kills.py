"""Evaluate in processes that are killed thirty times, and in one more that is not.

Each goes on from the checkpoint of the one before. A child may begin only as many blocks as it is given, so it cannot
end before it is killed; and all but some are killed after the saves that they were told to wait for, so all of them
together come on, however slow the machine is. Prints how many were killed, the exit code of the last one, the blocks
that the checkpoint held before the last one began, and the saves that were waited for.
"""

import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np

import streamloss as sl
from small_blocks import small_blocks
from streamloss.aggregation import checkpoint
from streamloss.execution import threads

KILLS = 30
AHEAD = 6
"""Blocks beyond the saves that are waited for: more than there are threads, so that blocks are in any state."""
BLOCKS = 600


def evaluate(given, saved, workers):
    """Evaluate as many blocks as there are bytes to read from `given`; write a byte to `saved` for each save."""
    run_block, write_whole = threads.run_block, checkpoint.write_whole

    def run_block_if_given(*arguments):
        os.read(given, 1)
        return run_block(*arguments)

    def write_and_tell(*arguments):
        write_whole(*arguments)
        os.write(saved, b".")

    threads.run_block, checkpoint.write_whole = run_block_if_given, write_and_tell
    sl.evaluate("mse", "y.zarr", "p.zarr", out="out.zarr", checkpoint="saved", executor="threads", workers=workers)


def child(blocks, saves, share, kill):
    """Run one process for so many blocks, killed at some moment after so many saves. Returns its wait status."""
    (given, give), (saved, save) = os.pipe(), os.pipe()
    workers, pause = random.choice([1, 2, 3]), random.random() * (0.01 if saves else 0.2)
    if (process := os.fork()) == 0:
        os.close(give), os.close(saved)
        checkpoint.SHARE = share
        evaluate(given, save, workers)
        os._exit(0)
    os.close(given), os.close(save)
    os.write(give, b"." * blocks)
    for _ in range(saves):
        os.read(saved, 1)
    if kill:
        time.sleep(pause)  # any moment: while it opens, reads, computes, writes a chunk, saves
        os.kill(process, signal.SIGKILL)
        os.close(saved)
    else:
        while os.read(saved, 4096):
            pass
    _, status = os.waitpid(process, 0)
    os.close(give)
    return status


rows = np.zeros((4, 3), np.float32)
sl.evaluate("mse", rows, rows, executor="inline")  # compiled once, for all that are forked
random.seed(7)
killed = waited = 0
with small_blocks():
    for _ in range(KILLS):
        saves = random.choice([0, 1, 2, 3])
        waited += saves
        killed += os.WIFSIGNALED(child(saves + AHEAD, saves, 1e9, kill=True))  # 1e9: after each block
    covered = json.loads(Path("saved/all.state").read_text())["covered"]
    code = os.waitstatus_to_exitcode(child(BLOCKS, 0, 1.0, kill=False))
print(killed, code, sum(stop - first for first, stop in covered), waited)
