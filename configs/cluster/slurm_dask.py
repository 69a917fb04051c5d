"""One job of SLURM as a Dask cluster, by dask-jobqueue (pip install dask-jobqueue 'streamloss[distributed]').

    srun -n 34 --cpus-per-task=4 python configs/cluster/slurm_dask.py configs/job.toml --checkpoint progress >r.json

Of the 34 processes one becomes the scheduler, one runs this script, and 32 are workers. Flags after the file are those
of ``streamloss evaluate``.
"""

import sys

from dask_jobqueue.slurm import SLURMRunner

from streamloss.cli import run

with SLURMRunner(scheduler_file="scheduler-{job_id}.json") as runner:
    address = runner.scheduler_address
    code = run(["evaluate", *sys.argv[1:], "--executor", "dask", "--scheduler", address])
sys.exit(code)
