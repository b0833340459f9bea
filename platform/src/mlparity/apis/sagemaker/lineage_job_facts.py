"""What SageMaker tracks of each kind of job: its image, inputs, outputs and parameters.

https://docs.aws.amazon.com/sagemaker/latest/dg/lineage-tracking-auto-creation.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker.job_status import failure_reason, job_status, secondary_status
from mlparity.apis.sagemaker.training_contract import model_uri
from mlparity.engine.jobs import Job

DATA_SET, MODEL, IMAGE, CHECKPOINT = "DataSet", "Model", "Image", "Checkpoint"
_TEXT_LIMIT = 2500
_MESSAGE_LIMIT = 1024
_MEDIA_TYPE = re.compile(r"[-\w]+/[-\w+]+")


@dataclass(frozen=True)
class TrackedArtifact:
    """One thing that a job took or made. ``name`` is its name in the trial component."""

    name: str
    uri: str
    kind: str
    media_type: str = ""

    def described(self) -> dict[str, str]:
        """As a trial component shows it."""
        if _MEDIA_TYPE.fullmatch(self.media_type):
            return {"Value": self.uri, "MediaType": self.media_type}
        return {"Value": self.uri}


@dataclass(frozen=True)
class JobFacts:
    """One job, as the graph tells of it."""

    image: str
    inputs: Sequence[TrackedArtifact]
    outputs: Sequence[TrackedArtifact]
    parameters: Mapping[str, Any]
    message: str


@dataclass(frozen=True)
class TrackedKind:
    """A kind of job that has trial components."""

    kind: str  # the type of its vertex: "TrainingJob"
    arn_kind: str  # "training-job"
    facts: Callable[[Job], JobFacts]

    @property
    def suffix(self) -> str:
        """What follows the job's name in its component's."""
        return f"-aws-{self.arn_kind}"

    @property
    def source_type(self) -> str:
        """The component's ``Source.SourceType``."""
        return f"SageMaker{self.kind}"


def _training(job: Job) -> JobFacts:
    request = job.request
    stored = job.results.get("outputs", {})
    inputs = [
        TrackedArtifact(
            channel["ChannelName"],
            channel["DataSource"]["S3DataSource"]["S3Uri"],
            DATA_SET,
            channel.get("ContentType", ""),
        )
        for channel in request.get("InputDataConfig") or ()
        if "S3DataSource" in channel.get("DataSource", {})
    ]
    outputs = [TrackedArtifact("SageMaker.ModelArtifact", model_uri(request), MODEL)] if "model" in stored else []
    checkpoint = request.get("CheckpointConfig")
    if checkpoint and "checkpoints" in stored:
        outputs.append(TrackedArtifact("SageMaker.Checkpoint", checkpoint["S3Uri"], CHECKPOINT))
    image = request["AlgorithmSpecification"].get("TrainingImage", "")
    parameters = {name: _number_or_text(value) for name, value in (request.get("HyperParameters") or {}).items()}
    parameters |= {"SageMaker.ImageUri": {"StringValue": image}, **_machines(request.get("ResourceConfig", {}))}
    return JobFacts(
        image,
        inputs,
        outputs,
        parameters,
        _one_line(
            f"Status: {job_status(job)}, secondary status: {secondary_status(job)}, failure reason: {_reason(job)}.",
            _MESSAGE_LIMIT,
        ),
    )


def _processing(job: Job) -> JobFacts:
    request = job.request
    stored = job.results.get("outputs", {})
    targets = (request.get("ProcessingOutputConfig") or {}).get("Outputs", ())
    return JobFacts(
        request["AppSpecification"]["ImageUri"],
        [
            TrackedArtifact(item["InputName"], item["S3Input"]["S3Uri"], DATA_SET)
            for item in request.get("ProcessingInputs") or ()
            if "S3Input" in item
        ],
        [
            TrackedArtifact(item["OutputName"], item["S3Output"]["S3Uri"], DATA_SET)
            for item in targets
            if "S3Output" in item and item["OutputName"] in stored
        ],
        {
            **{name: _number_or_text(value) for name, value in (request.get("Environment") or {}).items()},
            **_machines(request["ProcessingResources"]["ClusterConfig"]),
        },
        _one_line(
            f"Status: {job_status(job)}, exit message: {job.results.get('message') or 'null'}, "
            f"failure reason: {_reason(job)}",
            _MESSAGE_LIMIT,
        ),
    )


def _transform(job: Job) -> JobFacts:
    request = job.request
    source = request["TransformInput"]
    outputs = []
    if job.results.get("outputs"):
        target = request["TransformOutput"]
        outputs = [
            TrackedArtifact("SageMaker.TransformOutput", target["S3OutputPath"], DATA_SET, target.get("Accept", ""))
        ]
    uri = source["DataSource"]["S3DataSource"]["S3Uri"]
    inputs = [TrackedArtifact("SageMaker.TransformInput", uri, DATA_SET, source.get("ContentType", ""))]
    parameters = {"SageMaker.ModelName": {"StringValue": request["ModelName"]}}
    message = _one_line(f"Status: {job_status(job)}, failure reason: {_reason(job)}", _MESSAGE_LIMIT)
    return JobFacts(
        job.spec.image, inputs, outputs, {**parameters, **_machines(request["TransformResources"])}, message
    )


def _machines(resources: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("InstanceCount", "VolumeSizeInGB"):
        if name in resources:
            found[f"SageMaker.{name}"] = {"NumberValue": float(resources[name])}
    if "InstanceType" in resources:
        found["SageMaker.InstanceType"] = {"StringValue": resources["InstanceType"]}
    return found


def _number_or_text(value: str) -> dict[str, Any]:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    return {"NumberValue": number} if math.isfinite(number) else {"StringValue": _one_line(value, _TEXT_LIMIT)}


def _one_line(text: str, limit: int) -> str:
    """As the model wants these texts: its pattern matches no line break."""
    return " ".join(text.splitlines())[:limit]


def _reason(job: Job) -> str:
    return failure_reason(job) or "null"


TRACKED: Mapping[str, TrackedKind] = {
    item.kind: item
    for item in (
        TrackedKind("TrainingJob", "training-job", _training),
        TrackedKind("ProcessingJob", "processing-job", _processing),
        TrackedKind("TransformJob", "transform-job", _transform),
    )
}
