"""Reads a compiled pipeline: YAML text or JSON into ``definition.Pipeline``, strictly."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.pipeline_ir import protobufs
from mlparity.pipeline_ir.definition import (
    ROOT,
    Artifact,
    Component,
    Dag,
    Interface,
    Iterator,
    Parameter,
    Pipeline,
    Retry,
    Selector,
    Source,
    SourceKind,
    Task,
)
from mlparity.pipeline_ir.errors import InvalidPipelineError, UnsupportedPipelineError
from mlparity.pipeline_ir.executors import read_executor
from mlparity.pipeline_ir.values import integral, parse_items

Json = Mapping[str, Any]
_MOST_DOCUMENTS = 2
_REMEMBERED = 32  # pipelines
_OLD_TYPES = {"INT": "NUMBER_INTEGER", "DOUBLE": "NUMBER_DOUBLE", "STRING": "STRING"}


def read_documents(text: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A compiled file: the PipelineSpec, and the PlatformSpec where a second YAML document holds one.

    Raises ``InvalidPipelineError`` for anything else.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents = [item for item in yaml.load_all(text, Loader=loader) if item is not None]
    except yaml.YAMLError as error:
        raise InvalidPipelineError("the pipeline file is no YAML", str(error)) from error
    if not 1 <= len(documents) <= _MOST_DOCUMENTS or not all(isinstance(item, dict) for item in documents):
        raise InvalidPipelineError(
            "the pipeline file is not as compiled", "it must hold a PipelineSpec, and perhaps a PlatformSpec after it"
        )
    return documents[0], documents[1] if len(documents) > 1 else None


def read_pipeline(spec: Json, platform_spec: Json | None = None) -> Pipeline:
    """Check the messages strictly and build the values. Raises ``InvalidPipelineError``.

    Equal files are read once: a pipeline is checked, started and run soon after.
    """
    try:
        return _read(json.dumps(spec), json.dumps(platform_spec or {}))
    except KeyError as error:
        raise InvalidPipelineError("the PipelineSpec is invalid", f"a field is missing: {error.args[0]}") from error
    except (TypeError, ValueError) as error:  # what YAML has and JSON has not, as a date without quotes
        raise InvalidPipelineError("the PipelineSpec is invalid", str(error)) from error


@functools.lru_cache(maxsize=_REMEMBERED)
def _read(spec: str, platform_spec: str) -> Pipeline:
    return _read_parsed(json.loads(spec), json.loads(platform_spec))


def _read_parsed(spec: Json, platform_spec: Json) -> Pipeline:
    document = protobufs.canonical(protobufs.PIPELINE_SPEC, spec, "the PipelineSpec")
    deployment = protobufs.canonical(protobufs.DEPLOYMENT, document.get("deploymentSpec", {}), "deploymentSpec")
    info = document.get("pipelineInfo", {})
    if not info.get("name"):
        raise InvalidPipelineError("the PipelineSpec is invalid", "pipelineInfo.name is empty")
    if not document.get("root", {}).get("dag", {}).get("tasks"):
        raise InvalidPipelineError("the PipelineSpec is invalid", "root.dag has no tasks")
    version = document.get("schemaVersion", "")
    if version and not version.startswith("2."):
        raise UnsupportedPipelineError(f"the pipeline's schemaVersion is {version}", "2.0.0 and 2.1.0 are known here")
    platform = _read_platform(platform_spec)
    return Pipeline(
        name=info["name"],
        root=_read_component(ROOT, document["root"]),
        components={name: _read_component(name, item) for name, item in document.get("components", {}).items()},
        executors={label: read_executor(label, item) for label, item in deployment.get("executors", {}).items()},
        kubernetes=_kubernetes_executors(platform),
        display_name=info.get("displayName", ""),
        description=info.get("description", ""),
        default_root=document.get("defaultPipelineRoot", ""),
        deadline_seconds=int(platform.get("pipelineConfig", {}).get("activeDeadlineSeconds", 0)),
        notes=_platform_notes(platform),
    )


def _read_platform(platform_spec: Json) -> dict[str, Any]:
    if not platform_spec:
        return {}
    document = protobufs.canonical(protobufs.PLATFORM_SPEC, platform_spec, "the PlatformSpec")
    platforms: dict[str, Any] = document.get("platforms", {})
    foreign = sorted(set(platforms) - {"kubernetes"})
    if foreign:
        raise UnsupportedPipelineError(
            f"the platform {foreign[0]!r} of the PlatformSpec cannot be honoured here", "only kubernetes is known"
        )
    found: dict[str, Any] = platforms.get("kubernetes", {})
    if "workspace" in found.get("pipelineConfig", {}):
        raise UnsupportedPipelineError(
            "the pipeline's workspace cannot be provided here", "pipelineConfig.workspace is a Kubernetes volume"
        )
    return found


def _platform_notes(platform: Json) -> tuple[str, ...]:
    ignored = sorted(name for name in platform.get("pipelineConfig", {}) if name.startswith("resourceTtl"))
    return tuple(f"pipelineConfig.{name} is ignored: there are no pods to keep" for name in ignored)


def _kubernetes_executors(platform: Json) -> dict[str, Json]:
    executors = platform.get("deploymentSpec", {}).get("executors", {})
    return {
        label: protobufs.canonical(protobufs.KUBERNETES_EXECUTOR, item, f"the PlatformSpec of {label}")
        for label, item in executors.items()
    }


def _read_component(name: str, item: Json) -> Component:
    return Component(
        name,
        _read_interface(item.get("inputDefinitions", {})),
        _read_interface(item.get("outputDefinitions", {})),
        dag=_read_dag(item["dag"]) if "dag" in item else None,
        executor=item.get("executorLabel", ""),
    )


def _read_interface(item: Json) -> Interface:
    return Interface(
        {name: _read_parameter(entry) for name, entry in item.get("parameters", {}).items()},
        {name: _read_artifact(entry) for name, entry in item.get("artifacts", {}).items()},
    )


def _read_parameter(item: Json) -> Parameter:
    return Parameter(
        item.get("parameterType") or _OLD_TYPES.get(item.get("type", ""), "STRING"),
        optional=item.get("isOptional", False),
        has_default="defaultValue" in item,
        default=integral(item.get("defaultValue")),
        literals=tuple(integral(value) for value in item.get("literals", ())),
    )


def _read_artifact(item: Json) -> Artifact:
    schema = item.get("artifactType", {})
    return Artifact(
        schema.get("schemaTitle") or schema.get("schemaUri") or _title_of(schema.get("instanceSchema", "")),
        schema.get("schemaVersion", ""),
        schema.get("instanceSchema", ""),
        is_list=item.get("isArtifactList", False),
        optional=item.get("isOptional", False),
        metadata=integral(item.get("metadata", {})),
    )


def _title_of(instance_schema: str) -> str:
    """The title in a schema's own YAML text, as in "title: kfp.Dataset"."""
    for line in instance_schema.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "title" and value.strip():
            return value.strip()
    return "system.Artifact"


