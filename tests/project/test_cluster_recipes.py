"""The recipes of configs/ run, as far as one machine allows: with commands of SLURM's names, and the job of a pod."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
import zarr

import streamloss as sl
from processes import environment
from waiting import wait_until, written

CONFIGS = Path(__file__).parents[2] / "configs" / "cluster"

SBATCH = """
import os, re, subprocess, sys
arguments = [a for a in sys.argv[1:] if a != "--parsable"]
if arguments[0].startswith("--dependency=afterok:4711"):
    sys.exit(subprocess.run(["bash", "-c", arguments[arguments.index("--wrap") + 1]]).returncode)
script = open(arguments[0]).read()
told = dict(re.findall(r"^#SBATCH --([\\w-]+)=(\\S+)$", script, re.M))
first, last = map(int, os.environ.get("ARRAY", told["array"]).split("-"))
open("told.txt", "w").write(repr(told))
for task in range(first, last + 1):
    settings = {"SLURM_ARRAY_JOB_ID": "4711", "SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": last - first + 1,
                "SLURM_CPUS_PER_TASK": told["cpus-per-task"]}
    while True:
        done = subprocess.run(["bash", *arguments], env=os.environ | {k: str(v) for k, v in settings.items()},
                              stdout=open(f"slurm-{task}.out", "a"))
        if done.returncode and not os.path.exists("requeue"):
            sys.exit(done.returncode)
        if not os.path.exists("requeue"):
            break
        open("requeued.txt", "a").write(open("requeue").read())
        os.remove("requeue")
print("4711")
"""
SCONTROL = "import sys; open('requeue', 'w').write(' '.join(sys.argv[1:]) + '\\n')"
SRUN = """
import os, subprocess, sys
task = os.environ["SLURM_ARRAY_TASK_ID"]
if task == "2" and not os.path.exists("stopped"):
    open("stopped", "w")
    sys.exit(75)
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(8)
    for name in ("y", "p"):
        made = zarr.create_array(f"{name}.zarr", shape=(600, 1000), chunks=(100, 1000), dtype="f4")
        made[:] = rng.random((600, 1000), np.float32)
    (tmp_path / "job.toml").write_text('losses = "mse"\ny_true = "y.zarr"\ny_pred = "p.zarr"\nout = "out.zarr"\n')
    (tmp_path / "configs").symlink_to(CONFIGS.parent)
    (tmp_path / "bin").mkdir()
    commands = {"sbatch": SBATCH, "scontrol": SCONTROL, "srun": SRUN}
    commands["streamloss"] = "from streamloss.cli import main; main()"
    for name, script in commands.items():
        command = tmp_path / "bin" / name
        command.write_text(f"#!{sys.executable}\n{script}")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", environment(Path(sl.__file__).parents[1])["PYTHONPATH"])
    return tmp_path


@pytest.fixture
def expected(place):
    return sl.evaluate("mse", "y.zarr", "p.zarr")["mean_squared_error"].to_dict()


def losses(text):
    return json.loads(text)["losses"]["mean_squared_error"] | {"out": None}


def test_a_job_array_of_slurm(place, expected, monkeypatch):
    """The commands that the script documents, with an array of three, of which one is stopped and requeued."""
    monkeypatch.setenv("ARRAY", "0-2")
    commands = re.findall(r"^#     (.*)$", (CONFIGS / "slurm-array.sbatch").read_text(), re.M)
    assert len(commands) == 2
    script = "set -e\n" + "\n".join(commands).replace("configs/job.toml", "job.toml")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert losses((place / "result.json").read_text()) == expected
    assert (place / "requeued.txt").read_text() == "requeue 4711_2\n"
    assert sorted(path.name for path in (place / "states").iterdir()) == [f"{i}-of-3.state" for i in range(3)]
    assert {"array", "signal", "time", "mem"} <= eval((place / "told.txt").read_text()).keys()


def test_a_job_of_slurm_as_a_cluster(place, expected):
    """With a LocalCluster in place of what SLURM starts."""
    (place / "dask_jobqueue").mkdir()
    (place / "dask_jobqueue/__init__.py").write_text("")
    (place / "dask_jobqueue/slurm.py").write_text(
        "from distributed import LocalCluster\n"
        "def SLURMRunner(scheduler_file):\n"
        "    assert '{job_id}' in scheduler_file\n"
        "    return LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address='127.0.0.1:0')\n"
    )
    command = [sys.executable, "configs/cluster/slurm_dask.py", "job.toml", "--checkpoint", "progress", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(place))
    assert done.returncode == 0, done.stderr
    assert losses(done.stdout) == expected
    assert json.loads(done.stdout)["executor"] == "dask"
    assert (place / "progress/all.state").exists()


def test_a_job_of_kubernetes(place, expected):
    """Its pods' commands, beside each other, found through the variable that the operator sets."""
    job = yaml.safe_load((CONFIGS / "kubernetes.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubernetes.dask.org/v1", "DaskJob")
    spec = job["spec"]["cluster"]["spec"]
    assert spec["scheduler"]["service"]["selector"]["dask.org/cluster-name"] == job["metadata"]["name"]
    (runner,), (worker,), (scheduler,) = (
        of["spec"]["containers"] for of in (job["spec"]["job"], spec["worker"], spec["scheduler"])
    )
    ports = {port["name"] for port in scheduler["ports"]}
    assert {port["targetPort"] for port in spec["scheduler"]["service"]["ports"]} == ports
    assert runner["volumeMounts"] == worker["volumeMounts"], "they see the same data"

    dask = [sys.executable, "-m", *scheduler["args"], "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with open("log", "w") as log:
        started = [subprocess.Popen([*dask, "--scheduler-file", "s.json"], stderr=log)]
        try:
            wait_until(lambda: written(place / "s.json"), started[0])
            address = json.loads((place / "s.json").read_text())["address"]
            settings = {"env": environment(DASK_SCHEDULER_ADDRESS=address)}
            arguments = [a.replace("$(DASK_WORKER_NAME)", "one") for a in worker["args"]]
            run = [sys.executable, "-m", *arguments, "--no-dashboard"]
            started.append(subprocess.Popen(run, stderr=log, **settings))
            done = subprocess.run(runner["args"], capture_output=True, text=True, check=False, **settings)
        finally:
            for process in started:
                process.kill()
                process.wait()
    assert done.returncode == 0, done.stderr
    assert losses(done.stdout) == expected
