"""MLflow through SageMaker: tracking servers and apps, the vendor's MLflow plugin, and MlflowConfig of jobs."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from mlparity.testing.stack import RunningStack
from tests.sdk.cloud import Cloud, unique
from tests.sdk.refusals import refusal
from tests.sdk.waiting import execution_ended


@pytest.fixture
def server(cloud: Cloud) -> Iterator[dict[str, Any]]:
    name = unique("server")
    arn = cloud.sagemaker.create_mlflow_tracking_server(
        TrackingServerName=name,
        ArtifactStoreUri=cloud.uri("mlflow-store"),
        RoleArn=cloud.role,
        Tags=[{"Key": "team", "Value": "blue"}],
    )["TrackingServerArn"]
    yield {"name": name, "arn": arn}
    cloud.sagemaker.delete_mlflow_tracking_server(TrackingServerName=name)


@pytest.fixture
def by_arn() -> Iterator[Any]:
    """Set MLflow's tracking URI for a test, and put everything back."""
    before = mlflow.get_tracking_uri()
    yield mlflow.set_tracking_uri
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)


def test_a_server_is_there_from_the_start(cloud: Cloud, stack: RunningStack) -> None:
    described = cloud.sagemaker.describe_mlflow_tracking_server(TrackingServerName=stack.config.profile)
    assert described["TrackingServerStatus"] == "Created"
    assert described["IsActive"] == "Active"
    assert described["TrackingServerUrl"] == stack.mlflow_url
    assert described["MlflowVersion"] == mlflow.__version__
    assert described["ArtifactStoreUri"] == "s3://mlflow/artifacts"
    assert described["RoleArn"] == cloud.role


def test_a_server_is_made_stopped_started_changed_and_deleted(cloud: Cloud, server: dict[str, Any]) -> None:
    api, name = cloud.sagemaker, server["name"]
    assert server["arn"].endswith(f":mlflow-tracking-server/{name}")
    assert api.list_tags(ResourceArn=server["arn"])["Tags"] == [{"Key": "team", "Value": "blue"}]
    assert refusal(lambda: api.start_mlflow_tracking_server(TrackingServerName=name))[0] == "ConflictException"
    states = []
    for call, members in (
        (api.stop_mlflow_tracking_server, {}),
        (api.start_mlflow_tracking_server, {}),
        (api.update_mlflow_tracking_server, {"TrackingServerSize": "Medium"}),
    ):
        call(TrackingServerName=name, **members)
        described = api.describe_mlflow_tracking_server(TrackingServerName=name)
        states.append((described["TrackingServerStatus"], described["IsActive"]))
    assert states == [("Stopped", "Inactive"), ("Started", "Active"), ("Updated", "Active")]
    assert described["TrackingServerSize"] == "Medium"
    url = api.create_presigned_mlflow_tracking_server_url(TrackingServerName=name)["AuthorizedUrl"]
    assert url == f"{cloud.tracking_uri}/"


def test_servers_are_listed_by_page_and_status(cloud: Cloud, server: dict[str, Any]) -> None:
    api = cloud.sagemaker
    pages = api.get_paginator("list_mlflow_tracking_servers").paginate(
        SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 1}
    )
    names = [item["TrackingServerName"] for page in pages for item in page["TrackingServerSummaries"]]
    assert names == sorted(names)
    assert server["name"] in names
    assert len(names) >= 2
    stopped = api.list_mlflow_tracking_servers(TrackingServerStatus="Stopped")["TrackingServerSummaries"]
    assert stopped == []
    assert api.list_mlflow_tracking_servers(MlflowVersion="1.2.3")["TrackingServerSummaries"] == []


