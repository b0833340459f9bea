"""The services that moto serves, what is refused, and that refusals have the vendor's shape."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from mlparity.apis.aws.services import coverage
from mlparity.apis.aws.table import SERVICES
from tests.conformance.aws_fixtures import Stack, stack

ACCOUNT = "500000000001"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("services"), ACCOUNT) as found:
        yield found


@pytest.mark.parametrize(
    ("service", "method", "params"),
    [
        ("ec2", "describe_instances", {}),
        ("dynamodb", "list_tables", {}),
        ("glue", "get_databases", {}),
        ("cloudformation", "list_stacks", {}),
    ],
)
def test_services_that_are_not_there_say_so(running: Stack, service: str, method: str, params: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match=f"mlparity has no local {service}") as caught:
        getattr(running.client(service), method)(**params)
    assert caught.value.response["Error"]["Code"] in {"InvalidAction", "UnknownOperationException"}


ROLE = "arn:aws:iam::1:role/abcdefghijk"
SAML = {"RoleArn": ROLE, "PrincipalArn": "arn:aws:iam::1:saml-provider/x", "SAMLAssertion": "YWJj" * 5}
QUERY = {"logGroupName": "g", "startTime": 0, "endTime": 1, "queryString": "fields @message"}
ARCHIVE = {"ArchiveName": "a", "EventSourceArn": f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"}


@pytest.mark.parametrize(
    ("service", "method", "params", "operation"),
    [
        ("iam", "get_context_keys_for_custom_policy", {"PolicyInputList": ["{}"]}, "GetContextKeysForCustomPolicy"),
        ("iam", "get_service_last_accessed_details", {"JobId": "x" * 36}, "GetServiceLastAccessedDetails"),
        ("logs", "start_query", QUERY, "StartQuery"),
        ("events", "create_archive", ARCHIVE, "CreateArchive"),
        ("ssm", "send_command", {"DocumentName": "AWS-RunShellScript"}, "SendCommand"),
        ("sts", "assume_role_with_saml", SAML, "AssumeRoleWithSAML"),
        ("cloudwatch", "describe_anomaly_detectors", {}, "DescribeAnomalyDetectors"),
    ],
)
def test_operations_that_are_not_there_are_named(
    running: Stack, service: str, method: str, params: dict[str, Any], operation: str
) -> None:
    client = running.client(service)
    with pytest.raises(ClientError) as caught:
        getattr(client, method)(**params)
    error = caught.value.response["Error"]
    assert error["Code"] in {"InvalidAction", "UnknownOperationException"}
    assert f":{operation} is not served by mlparity" in error["Message"]


def test_every_declared_service_answers(running: Stack) -> None:
    calls: dict[str, Any] = {
        "application-autoscaling": lambda c: c.describe_scalable_targets(ServiceNamespace="sagemaker"),
        "cloudwatch": lambda c: c.describe_alarms(),
        "ecr": lambda c: c.describe_repositories(),
        "events": lambda c: c.list_rules(),
        "iam": lambda c: c.list_roles(),
        "kms": lambda c: c.list_keys(),
        "lambda": lambda c: c.list_functions(),
        "logs": lambda c: c.describe_log_groups(),
        "scheduler": lambda c: c.list_schedules(),
        "secretsmanager": lambda c: c.list_secrets(),
        "sns": lambda c: c.list_topics(),
        "sqs": lambda c: c.list_queues(),
        "ssm": lambda c: c.describe_parameters(),
        "sts": lambda c: c.get_caller_identity(),
    }
    assert set(calls) == {entry.name for entry in SERVICES}
    for name, call in calls.items():
        assert call(running.client(name))["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_the_coverage_table_is_true_to_the_models() -> None:
    from mlparity.wire.aws_model import AwsModel

    table = coverage()
    for entry in SERVICES:
        operations = set(AwsModel.load(entry.name).operations)
        declared = set(entry.native) | set(entry.refused) | set(entry.only or ()) | set(entry.volatile)
        assert declared <= operations, entry.name
        assert set(table[entry.name]) <= operations
        assert table[entry.name], entry.name
    assert {"SimulatePrincipalPolicy", "CreateRole"} <= set(table["iam"])
    assert "StartQuery" not in table["logs"]


def test_an_unsigned_or_malformed_request_gets_aws_errors(running: Stack) -> None:
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        unsigned = client.post("/", headers={"x-amz-target": "AWSEvents.ListRules"}, content=b"{}")
        assert (unsigned.status_code, unsigned.json()["__type"]) == (403, "MissingAuthenticationTokenException")
        form = client.post("/", data={"Action": "GetCallerIdentity", "Version": "2011-06-15"})
        assert form.status_code == 403
        assert b"<Code>MissingAuthenticationToken</Code>" in form.content
        assert "access-control-allow-origin" not in form.headers


def test_the_model_is_enforced(running: Stack) -> None:
    with pytest.raises(ClientError, match="failed to satisfy constraint") as caught:
        running.client("ecr").create_repository(repositoryName="UPPER")
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"


def test_nothing_leaves_the_machine(running: Stack) -> None:
    topic = running.client("sns").create_topic(Name="out")["TopicArn"]
    for protocol, endpoint in (("https", "https://example.com/"), ("email", "a@example.com")):
        with pytest.raises(ClientError, match="is not served by mlparity"):
            running.client("sns").subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)
    with pytest.raises(ClientError, match="only topics can be published to"):
        running.client("sns").publish(PhoneNumber="+15550100", Message="hi")
    with pytest.raises(ClientError, match="only symmetric keys"):
        running.client("kms").create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")


def test_a_long_poll_wakes_when_a_message_comes(running: Stack) -> None:
    sqs = running.client("sqs")
    url = sqs.create_queue(QueueName="polled", Attributes={"ReceiveMessageWaitTimeSeconds": "20"})["QueueUrl"]
    got: list[Any] = []
    reader = threading.Thread(target=lambda: got.append(sqs.receive_message(QueueUrl=url)))
    reader.start()
    # Others are served meanwhile: the wait holds no lock.
    assert running.client("iam").list_users()["Users"] == []
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    reader.join(20)
    assert [message["Body"] for message in got[0]["Messages"]] == ["hello"]


def test_metrics_and_alarms(running: Stack) -> None:
    cloudwatch = running.client("cloudwatch")
    cloudwatch.put_metric_data(Namespace="mlparity/drift", MetricData=[{"MetricName": "psi", "Value": 0.3}])
    names = [metric["MetricName"] for metric in cloudwatch.list_metrics(Namespace="mlparity/drift")["Metrics"]]
    assert names == ["psi"]
    # Large requests come compressed.
    many = [{"MetricName": f"feature-{number:03}-{'x' * 100}", "Value": 1.0} for number in range(200)]
    cloudwatch.put_metric_data(Namespace="mlparity/many", MetricData=many)
    pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace="mlparity/many").build_full_result()
    assert len(pages["Metrics"]) == 200


def test_concurrent_first_calls_all_succeed(tmp_path: Path) -> None:
    with stack(tmp_path, "500000000002") as fresh:
        failures: list[Exception] = []

        def ask(service: str, call: str) -> None:
            try:
                getattr(clients[service], call)()
            except Exception as error:  # noqa: BLE001 - of whatever kind: the test shows it
                failures.append(error)

        pairs = [
            ("sts", "get_caller_identity"),
            ("iam", "list_roles"),
            ("sqs", "list_queues"),
            ("logs", "describe_log_groups"),
        ]
        clients = {service: fresh.client(service) for service, _ in pairs}
        threads = [threading.Thread(target=ask, args=pair) for pair in pairs * 2]
        threads.append(threading.Thread(target=fresh.services.warm))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert len(clients["iam"].list_roles()["Roles"]) == 1
