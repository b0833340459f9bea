"""MLflow apps: the serverless kind of tracking server. Records that stand for the stack's MLflow."""

from __future__ import annotations

from mlparity.apis.sagemaker import mlflow_resources as resources
from mlparity.apis.sagemaker import tags
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import not_served
from mlparity.apis.sagemaker.mlflow_resources import APP
from mlparity.apis.sagemaker.operation import Operation
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest

_USUAL = {
    "ModelRegistrationMode": "AutoModelRegistrationDisabled",
    "AccountDefaultStatus": "DISABLED",
    "DefaultDomainIdList": [],
    "WeeklyMaintenanceWindowStart": "Sun:03:30",
}
_CHANGEABLE = (
    "Name",
    "ArtifactStoreUri",
    "ModelRegistrationMode",
    "WeeklyMaintenanceWindowStart",
    "DefaultDomainIdList",
    "AccountDefaultStatus",
)
_ID_LENGTH = 12
_ALL = 10_000


def create(api: SageMaker, request: Request, caller: Caller) -> Response:
    """CreateMlflowApp: Created at once. Its name is not in its ARN."""
    resources.require_mlflow(api)
    resources.require_bucket(api, request["ArtifactStoreUri"])
    _refuse_registration(request)
    kept = (*_CHANGEABLE, "RoleArn", "KmsKeyId")
    body = {**_USUAL, **{key: request[key] for key in kept if key in request}, "Status": "Created"}
    app_id = f"app-{api.ids.token(_ID_LENGTH).upper()}"
    arn = api.arns.of("mlflow-app", app_id)
    with api.transaction():
        _one_default(api, body, app_id)
        api.documents.create(APP, app_id, {**body, **resources.signed(caller)})
        tags.set_on_create(api, arn, request)
    return {"Arn": arn}


def _refuse_registration(request: Request) -> None:
    if request.get("ModelRegistrationMode") == "AutoModelRegistrationEnabled":
        raise not_served("ModelRegistrationMode AutoModelRegistrationEnabled")


def _one_default(api: SageMaker, body: Response, app_id: str) -> None:
    """The account has one default app: the one that became it last."""
    if body.get("AccountDefaultStatus") != "ENABLED":
        return
    for record in api.documents.list(APP, DocumentFilter(), PageRequest("name", descending=False, limit=_ALL)).items:
        if record.name != app_id and record.body["AccountDefaultStatus"] == "ENABLED":
            api.documents.merge(APP, record.name, {"AccountDefaultStatus": "DISABLED"})


def _find(api: SageMaker, request: Request) -> Document:
    return resources.find(api, APP, request["Arn"].rpartition("/")[2])


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeMlflowApp."""
    return render(api, _find(api, request))


def render(api: SageMaker, record: Document) -> Response:
    """An app as Describe shows it."""
    return {
        **resources.described(record),
        "Arn": api.arns.of("mlflow-app", record.name),
        "Status": record.body["Status"],
    }


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListMlflowApps."""

    def wanted(record: Document) -> bool:
        body = record.body
        domain = request.get("DefaultForDomainId")
        return (
            request.get("Status", body["Status"]) == body["Status"]
            and request.get("AccountDefaultStatus", body["AccountDefaultStatus"]) == body["AccountDefaultStatus"]
            and (domain is None or domain in body["DefaultDomainIdList"])
        )

    items, token = resources.listed(api, APP, request, wanted)
    response: Response = {"Summaries": [_summary(api, item) for item in items]}
    return {**response, "NextToken": token} if token else response


def _summary(api: SageMaker, record: Document) -> Response:
    rendered = render(api, record)
    shown = ("Arn", "Name", "Status", "CreationTime", "LastModifiedTime", "MlflowVersion")
    return {name: rendered[name] for name in shown}


def update(api: SageMaker, request: Request, caller: Caller) -> Response:
    """UpdateMlflowApp."""
    record = _find(api, request)
    changes = {key: request[key] for key in _CHANGEABLE if key in request}
    _refuse_registration(request)
    if "ArtifactStoreUri" in changes:
        resources.require_bucket(api, changes["ArtifactStoreUri"])
    with api.transaction():
        _one_default(api, changes, record.name)
        signed = {"Status": "Updated", "LastModifiedBy": caller.user_context()}
        api.documents.merge(APP, record.name, {**changes, **signed})
    return {"Arn": api.arns.of("mlflow-app", record.name)}


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteMlflowApp: forgets the record. What was logged stays."""
    record = _find(api, request)
    arn = api.arns.of("mlflow-app", record.name)
    with api.transaction():
        api.documents.delete(APP, record.name)
        api.tags.remove(arn)
    return {"Arn": arn}


def presigned_url(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """CreatePresignedMlflowAppUrl."""
    _find(api, request)
    return {"AuthorizedUrl": resources.authorized_url(api)}


OPERATIONS = (
    Operation("CreateMlflowApp", create, f"{resources.SHARED}; no automatic model registration"),
    Operation("DescribeMlflowApp", describe),
    Operation("ListMlflowApps", list_),
    Operation("UpdateMlflowApp", update, "the artifact store is kept, and changes nothing"),
    Operation("DeleteMlflowApp", delete, "what was logged stays"),
    Operation("CreatePresignedMlflowAppUrl", presigned_url, "the URL needs no token and does not expire"),
)