def test_refusals_are_the_vendors(cloud: Cloud, server: dict[str, Any]) -> None:
    api = cloud.sagemaker
    usual = {"ArtifactStoreUri": cloud.uri("store"), "RoleArn": cloud.role}
    cases = {
        "taken": (lambda: api.create_mlflow_tracking_server(TrackingServerName=server["name"], **usual),
                  "ConflictException"),
        "version": (lambda: api.create_mlflow_tracking_server(TrackingServerName="v", MlflowVersion="1.30.0", **usual),
                    "ValidationException"),
        "store": (lambda: api.create_mlflow_tracking_server(
            TrackingServerName="s", RoleArn=cloud.role, ArtifactStoreUri="s3://there-is-no-such-bucket/x"),
            "ValidationException"),
        "missing": (lambda: api.describe_mlflow_tracking_server(TrackingServerName="nobody"), "ResourceNotFound"),
        "app": (lambda: api.describe_mlflow_app(Arn=server["arn"].replace("tracking-server", "app")),
                "ResourceNotFound"),
    }  # fmt: skip
    assert {case: refusal(call)[0] for case, (call, _) in cases.items()} == {
        case: code for case, (_, code) in cases.items()
    }


def test_apps_live_and_one_is_the_accounts_default(cloud: Cloud) -> None:
    api = cloud.sagemaker
    usual = {"ArtifactStoreUri": cloud.uri("store"), "RoleArn": cloud.role, "AccountDefaultStatus": "ENABLED"}
    arns = [api.create_mlflow_app(Name=unique("app"), **usual)["Arn"] for _ in range(2)]
    defaults = api.list_mlflow_apps(AccountDefaultStatus="ENABLED")["Summaries"]
    assert [item["Arn"] for item in defaults] == [arns[1]]
    api.update_mlflow_app(Arn=arns[0], Name="renamed", DefaultDomainIdList=["d-abc"])
    described = api.describe_mlflow_app(Arn=arns[0])
    assert (described["Name"], described["Status"]) == ("renamed", "Updated")
    assert [item["Arn"] for item in api.list_mlflow_apps(DefaultForDomainId="d-abc")["Summaries"]] == [arns[0]]
    assert api.create_presigned_mlflow_app_url(Arn=arns[0])["AuthorizedUrl"].startswith(cloud.tracking_uri)
    for arn in arns:
        api.delete_mlflow_app(Arn=arn)
    assert refusal(lambda: api.describe_mlflow_app(Arn=arns[0]))[0] == "ResourceNotFound"


