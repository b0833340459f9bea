"""AddTags, ListTags, DeleteTags, and tags given at creation."""

from __future__ import annotations

import re

from mlparity.apis.sagemaker.arns import execution_id_of, model_package_of
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import NotFoundError

_PAGE = 50
_LIMIT = 50
# How ARNs name what can have tags, and how it is stored.
_JOBS = {"training-job": "TrainingJob", "processing-job": "ProcessingJob", "transform-job": "TransformJob"}
_DOCUMENTS = {
    "pipeline": "Pipeline",
    "model": "Model",
    "endpoint-config": "EndpointConfig",
    "monitoring-schedule": "MonitoringSchedule",
    "data-quality-job-definition": "DataQualityJobDefinition",
    "model-quality-job-definition": "ModelQualityJobDefinition",
    "mlflow-tracking-server": "MlflowTrackingServer",
    "mlflow-app": "MlflowApp",
}
_LINEAGE = {"artifact", "action", "context", "experiment", "experiment-trial", "experiment-trial-component"}


def set_on_create(api: SageMaker, arn: str, request: Request) -> None:
    """Store the ``Tags`` of a create request."""
    api.tags.add(arn, {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())})


def add(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """AddTags."""
    arn = request["ResourceArn"]
    _require_resource(api, arn)
    new = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    if any(key.lower().startswith("aws:") for key in new):
        raise validation("aws: prefixed tag key names are not allowed for external use.")
    if len({**api.tags.get(arn), **new}) > _LIMIT:
        raise validation(f"The number of tags on {arn} would exceed {_LIMIT}")
    return {"Tags": _rendered(api.tags.add(arn, new))}


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListTags."""
    arn = request["ResourceArn"]
    _require_resource(api, arn)
    tags = _rendered(api.tags.get(arn))
    start = int(request["NextToken"]) if request.get("NextToken", "").isdigit() else 0
    if "NextToken" in request and not request["NextToken"].isdigit():
        raise validation("Invalid pagination token")
    end = start + request.get("MaxResults", _PAGE)
    response: Response = {"Tags": tags[start:end]}
    if end < len(tags):
        response["NextToken"] = str(end)
    return response


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteTags."""
    arn = request["ResourceArn"]
    _require_resource(api, arn)
    api.tags.remove(arn, request["TagKeys"])
    return {}


def _rendered(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _require_resource(api: SageMaker, arn: str) -> None:
    """Refuse ARNs of what does not exist, as SageMaker does."""
    match = re.fullmatch(r"arn:[^:]+:sagemaker:([^:]*):([^:]*):([a-z-]+)/(.+)", arn)
    if match is None:
        raise validation(f"Invalid ARN: {arn}")
    region, account, kind, name = match.groups()
    if (region, account) != (api.arns.region, api.arns.account_id):
        raise validation(f"The ARN {arn} is of another account or region")
    try:
        _find(api, kind, name, arn)
    except NotFoundError:
        raise validation(f"Could not find resource {arn}") from None


def _find(api: SageMaker, kind: str, name: str, arn: str) -> None:
    if kind == "pipeline" and "/execution/" in name:
        api.runs.repository.get(execution_id_of(arn)[1])
    elif kind in _JOBS:
        api.jobs.repository.find(API, _JOBS[kind], name)
    elif kind in _DOCUMENTS:
        api.documents.get(_DOCUMENTS[kind], name)
    elif kind in _LINEAGE:
        api.lineage.get(arn)
    elif kind == "hyper-parameter-tuning-job":
        api.tunings.repository.find(API, "HyperParameterTuningJob", name)
    elif kind == "endpoint":
        api.hosting.endpoints.get(API, name)
    elif kind == "model-package-group":
        api.registry.group(name)
    elif kind == "model-package":
        api.registry.version(*model_package_of(arn))
    else:
        raise not_served(f"tagging a {kind}")


OPERATIONS = (
    Operation("AddTags", add),
    Operation("ListTags", list_),
    Operation("DeleteTags", delete),
)
