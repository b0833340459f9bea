"""API destinations: EventBridge posts an event to an HTTP endpoint. Here, to one of this machine alone.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from mlparity.apis.aws.journaled_moto import JournaledMoto
from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.table import BY_NAME
from mlparity.apis.aws.targets import Delivery

_EVENTS = BY_NAME["events"]
_SECONDS = 5.0  # EventBridge's own limit
_AGENT = "Amazon/EventBridge/ApiDestinations"
_TOO_MANY, _CLIENT_FAULT, _SERVER_FAULT = 429, 400, 500


def check_endpoint(url: str) -> None:
    """Refuse an endpoint that is not on this machine. Raises ``AwsError``."""
    host = urlsplit(url).hostname or ""
    if urlsplit(url).scheme in {"http", "https"} and (host == "localhost" or _is_loopback(host)):
        return
    raise AwsError(
        "ValidationException",
        f"Parameter InvocationEndpoint is not valid. Reason: {url} is not on this machine, and mlparity sends nothing "
        "off it: give http://127.0.0.1:PORT/PATH.",
    )


def check_connection(params: Mapping[str, Any]) -> None:
    """Refuse what would have to ask somebody else for a token. Raises ``AwsError``."""
    if params.get("AuthorizationType") == "OAUTH_CLIENT_CREDENTIALS":
        raise AwsError(
            "ValidationException",
            "AuthorizationType OAUTH_CLIENT_CREDENTIALS is not served by mlparity: BASIC and API_KEY are",
        )


class Webhooks:
    """Posts deliveries to the endpoints that moto keeps as API destinations."""

    def __init__(self, moto: JournaledMoto) -> None:
        self._moto = moto

    def deliver(self, delivery: Delivery) -> None:
        """POST (or the destination's method) once. Raises ``AwsError``: of status 500 where another try may succeed."""
        import httpx

        destination, connection = self._find(str(delivery.target["Arn"]))
        given = delivery.target.get("HttpParameters", {})
        authorization = connection.auth_parameters
        always = authorization.get("InvocationHttpParameters", {})
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": _AGENT,
            **_pairs(always.get("HeaderParameters", ())),
            **given.get("HeaderParameters", {}),
            **_authorization(connection.authorization_type, authorization),
        }
        query = {**_pairs(always.get("QueryStringParameters", ())), **given.get("QueryStringParameters", {})}
        url = _with_path(destination.invocation_endpoint, given.get("PathParameterValues", ()))
        check_endpoint(url)
        try:
            with httpx.Client(trust_env=False, timeout=_SECONDS) as client:
                response = client.request(
                    destination.http_method, url, params=query or None, headers=headers, content=delivery.text
                )
        except httpx.HTTPError as error:
            raise AwsError("ConnectionFailure", f"{url}: {error or type(error).__name__}", _SERVER_FAULT) from error
        if response.status_code >= _CLIENT_FAULT:
            again = response.status_code == _TOO_MANY or response.status_code >= _SERVER_FAULT
            why = f"{url} answered {response.status_code}: {response.text[:200]}"
            raise AwsError("SDK_CLIENT_ERROR", why, _SERVER_FAULT if again else _CLIENT_FAULT)

    def _find(self, arn: str) -> tuple[Any, Any]:
        self._moto.ensure(_EVENTS)
        with self._moto.moto.exclusive():
            backend = self._moto.moto.backend(_EVENTS, arn.split(":")[3])
            destination = next((each for each in backend.destinations.values() if each.arn == arn), None)
            wanted = destination.connection_arn if destination is not None else ""
            connection = next((each for each in backend.connections.values() if each.arn == wanted), None)
        if destination is None or connection is None:
            raise AwsError("ResourceNotFoundException", f"API destination {arn} (or its connection) does not exist.")
        return destination, connection


def _authorization(kind: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    if kind == "BASIC":
        basic = parameters["BasicAuthParameters"]
        word = base64.b64encode(f"{basic['Username']}:{basic['Password']}".encode()).decode()
        return {"Authorization": f"Basic {word}"}
    key = parameters["ApiKeyAuthParameters"]
    return {key["ApiKeyName"]: key["ApiKeyValue"]}


def _pairs(parameters: Any) -> dict[str, str]:
    return {each["Key"]: each.get("Value", "") for each in parameters}


def _with_path(url: str, values: Any) -> str:
    """Each ``*`` of the endpoint stands for a path parameter, in order."""
    for value in values:
        url = url.replace("*", quote(value, safe=""), 1)
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
