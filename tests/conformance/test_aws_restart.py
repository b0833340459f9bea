"""What was acknowledged is there after a restart, with the same ids and times."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlparity.errors import StateError
from tests.conformance.aws_fixtures import Stack, stack

ACCOUNT = "100000000001"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        ],
    }
)

INLINE = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
)


def make_everything(running: Stack) -> bytes:
    iam = running.client("iam")
    iam.create_role(RoleName="Trainer", AssumeRolePolicyDocument=TRUST, MaxSessionDuration=7200)
    iam.put_role_policy(RoleName="Trainer", PolicyName="p", PolicyDocument=INLINE)
    iam.create_user(UserName="ann")
    queue = running.client("sqs").create_queue(QueueName="approvals")["QueueUrl"]
    running.client("sqs").send_message(QueueUrl=queue, MessageBody="gone after a restart")
    topic = running.client("sns").create_topic(Name="news")["TopicArn"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:approvals"
    running.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    events = running.client("events")
    events.put_rule(Name="approved", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    events.put_targets(Rule="approved", Targets=[{"Id": "q", "Arn": arn}])
    running.client("cloudwatch").put_metric_alarm(
        AlarmName="drift", Namespace="m", MetricName="psi", Statistic="Average", Period=60, EvaluationPeriods=1,
        Threshold=0.2, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    running.client("logs").create_log_group(logGroupName="/my/app")
    running.client("ecr").create_repository(repositoryName="models/serve")
    running.client("secretsmanager").create_secret(Name="db", SecretString="s3cret")
    running.client("ssm").put_parameter(Name="/a/b", Value="1", Type="String")
    running.client("scheduler").create_schedule(
        Name="nightly", ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn, "RoleArn": running.config.role_arn},
    )  # fmt: skip
    running.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker", ResourceId="endpoint/e/variant/v", MinCapacity=1, MaxCapacity=3,
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
    )  # fmt: skip
    key = running.client("kms").create_key()["KeyMetadata"]["KeyId"]
    running.client("kms").create_alias(AliasName="alias/k", TargetKeyId=key)
    return bytes(running.client("kms").encrypt(KeyId="alias/k", Plaintext=b"kept")["CiphertextBlob"])


def describe_everything(running: Stack) -> dict[str, Any]:
    iam, sqs, cloudwatch = running.client("iam"), running.client("sqs"), running.client("cloudwatch")
    answers = {
        "role": iam.get_role(RoleName="Trainer")["Role"],
        "execution role": iam.get_role(RoleName=running.config.role_name)["Role"],
        "policy": iam.get_role_policy(RoleName="Trainer", PolicyName="p")["PolicyDocument"],
        "managed policies": iam.list_policies(PathPrefix="/service-role/", MaxItems=20)["Policies"],
        "user": iam.get_user(UserName="ann")["User"],
        "queue": sqs.get_queue_attributes(
            QueueUrl=sqs.get_queue_url(QueueName="approvals")["QueueUrl"],
            AttributeNames=["QueueArn", "CreatedTimestamp", "VisibilityTimeout"],
        )["Attributes"],
        "subscriptions": running.client("sns").list_subscriptions()["Subscriptions"],
        "rule": running.client("events").describe_rule(Name="approved"),
        "targets": running.client("events").list_targets_by_rule(Rule="approved")["Targets"],
        "alarm": cloudwatch.describe_alarms()["MetricAlarms"],
        "groups": running.client("logs").describe_log_groups()["logGroups"],
        "repository": [
            {name: value for name, value in each.items() if name != "repositoryUri"}
            for each in running.client("ecr").describe_repositories()["repositories"]
        ],
        "secret": running.client("secretsmanager").get_secret_value(SecretId="db"),
        "parameter": running.client("ssm").get_parameter(Name="/a/b")["Parameter"],
        "schedule": running.client("scheduler").get_schedule(Name="nightly"),
        "scaling": running.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker"),
        "key": running.client("kms").describe_key(KeyId="alias/k")["KeyMetadata"],
    }
    for answer in answers.values():
        if isinstance(answer, dict):
            answer.pop("ResponseMetadata", None)
    return answers


def test_the_same_answers_after_a_restart(tmp_path: Path) -> None:
    with stack(tmp_path, ACCOUNT) as before:
        sealed = make_everything(before)
        expected = describe_everything(before)
    with stack(tmp_path, ACCOUNT) as after:
        after.services.warm()
        found = describe_everything(after)
        for name, answer in expected.items():
            assert found[name] == answer, name
        assert after.client("kms").decrypt(CiphertextBlob=sealed)["Plaintext"] == b"kept"
        queue = after.client("sqs").get_queue_url(QueueName="approvals")["QueueUrl"]
        assert "Messages" not in after.client("sqs").receive_message(QueueUrl=queue)


def test_changes_and_deletions_replay_in_order(tmp_path: Path) -> None:
    with stack(tmp_path, "100000000002") as before:
        sqs = before.client("sqs")
        for round_number in range(3):
            url = sqs.create_queue(QueueName="q", Attributes={"VisibilityTimeout": str(10 + round_number)})["QueueUrl"]
            if round_number < 2:
                sqs.delete_queue(QueueUrl=url)
        before.client("iam").detach_role_policy(
            RoleName=before.config.role_name, PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
        )
        before.client("iam").delete_role(RoleName=before.config.role_name)
    with stack(tmp_path, "100000000002") as after:
        found = after.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
        assert found["Attributes"] == {"VisibilityTimeout": "12"}
        # What the user deleted is not made again.
        with pytest.raises(ClientError, match="NoSuchEntity"):
            after.client("iam").get_role(RoleName=after.config.role_name)


def test_refused_calls_leave_no_trace(tmp_path: Path) -> None:
    with stack(tmp_path, "100000000003") as running:
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            running.client("events").put_targets(Rule="nope", Targets=[{"Id": "a", "Arn": "arn:aws:sqs:us-east-1:1:q"}])
        assert running.services._moto.journaled_services() <= {"iam"}


def test_user_data_with_a_secret_is_kept_but_signatures_are_not(tmp_path: Path) -> None:
    with stack(tmp_path, "100000000004") as running:
        running.client("secretsmanager").create_secret(Name="x", SecretBinary=base64.b64encode(b"abc"))
        entries = list(running.services._moto._journal.entries("secretsmanager"))
    assert [entry.operation for entry in entries] == ["CreateSecret"]
    assert entries[0].request.headers["authorization"].endswith("Signature=0")
    assert set(entries[0].request.headers) == {"authorization", "content-type", "host", "x-amz-target"}


def test_a_user_making_her_own_key_is_replayed_as_herself(tmp_path: Path) -> None:
    with stack(tmp_path, "100000000005") as before:
        iam = before.client("iam")
        iam.create_user(UserName="carol")
        first = iam.create_access_key(UserName="carol")["AccessKey"]
        own = before.client("iam", key=first["AccessKeyId"], secret=first["SecretAccessKey"])
        second = own.create_access_key()["AccessKey"]
        assert second["UserName"] == "carol"
    with stack(tmp_path, "100000000005") as after:
        client = after.client("sts", key=second["AccessKeyId"], secret=second["SecretAccessKey"])
        assert client.get_caller_identity()["Arn"] == "arn:aws:iam::100000000005:user/carol"


def test_a_change_that_cannot_be_written_down_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stack(tmp_path, "100000000006") as running:
        sqs = running.client("sqs")
        sqs.create_queue(QueueName="kept")

        def refuse(_: object) -> None:
            raise StateError("the state database refused", "disk full")

        with monkeypatch.context() as patch:
            patch.setattr(running.services._moto._journal, "append", refuse)
            with pytest.raises(ClientError, match="disk full"):
                sqs.create_queue(QueueName="lost")
        assert [url.rpartition("/")[2] for url in sqs.list_queues()["QueueUrls"]] == ["kept"]
