"""MLflow tracking servers: records that stand for the stack's MLflow. One exists from the start, named as the profile.

https://docs.aws.amazon.com/sagemaker/latest/dg/mlflow.html
"""

from __future__ import annotations

import re

from mlparity.apis.sagemaker import mlflow_resources as resources
from mlparity.apis.sagemaker import tags
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import conflict, not_served
from mlparity.apis.sagemaker.mlflow_resources import SERVER
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import ConflictError
from mlparity.state.documents import Document

_USUAL = {
    "TrackingServerSize": "Small",
    "AutomaticModelRegistration": False,
    "WeeklyMaintenanceWindowStart": "Sun:03:30",
}
_KEPT = (
    "ArtifactStoreUri",
    "TrackingServerSize",
    "RoleArn",
    "AutomaticModelRegistration",
    "WeeklyMaintenanceWindowStart",
    "S3BucketOwnerAccountId",
    "S3BucketOwnerVerification",
)
_CHANGEABLE = tuple(name for name in _KEPT if name != "RoleArn")


def ensure_default(api: SageMaker, profile: str, artifact_store: str, role_arn: str) -> None:
    """Make the server that is there from the start, in a profile that has MLflow."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", profile).strip("-") or "mlparity"
    if not api.mlflow_url or any(record.name == name for record in resources.listed(api, SERVER, {}, _any)[0]):
        return
    body = {**_USUAL, "ArtifactStoreUri": artifact_store, "RoleArn": role_arn, "Status": "Created"}
    try:
        api.documents.create(SERVER, name, {**body, "CreatedBy": {}, "LastModifiedBy": {}})
    except ConflictError:
        return


def _any(_record: Document) -> bool:
    return True


def arn(api: SageMaker, name: str) -> str:
    """A server's ARN."""
    return api.arns.of("mlflow-tracking-server", name)


def create(api: SageMaker, request: Request, caller: Caller) -> Response:
    """CreateMlflowTrackingServer: Created at once."""
    resources.require_mlflow(api)
    resources.require_bucket(api, request["ArtifactStoreUri"])
    _require_version(request)
    if request.get("AutomaticModelRegistration"):
        raise not_served("AutomaticModelRegistration")
    name = request["TrackingServerName"]
    body = {**_USUAL, **{key: request[key] for key in _KEPT if key in request}, "Status": "Created"}
    try:
        with api.transaction():
            api.documents.create(SERVER, name, {**body, **resources.signed(caller)})
            tags.set_on_create(api, arn(api, name), request)
    except ConflictError:
        raise conflict(f"Tracking server {name} already exists.") from None
    return {"TrackingServerArn": arn(api, name)}


def _require_version(request: Request) -> None:
    wanted, here = request.get("MlflowVersion"), resources.mlflow_version()
    if wanted is not None and wanted.split(".")[0] != here.split(".")[0]:
        raise not_served(f"MlflowVersion {wanted}: MLflow {here} is installed here")


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeMlflowTrackingServer."""
    return render(api, resources.find(api, SERVER, request["TrackingServerName"]))


def render(api: SageMaker, record: Document) -> Response:
    """A server as Describe shows it."""
    return {
        **resources.described(record),
        "TrackingServerArn": arn(api, record.name),
        "TrackingServerName": record.name,
        "TrackingServerStatus": record.body["Status"],
        "IsActive": "Inactive" if record.body["Status"] == "Stopped" else "Active",
        "TrackingServerUrl": api.mlflow_url,
    }


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListMlflowTrackingServers."""

    def wanted(record: Document) -> bool:
        return bool(request.get("TrackingServerStatus", record.body["Status"]) == record.body["Status"])

    items, token = resources.listed(api, SERVER, request, wanted)
    response: Response = {"TrackingServerSummaries": [_summary(api, item) for item in items]}
    return {**response, "NextToken": token} if token else response


def _summary(api: SageMaker, record: Document) -> Response:
    shown = (
        "TrackingServerArn",
        "TrackingServerName",
        "CreationTime",
        "LastModifiedTime",
        "TrackingServerStatus",
        "IsActive",
        "MlflowVersion",
    )
    rendered = render(api, record)
    return {name: rendered[name] for name in shown}


def update(api: SageMaker, request: Request, caller: Caller) -> Response:
    """UpdateMlflowTrackingServer: one that runs."""
    changes = {key: request[key] for key in _CHANGEABLE if key in request}
    if changes.get("AutomaticModelRegistration"):
        raise not_served("AutomaticModelRegistration")
    if "ArtifactStoreUri" in changes:
        resources.require_bucket(api, changes["ArtifactStoreUri"])
    return _move(api, request, caller, {**changes, "Status": "Updated"}, active=True)


def start(api: SageMaker, request: Request, caller: Caller) -> Response:
    """StartMlflowTrackingServer: one that is stopped."""
    return _move(api, request, caller, {"Status": "Started"}, active=False)


def stop(api: SageMaker, request: Request, caller: Caller) -> Response:
    """StopMlflowTrackingServer: one that runs. Jobs that name it are refused from then on."""
    return _move(api, request, caller, {"Status": "Stopped"}, active=True)


def _move(api: SageMaker, request: Request, caller: Caller, changes: Response, *, active: bool) -> Response:
    with api.transaction():
        record = resources.find(api, SERVER, request["TrackingServerName"])
        if (record.body["Status"] != "Stopped") is not active:
            raise conflict(f"Tracking server {record.name} is in status {record.body['Status']}.")
        api.documents.merge(SERVER, record.name, {**changes, "LastModifiedBy": caller.user_context()})
    return {"TrackingServerArn": arn(api, record.name)}


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteMlflowTrackingServer: forgets the record. What was logged stays."""
    name = resources.find(api, SERVER, request["TrackingServerName"]).name
    with api.transaction():
        api.documents.delete(SERVER, name)
        api.tags.remove(arn(api, name))
    return {"TrackingServerArn": arn(api, name)}


def presigned_url(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """CreatePresignedMlflowTrackingServerUrl."""
    record = resources.find(api, SERVER, request["TrackingServerName"])
    if record.body["Status"] == "Stopped":
        raise conflict(f"Tracking server {record.name} is in status Stopped.")
    return {"AuthorizedUrl": resources.authorized_url(api)}


OPERATIONS = (
    Operation("CreateMlflowTrackingServer", create, f"{resources.SHARED}; no automatic model registration"),
    Operation("DescribeMlflowTrackingServer", describe),
    Operation("ListMlflowTrackingServers", list_),
    Operation("UpdateMlflowTrackingServer", update, "the artifact store and the size are kept, and change nothing"),
    Operation(
        "DeleteMlflowTrackingServer", delete, "what was logged stays; the first server comes back at the next start"
    ),
    Operation("StartMlflowTrackingServer", start),
    Operation("StopMlflowTrackingServer", stop, "jobs that name it are refused; the shared MLflow still answers"),
    Operation("CreatePresignedMlflowTrackingServerUrl", presigned_url, "the URL needs no token and does not expire"),
)
