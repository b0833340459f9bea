"""A ``CustomJobSpec`` as a job of the engine: Vertex's contract with training containers.

https://cloud.google.com/vertex-ai/docs/training/code-requirements
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.apis.vertex import gcs_paths
from mlparity.apis.vertex import job_contract_packages as packages
from mlparity.apis.vertex.job_contract_pools import Pool, pools_of, replica_environment
from mlparity.apis.vertex.job_states import Json
from mlparity.engine.jobs import Instance, JobInput, JobSpec, LogStream, Retries
from mlparity.storage.base import ObjectStore

LOG_GROUP = "ml.googleapis.com/custom_jobs"
METRICS = "hypertune"  # among a trial's result files: what the program reported
_METRICS_FOLDER = "/var/hypertune"
_METRICS_FILE = f"{_METRICS_FOLDER}/output.metrics"
_DAYS = 7  # the default of the longest run
_GRACE = 30  # seconds between SIGTERM and SIGKILL
_RESTARTS = 3  # after the loss of a worker: "attempts to restart a job twice (three attempts in total)"


@dataclass(frozen=True)
class JobFacts:
    """What the program is told beside its spec. ``trial`` is the trial's id, "" where the job is none."""

    job_id: str
    project_number: str
    region: str
    trial: str = ""
    experiment: str = ""  # names of the experiment and of its run
    experiment_run: str = ""


def job_spec(spec: Json, facts: JobFacts, store: ObjectStore, buckets: Collection[str]) -> JobSpec:
    """The job that a checked spec (JSON) asks for. ``buckets`` are those that exist."""
    pools = pools_of(spec)
    primary = pools[0]
    python = [pool.python for pool in pools if pool.python is not None]
    base = spec.get("baseOutputDirectory", {}).get("outputUriPrefix", "")
    placed, stored = gcs_paths.mounted(_texts(pools, base, store), buckets)
    scheduling = spec.get("scheduling", {})
    return JobSpec(
        image=primary.image,
        command=_command(primary),
        arguments=() if primary.command else tuple(primary.arguments),
        environment=_environment(facts, base),
        instances=_instances(spec, pools, facts),
        roots=_roots(facts, packaged=bool(python)),
        shared_roots=(gcs_paths.ROOT,),
        primary_decides=True,
        files=packages.files() if python else {},
        folders=(gcs_paths.ROOT,),
        inputs=(*_packages(python), *placed),
        outputs=tuple(stored),
        working_directory="",
        max_runtime_seconds=seconds(scheduling.get("timeout", "")) or _DAYS * 86400,
        stop_grace_seconds=_GRACE,
        requirements=tuple(dict.fromkeys(line for one in python for line in packages.requirements(store, one))),
        result_files={METRICS: _METRICS_FILE} if facts.trial else {},
        retries=_retries(scheduling),
    )


def seconds(duration: str) -> int:
    """A google.protobuf.Duration in JSON ("3600s"), rounded up to whole seconds; 0 for none."""
    return -int(-float(duration.removesuffix("s")) // 1) if duration else 0


def _texts(pools: Sequence[Pool], base: str, store: ObjectStore) -> Iterator[str]:
    """Wherever a job may name objects."""
    yield base
    for pool in pools:
        yield from (*pool.command, *pool.arguments, *pool.environment.values())
        if pool.python is not None:
            yield from packages.sources(store, pool.python)


def _command(pool: Pool) -> Sequence[str]:
    return (*pool.command, *pool.arguments) if pool.command else ()


def _environment(facts: JobFacts, base: str) -> dict[str, str]:
    told = {
        "CLOUD_ML_JOB_ID": facts.job_id,
        "CLOUD_ML_PROJECT_ID": facts.project_number,
        "CLOUD_ML_REGION": facts.region,
    }
    if base:
        folder = base.rstrip("/")
        told["AIP_MODEL_DIR"] = f"{folder}/model/"
        told["AIP_CHECKPOINT_DIR"] = f"{folder}/checkpoints/"
        told["AIP_TENSORBOARD_LOG_DIR"] = f"{folder}/logs/"
    if facts.trial:
        told |= {"CLOUD_ML_TRIAL_ID": facts.trial, "CLOUD_ML_HP_METRIC_FILE": _METRICS_FILE}
    if facts.experiment:
        told["AIP_EXPERIMENT_NAME"] = facts.experiment
    if facts.experiment_run:
        told["AIP_EXPERIMENT_RUN_NAME"] = facts.experiment_run
    return told


def _instances(spec: Json, pools: Sequence[Pool], facts: JobFacts) -> tuple[Instance, ...]:
    primary = pools[0]
    made = []
    for pool in pools:
        alike = (pool.command, pool.arguments) == (primary.command, primary.arguments)
        for index, name in enumerate(pool.replicas):
            made.append(
                Instance(
                    name,
                    LogStream(LOG_GROUP, f"{facts.job_id}/{name}"),
                    environment={**replica_environment(spec, pools, pool, index, facts.trial), **pool.environment},
                    command=None if alike else tuple(_command(pool)),
                    arguments=() if alike or pool.command else tuple(pool.arguments),
                )
            )
    return tuple(made)


def _roots(facts: JobFacts, *, packaged: bool) -> tuple[str, ...]:
    own = [packages.FOLDER] if packaged else []
    return (gcs_paths.ROOT, *own, *([_METRICS_FOLDER] if facts.trial else []))


def _packages(python: Sequence[Mapping[str, Any]]) -> list[JobInput]:
    return packages.inputs(python[0]) if python else []


def _retries(scheduling: Mapping[str, object]) -> Retries:
    spot = scheduling.get("strategy") in {"SPOT", "LOW_COST"}
    return Retries(attempts=0 if scheduling.get("disableRetries") else _RESTARTS - 1, interruptible=spot)
