"""What tracking servers and MLflow apps have in common: all of them stand for the stack's one MLflow.

Their experiments, runs and models are shared. What a server says of itself (name, role, artifact store) is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import not_found, not_served, validation
from mlparity.engine.workspace import parse_uri
from mlparity.errors import InvalidRequestError, NotFoundError, StorageError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest

SERVER, APP = "MlflowTrackingServer", "MlflowApp"
SHARED = "stands for the stack's one MLflow: experiments and runs are shared, artifacts go to the stack's own bucket"
_ARN_KINDS = {"mlflow-tracking-server": SERVER, "mlflow-app": APP}
_PAGE = 10
_ALL = 10_000


@cache
def mlflow_version() -> str:
    """The version that runs here."""
    return version("mlflow")


def require_mlflow(api: SageMaker) -> None:
    """Refuse to make a server where the profile has none to stand behind it."""
    if not api.mlflow_url:
        raise not_served("MLflow in a profile without a tracking server")


def require_bucket(api: SageMaker, uri: str) -> None:
    """Refuse an artifact store that is not there."""
    try:
        bucket, key = parse_uri(uri)
        api.store.list(bucket, key, limit=1)
    except (InvalidRequestError, StorageError):
        raise validation(f"The artifact store {uri} does not exist or cannot be read") from None


def require(api: SageMaker, arn: str) -> None:
    """Refuse an MlflowConfig whose resource does not exist, or does not run."""
    kind, _, name = arn.rpartition(":")[2].partition("/")
    if kind not in _ARN_KINDS:
        raise validation(f"{arn} is not the ARN of an MLflow tracking server or app")
    found = find(api, _ARN_KINDS[kind], name) if arn == api.arns.of(kind, name) else None
    if found is None:
        raise validation(f"The ARN {arn} is of another account or region")
    if found.body["Status"] == "Stopped":
        raise validation(f"The MLflow tracking server {arn} is not active: its status is Stopped")


def find(api: SageMaker, kind: str, name: str) -> Document:
    """The record, or ``ResourceNotFound``."""
    try:
        return api.documents.get(kind, name)
    except NotFoundError:
        raise not_found(f"{kind} {name} does not exist.") from None


def described(record: Document) -> Response:
    """The members of Describe that are the same for both: as stored, and when and by whom."""
    body = {key: value for key, value in record.body.items() if key not in {"Status", "CreatedBy", "LastModifiedBy"}}
    return {
        **body,
        "MlflowVersion": mlflow_version(),
        "CreationTime": record.created_at,
        "CreatedBy": record.body["CreatedBy"],
        "LastModifiedTime": record.modified_at,
        "LastModifiedBy": record.body["LastModifiedBy"],
    }


def signed(caller: Caller) -> Response:
    """Who made a record."""
    return {"CreatedBy": caller.user_context(), "LastModifiedBy": caller.user_context()}


def listed(
    api: SageMaker, kind: str, request: Request, matches: Callable[[Document], bool]
) -> tuple[list[Document], str | None]:
    """One page of records; there are few, so that they are read at once. The token counts what was shown."""
    everything = api.documents.list(kind, _times(request), PageRequest("created_at", descending=False, limit=_ALL))
    found = [record for record in everything.items if matches(record)]
    if request.get("MlflowVersion", mlflow_version()) != mlflow_version():
        found = []
    keys: Mapping[str, Callable[[Document], Any]] = {
        "Name": lambda record: record.body.get("Name", record.name),
        "CreationTime": lambda record: record.created_at,
        "Status": lambda record: record.body["Status"],
    }
    found.sort(key=keys[request.get("SortBy", "CreationTime")])
    if request.get("SortOrder", "Descending") == "Descending":
        found.reverse()
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise validation("Invalid pagination token")
    begin = int(token)
    end = begin + request.get("MaxResults", _PAGE)
    return found[begin:end], str(end) if end < len(found) else None


def _times(request: Request) -> DocumentFilter:
    return DocumentFilter(created_after=request.get("CreatedAfter"), created_before=request.get("CreatedBefore"))


def authorized_url(api: SageMaker) -> str:
    """Where a browser finds the MLflow of this machine. It asks for no token."""
    require_mlflow(api)
    return f"{api.mlflow_url}/"
