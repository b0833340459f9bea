"""Endpoints: create, describe, list, delete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mlparity.apis.sagemaker import endpoint_configs, endpoint_plans, lineage_endpoints, tags
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.endpoint_status import NEW_CONFIG, STATUS, serving_config
from mlparity.apis.sagemaker.endpoint_views import arn, described, summary
from mlparity.apis.sagemaker.errors import SageMakerError, validation
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import NotFoundError
from mlparity.serving.endpoints.endpoints import Endpoint, EndpointFilter
from mlparity.serving.endpoints.errors import EndpointBusyError, EndpointExistsError
from mlparity.state.paging import PageRequest
from mlparity.wire.json_values import jsonable

_SORT = {"Name": "name", "CreationTime": "created_at", "Status": "phase"}
_CHUNK = 100
_QUOTA = 20  # instances of one type behind all endpoints: AWS's own default for the smaller types
LOG_GROUP = "/aws/sagemaker/Endpoints"


def create(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """CreateEndpoint."""
    name = request["EndpointName"]
    config = endpoint_configs.find(api, request["EndpointConfigName"])
    deployment = request.get("DeploymentConfig", {})
    endpoint_plans.policy(deployment, _counts(config.body), api.hosting.unknown_alarms)
    revision = endpoint_plans.revision(api, config)
    check_quota(api, config.body)
    packages = lineage_endpoints.package_arns(api, config.body)
    kept = jsonable({**request, NEW_CONFIG: config.body, lineage_endpoints.PACKAGES: packages})
    kept.pop("Tags", None)
    try:
        with api.transaction():
            api.hosting.endpoints.create(API, name, revision, kept, log_group=f"{LOG_GROUP}/{name}")
            tags.set_on_create(api, arn(api, name), request)
    except EndpointExistsError:
        raise validation(f'Cannot create already existing endpoint "{arn(api, name)}".') from None
    return {"EndpointArn": arn(api, name)}


def _counts(config: Mapping[str, Any]) -> list[int]:
    return [variant["InitialInstanceCount"] for variant in config["ProductionVariants"]]


def find(api: SageMaker, name: str) -> Endpoint:
    """The endpoint, or SageMaker's error for its absence."""
    try:
        return api.hosting.endpoints.get(API, name)
    except NotFoundError:
        raise absent(api, name) from None


def absent(api: SageMaker, name: str) -> SageMakerError:
    """SageMaker's error for an endpoint that does not exist."""
    return validation(f'Could not find endpoint "{arn(api, name)}".')


def busy(api: SageMaker, name: str) -> SageMakerError:
    """SageMaker's error for an endpoint that is being created, updated or deleted."""
    return validation(f'Cannot update in-progress endpoint "{arn(api, name)}".')


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeEndpoint."""
    return described(api, find(api, request["EndpointName"]))


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListEndpoints."""
    page = page_request(request, _SORT, default_sort="CreationTime", default_order="Descending")
    phases = None
    if "StatusEquals" in request:
        phases = [phase for phase, word in STATUS.items() if word == request["StatusEquals"]]
        if not phases:  # a state that no endpoint has here
            return {"Endpoints": []}
    wanted = EndpointFilter(
        API,
        name_contains=request.get("NameContains"),
        phases=phases,
        modified_after=request.get("LastModifiedTimeAfter"),
        modified_before=request.get("LastModifiedTimeBefore"),
        **times(request),
    )
    found = api.hosting.endpoints.list(wanted, page)
    return with_token({"Endpoints": [summary(api, endpoint) for endpoint in found.items]}, found)


def every(api: SageMaker) -> Iterator[Endpoint]:
    """All endpoints, newest first."""
    token: str | None = None
    while True:
        page = api.hosting.endpoints.list(
            EndpointFilter(API), PageRequest("created_at", descending=True, limit=_CHUNK, token=token)
        )
        yield from page.items
        token = page.next_token
        if token is None:
            return


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteEndpoint: its workers finish their requests and end; configuration and model stay."""
    name = request["EndpointName"]
    try:
        with api.transaction():
            api.hosting.endpoints.delete(API, name)
            api.tags.remove(arn(api, name))
    except NotFoundError:
        raise absent(api, name) from None
    except EndpointBusyError:
        raise busy(api, name) from None
    return {}


def check_quota(api: SageMaker, config: Mapping[str, Any], *, replaces: str = "") -> None:
    """Refuse more instances than a machine should start. ``replaces`` is the endpoint that is being updated."""
    wanted = _instances(config)
    used: Counter[str] = Counter()
    for endpoint in every(api):
        if endpoint.name != replaces:
            used += _instances(serving_config(endpoint))
    for kind, count in wanted.items():
        if used[kind] + count > _QUOTA:
            raise SageMakerError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{kind} for endpoint usage' is {_QUOTA} Instances, with current "
                f"utilization of {used[kind]} Instances and a request delta of {count} Instances.",
            )


def _instances(config: Mapping[str, Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for variant in (*config["ProductionVariants"], *config.get("ShadowProductionVariants", ())):
        found[variant["InstanceType"]] += variant["InitialInstanceCount"]
    return found


OPERATIONS = (
    Operation("CreateEndpoint", create, "instances are processes; 20 of an instance type at a time"),
    Operation("DescribeEndpoint", describe),
    Operation("ListEndpoints", list_),
    Operation("DeleteEndpoint", delete),
)
