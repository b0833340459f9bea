"""A task that imports an artifact: it must exist, and is registered."""

from __future__ import annotations

from dataclasses import dataclass

from mlparity.engine.jobs import Job
from mlparity.engine.runs import StepContext, StepStatus, StepUpdate
from mlparity.errors import InvalidRequestError, StorageError
from mlparity.pipeline_ir.definition import Importer
from mlparity.pipeline_ir.errors import TaskFailedError
from mlparity.pipeline_ir.locations import artifact_path
from mlparity.pipeline_ir.placeholders import Placeholders
from mlparity.pipeline_ir.plans import FAULT
from mlparity.pipeline_ir.task_context import LazyMeans, TaskAt, task_at
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskState, TaskValues
from mlparity.storage.base import ObjectStore
from mlparity.storage.uris import parse_uri


@dataclass(frozen=True)
class ImporterStep:
    """Ends at once. Without ``reimport`` an equal artifact that is known already is taken."""

    means: LazyMeans

    def start(self, context: StepContext) -> StepUpdate:
        """Look for the object, and register it."""
        means = self.means()
        at = task_at(means, context)
        inputs = at.inputs()
        if not at.is_wanted(inputs):
            return StepUpdate(StepStatus.SKIPPED)
        details = {"inputs": inputs.to_json()}
        record = at.record(inputs)
        importer = at.root.pipeline.importer(at.component)
        try:
            artifact = imported(importer, at, inputs)
            check_exists(means.store, artifact.uri)
        except TaskFailedError as error:
            means.recorder.task_ended(at.root, record, TaskState.FAILED, TaskValues(), str(error))
            return StepUpdate(StepStatus.FAILED, failure_reason=str(error), fault=FAULT, details=details)
        known = means.recorder.artifact_imported(at.root, record.execution_id, artifact, anew=importer.reimport)
        name = next(iter(at.component.outputs.artifacts), "artifact")
        outputs = TaskValues(artifacts={name: (known,)})
        means.recorder.task_ended(at.root, record, TaskState.SUCCEEDED, outputs)
        return StepUpdate(StepStatus.SUCCEEDED, outputs=outputs.to_json(), details=details)

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:  # noqa: ARG002
        """Never: it has no job."""
        return StepUpdate(context.step.status)

    def stop(self, context: StepContext) -> None:
        """Nothing runs."""


def imported(importer: Importer, at: TaskAt, inputs: TaskValues) -> ArtifactValue:
    """The artifact that an importer is to register. Raises ``TaskFailedError``."""
    texts = Placeholders(at.facts, inputs, artifact_path, {}, {})
    uri = str(inputs.parameters.get(importer.uri_input, "")) if importer.uri_input else texts.resolve(importer.uri)
    metadata = texts.resolve_all(dict(importer.metadata))
    kind = importer.artifact
    name = next(iter(at.component.outputs.artifacts), "artifact")
    return ArtifactValue(name, uri, kind.schema_title, kind.schema_version, kind.instance_schema, metadata)


def check_exists(store: ObjectStore, uri: str) -> None:
    """Raise ``TaskFailedError`` unless an object, or a folder of objects, lies at ``uri``."""
    try:
        bucket, key = parse_uri(uri)
    except InvalidRequestError as error:
        raise TaskFailedError(f"the artifact {uri!r} cannot be imported", error.why) from error
    prefix = key.rstrip("/")
    try:
        listing = store.list(bucket, prefix, limit=1000)
    except StorageError as error:
        raise TaskFailedError(f"the artifact {uri} cannot be imported", str(error)) from error
    if not any(item.key == key or not prefix or item.key.startswith(f"{prefix}/") for item in listing.objects):
        raise TaskFailedError(f"the artifact {uri} cannot be imported", "nothing is stored there")
