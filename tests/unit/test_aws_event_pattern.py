from __future__ import annotations

from typing import Any

import pytest

from mlparity.apis.aws.event_input import json_path, target_input
from mlparity.apis.aws.event_pattern import InvalidPatternError, matches, read_pattern

EVENT = {
    "source": "aws.sagemaker",
    "resources": ["arn:a", "arn:b"],
    "detail": {
        "status": "Approved",
        "n": 5,
        "flag": True,
        "nothing": None,
        "ip": "10.0.0.7",
        "empty": [],
        "metrics": [{"name": "mse", "value": 1}, {"name": "mae", "value": 9}],
        "deep": {"er": {"key": "file.tar.gz"}},
    },
}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"status": ["Approved", "Rejected"]}, True),
        ({"status": ["approved"]}, False),
        ({"status": [{"prefix": "App"}]}, True),
        ({"status": [{"prefix": {"equals-ignore-case": "app"}}]}, True),
        ({"status": [{"suffix": "ved"}]}, True),
        ({"status": [{"equals-ignore-case": "APPROVED"}]}, True),
        ({"status": [{"anything-but": "Rejected"}]}, True),
        ({"status": [{"anything-but": ["Approved", "x"]}]}, False),
        ({"status": [{"anything-but": {"prefix": "Rej"}}]}, True),
        ({"status": [{"anything-but": {"suffix": ["ved", "x"]}}]}, False),
        ({"absent": [{"anything-but": "x"}]}, False),
        ({"absent": [{"exists": False}]}, True),
        ({"status": [{"exists": False}]}, False),
        ({"deep": [{"exists": True}]}, False),  # exists looks at leaves only
        ({"empty": [{"exists": True}]}, False),
        ({"n": [{"numeric": [">", 4, "<=", 5]}]}, True),
        ({"n": [{"numeric": ["<", 5]}]}, False),
        ({"status": [{"numeric": ["=", 5]}]}, False),
        ({"n": [5]}, True),
        ({"n": ["5"]}, False),
        ({"flag": [1]}, False),
        ({"flag": [True]}, True),
        ({"nothing": [None]}, True),
        ({"ip": [{"cidr": "10.0.0.0/24"}]}, True),
        ({"ip": [{"cidr": "10.1.0.0/24"}]}, False),
        ({"deep": {"er": {"key": [{"wildcard": "*.tar.*"}]}}}, True),
        ({"deep": {"er": {"key": [{"wildcard": "*.zip"}]}}}, False),
        ({"metrics": {"name": ["mae"], "value": [9]}}, True),
        ({"metrics": {"name": ["mae"], "value": [1]}}, False),  # not from two elements
        ({"status": ["x"], "n": [5]}, False),
        ({"$or": [{"status": ["x"]}, {"n": [5]}]}, True),
        ({"$or": [{"status": ["x"]}, {"n": [6]}]}, False),
    ],
)
def test_filters(filters: dict[str, Any], expected: bool) -> None:
    assert matches({"detail": filters}, EVENT) is expected


def test_lists_match_by_any_element() -> None:
    assert matches({"resources": ["arn:b", "arn:z"]}, EVENT)
    assert matches({"resources": [{"anything-but": "arn:a"}]}, EVENT)
    assert not matches({"resources": ["arn:c"]}, EVENT)


@pytest.mark.parametrize(
    "text",
    [
        "nope",
        "[]",
        "{}",
        '{"a": "b"}',
        '{"a": []}',
        '{"a": {}}',
        '{"a": [["b"]]}',
        '{"a": [{"unknown": 1}]}',
        '{"a": [{"prefix": 1}]}',
        '{"a": [{"prefix": "a", "suffix": "b"}]}',
        '{"a": [{"numeric": [">"]}]}',
        '{"a": [{"numeric": ["!", 1]}]}',
        '{"a": [{"exists": "yes"}]}',
        '{"a": [{"anything-but": []}]}',
        '{"a": [{"anything-but": {"cidr": "x"}}]}',
        '{"a": [{"cidr": "not an address"}]}',
        '{"$or": [{"a": [1]}]}',
    ],
)
def test_invalid_patterns(text: str) -> None:
    with pytest.raises(InvalidPatternError):
        read_pattern(text)


def test_paths_and_templates() -> None:
    assert json_path("$.detail.metrics[1].name", EVENT) == "mae"
    assert json_path("$['detail']['n']", EVENT) == 5
    assert json_path("$", EVENT) == EVENT
    assert json_path("$.detail.absent.deeper", EVENT) is None
    template = {"InputTemplate": 'says "<q>" and <n> <missing>', "InputPathsMap": {"q": "$.source", "n": "$.detail.n"}}
    assert target_input({"InputTransformer": template}, EVENT, "r", "arn:r") == 'says "aws.sagemaker" and 5 '
