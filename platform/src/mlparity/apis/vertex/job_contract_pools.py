"""Worker pools: their replicas, and how each is told of the others (CLUSTER_SPEC, TF_CONFIG).

https://cloud.google.com/vertex-ai/docs/training/distributed-training
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.apis.vertex import job_contract_packages as packages
from mlparity.apis.vertex.job_states import Json

_PORT = 2222
_TENSORFLOW = ("chief", "worker", "ps", "evaluator")  # what TF_CONFIG calls the pools
_LOCAL = "127.0.0.1,localhost,::1"


@dataclass(frozen=True)
class Pool:
    """One worker pool. An empty command is the image's own; ``python`` has its packages, if any."""

    index: int
    image: str
    command: Sequence[str]
    arguments: Sequence[str]
    environment: Mapping[str, str]
    replicas: Sequence[str]  # host names
    python: Mapping[str, Any] | None


def pools_of(spec: Json) -> list[Pool]:
    """The pools that have replicas, in their order."""
    found = []
    for index, given in enumerate(spec.get("workerPoolSpecs", [])):
        number = replica_count(given)
        if number:
            found.append(_pool(index, given, [f"workerpool{index}-{each}" for each in range(number)]))
    return found


def replica_count(given: Json) -> int:
    """How many replicas a pool (JSON) has; none where it does not say, which is no other message than 0."""
    return int(given.get("replicaCount", 0))


def _pool(index: int, given: Json, replicas: Sequence[str]) -> Pool:
    python = given.get("pythonPackageSpec")
    contained = python or given.get("containerSpec", {})
    environment = {item["name"]: item.get("value", "") for item in contained.get("env", [])}
    if python is not None:
        return Pool(index, python["executorImageUri"], packages.command(python), (), environment, replicas, python)
    command, arguments = contained.get("command", []), contained.get("args", [])
    if (recognised := packages.recognised(contained)) is not None:
        python, command = recognised
    return Pool(index, contained["imageUri"], command, arguments, environment, replicas, python)


def replica_environment(spec: Json, pools: Sequence[Pool], pool: Pool, index: int, trial: str) -> dict[str, str]:
    """CLUSTER_SPEC and TF_CONFIG of one replica."""
    hosts = {each.index: [f"{name}:{_PORT}" for name in each.replicas] for each in pools}
    cluster: dict[str, Any] = {
        "cluster": {f"workerpool{number}": names for number, names in hosts.items()},
        "environment": "cloud",
        "task": {"type": f"workerpool{pool.index}", "index": index, **({"trial": trial} if trial else {})},
        "job": spec,
    }
    known = {number: names for number, names in hosts.items() if number < len(_TENSORFLOW)}
    tensorflow = {
        "cluster": {_TENSORFLOW[number]: names for number, names in known.items()},
        "environment": "cloud",
        "task": {"type": _TENSORFLOW[min(pool.index, len(_TENSORFLOW) - 1)], "index": index},
        "job": spec,
    }
    told = {"CLUSTER_SPEC": json.dumps(cluster), "TF_CONFIG": json.dumps(tensorflow)}
    names = [name for each in pools for name in each.replicas]
    if len(names) > 1:  # they call each other, without a proxy
        told |= dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join([_LOCAL, *names]))
    return told
