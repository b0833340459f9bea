"""Reads the executors of a deployment: containers and importers. Everything else is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.pipeline_ir.definition import Artifact, Container, Importer
from mlparity.pipeline_ir.errors import InvalidPipelineError, UnsupportedPipelineError
from mlparity.pipeline_ir.values import integral

Json = Mapping[str, Any]


def read_executor(label: str, item: Json) -> Container | Importer:
    """One executor. Raises ``UnsupportedPipelineError`` for a kind that cannot run on this machine."""
    if "container" in item:
        return _container(label, item["container"])
    if "importer" in item:
        return _importer(item["importer"])
    if "customJob" in item:
        return _custom_job(label, item["customJob"])
    kind = next(iter(item), "nothing")
    raise UnsupportedPipelineError(
        f"executor {label} cannot be run: it is a {kind}", "containers, importers and custom jobs are known here"
    )


def _container(label: str, item: Json) -> Container:
    if not item.get("image"):
        raise InvalidPipelineError(f"executor {label} is invalid", "container.image is empty")
    if "lifecycle" in item:
        raise UnsupportedPipelineError(
            f"executor {label} cannot be run: it has a lifecycle hook", "preCacheCheck is not known here"
        )
    resources = item.get("resources", {})
    return Container(
        item["image"],
        tuple(item.get("command", ())),
        tuple(item.get("args", ())),
        {entry["name"]: entry.get("value", "") for entry in item.get("env", ())},
        cpu_limit=resources.get("resourceCpuLimit") or _text(resources.get("cpuLimit")),
        memory_limit=resources.get("resourceMemoryLimit") or _gigabytes(resources.get("memoryLimit")),
        accelerator=_accelerator(resources.get("accelerator", {})),
    )


def _accelerator(item: Json) -> str:
    """The type of accelerator that is asked for; "" where it is none of them."""
    count = item.get("resourceCount") or item.get("count") or "1"
    return "" if str(count) == "0" else str(item.get("resourceType") or item.get("type", ""))


def _text(number: float | None) -> str:
    return f"{number:g}" if number else ""


def _gigabytes(number: float | None) -> str:
    return f"{number:g}G" if number else ""


def _importer(item: Json) -> Importer:
    address = item.get("artifactUri", {})
    schema = item.get("typeSchema", {})
    constant = address.get("constant", address.get("constantValue", {}).get("stringValue", ""))
    return Importer(
        str(constant),
        uri_input=address.get("runtimeParameter", ""),
        artifact=Artifact(
            schema.get("schemaTitle") or "system.Artifact",
            schema.get("schemaVersion", ""),
            schema.get("instanceSchema", ""),
        ),
        metadata=integral(item.get("metadata", {})),
        reimport=item.get("reimport", False),
        to_workspace=item.get("downloadToWorkspace", False),
    )


def _custom_job(label: str, item: Json) -> Container:
    """A Vertex custom job of one machine: its container."""
    spec = item.get("customJob", {})
    pools = spec.get("jobSpec", spec).get("workerPoolSpecs", [])
    machines = sum(int(pool.get("replicaCount", 1)) for pool in pools)
    if len(pools) != 1 or machines != 1 or "containerSpec" not in pools[0]:
        raise UnsupportedPipelineError(
            f"executor {label} cannot be run: its custom job is not one container on one machine",
            f"it has {len(pools)} worker pools and {machines} machines",
        )
    container = pools[0]["containerSpec"]
    machine = pools[0].get("machineSpec", {})
    return Container(
        container["imageUri"],
        tuple(container.get("command", ())),
        tuple(container.get("args", ())),
        {entry["name"]: entry.get("value", "") for entry in container.get("env", ())},
        accelerator=machine.get("acceleratorType", "") if machine.get("acceleratorCount") else "",
    )
