"""The command line in a process that does not end before it is interrupted.

    python tests/support/interruptible.py FILE evaluate ...

It evaluates blocks of single chunks in threads. When some of their results are merged, FILE appears; later blocks wait
until an interrupt makes the executor end its threads. So a signal that is sent when FILE is there meets an evaluation
that is under way, however slow the machine is.
"""

import itertools
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from small_blocks import small_blocks
from streamloss.cli import main
from streamloss.execution import threads
from streamloss.execution.collector import Collector

MERGED = 3
"""Blocks whose results are merged before FILE appears."""
FREE = 6
"""Blocks that are evaluated without waiting."""

file = Path(sys.argv.pop(1))
begun, merged, interrupted = itertools.count(), itertools.count(1), threading.Event()
run_block, add = threads.run_block, Collector.add


def run_block_or_wait(*arguments):
    if next(begun) >= FREE:
        interrupted.wait()
    return run_block(*arguments)


def add_and_tell(self, *arguments):
    add(self, *arguments)
    if next(merged) == MERGED:
        file.touch()


class Pool(ThreadPoolExecutor):
    def shutdown(self, *arguments, **options):
        interrupted.set()
        super().shutdown(*arguments, **options)


threads.run_block, threads.ThreadPoolExecutor, Collector.add = run_block_or_wait, Pool, add_and_tell
signal.signal(signal.SIGINT, signal.default_int_handler)
with small_blocks():
    main()