@pytest.mark.parametrize("kind", ["server", "app"])
def test_the_plugin_logs_and_registers_by_arn(
    cloud: Cloud, server: dict[str, Any], by_arn: Any, tmp_path: Path, kind: str
) -> None:
    arn = server["arn"]
    if kind == "app":
        arn = cloud.sagemaker.create_mlflow_app(
            Name=unique("app"), ArtifactStoreUri=cloud.uri("store"), RoleArn=cloud.role
        )["Arn"]
    from sklearn.linear_model import LinearRegression

    by_arn(arn)
    name = unique("by-arn")
    mlflow.set_experiment(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mlflow.start_run(run_name="first") as run:
            mlflow.log_param("alpha", 0.5)
            mlflow.log_metric("loss", 1.25)
            (tmp_path / "note.txt").write_text("by ARN\n")
            mlflow.log_artifact(str(tmp_path / "note.txt"))
            model = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
            logged = mlflow.sklearn.log_model(model, name="model", registered_model_name=name)
        loaded = mlflow.sklearn.load_model(f"models:/{name}/1")
    assert loaded.predict([[2.0]])[0] == pytest.approx(5.0)
    assert logged.model_uri
    # The same MLflow, by its own address.
    client = MlflowClient(cloud.tracking_uri)
    seen = client.get_run(run.info.run_id)
    assert seen.data.metrics == {"loss": 1.25}
    assert cloud.get(f"{seen.info.artifact_uri}/note.txt") == b"by ARN\n"
    assert [item.version for item in client.search_model_versions(f"name='{name}'")] == ["1"]


SCRIPT = """
import os, mlflow
mlflow.set_tracking_uri(os.environ["SERVER"])
with mlflow.start_run(run_id=os.environ["MLFLOW_RUN_ID"]):
    mlflow.log_metric("inside", 2.0)
"""


def test_a_jobs_mlflow_config_names_its_server_experiment_and_run(cloud: Cloud, server: dict[str, Any]) -> None:
    name = unique("configured")
    config = {"MlflowResourceArn": server["arn"], "MlflowExperimentName": name, "MlflowRunName": "the-run"}
    request = cloud.script_request(name, SCRIPT, MlflowConfig=config, Environment={"SERVER": server["arn"]})
    cloud.sagemaker.create_training_job(**request)
    described = cloud.trained(name)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert described["MlflowConfig"] == config
    run = MlflowClient(cloud.tracking_uri).get_run(described["MlflowDetails"]["MlflowRunId"])
    assert run.info.run_name == "the-run"
    assert run.info.experiment_id == described["MlflowDetails"]["MlflowExperimentId"]
    assert MlflowClient(cloud.tracking_uri).get_experiment(run.info.experiment_id).name == name
    assert run.data.metrics == {"inside": 2.0}


def test_a_server_that_is_not_there_or_stopped_takes_no_job(cloud: Cloud, server: dict[str, Any]) -> None:
    api = cloud.sagemaker

    def create(arn: str) -> str:
        request = cloud.training_request(unique("refused"), MlflowConfig={"MlflowResourceArn": arn})
        return refusal(lambda: api.create_training_job(**request))[0]

    assert create(f"{server['arn']}-other") == "ResourceNotFound"
    assert create(server["arn"].replace("us-east-1", "eu-west-1")) == "ValidationException"
    api.stop_mlflow_tracking_server(TrackingServerName=server["name"])
    assert create(server["arn"]) == "ValidationException"


def test_a_pipelines_mlflow_config_tracks_its_training_jobs(cloud: Cloud, server: dict[str, Any]) -> None:
    api, name = cloud.sagemaker, unique("tracked")
    train = cloud.script_request(name, "print('trained')")
    del train["TrainingJobName"]
    definition = {
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [{"Name": "Where", "Type": "String", "DefaultValue": server["arn"]}],
        "MlflowConfig": {"MlflowResourceArn": {"Get": "Parameters.Where"}, "MlflowExperimentName": f"{name}-usual"},
        "Steps": [{"Name": "Train", "Type": "Training", "Arguments": train}],
    }
    api.create_pipeline(
        PipelineName=name,
        PipelineDefinition=json.dumps(definition),
        RoleArn=cloud.role,
        ClientRequestToken=unique("token") + "0" * 32,
    )

    def start(**members: Any) -> str:
        token = unique("start") + "0" * 32
        return str(api.start_pipeline_execution(PipelineName=name, ClientRequestToken=token, **members)[
            "PipelineExecutionArn"])  # fmt: skip

    for experiment, members in ((f"{name}-usual", {}), (f"{name}-own", {"MlflowExperimentName": f"{name}-own"})):
        arn = start(**members)
        execution_ended(cloud, arn)
        described = api.describe_pipeline_execution(PipelineExecutionArn=arn)
        assert described["MLflowConfig"] == {"MlflowResourceArn": server["arn"], "MlflowExperimentName": experiment}
        (step,) = api.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        job = cloud.trained(step["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2])
        assert job["MlflowConfig"]["MlflowExperimentName"] == experiment
        run = MlflowClient(cloud.tracking_uri).get_run(job["MlflowDetails"]["MlflowRunId"])
        assert MlflowClient(cloud.tracking_uri).get_experiment(run.info.experiment_id).name == experiment
    nobody = [{"Name": "Where", "Value": f"{server['arn']}-nobody"}]
    assert refusal(lambda: start(PipelineParameters=nobody))[0] == "ResourceNotFound"
