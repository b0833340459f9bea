"""CloudWatch Logs over the logs of jobs; groups that are not jobs' are left to moto.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/
"""

from __future__ import annotations

import heapq
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlparity.apis.aws.log_filter import compile_filter
from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.paging import decode_token, encode_token, page_of
from mlparity.engine.logs import ByteRange, JobLogs, LogLine, StreamInfo
from mlparity.errors import NotFoundError

_FAMILIES = re.compile(r"/aws/sagemaker/((Training|Processing|Transform)Jobs|Endpoints/.+)")
_MOST_EVENTS = 10_000
_MOST_BYTES = 1024 * 1024
_EVENT_OVERHEAD = 26  # bytes that the vendor counts for each event
_TOKEN = re.compile(r"([fb])/(\d{1,20})/s")
_GROUP_ARN = re.compile(r"arn:[^:]+:logs:[^:]*:[^:]*:log-group:([^:]+)(:\*)?")

# Calls moto's own service: (operation, parameters) -> response.
AskMoto = Callable[[str, Mapping[str, Any]], dict[str, Any]]


class LogsService:
    """The operations on groups and streams of jobs."""

    def __init__(self, logs: JobLogs, account_id: str, region: str) -> None:
        self._logs = logs
        self._arn = f"arn:aws:logs:{region}:{account_id}:log-group:"

    def handle(self, operation: str, params: Mapping[str, Any], ask_moto: AskMoto) -> dict[str, Any] | None:
        """The response; None where the call is moto's to serve. Raises ``AwsError``."""
        if operation == "DescribeLogGroups":
            return self._describe_groups(params, ask_moto)
        group = _group_of(params)
        if group is None or not self._is_of_jobs(group):
            return None
        try:
            return self._on_group(operation, group, params, ask_moto)
        except NotFoundError as error:
            raise AwsError("ResourceNotFoundException", error.what) from error

    def _on_group(
        self, operation: str, group: str, params: Mapping[str, Any], ask_moto: AskMoto
    ) -> dict[str, Any] | None:
        if operation in {"CreateLogStream", "PutLogEvents"}:
            raise _refused("InvalidParameterException", operation, group)
        if not any(name == group for name, _ in self._logs.groups()):
            return None
        match operation:
            case "GetLogEvents":
                return self._get_events(group, params)
            case "FilterLogEvents":
                return self._filter_events(group, params)
            case "DescribeLogStreams":
                return self._describe_streams(group, params)
            case "DeleteLogStream" | "DeleteLogGroup":
                raise _refused("OperationAbortedException", operation, group)
            case "CreateLogGroup":
                raise AwsError("ResourceAlreadyExistsException", "The specified log group already exists")
        # Retention, tags, filters: moto keeps them, once it knows that the group exists.
        if not any(found["logGroupName"] == group for found in _all_of_moto(ask_moto)):
            ask_moto("CreateLogGroup", {"logGroupName": group})
        return None

    def _is_of_jobs(self, group: str) -> bool:
        return _FAMILIES.fullmatch(group) is not None or any(name == group for name, _ in self._logs.groups())

    def _describe_groups(self, params: Mapping[str, Any], ask_moto: AskMoto) -> dict[str, Any]:
        found = {group["logGroupName"]: group for group in _all_of_moto(ask_moto)}
        for name, created in self._logs.groups():
            size = 0  # the vendor reports it late as well; counting would read every stream
            own = {"logGroupName": name, "creationTime": created, "storedBytes": size, "logGroupClass": "STANDARD"}
            arns = {"arn": f"{self._arn}{name}:*", "logGroupArn": f"{self._arn}{name}"}
            found[name] = {"metricFilterCount": 0, **found.get(name, {}), **own, **arns}
        if "logGroupNamePrefix" in params and "logGroupNamePattern" in params:
            raise AwsError(
                "InvalidParameterException",
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
            )
        prefix, pattern = params.get("logGroupNamePrefix", ""), params.get("logGroupNamePattern", "").lower()
        kind = params.get("logGroupClass")
        names = sorted(
            name
            for name, group in found.items()
            if name.startswith(prefix)
            and pattern in name.lower()
            and kind in {None, group.get("logGroupClass", "STANDARD")}
        )
        page, token = page_of(names, str, params)
        return {"logGroups": [found[name] for name in page]} | token

    def _describe_streams(self, group: str, params: Mapping[str, Any]) -> dict[str, Any]:
        prefix = params.get("logStreamNamePrefix", "")
        by_time = params.get("orderBy", "LogStreamName") == "LastEventTime"
        if by_time and prefix:
            raise AwsError("InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.")
        streams = list(self._logs.streams(group, prefix))

        def key(info: StreamInfo) -> Any:
            return [info.last or info.created, info.stream] if by_time else info.stream

        streams.sort(key=key, reverse=params.get("descending", False))
        page, token = page_of(streams, key, params)
        return {"logStreams": [self._stream(info) for info in page]} | token

    def _stream(self, info: StreamInfo) -> dict[str, Any]:
        times = {"firstEventTimestamp": info.first, "lastEventTimestamp": info.last, "lastIngestionTime": info.last}
        return {
            "logStreamName": info.stream,
            "creationTime": info.created,
            **{name: at for name, at in times.items() if at is not None},
            "uploadSequenceToken": str(info.size),
            "arn": f"{self._arn}{info.group}:log-stream:{info.stream}",
            "storedBytes": 0,  # always 0 for streams since 2019, says the vendor
        }

    def _get_events(self, group: str, params: Mapping[str, Any]) -> dict[str, Any]:
        stream = params["logStreamName"]
        span = self._logs.span(group, stream, params.get("startTime"), params.get("endTime"))
        is_forward, position = bool(params.get("startFromHead")), None
        if "nextToken" in params:
            match = _TOKEN.fullmatch(params["nextToken"])
            if match is None:
                raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
            is_forward, position = match[1] == "f", int(match[2])
        limit = params.get("limit", _MOST_EVENTS)
        if is_forward:
            start = span.start if position is None else max(span.start, position)
            lines = _bounded(_said(self._logs.forward(group, stream, ByteRange(start, max(start, span.end)))), limit)
            idle = start
        else:
            end = span.end if position is None else min(span.end, position)
            lines = _bounded(_said(self._logs.backward(group, stream, ByteRange(min(span.start, end), end))), limit)[
                ::-1
            ]
            idle = end
        if position is not None and not lines:
            idle = position  # at the end the same token comes back, which is how clients know
        return {
            "events": [{"timestamp": line.at, "message": line.text, "ingestionTime": line.at} for line in lines],
            "nextForwardToken": f"f/{lines[-1].end if lines else idle:020d}/s",
            "nextBackwardToken": f"b/{lines[0].start if lines else idle:020d}/s",
        }

    def _filter_events(self, group: str, params: Mapping[str, Any]) -> dict[str, Any]:
        names = self._searched(group, params)
        matches = compile_filter(params.get("filterPattern", ""))
        after = _filter_position(params.get("nextToken"))
        start = params.get("startTime")
        if after is not None:
            start = max(start or 0, after[0])
        merged = heapq.merge(*(self._keyed(group, name, start, params.get("endTime")) for name in names))
        wanted = ((key, line) for key, line in merged if (after is None or key > after) and matches(line.text))
        shown, is_more = _bounded_page(wanted, params.get("limit", _MOST_EVENTS))
        token = {"nextToken": encode_token(shown[-1][0])} if is_more else {}
        events = [
            {
                "logStreamName": key[1],
                "timestamp": line.at,
                "message": line.text,
                "ingestionTime": line.at,
                "eventId": f"{line.at:016d}{zlib.crc32(key[1].encode()):010d}{line.start:030d}",
            }
            for key, line in shown
        ]
        return {"events": events, "searchedLogStreams": []} | token

    def _searched(self, group: str, params: Mapping[str, Any]) -> Sequence[str]:
        names = params.get("logStreamNames")
        if names and "logStreamNamePrefix" in params:
            raise AwsError(
                "InvalidParameterException", "logStreamNames and logStreamNamePrefix are mutually exclusive parameters."
            )
        if names:
            return [self._logs.stream(group, name).stream for name in names]
        streams = self._logs.streams(group, params.get("logStreamNamePrefix", ""))
        start, end = params.get("startTime", 0), params.get("endTime")
        return [
            info.stream
            for info in streams
            if info.last is not None and info.last >= start and (end is None or (info.first or 0) < end)
        ]

    def _keyed(
        self, group: str, stream: str, start: int | None, end: int | None
    ) -> Iterator[tuple[tuple[int, str, int], LogLine]]:
        span = self._logs.span(group, stream, start, end)
        return (((line.at, stream, line.start), line) for line in _said(self._logs.forward(group, stream, span)))


