from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlparity.apis.aws.table import BY_SIGNING_NAME
from mlparity.gateway.hosts import Authority, Hosts, Route

HOSTS = Hosts({*BY_SIGNING_NAME, "s3", "sagemaker"}, tracking=True)


def route(text: str) -> Route:
    authority = Authority.parse(text, 443)
    assert authority is not None, text
    return HOSTS.verdict(authority).route


@pytest.mark.parametrize(
    "host",
    [
        "s3.amazonaws.com", "s3.us-east-1.amazonaws.com", "bucket.s3.amazonaws.com",
        "bucket.s3.eu-west-1.amazonaws.com",
        "a.bucket.with.dots.s3.us-east-1.amazonaws.com", "b.s3.dualstack.us-east-1.amazonaws.com",
        "b.s3.cn-north-1.amazonaws.com.cn", "s3-us-west-2.amazonaws.com", "BUCKET.S3.amazonaws.com.",
        "sts.amazonaws.com", "sts.us-east-1.amazonaws.com", "sts-fips.us-east-1.amazonaws.com",
        "api.sagemaker.us-east-1.amazonaws.com", "runtime.sagemaker.us-east-1.amazonaws.com",
        "api.sagemaker.cn-north-1.amazonaws.com.cn", "metrics.sagemaker.us-east-1.amazonaws.com",
        "featurestore-runtime.sagemaker.us-east-1.amazonaws.com", "iam.amazonaws.com", "logs.us-east-1.amazonaws.com",
        "events.us-east-1.amazonaws.com", "monitoring.us-east-1.amazonaws.com", "scheduler.us-east-1.amazonaws.com",
        "api.ecr.us-east-1.amazonaws.com", "sqs.us-east-1.amazonaws.com", "kms.us-east-1.amazonaws.com",
        "sm-pysdk-t-us-east-1.s3.us-east-1.amazonaws.com",
    ],
)  # fmt: skip
def test_hosts_of_local_apis(host: str) -> None:
    assert route(host) is Route.AWS


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("us-east-1.experiments.sagemaker.aws", Route.TRACKING),
        ("dynamodb.us-east-1.amazonaws.com", Route.UNSERVED),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com", Route.UNSERVED),
        ("123456789012.s3-control.us-east-1.amazonaws.com", Route.UNSERVED),
        ("bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com", Route.UNSERVED),
        ("amazonaws.com", Route.REFUSED),
        ("s3.amazonaws.com.example.org", Route.REFUSED),
        ("evilamazonaws.com", Route.REFUSED),
        ("s3.amazonaws.comx", Route.REFUSED),
        ("example.com", Route.REFUSED),
        ("storage.googleapis.com", Route.REFUSED),
        ("169.254.169.254", Route.REFUSED),
        ("10.0.0.1", Route.REFUSED),
        ("0.0.0.0", Route.REFUSED),
        ("[2001:db8::1]", Route.REFUSED),
        ("127.0.0.1", Route.LOOPBACK),
        ("127.1.2.3:99", Route.LOOPBACK),
        ("localhost:5000", Route.LOOPBACK),
        ("[::1]:80", Route.LOOPBACK),
        ("localhost.example.com", Route.REFUSED),
        ("127.0.0.1.example.com", Route.REFUSED),
    ],
)
def test_every_other_host(host: str, expected: Route) -> None:
    assert route(host) is expected


@pytest.mark.parametrize(
    "text", ["", "a b", "host:port", "host:99999", "user@host", "host/path", "[::1", "-", "a..b", "h\r\nx: y", "é.com"]
)
def test_what_names_no_host(text: str) -> None:
    assert Authority.parse(text, 443) is None


@given(st.text(max_size=80))
def test_whatever_is_asked_for_is_refused_in_one_printable_line(text: str) -> None:
    authority = Authority.parse(text, 443)
    if authority is None:
        return
    reason = HOSTS.verdict(authority).reason
    assert reason.isascii()
    assert "\n" not in reason
    assert "\r" not in reason


def test_a_refusal_names_the_host_and_the_way_on() -> None:
    verdict = HOSTS.verdict(Authority("example.com", 443))
    assert "example.com" in verdict.reason
    assert "NO_PROXY" in verdict.reason
    verdict = HOSTS.verdict(Authority("dynamodb.us-east-1.amazonaws.com", 443))
    assert "no local API for dynamodb" in verdict.reason


def test_without_a_tracking_server_its_hosts_are_refused() -> None:
    assert Hosts({"s3"}).verdict(Authority("us-east-1.experiments.sagemaker.aws", 443)).route is Route.REFUSED
