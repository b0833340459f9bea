"""Search expressions on plain records, by the vendor's shapes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.apis.sagemaker.search_expression import predicate
from mlparity.apis.sagemaker.search_properties import Kind, locate
from mlparity.wire.aws_model import AwsModel

RECORD: dict[str, Any] = {
    "TrainingJobName": "job",
    "CreationTime": datetime(2030, 1, 2, 3, 4, 5, 600000, tzinfo=UTC),
    "EnableNetworkIsolation": True,
    "TrainingTimeInSeconds": 90,
    "HyperParameters": {"eta": "0.75", "a.b": "x,y", "rounds": "10"},
    "InputDataConfig": [{"ChannelName": "train"}, {"ChannelName": "test", "ContentType": "text/csv"}],
    "FinalMetricDataList": [{"MetricName": "validation:rmse", "Value": 1.5}],
    "Tags": [{"Key": "team", "Value": "blue"}, {"Key": "a.b", "Value": "2"}],
}


@pytest.fixture(scope="module")
def shapes() -> Any:
    return AwsModel.load("sagemaker").document["shapes"]


def found(shapes: Any, name: str, operator: str, value: str | None = None) -> bool:
    item = {"Name": name, "Operator": operator} | ({} if value is None else {"Value": value})
    return predicate(shapes, "TrainingJob", {"Filters": [item]})(RECORD)


@pytest.mark.parametrize(
    ("name", "operator", "value", "expected"),
    [
        ("HyperParameters.eta", "Equals", "0.75", True),
        ("HyperParameters.eta", "Equals", "0.750", True),
        ("HyperParameters.eta", "LessThan", "1", True),  # as a whole number it is 0
        ("HyperParameters.eta", "GreaterThan", "0", False),
        ("HyperParameters.eta", "GreaterThan", "0.0", True),
        ("HyperParameters.rounds", "GreaterThanOrEqualTo", "10", True),
        ("HyperParameters.rounds", "LessThan", "9", False),  # as numbers, not as texts
        ("HyperParameters.a.b", "Contains", ",y", True),
        ("HyperParameters.nothing", "NotExists", None, True),
        ("HyperParameters.nothing", "NotEquals", "1", True),
        ("InputDataConfig.ChannelName", "Equals", "test", True),
        ("InputDataConfig.ContentType", "Exists", None, True),
        ("inputdataconfig.channelname", "In", "none, train", True),
        ("CreationTime", "Equals", "2030-01-02T03:04:05", True),
        ("CreationTime", "LessThan", "2030-01-02T03:04:06", True),
        ("CreationTime", "GreaterThan", "2030-01-02T04:04:05+02:00", True),
        ("EnableNetworkIsolation", "Equals", "TRUE", True),
        ("TrainingTimeInSeconds", "GreaterThan", "89.5", True),
        ("Metrics.validation:rmse", "LessThanOrEqualTo", "1.5", True),
        ("Metrics.other", "Exists", None, False),
        ("Tags.team", "Equals", "blue", True),
        ("Tags.a.b", "Equals", "2", True),
        ("Tags.Key", "Equals", "team", True),
        ("TrainingJobName", "NotEquals", "job", False),
    ],
)
def test_comparisons(shapes: Any, name: str, operator: str, value: str | None, expected: bool) -> None:
    assert found(shapes, name, operator, value) is expected


def test_one_element_must_satisfy_a_nested_filter(shapes: Any) -> None:
    def nested(channel: str) -> bool:
        filters = [
            {"Name": "InputDataConfig.ChannelName", "Operator": "Equals", "Value": channel},
            {"Name": "InputDataConfig.ContentType", "Operator": "Equals", "Value": "text/csv"},
        ]
        wanted = {"NestedFilters": [{"NestedPropertyName": "InputDataConfig", "Filters": filters}]}
        return predicate(shapes, "TrainingJob", wanted)(RECORD)

    assert nested("test")
    assert not nested("train")


def test_parameters_of_components_are_numbers_or_texts(shapes: Any) -> None:
    record = {"Parameters": {"alpha": {"NumberValue": 2.5}, "a.b": {"StringValue": "x"}}}
    for name in ("Parameters.alpha", "Parameters.alpha.NumberValue"):
        assert locate(shapes, "TrialComponent", name).values(record) == [2.5]
    assert locate(shapes, "TrialComponent", "Parameters.a.b").values(record) == ["x"]
    assert locate(shapes, "TrialComponent", "Parameters.alpha").kind is Kind.LOOSE
    metric = {"Metrics": [{"MetricName": "loss", "Last": 1.0, "Max": 3.0}]}
    assert locate(shapes, "TrialComponent", "metrics.loss").values(metric) == [1.0]
    assert locate(shapes, "TrialComponent", "metrics.loss.max").values(metric) == [3.0]


@pytest.mark.parametrize(
    "expression",
    [
        {},
        {"SubExpressions": [{}]},
        {"Filters": [{"Name": "Nothing", "Value": "1"}]},
        {"Filters": [{"Name": "ModelArtifacts.Nothing", "Value": "1"}]},
        {"Filters": [{"Name": "TrainingJobName", "Operator": "LessThan", "Value": "z"}]},
        {"NestedFilters": [{"NestedPropertyName": "Nothing", "Filters": [{"Name": "Nothing.X", "Value": "1"}]}]},
        {
            "NestedFilters": [
                {"NestedPropertyName": "InputDataConfig", "Filters": [{"Name": "ChannelName", "Value": "1"}]}
            ]
        },
        {"Filters": [{"Name": "TrainingJobName", "Value": "x"}] * 51},
    ],
)
def test_what_cannot_be_asked_is_refused(shapes: Any, expression: dict[str, Any]) -> None:
    with pytest.raises(SageMakerError) as caught:
        predicate(shapes, "TrainingJob", expression)
    assert caught.value.code == "ValidationException"
