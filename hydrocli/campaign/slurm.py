"""Campaigns under SLURM without any daemon: the share of a job of an array, and the script that starts the array."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from hydrocli.config import load_campaign
from hydrocli.config.campaign import Slurm
from hydrocli.errors import ConfigurationError
from hydrocli.execution.pool import INSTALL, WHERE

NOTICE = 300
"""Seconds between the signal and the end of the wall time; a run needs one evaluation of its gradient to stop."""

SCRIPT = """\
#!/bin/bash
# The campaign {name} as an array of {jobs} jobs, each with its share of the catchments. Submit it with
#
#   hydrocli precompile                       # once, on a node of the kind that computes: compiles the model
#   hydrocli ingest {target}
#                                            # once: reads the rasters, so that the jobs need not
#   sbatch campaign.sh
#
# A job that is stopped {notice} s before its wall time lets its runs save themselves, ends with the status 75 and is
# queued again; it goes on where it was. Submitting the array again does only what is missing.
#SBATCH --job-name={name}
#SBATCH --array=1-{jobs}
#SBATCH --cpus-per-task={cores}
#SBATCH --mem={memory}M
#SBATCH --time={time}
#SBATCH --signal=B:USR1@{notice}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={folder}/logs/%A_%a.log
{options}
set -u
{setup}
# Nodes without a writable home: a folder that all of them see keeps the compiled code.
# export HYDROCLI_CACHE=/scratch/$USER/hydrocli

batch= stop=
trap 'stop=1; [ -z "$batch" ] || kill -USR1 "$batch"' USR1 TERM    # the signal comes to this script: hand it on
{command} batch {target}{sets} --workers "${{SLURM_CPUS_PER_TASK:-1}}" &
batch=$!
[ -z "$stop" ] || kill -USR1 "$batch"   # it came before there was anybody to hand it to

for _ in 1 2 3; do                      # a signal ends wait early, with 138 or 143: wait again
    wait "$batch"
    status=$?
    [ "$status" -eq 138 ] || [ "$status" -eq 143 ] || break
done

if [ "$status" -eq 75 ]; then           # stopped with everything saved
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$status"                          # 5: some runs failed, `hydrocli status` shows which and why
"""


def shard_of_environment() -> tuple[int, int]:
    """Which part of how many a job of an array has to do, from 1; the whole outside of arrays.

    Raises:
        ConfigurationError: the variables of the array make no sense.
    """
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")
    if any(name not in os.environ for name in names):
        return 1, 1
    try:
        number, count = (int(os.environ[name]) for name in names)
        lowest = int(os.environ.get("SLURM_ARRAY_TASK_MIN", "1"))
        step = int(os.environ.get("SLURM_ARRAY_TASK_STEP", "1"))
        place = (number - lowest) // step + 1
        if not 1 <= place <= count:
            raise ValueError
    except ValueError:
        found = ", ".join(f"{name}={os.environ[name]}" for name in names)
        raise ConfigurationError("--shard", f"{found} is not a shard of a job array", "Use --shard I/N.") from None
    return place, count


def slurm_script(target: Path, overrides: list[str]) -> str:
    """A script for sbatch.

    Raises:
        Errors: everything that is wrong with the campaign.
    """
    campaign = load_campaign(target, overrides).campaign
    asked, folder = campaign.slurm, Path(campaign.folder)
    (folder / "logs").mkdir(parents=True, exist_ok=True)  # SLURM does not make it, and the job would die in silence
    options = [f"--partition={asked.partition}"] if asked.partition else []
    options += [f"--account={asked.account}"] if asked.account else []
    return SCRIPT.format(
        name=campaign.name,
        jobs=asked.jobs,
        cores=asked.cores,
        memory=asked.memory // 10**6,
        time=asked.time,
        notice=NOTICE,
        folder=folder,
        options="".join(f"#SBATCH {option}\n" for option in (*options, *asked.options)),
        setup="".join(f"{line}\n" for line in asked.setup),
        command=f"{shlex.quote(sys.executable)} -m hydrocli",
        target=shlex.quote(str(target.absolute())),
        sets="".join(f" --set {shlex.quote(text)}" for text in overrides),
    )


def slurm_cluster(asked: Slurm) -> Any:
    """A cluster of Dask whose workers are jobs of SLURM.

    Raises:
        ConfigurationError: dask-jobqueue is not installed.
    """
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError:
        raise ConfigurationError(WHERE, "dask-jobqueue is not installed", INSTALL) from None
    options: dict[str, Any] = {"queue": asked.partition, "account": asked.account}
    cluster = SLURMCluster(
        cores=asked.cores,
        processes=asked.cores,
        memory=f"{asked.memory // 10**6}MB",
        walltime=asked.time,
        job_extra_directives=[*asked.options, "--signal=B:TERM@120"],
        job_script_prologue=list(asked.setup),
        **{name: value for name, value in options.items() if value},
    )
    cluster.scale(jobs=asked.jobs)
    return cluster