def _said(lines: Iterator[LogLine]) -> Iterator[LogLine]:
    """Without empty lines: CloudWatch takes no event without a message."""
    return (line for line in lines if line.text)


def _refused(code: str, operation: str, group: str) -> AwsError:
    return AwsError(
        code, f"{operation} is not served for {group}: it shows the log files of jobs, which the jobs write"
    )


def _group_of(params: Mapping[str, Any]) -> str | None:
    """The one log group that a request is about, by whichever name it is given."""
    for name in ("logGroupName", "logGroupIdentifier", "resourceArn", "resourceIdentifier"):
        value = params.get(name)
        if isinstance(value, str):
            match = _GROUP_ARN.fullmatch(value)
            return match[1] if match else value
    return None


def _all_of_moto(ask_moto: AskMoto) -> Iterator[dict[str, Any]]:
    params: dict[str, Any] = {}
    while True:
        answer = ask_moto("DescribeLogGroups", params)
        yield from answer.get("logGroups", [])
        if not answer.get("nextToken"):
            return
        params = {"nextToken": answer["nextToken"]}


def _bounded(lines: Iterable[LogLine], limit: int) -> list[LogLine]:
    """At most ``limit`` lines and 1 MB, in the order of ``lines``."""
    shown, _ = _bounded_page((((), line) for line in lines), limit)
    return [line for _, line in shown]


def _bounded_page(keyed: Iterable[tuple[Any, LogLine]], limit: int) -> tuple[list[tuple[Any, LogLine]], bool]:
    """The first page, and whether anything follows it."""
    shown: list[tuple[Any, LogLine]] = []
    size = 0
    for key, line in keyed:
        size += line.end - line.start + _EVENT_OVERHEAD
        if len(shown) == limit or (shown and size > _MOST_BYTES):
            return shown, True
        shown.append((key, line))
    return shown, False


def _filter_position(token: str | None) -> tuple[int, str, int] | None:
    if token is None:
        return None
    match decode_token(token):
        case [int(at), str(stream), int(start)]:
            return at, stream, start
    raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