def _read_dag(item: Json) -> Dag:
    outputs = item.get("outputs", {})
    return Dag(
        {name: _read_task(name, entry) for name, entry in sorted(item.get("tasks", {}).items())},
        {name: _parameter_selectors(entry) for name, entry in outputs.get("parameters", {}).items()},
        {
            name: tuple(
                Selector(selector["producerSubtask"], selector["outputArtifactKey"])
                for selector in entry.get("artifactSelectors", ())
            )
            for name, entry in outputs.get("artifacts", {}).items()
        },
    )


def _parameter_selectors(entry: Json) -> Sequence[Selector]:
    single = entry.get("valueFromParameter")
    selectors = [single] if single else entry.get("valueFromOneof", {}).get("parameterSelectors", ())
    return tuple(Selector(item["producerSubtask"], item["outputParameterKey"]) for item in selectors)


def _read_task(name: str, item: Json) -> Task:
    inputs, trigger, caching = (item.get(key, {}) for key in ("inputs", "triggerPolicy", "cachingOptions"))
    return Task(
        name,
        item.get("componentRef", {}).get("name", ""),
        display_name=item.get("taskInfo", {}).get("name", "") or name,
        parameters={key: _parameter_source(name, key, entry) for key, entry in inputs.get("parameters", {}).items()},
        artifacts={key: _artifact_source(entry) for key, entry in inputs.get("artifacts", {}).items()},
        after=tuple(item.get("dependentTasks", ())),
        condition=trigger.get("condition", ""),
        whatever_happened=trigger.get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED",
        cached=caching.get("enableCache", False),
        cache_key=caching.get("cacheKey", ""),
        iterator=_read_iterator(name, item),
        retry=_read_retry(item["retryPolicy"]) if "retryPolicy" in item else None,
    )


