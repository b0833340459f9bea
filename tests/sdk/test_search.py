"""Search: expressions over jobs, experiments, packages, pipelines and models; order, pages and suggestions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sdk.cloud import Cloud, csv_text, unique, xgboost_image
from tests.sdk.refusals import refusal


@dataclass(frozen=True)
class Trained:
    """Three jobs of one owner, with one, two and three rounds."""

    owner: str
    names: list[str]
    before: datetime


@pytest.fixture(scope="module")
def trained(cloud: Cloud, stack: Any) -> Trained:
    with stack.environment_applied():
        owner = unique("search")
        before = datetime.now(UTC) - timedelta(seconds=2)
        data = cloud.put(f"{owner}/data/train.csv", csv_text([[i, i % 3, i % 7] for i in range(40)]))
        names = [f"{owner}-{rounds}" for rounds in (1, 2, 3)]
        for rounds, name in enumerate(names, 1):
            request = cloud.training_request(
                name,
                HyperParameters={"objective": "reg:squarederror", "num_round": str(rounds), "eta": f"0.{rounds}"},
                InputDataConfig=[cloud.channel("train", data, "text/csv")],
                Tags=[{"Key": "owner", "Value": owner}, {"Key": "round.no", "Value": str(rounds)}],
            )
            cloud.sagemaker.create_training_job(**request)
        for name in names:
            assert cloud.trained(name)["TrainingJobStatus"] == "Completed"
        return Trained(owner, names, before)


def where(name: str, operator: str = "Equals", value: str | None = None) -> dict[str, str]:
    found = {"Name": name, "Operator": operator}
    return found if value is None else {**found, "Value": value}


def search(cloud: Cloud, resource: str, *filters: dict[str, str], **request: Any) -> list[dict[str, Any]]:
    """Every record found, by pages of two."""
    if filters:
        request["SearchExpression"] = {"Filters": list(filters), **request.get("SearchExpression", {})}
    pages = cloud.sagemaker.get_paginator("search").paginate(
        Resource=resource, PaginationConfig={"PageSize": 2}, **request
    )
    return [record for page in pages for result in page["Results"] for record in result.values()]


def jobs(cloud: Cloud, trained: Trained, *filters: dict[str, str], **request: Any) -> list[int]:
    """The numbers of the jobs found, in order."""
    owned = where("Tags.owner", value=trained.owner)
    found = search(cloud, "TrainingJob", owned, *filters, **request)
    return [int(record["TrainingJobName"].rpartition("-")[2]) for record in found]


CASES = {
    "equal text": (where("HyperParameters.num_round", value="2"), [2]),
    "other than": (where("HyperParameters.num_round", "NotEquals", "2"), [1, 3]),
    "a decimal": (where("HyperParameters.eta", "GreaterThan", "0.15"), [2, 3]),
    "decimals count as whole beside a whole number": (where("HyperParameters.eta", "GreaterThanOrEqualTo", "1"), []),
    "one of": (where("HyperParameters.num_round", "In", "1, 3"), [1, 3]),
    "status": (where("TrainingJobStatus", value="Completed"), [1, 2, 3]),
    "there": (where("ModelArtifacts.S3ModelArtifacts", "Exists"), [1, 2, 3]),
    "not there": (where("TuningJobArn", "NotExists"), [1, 2, 3]),
    "in a list": (where("InputDataConfig.ChannelName", value="train"), [1, 2, 3]),
    "deep in a list": (where("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", "/nowhere/"), []),
    "a number": (where("ResourceConfig.InstanceCount", "LessThanOrEqualTo", "1"), [1, 2, 3]),
    "a boolean": (where("EnableNetworkIsolation", value="false"), [1, 2, 3]),
    "a metric": (where("Metrics.train:rmse", "GreaterThan", "0"), [1, 2, 3]),
    "a tag with a dot": (where("Tags.round.no", value="3"), [3]),
    "the vendor's names whatever their case": (where("trainingJobName", "Contains", "-1"), None),
}


@pytest.mark.parametrize("case", CASES)
def test_filters(cloud: Cloud, trained: Trained, case: str) -> None:
    asked, expected = CASES[case]
    found = jobs(cloud, trained, asked)
    assert 1 in found if expected is None else sorted(found) == expected


def test_times_are_compared_as_times(cloud: Cloud, trained: Trained) -> None:
    before, after = trained.before, datetime.now(UTC) + timedelta(hours=1)
    stamp = "%Y-%m-%dT%H:%M:%S"
    assert jobs(cloud, trained, where("CreationTime", "GreaterThan", before.strftime(stamp)))
    assert jobs(cloud, trained, where("CreationTime", "LessThan", before.strftime(stamp))) == []
    assert jobs(cloud, trained, where("LastModifiedTime", "LessThan", after.strftime(stamp) + "Z"))


def test_expressions_are_joined_and_nested(cloud: Cloud, trained: Trained) -> None:
    either = {
        "Operator": "Or",
        "Filters": [where("HyperParameters.num_round", value="1"), where("HyperParameters.num_round", value="3")],
    }
    small = {"Filters": [where("HyperParameters.eta", "LessThan", "0.25")]}
    assert jobs(cloud, trained, SearchExpression={"SubExpressions": [either, small]}) == [1]
    channel = {
        "NestedPropertyName": "InputDataConfig",
        "Filters": [
            where("InputDataConfig.ChannelName", value="train"),
            where("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", trained.owner),
        ],
    }
    assert sorted(jobs(cloud, trained, SearchExpression={"NestedFilters": [channel]})) == [1, 2, 3]
    channel["Filters"][0] = where("InputDataConfig.ChannelName", value="validation")
    assert jobs(cloud, trained, SearchExpression={"NestedFilters": [channel]}) == []
    tag = {
        "NestedPropertyName": "Tags",
        "Filters": [where("Tags.Key", value="round.no"), where("Tags.Value", value="2")],
    }
    assert jobs(cloud, trained, SearchExpression={"NestedFilters": [tag]}) == [2]


def test_results_are_sorted_counted_and_whole(cloud: Cloud, trained: Trained) -> None:
    assert jobs(cloud, trained, SortBy="HyperParameters.eta", SortOrder="Ascending") == [1, 2, 3]
    assert jobs(cloud, trained, SortBy="CreationTime") == [3, 2, 1]
    assert jobs(cloud, trained, SortBy="Metrics.train:rmse", SortOrder="Ascending") == [3, 2, 1]
    answer = cloud.sagemaker.search(
        Resource="TrainingJob",
        SearchExpression={"Filters": [where("TrainingJobName", value=trained.names[0])]},
        MaxResults=1,
    )
    assert answer["TotalHits"] == {"Value": 1, "Relation": "EqualTo"}
    record = answer["Results"][0]["TrainingJob"]
    described = cloud.sagemaker.describe_training_job(TrainingJobName=trained.names[0])
    assert {name: described[name] for name in record if name != "Tags"} == {
        name: value for name, value in record.items() if name != "Tags"
    }
    assert {"Key": "owner", "Value": trained.owner} in record["Tags"]
    seen = [{"Key": "Tags.owner", "Value": trained.owner}]
    assert len(search(cloud, "TrainingJob", VisibilityConditions=seen)) == 3
    assert search(cloud, "ModelPackageGroup", CrossAccountFilterOption="CrossAccount") == []


REFUSED = {
    "an unknown property": [where("TrainingJobNme", value="x")],
    "text cannot be greater": [where("TrainingJobName", "GreaterThan", "a")],
    "numbers contain nothing": [where("TrainingTimeInSeconds", "Contains", "1")],
    "no value": [where("TrainingJobName", "Equals")],
    "not a time": [where("CreationTime", "GreaterThan", "yesterday")],
    "not a number": [where("TrainingTimeInSeconds", "GreaterThan", "many")],
    "a structure": [where("ModelArtifacts", value="x")],
    "contains twice": [where("TrainingJobName", "Contains", "a"), where("RoleArn", "Contains", "b")],
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_asked_is_refused(cloud: Cloud, case: str) -> None:
    code, text = refusal(
        lambda: cloud.sagemaker.search(Resource="TrainingJob", SearchExpression={"Filters": REFUSED[case]})
    )
    assert code == "ValidationException"
    if case == "contains twice":
        assert text == "'CONTAINS' operator usage limit of 1 exceeded."


def test_a_resource_that_is_not_there_is_refused_by_name(cloud: Cloud) -> None:
    code, text = refusal(lambda: cloud.sagemaker.search(Resource="FeatureGroup"))
    assert code == "ValidationException"
    assert "Search of FeatureGroup" in text


def test_suggestions_name_what_is_in_use(cloud: Cloud, trained: Trained) -> None:
    def suggested(hint: str) -> list[str]:
        answer = cloud.sagemaker.get_search_suggestions(
            Resource="TrainingJob", SuggestionQuery={"PropertyNameQuery": {"PropertyNameHint": hint}}
        )
        return [item["PropertyName"] for item in answer["PropertyNameSuggestions"]]

    assert {"HyperParameters.eta", "HyperParameters.num_round"} <= set(suggested("hyperparameters."))
    assert "Metrics.train:rmse" in suggested("Metrics.train")
    assert "Tags.owner" in suggested("Tags.o")
    assert suggested("Nothing") == []
    assert len(trained.names) == 3


def test_components_and_trials_are_found(cloud: Cloud, trained: Trained) -> None:
    api, owner = cloud.sagemaker, trained.owner
    api.create_experiment(ExperimentName=owner, Tags=[{"Key": "owner", "Value": owner}])
    api.create_trial(TrialName=f"{owner}-trial", ExperimentName=owner)
    for name in trained.names[:2]:
        api.associate_trial_component(TrialComponentName=f"{name}-aws-training-job", TrialName=f"{owner}-trial")
    found = search(
        cloud,
        "ExperimentTrialComponent",
        where("Parents.ExperimentName", value=owner),
        SortBy="Parameters.num_round",
        SortOrder="Ascending",
    )
    assert [record["TrialComponentName"] for record in found] == [
        f"{name}-aws-training-job" for name in trained.names[:2]
    ]
    assert found[0]["Parents"] == [{"TrialName": f"{owner}-trial", "ExperimentName": owner}]
    best = search(
        cloud,
        "ExperimentTrialComponent",
        where("Parameters.num_round", "GreaterThan", "1"),
        where("Metrics.train:rmse.Last", "GreaterThan", "0"),
        where("Source.SourceArn", "Contains", owner),
    )
    assert {record["Source"]["SourceArn"].rpartition("/")[2] for record in best} == set(trained.names[1:])
    (experiment,) = search(cloud, "Experiment", where("Tags.owner", value=owner))
    assert experiment["ExperimentName"] == owner
    (trial,) = search(cloud, "ExperimentTrial", where("ExperimentName", value=owner))
    assert len(trial["TrialComponentSummaries"]) == 2


@pytest.fixture
def package(cloud: Cloud, trained: Trained) -> str:
    group = unique("searched")
    cloud.sagemaker.create_model_package_group(ModelPackageGroupName=group, ModelPackageGroupDescription="found")
    model = cloud.sagemaker.describe_training_job(TrainingJobName=trained.names[0])["ModelArtifacts"]
    answer = cloud.sagemaker.create_model_package(
        ModelPackageGroupName=group,
        InferenceSpecification={
            "Containers": [{"Image": xgboost_image(), "ModelDataUrl": model["S3ModelArtifacts"]}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        CustomerMetadataProperties={"stage.name": "dev"},
        ModelApprovalStatus="Approved",
    )
    return str(answer["ModelPackageArn"])


def test_packages_groups_and_models_are_found(cloud: Cloud, package: str) -> None:
    group = package.split("/")[-2]
    (found,) = search(
        cloud,
        "ModelPackage",
        where("ModelPackageGroupName", value=group),
        where("ModelApprovalStatus", value="Approved"),
        where("CustomerMetadataProperties.stage.name", value="dev"),
        where("InferenceSpecification.Containers.Image", "Contains", "xgboost"),
    )
    assert found["ModelPackageArn"] == package
    (described,) = search(cloud, "ModelPackageGroup", where("ModelPackageGroupName", value=group))
    assert described["ModelPackageGroupDescription"] == "found"
    cloud.sagemaker.create_model(
        ModelName=group,
        ExecutionRoleArn=cloud.role,
        Containers=[{"ModelPackageName": package}],
        Tags=[{"Key": "for", "Value": group}],
    )
    for asked in (
        where("ModelName", value=group),
        where("Model.ModelName", value=group),
        where("Tags.for", value=group),
    ):
        (model,) = search(cloud, "Model", asked)
        assert model["Model"]["ModelName"] == group


def test_pipelines_and_executions_are_found(cloud: Cloud) -> None:
    name = unique("searched")
    fail = {"Name": "No", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}
    parameters = [{"Name": "Where", "Type": "String", "DefaultValue": "here"}]
    definition = {"Version": "2020-12-01", "Metadata": {}, "Parameters": parameters, "Steps": [fail]}
    api = cloud.sagemaker
    api.create_pipeline(
        PipelineName=name,
        PipelineDefinition=json.dumps(definition),
        RoleArn=cloud.role,
        PipelineDescription="to be found",
        ClientRequestToken=unique("token") + "0" * 32,
    )
    arn = api.start_pipeline_execution(
        PipelineName=name,
        PipelineParameters=[{"Name": "Where", "Value": "there"}],
        ClientRequestToken=unique("start") + "0" * 32,
    )["PipelineExecutionArn"]
    (pipeline,) = search(cloud, "Pipeline", where("PipelineDescription", value="to be found"))
    assert pipeline["PipelineName"] == name
    (execution,) = search(
        cloud,
        "PipelineExecution",
        where("PipelineArn", value=pipeline["PipelineArn"]),
        where("PipelineParameters.Value", value="there"),
    )
    assert execution["PipelineExecutionArn"] == arn
