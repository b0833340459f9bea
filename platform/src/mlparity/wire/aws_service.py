"""Which AWS service a request is for, read from the request alone.

One endpoint serves every AWS service, so the address says nothing. In order: the credential scope of the
``Authorization`` header, that of a presigned URL, the ``X-Amz-Target`` prefix, the host name. What remains
is S3: the only service that clients call without any of them (public objects, forms, old signatures).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

_SCOPE = re.compile(r"Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request")
_TARGETS = {
    "AWSEvents": "events",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "AmazonSQS": "sqs",
    "AmazonSSM": "ssm",
    "AnyScaleFrontendService": "application-autoscaling",
    "GraniteServiceVersion20100801": "monitoring",
    "Logs_20140328": "logs",
    "SageMaker": "sagemaker",
    "TrentService": "kms",
    "secretsmanager": "secretsmanager",
}
# Labels that stand before the service's own in its host name, or name it differently.
_HOST_ALIASES = {"queue": "sqs", "portal": "sso", "email": "ses", "identitystore": "identitystore"}
_SAGEMAKER_LABELS = {"api", "runtime", "metrics", "featurestore-runtime"}
_AWS_HOST = re.compile(r"^(?P<labels>.+)\.amazonaws\.com(\.cn)?$")


def service_of(headers: Mapping[str, str], query: str, host: str) -> str:
    """The signing name of the service ("sagemaker", "monitoring", "s3", …) that the request is for.

    ``headers`` has lower-case names; ``query`` is the raw query string; ``host`` may carry a port.
    """
    scope = credential_scope(headers, query)
    if scope is not None:
        return scope.service
    target = headers.get("x-amz-target", "").partition(".")[0]
    if target:
        return _TARGETS.get(target, target.partition("_")[0].lower())
    named = _from_host(host)
    if named:
        return named
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return "sts"  # AssumeRoleWithWebIdentity and AssumeRoleWithSAML are not signed
    return "s3"


@dataclass(frozen=True)
class CredentialScope:
    """Who signed, for which day, region and service."""

    access_key: str
    day: str  # YYYYMMDD
    region: str
    service: str


def credential_scope(headers: Mapping[str, str], query: str) -> CredentialScope | None:
    """The scope in the ``Authorization`` header or in a presigned query; None where the request has neither."""
    match = _SCOPE.search(headers.get("authorization", ""))
    if match is None and "X-Amz-Credential" in query:
        presigned = parse_qs(query).get("X-Amz-Credential", [""])[0]
        match = _SCOPE.search(f"Credential={presigned}")
    return CredentialScope(match[1], match[2], match[3], match[4].lower()) if match else None


def _from_host(host: str) -> str | None:
    name = host.rsplit(":", 1)[0].lower()
    match = _AWS_HOST.match(name)
    if match is None:
        return None
    labels = match["labels"].split(".")
    if "s3" in labels or labels[-1].startswith("s3-") or labels[0].startswith("s3-"):
        return "s3"
    if "sagemaker" in labels[:2] and (labels[0] in _SAGEMAKER_LABELS or labels[0] == "sagemaker"):
        return "sagemaker"
    if labels[0] == "api" and len(labels) > 1:
        return labels[1]
    return _HOST_ALIASES.get(labels[0], labels[0])