def _parameter_source(task: str, key: str, item: Json) -> Source:
    expression = item.get("parameterExpressionSelector", "")
    if "taskOutputParameter" in item:
        output = item["taskOutputParameter"]
        kind, name, producer = SourceKind.TASK_OUTPUT, output["outputParameterKey"], output["producerTask"]
        return Source(kind, key=name, producer=producer, expression=expression)
    if "taskFinalStatus" in item:
        return Source(SourceKind.FINAL_STATUS, producer=item["taskFinalStatus"]["producerTask"], expression=expression)
    if "componentInputParameter" in item:
        return Source(SourceKind.COMPONENT_INPUT, key=item["componentInputParameter"], expression=expression)
    value = item.get("runtimeValue", {})
    if "runtimeParameter" in value:
        raise UnsupportedPipelineError(
            f"task {task} cannot be run: its input {key} is a runtimeParameter",
            "schema 2.0.0's runtime parameters of tasks are not known here",
            "compile the pipeline with KFP SDK 2",
        )
    return Source(SourceKind.CONSTANT, value=constant(value), expression=expression)


def constant(item: Json) -> Any:
    """The value of a ValueOrRuntimeParameter that is constant, in either of its forms."""
    if "constant" in item:
        return integral(item["constant"])
    old = item.get("constantValue", {})
    if "intValue" in old:
        return int(old["intValue"])  # 64-bit integers are strings in protobuf's JSON
    return old.get("doubleValue", old.get("stringValue"))


def _artifact_source(item: Json) -> Source:
    if "taskOutputArtifact" in item:
        output = item["taskOutputArtifact"]
        return Source(SourceKind.TASK_OUTPUT, key=output["outputArtifactKey"], producer=output["producerTask"])
    return Source(SourceKind.COMPONENT_INPUT, key=item.get("componentInputArtifact", ""))


def _read_iterator(task: str, item: Json) -> Iterator | None:
    limit = int(item.get("iteratorPolicy", {}).get("parallelismLimit", 0))
    if "parameterIterator" in item:
        entry = item["parameterIterator"]
        items = entry.get("items", {})
        raw = items.get("raw")
        values = parse_items(raw, f"parameterIterator.items.raw of task {task}") if raw is not None else None
        return Iterator(entry.get("itemInput", ""), values, items.get("inputParameter", ""), parallelism=limit)
    if "artifactIterator" in item:
        entry = item["artifactIterator"]
        source = entry.get("items", {}).get("inputArtifact", "")
        return Iterator(entry.get("itemInput", ""), None, source, over_artifacts=True, parallelism=limit)
    return None


def _read_retry(item: Json) -> Retry:
    return Retry(
        int(item.get("maxRetryCount", 0)),
        backoff=_seconds(item.get("backoffDuration", "0s")),
        factor=float(item.get("backoffFactor", 0)) or 2.0,
        max_backoff=_seconds(item.get("backoffMaxDuration", "0s")) or 3600.0,
    )


def _seconds(duration: str) -> float:
    """Protobuf's JSON of a Duration: "1.5s"."""
    return float(duration.removesuffix("s"))
