"""A container task as a job: what KFP's launcher does around the program.

The program finds its input artifacts as files, writes its output parameters and ``executor_output.json`` into the
task's folder, and everything in that folder is stored below the task's URI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlparity.engine.jobs import Instance, JobInput, JobOutput, JobSpec, LogStream, Retries
from mlparity.engine.process import Runtime
from mlparity.pipeline_ir import lightweight
from mlparity.pipeline_ir.definition import Component, Container
from mlparity.pipeline_ir.kubernetes import PodSettings
from mlparity.pipeline_ir.locations import METADATA_FILE, artifact_path, local_path, mount_roots
from mlparity.pipeline_ir.placeholders import Facts, Placeholders, as_json_text
from mlparity.pipeline_ir.quantities import quantity
from mlparity.pipeline_ir.root_runs import metadata_id
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskValues

METADATA = "executor_output"  # among a job's result files; those of parameters are "parameter:NAME"
PARAMETER = "parameter:"
_HOME = "/kfp-task"
_PROGRAM = f"{_HOME}/program/ephemeral_component.py"
_STARTER = f"{_HOME}/start/start_component.py"  # in a folder of its own: it comes first on the program's path
_FOLDER = f"{_HOME}/work"
_LONGEST = 7 * 86400  # seconds: Vertex's limit of a task, which KFP has none of
_GRACE = 30  # seconds: Kubernetes' own between SIGTERM and SIGKILL
_RESTARTS = 3  # how often a task that lost its worker, or the control plane, starts again


@dataclass(frozen=True)
class Launch:
    """One attempt of a container task."""

    component: Component
    container: Container
    inputs: TaskValues
    facts: Facts
    root: str  # URI of the task's own folder
    settings: PodSettings = field(default_factory=PodSettings)
    environment: Mapping[str, str] | None = None  # of every task of the run
    role: str = ""
    artifact_names: str = ""
    deadline_seconds: int = 0  # what is left of the whole run's; 0: no limit


def output_artifacts(component: Component, root: str) -> dict[str, ArtifactValue]:
    """The artifacts that a task is to make, before it has, with the ids that they will have."""
    return {
        name: ArtifactValue(
            name,
            f"{root}/{name}",
            declared.schema_title,
            declared.schema_version,
            declared.instance_schema,
            dict(declared.metadata),
            id=metadata_id(root, name),
        )
        for name, declared in component.outputs.artifacts.items()
    }


def output_files(component: Component, root: str) -> dict[str, str]:
    """Where a task writes its output parameters."""
    folder = local_path(root)
    return {name: f"{folder}/{name}" for name in component.outputs.parameters}


def placeholders_of(launch: Launch) -> Placeholders:
    """What the container's placeholders mean."""
    outputs = output_artifacts(launch.component, launch.root)
    files = output_files(launch.component, launch.root)
    metadata_file = f"{local_path(launch.root)}/{METADATA_FILE}"
    document = executor_input(launch, outputs, files, metadata_file)
    return Placeholders(
        launch.facts, launch.inputs, artifact_path, outputs, files, metadata_file, as_json_text(document)
    )


def job_spec(launch: Launch, log: LogStream, runtime_of: Callable[[str], Runtime]) -> JobSpec:
    """The job. In a real container every command runs as it is written.

    Raises ``TaskFailedError`` and ``InvalidPipelineError`` for what cannot be right, and what ``runtime_of`` raises.
    """
    texts = placeholders_of(launch)
    container, settings = launch.container, launch.settings
    image = texts.resolve(container.image)
    contained = runtime_of(image).kind == "container"
    program = None if contained else lightweight.recognise(container.command)
    arguments = texts.words(container.args)
    folder = local_path(launch.root)
    return JobSpec(
        image=image,
        command=(*_command(program, texts.words(container.command)), *arguments) if container.command else (),
        arguments=() if container.command else tuple(arguments),
        environment={
            **(launch.environment or {}),
            **({"_KFP_RUNTIME": "true"} if program else {}),
            **{name: texts.resolve(value) for name, value in container.environment.items()},
            **settings.environment,
        },
        instances=(Instance("main", log),),
        roots=tuple(_roots(launch)),
        role=launch.role,
        files={**settings.files, **({_PROGRAM: program.source, _STARTER: lightweight.starter()} if program else {})},
        folders=(folder, _FOLDER, *settings.folders),
        inputs=tuple(_inputs(launch.inputs)),
        outputs=(JobOutput("task", folder, launch.root),),
        working_directory="" if contained else _FOLDER,
        max_runtime_seconds=_limit(launch),
        stop_grace_seconds=_GRACE,
        result_files={
            METADATA: texts.metadata_file,
            **{f"{PARAMETER}{name}": path for name, path in texts.output_files.items()},
        },
        requirements=lightweight.requirements(program) if program else (),
        cpu_limit=float(quantity(texts.resolve(container.cpu_limit), "CPU limit")),
        memory_limit_bytes=int(quantity(texts.resolve(container.memory_limit), "memory limit")),
        retries=Retries(attempts=_RESTARTS),
    )


def _limit(launch: Launch) -> int:
    limits = (launch.settings.deadline_seconds, launch.deadline_seconds, _LONGEST)
    return min(limit for limit in limits if limit > 0)


def _command(program: lightweight.Program | None, words: Sequence[str]) -> Sequence[str]:
    if program is None:
        return words
    return ("python3", _STARTER, "--component_module_path", _PROGRAM)


def _roots(launch: Launch) -> list[str]:
    artifacts = [item for items in launch.inputs.artifacts.values() for item in items if not item.custom_path]
    mounts = mount_roots([launch.root, *(item.uri for item in artifacts)])
    return [_HOME, *mounts, *launch.settings.folders]


def _inputs(inputs: TaskValues) -> list[JobInput]:
    """Every input artifact once. One that has no file (metrics are metadata only) is none."""
    found = {item.uri: item for items in inputs.artifacts.values() for item in items if not item.custom_path}
    return [
        JobInput(f"input-{number}", uri, local_path(uri), kind="tree", required=False)
        for number, uri in enumerate(found)
    ]


def executor_input(
    launch: Launch, outputs: Mapping[str, ArtifactValue], files: Mapping[str, str], metadata_file: str
) -> dict[str, Any]:
    """KFP's ExecutorInput as JSON."""
    named = launch.artifact_names
    return {
        "inputs": {
            "parameterValues": dict(launch.inputs.parameters),
            "artifacts": {
                name: {"artifacts": [runtime_artifact(item, named) for item in items]}
                for name, items in launch.inputs.artifacts.items()
            },
        },
        "outputs": {
            "parameters": {name: {"outputFile": path} for name, path in files.items()},
            "artifacts": {name: {"artifacts": [runtime_artifact(item, named)]} for name, item in outputs.items()},
            "outputFile": metadata_file,
        },
    }


def runtime_artifact(artifact: ArtifactValue, named: str = "") -> dict[str, Any]:
    """KFP's RuntimeArtifact as JSON. ``named``: what an id follows in the name, where names are the store's."""
    kind = {"schemaTitle": artifact.schema_title}
    if artifact.schema_version:
        kind["schemaVersion"] = artifact.schema_version
    if artifact.instance_schema:
        kind = {"instanceSchema": artifact.instance_schema}
    document: dict[str, Any] = {
        "name": f"{named}{artifact.id}" if named and artifact.id else artifact.name,
        "type": kind,
        "uri": artifact.uri,
        "metadata": dict(artifact.metadata),
    }
    if artifact.custom_path:
        document["custom_path"] = artifact.custom_path
    return document
