"""Experiments, trials and trial components: by hand, and for jobs with an ExperimentConfig."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.sdk.cloud import Cloud, unique
from tests.sdk.refusals import refusal


@pytest.fixture
def experiment(cloud: Cloud) -> str:
    name = unique("experiment")
    cloud.sagemaker.create_experiment(
        ExperimentName=name, DisplayName="Shown", Description="for tests", Tags=[{"Key": "a", "Value": "1"}]
    )
    cloud.sagemaker.create_trial(TrialName=f"{name}-trial", ExperimentName=name)
    return name


def test_experiments_are_described_changed_and_listed(cloud: Cloud, experiment: str) -> None:
    api = cloud.sagemaker
    described = api.describe_experiment(ExperimentName=experiment)
    assert described["ExperimentArn"].endswith(f":experiment/{experiment}")
    assert (described["DisplayName"], described["Description"]) == ("Shown", "for tests")
    assert described["CreatedBy"]["IamIdentity"]["Arn"].startswith("arn:aws:sts::")
    assert api.list_tags(ResourceArn=described["ExperimentArn"])["Tags"] == [{"Key": "a", "Value": "1"}]
    api.update_experiment(ExperimentName=experiment, DisplayName="Changed")
    assert api.describe_experiment(ExperimentName=experiment)["DisplayName"] == "Changed"
    pages = api.get_paginator("list_experiments").paginate(SortBy="Name", PaginationConfig={"PageSize": 1})
    names = [item["ExperimentName"] for page in pages for item in page["ExperimentSummaries"]]
    assert experiment in names
    assert names == sorted(names, reverse=True)
    code, text = refusal(lambda: api.create_experiment(ExperimentName=experiment.upper()))
    assert code == "ValidationException"
    assert "already exists" in text  # the SDK's load-or-create reads this


def test_components_are_made_changed_associated_and_listed(cloud: Cloud, experiment: str) -> None:
    api, trial = cloud.sagemaker, f"{experiment}-trial"
    start = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    component = f"{experiment}-component"
    arn = api.create_trial_component(
        TrialComponentName=component,
        Status={"PrimaryStatus": "InProgress", "Message": "begun"},
        StartTime=start,
        Parameters={"alpha": {"NumberValue": 0.5}, "kind": {"StringValue": "linear"}},
        InputArtifacts={"data": {"MediaType": "text/csv", "Value": "s3://bucket/data"}},
    )["TrialComponentArn"]
    api.update_trial_component(
        TrialComponentName=component,
        Status={"PrimaryStatus": "Completed"},
        Parameters={"alpha": {"NumberValue": 0.7}, "beta": {"NumberValue": 1.0}},
        ParametersToRemove=["kind"],
        OutputArtifacts={"model": {"Value": "s3://bucket/model"}},
    )
    described = api.describe_trial_component(TrialComponentName=arn)
    assert described["Parameters"] == {"alpha": {"NumberValue": 0.7}, "beta": {"NumberValue": 1.0}}
    assert described["Status"] == {"PrimaryStatus": "Completed"}
    assert described["StartTime"] == start
    assert described["InputArtifacts"]["data"]["MediaType"] == "text/csv"
    assert described["OutputArtifacts"] == {"model": {"Value": "s3://bucket/model"}}
    for _ in range(2):  # a second time changes nothing
        api.associate_trial_component(TrialComponentName=component, TrialName=trial)
    by_trial = api.list_trial_components(TrialName=trial)["TrialComponentSummaries"]
    by_experiment = api.list_trial_components(ExperimentName=experiment)["TrialComponentSummaries"]
    assert [item["TrialComponentName"] for item in by_trial] == [component]
    assert by_experiment == by_trial
    assert [item["TrialName"] for item in api.list_trials(TrialComponentName=component)["TrialSummaries"]] == [trial]
    assert [item["TrialName"] for item in api.list_trials(ExperimentName=experiment)["TrialSummaries"]] == [trial]
    assert api.list_associations(DestinationArn=arn)["AssociationSummaries"] == []  # membership is none


def test_deletion_goes_from_the_inside_out(cloud: Cloud, experiment: str) -> None:
    api, trial = cloud.sagemaker, f"{experiment}-trial"
    component = f"{experiment}-component"
    api.create_trial_component(TrialComponentName=component)
    api.associate_trial_component(TrialComponentName=component, TrialName=trial)
    for call in (
        lambda: api.delete_experiment(ExperimentName=experiment),
        lambda: api.delete_trial(TrialName=trial),
        lambda: api.delete_trial_component(TrialComponentName=component),
    ):
        assert refusal(call)[0] == "ValidationException"
    api.disassociate_trial_component(TrialComponentName=component, TrialName=trial)
    api.delete_trial_component(TrialComponentName=component)
    api.delete_trial(TrialName=trial)
    api.delete_experiment(ExperimentName=experiment)
    missing = (
        lambda: api.describe_experiment(ExperimentName=experiment),
        lambda: api.describe_trial(TrialName=trial),
        lambda: api.update_trial(TrialName=trial, DisplayName="x"),
        lambda: api.describe_trial_component(TrialComponentName=component),
        lambda: api.create_trial(TrialName=trial, ExperimentName=experiment),
        lambda: api.list_trial_components(TrialName=trial),
        lambda: api.associate_trial_component(TrialComponentName=component, TrialName=trial),
    )
    assert {refusal(call)[0] for call in missing} == {"ResourceNotFound"}


def test_a_jobs_experiment_config_puts_it_into_the_trial(cloud: Cloud, experiment: str) -> None:
    api, trial = cloud.sagemaker, f"{experiment}-trial"
    config = {
        "ExperimentName": experiment,
        "TrialName": trial,
        "TrialComponentDisplayName": "Preparing",
    }
    name = unique("tracked")
    api.create_processing_job(
        **cloud.processing_request(
            name, "print('nothing to do')", ExperimentConfig=config, Environment={"SEED": "7", "MODE": "fast"}
        )
    )
    assert cloud.processed(name)["ProcessingJobStatus"] == "Completed"
    (summary,) = api.list_trial_components(TrialName=trial)["TrialComponentSummaries"]
    assert summary["TrialComponentName"] == f"{name}-aws-processing-job"
    assert summary["DisplayName"] == "Preparing"
    described = api.describe_trial_component(TrialComponentName=summary["TrialComponentName"])
    assert described["Status"]["PrimaryStatus"] == "Completed"
    assert described["Status"]["Message"] == "Status: Completed, exit message: null, failure reason: null"
    assert described["Parameters"]["SEED"] == {"NumberValue": 7.0}
    assert described["Parameters"]["MODE"] == {"StringValue": "fast"}
    assert described["Parameters"]["SageMaker.InstanceType"] == {"StringValue": "ml.m5.large"}
    assert set(described["InputArtifacts"]) == {"SageMaker.ImageUri", "code"}
    assert described["Source"]["SourceType"] == "SageMakerProcessingJob"
    (by_source,) = api.list_trial_components(SourceArn=described["Source"]["SourceArn"])["TrialComponentSummaries"]
    assert by_source["TrialComponentArn"] == described["TrialComponentArn"]


def test_a_failed_job_has_a_failed_component_that_made_nothing(cloud: Cloud) -> None:
    name = unique("broken")
    cloud.sagemaker.create_training_job(**cloud.script_request(name, "raise SystemExit(3)"))
    assert cloud.trained(name)["TrainingJobStatus"] == "Failed"
    described = cloud.sagemaker.describe_trial_component(TrialComponentName=f"{name}-aws-training-job")
    assert described["Status"]["PrimaryStatus"] == "Failed"
    assert "exit code: 3" in described["Status"]["Message"]
    assert "OutputArtifacts" not in described
    produced = cloud.sagemaker.list_associations(SourceArn=described["TrialComponentArn"])
    assert produced["AssociationSummaries"] == []


def test_experiments_that_are_not_there_take_no_job(cloud: Cloud, experiment: str) -> None:
    def create(**config: str) -> str:
        request = cloud.training_request(unique("refused"), ExperimentConfig=config)
        return refusal(lambda: cloud.sagemaker.create_training_job(**request))[0]

    other = unique("other")
    cloud.sagemaker.create_experiment(ExperimentName=other)
    assert create(ExperimentName=unique("nobody")) == "ResourceNotFound"
    assert create(ExperimentName=experiment, TrialName=unique("nobody")) == "ResourceNotFound"
    assert create(ExperimentName=other, TrialName=f"{experiment}-trial") == "ValidationException"


def test_the_sdks_resources_see_the_same(cloud: Cloud, experiment: str) -> None:
    from sagemaker.core.resources import Experiment, Trial, TrialComponent

    found: Any = Experiment.get(experiment_name=experiment)
    assert found.display_name == "Shown"
    assert Trial.get(trial_name=f"{experiment}-trial").experiment_name == experiment
    made = TrialComponent.create(trial_component_name=f"{experiment}-sdk", display_name="by-the-sdk")
    cloud.sagemaker.associate_trial_component(
        TrialComponentName=made.trial_component_name, TrialName=f"{experiment}-trial"
    )
    names = [item.trial_component_name for item in TrialComponent.get_all(trial_name=f"{experiment}-trial")]
    assert names == [f"{experiment}-sdk"]
