"""CloudWatch Logs over the logs that jobs write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlparity.engine.jobs import LogStream
from tests.conformance.aws_fixtures import Stack, stack

GROUP = "/aws/sagemaker/TrainingJobs"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("logs"), "400000000001") as found:
        yield found


def write(running: Stack, stream: str, *lines: str, group: str = GROUP) -> None:
    log = LogStream(group, stream)
    with running.logs.create(log).open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
    running.logs.index()


def messages(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def test_reading_on_while_the_job_writes(running: Stack) -> None:
    logs = running.client("logs")
    stream = {"logGroupName": GROUP, "logStreamName": "follow/algo-1-1"}
    write(running, "follow/algo-1-1", "one", "two", "three")
    first = logs.get_log_events(**stream, startFromHead=True, limit=2)
    assert messages(first) == ["one", "two"]
    second = logs.get_log_events(**stream, startFromHead=True, nextToken=first["nextForwardToken"])
    assert messages(second) == ["three"]
    end = logs.get_log_events(**stream, startFromHead=True, nextToken=second["nextForwardToken"])
    assert (messages(end), end["nextForwardToken"]) == ([], second["nextForwardToken"])
    write(running, "follow/algo-1-1", "four")
    more = logs.get_log_events(**stream, startFromHead=True, nextToken=end["nextForwardToken"])
    assert messages(more) == ["four"]
    back = logs.get_log_events(**stream, nextToken=second["nextBackwardToken"])
    assert messages(back) == ["one", "two"]
    start = logs.get_log_events(**stream, nextToken=back["nextBackwardToken"])
    assert (messages(start), start["nextBackwardToken"]) == ([], back["nextBackwardToken"])


def test_the_newest_come_first_unless_asked_otherwise(running: Stack) -> None:
    write(running, "tail/algo-1-1", *(f"line {number}" for number in range(50)))
    stream = {"logGroupName": GROUP, "logStreamName": "tail/algo-1-1"}
    logs = running.client("logs")
    assert messages(logs.get_log_events(**stream, limit=3)) == ["line 47", "line 48", "line 49"]
    older = logs.get_log_events(**stream, limit=3)["nextBackwardToken"]
    assert messages(logs.get_log_events(**stream, limit=2, nextToken=older)) == ["line 45", "line 46"]


def test_a_page_holds_ten_thousand_events_or_a_megabyte(running: Stack) -> None:
    write(running, "long/algo-1-1", *("x" for _ in range(10_001)))
    write(running, "wide/algo-1-1", *("y" * 100_000 for _ in range(15)))
    logs = running.client("logs")
    page = logs.get_log_events(logGroupName=GROUP, logStreamName="long/algo-1-1", startFromHead=True)
    assert len(page["events"]) == 10_000
    page = logs.get_log_events(logGroupName=GROUP, logStreamName="wide/algo-1-1", startFromHead=True)
    assert len(page["events"]) == 10


def test_time_ranges(running: Stack) -> None:
    logs = running.client("logs")
    stream = {"logGroupName": GROUP, "logStreamName": "times/algo-1-1"}
    write(running, "times/algo-1-1", "a")
    (event,) = logs.get_log_events(**stream)["events"]
    at = event["timestamp"]
    assert messages(logs.get_log_events(**stream, startTime=at)) == ["a"]
    assert messages(logs.get_log_events(**stream, startTime=at + 1)) == []
    assert messages(logs.get_log_events(**stream, endTime=at)) == []
    assert messages(logs.get_log_events(**stream, endTime=at + 1)) == ["a"]


def test_streams_as_the_sdk_looks_for_them(running: Stack) -> None:
    logs = running.client("logs")
    for number in range(5):
        write(running, f"many-{number % 2}/algo-{number}-1700000000", "x")
    found = logs.describe_log_streams(
        logGroupName=GROUP, logStreamNamePrefix="many-0/", orderBy="LogStreamName", limit=2
    )
    assert [each["logStreamName"] for each in found["logStreams"]] == [
        "many-0/algo-0-1700000000",
        "many-0/algo-2-1700000000",
    ]
    rest = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="many-0/", nextToken=found["nextToken"])
    assert [each["logStreamName"] for each in rest["logStreams"]] == ["many-0/algo-4-1700000000"]
    assert "nextToken" not in rest
    stream = rest["logStreams"][0]
    assert stream["creationTime"] <= stream["firstEventTimestamp"] <= stream["lastEventTimestamp"]
    newest = logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True, limit=50)
    times = [each["lastEventTimestamp"] for each in newest["logStreams"]]
    assert times == sorted(times, reverse=True)
    with pytest.raises(ClientError, match="Cannot order by LastEventTime with a logStreamNamePrefix"):
        logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", logStreamNamePrefix="m")


def test_filtering_over_streams_with_pages(running: Stack) -> None:
    group = "/aws/sagemaker/ProcessingJobs"
    for stream in ("b/algo-1-1", "a/algo-1-1"):
        write(
            running, stream, f"{stream} INFO start", f"{stream} ERROR disk full", f"{stream} ERROR other", group=group
        )
    logs = running.client("logs")
    pages = logs.get_paginator("filter_log_events")

    def found(pattern: str, **params: Any) -> list[str]:
        result = pages.paginate(logGroupName=group, filterPattern=pattern, **params).build_full_result()
        return [event["message"][2:] for event in result["events"]]

    assert sorted(found("")) == sorted(["algo-1-1 INFO start", "algo-1-1 ERROR disk full", "algo-1-1 ERROR other"] * 2)
    assert found('ERROR "disk full"', PaginationConfig={"PageSize": 1}) == ["algo-1-1 ERROR disk full"] * 2
    assert found("?INFO ?disk", logStreamNamePrefix="a/") == ["algo-1-1 INFO start", "algo-1-1 ERROR disk full"]
    assert found("ERROR -disk", logStreamNames=["b/algo-1-1"]) == ["algo-1-1 ERROR other"]
    assert found("%ERR.R o%") == ["algo-1-1 ERROR other"] * 2
    ids = {event["eventId"] for event in logs.filter_log_events(logGroupName=group)["events"]}
    assert len(ids) == 6
    with pytest.raises(ClientError, match="Invalid filter pattern"):
        found('{ $.level = "ERROR" }')


def test_groups_of_jobs_and_of_users_are_one_list(running: Stack) -> None:
    write(running, "g/algo-1-1", "x")
    logs = running.client("logs")
    logs.create_log_group(logGroupName="/zz/mine")
    names = [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]]
    assert names == sorted(names)
    assert {GROUP, "/zz/mine"} <= set(names)
    only = logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/Tr")["logGroups"]
    assert [each["arn"] for each in only] == [f"arn:aws:logs:us-east-1:400000000001:log-group:{GROUP}:*"]
    logs.put_retention_policy(logGroupName=GROUP, retentionInDays=7)
    (again,) = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    assert (again["retentionInDays"], again["creationTime"]) == (7, only[0]["creationTime"])
    logs.create_log_stream(logGroupName="/zz/mine", logStreamName="s")
    at = again["creationTime"]
    logs.put_log_events(logGroupName="/zz/mine", logStreamName="s", logEvents=[{"timestamp": at, "message": "mine"}])
    assert messages(logs.get_log_events(logGroupName="/zz/mine", logStreamName="s")) == ["mine"]


def test_what_is_refused(running: Stack) -> None:
    write(running, "r/algo-1-1", "x")
    logs = running.client("logs")
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log stream does not exist"):
        logs.get_log_events(logGroupName=GROUP, logStreamName="nobody/algo-1-1")
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.describe_log_streams(logGroupName="/aws/sagemaker/TransformJobs")
    with pytest.raises(logs.exceptions.InvalidParameterException, match="PutLogEvents"):
        logs.put_log_events(
            logGroupName=GROUP, logStreamName="r/algo-1-1", logEvents=[{"timestamp": 1, "message": "fake"}]
        )
    with pytest.raises(logs.exceptions.InvalidParameterException, match="nextToken is invalid"):
        logs.get_log_events(logGroupName=GROUP, logStreamName="r/algo-1-1", nextToken="../../etc")
    with pytest.raises(logs.exceptions.InvalidParameterException, match="limit"):
        logs.get_log_events(logGroupName=GROUP, logStreamName="r/algo-1-1", limit=10_001)
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=GROUP)
