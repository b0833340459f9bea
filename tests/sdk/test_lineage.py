"""Lineage: what SageMaker records by itself of a pipeline, what a user adds, and what can be asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sdk.cloud import Cloud, csv_text, unique, xgboost_image
from tests.sdk.refusals import refusal
from tests.sdk.waiting import execution_ended

PREPARE = """
import pathlib
rows = pathlib.Path("/opt/ml/processing/raw/raw.csv").read_text().splitlines()
target = pathlib.Path("/opt/ml/processing/train")
(target / "train.csv").write_text("\\n".join(rows[1:]) + "\\n")
"""


@dataclass(frozen=True)
class Flow:
    """One execution of raw data -> processing -> training -> registered model."""

    name: str
    raw: str
    execution: str
    processing: str
    training: str
    package: str

    @property
    def components(self) -> tuple[str, str]:
        """The names of the two jobs' trial components."""
        return f"{self.processing}-aws-processing-job", f"{self.training}-aws-training-job"


def definition(cloud: Cloud, name: str, raw: str) -> str:
    prepare = cloud.processing_request(
        f"{name}-prepare",
        PREPARE,
        ProcessingInputs=[cloud.processing_input("raw", raw)],
        ProcessingOutputConfig={"Outputs": [cloud.processing_output("train", cloud.uri(name, "train"))]},
    )
    train = cloud.training_request(
        f"{name}-train",
        HyperParameters={"objective": "reg:squarederror", "num_round": "3"},
        InputDataConfig=[cloud.channel("train", "PLACE", "text/csv")],
    )
    made = {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}
    train["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = made
    container = {
        "Image": xgboost_image(),
        "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"},
    }
    register = {
        "ModelPackageGroupName": name,
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    }
    for request in (prepare, train):
        request.pop("ProcessingJobName", None)
        request.pop("TrainingJobName", None)
    steps = [
        {"Name": "Prepare", "Type": "Processing", "Arguments": prepare},
        {"Name": "Train", "Type": "Training", "Arguments": train},
        {"Name": "Register", "Type": "RegisterModel", "Arguments": register},
    ]
    return json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps})


@pytest.fixture(scope="module")
def flow(cloud: Cloud, stack: Any) -> Flow:
    with stack.environment_applied():
        name = unique("lineage")
        rows = [[float(index), float(index % 3), float(index % 5)] for index in range(60)]
        raw = cloud.put(f"{name}/raw/raw.csv", "y,a,b\n" + csv_text(rows))
        api = cloud.sagemaker
        api.create_pipeline(
            PipelineName=name,
            PipelineDefinition=definition(cloud, name, raw),
            RoleArn=cloud.role,
            ClientRequestToken=unique("token") + "0" * 32,
        )
        arn = api.start_pipeline_execution(PipelineName=name, ClientRequestToken=unique("start") + "0" * 32)[
            "PipelineExecutionArn"
        ]
        execution_ended(cloud, arn)
        steps = api.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        made = {step["StepName"]: step["Metadata"] for step in steps}
        return Flow(
            name,
            raw,
            arn,
            made["Prepare"]["ProcessingJob"]["Arn"].rpartition("/")[2],
            made["Train"]["TrainingJob"]["Arn"].rpartition("/")[2],
            made["Register"]["RegisterModel"]["Arn"],
        )


def upstream(cloud: Cloud, start: str, **changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = cloud.sagemaker.query_lineage(
        StartArns=[start], Direction="Ascendants", IncludeEdges=True, MaxResults=50, **changes
    )
    return answer


def artifact(cloud: Cloud, uri: str) -> dict[str, Any]:
    (found,) = cloud.sagemaker.list_artifacts(SourceUri=uri)["ArtifactSummaries"]
    return dict(found)


def test_a_registered_model_leads_back_to_the_raw_data(cloud: Cloud, flow: Flow) -> None:
    package = artifact(cloud, flow.package)
    assert package["ArtifactType"] == "ModelPackage"
    answer = upstream(cloud, package["ArtifactArn"])
    by_arn = {vertex["Arn"]: vertex for vertex in answer["Vertices"]}
    described = [
        cloud.sagemaker.describe_artifact(ArtifactArn=arn)
        for arn, vertex in by_arn.items()
        if vertex["LineageType"] == "Artifact"
    ]
    uris = {item["Source"]["SourceUri"]: item["ArtifactType"] for item in described}
    assert uris[flow.raw] == "DataSet"
    assert uris[cloud.uri(flow.name, "train")] == "DataSet"
    assert uris[xgboost_image()] == "Image"
    jobs = {vertex["Type"] for vertex in answer["Vertices"] if vertex["LineageType"] == "TrialComponent"}
    assert jobs == {"TrainingJob", "ProcessingJob"}
    kinds = {(by_arn[edge["SourceArn"]]["Type"], edge["AssociationType"], by_arn[edge["DestinationArn"]]["Type"])
             for edge in answer["Edges"]}  # fmt: skip
    assert {
        ("DataSet", "ContributedTo", "ProcessingJob"),
        ("ProcessingJob", "Produced", "DataSet"),
        ("DataSet", "ContributedTo", "TrainingJob"),
        ("TrainingJob", "Produced", "Model"),
        ("Model", "ContributedTo", "ModelPackage"),
        ("Approval", "ContributedTo", "ModelPackage"),
    } <= kinds


def test_the_raw_data_leads_forward_to_the_registered_model(cloud: Cloud, flow: Flow) -> None:
    found = cloud.sagemaker.query_lineage(
        StartArns=[artifact(cloud, flow.raw)["ArtifactArn"]],
        Direction="Descendants",
        IncludeEdges=False,
        Filters={"Types": ["ModelPackage"], "LineageTypes": ["Artifact"]},
    )
    assert [vertex["Arn"] for vertex in found["Vertices"]] == [artifact(cloud, flow.package)["ArtifactArn"]]
    assert found["Edges"] == []


def test_depth_pages_and_filters_narrow_an_answer(cloud: Cloud, flow: Flow) -> None:
    start = artifact(cloud, flow.package)["ArtifactArn"]
    near = upstream(cloud, start, MaxDepth=1)
    assert {vertex["Type"] for vertex in near["Vertices"]} == {"ModelPackage", "Model", "Image", "Approval"}
    whole = [vertex["Arn"] for vertex in upstream(cloud, start)["Vertices"]]
    pages, token = [], {}
    while True:
        answer = cloud.sagemaker.query_lineage(
            StartArns=[start], Direction="Ascendants", IncludeEdges=True, MaxResults=2, **token
        )
        pages += [vertex["Arn"] for vertex in answer["Vertices"]]
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert pages == whole
    # With edges, what lies between comes along.
    path = upstream(cloud, start, Filters={"Types": ["ProcessingJob"]})
    assert {vertex["Type"] for vertex in path["Vertices"]} == {
        "ModelPackage", "Model", "TrainingJob", "DataSet", "ProcessingJob",
    }  # fmt: skip
    nothing = cloud.sagemaker.query_lineage(
        StartArns=[start], IncludeEdges=False, Filters={"Properties": {"no": "such"}}
    )
    assert nothing["Vertices"] == []


def test_an_approval_is_an_action_on_the_package(cloud: Cloud, flow: Flow) -> None:
    cloud.sagemaker.update_model_package(
        ModelPackageArn=flow.package, ModelApprovalStatus="Approved", ApprovalDescription="looks right"
    )
    actions = cloud.sagemaker.list_actions(SourceUri=flow.package, ActionType="Approval", SortOrder="Ascending")
    described = [cloud.sagemaker.describe_action(ActionName=item["ActionName"]) for item in actions["ActionSummaries"]]
    statuses = [(item["Properties"]["ModelApprovalStatus"], item["Status"]) for item in described]
    assert statuses == [("PendingManualApproval", "InProgress"), ("Approved", "Completed")]
    assert described[1]["Description"] == "looks right"
    (context,) = cloud.sagemaker.list_contexts(ContextType="ModelGroup", SourceUri=group_arn(flow))["ContextSummaries"]
    (membership,) = cloud.sagemaker.list_associations(DestinationArn=context["ContextArn"])["AssociationSummaries"]
    assert membership["SourceArn"] == artifact(cloud, flow.package)["ArtifactArn"]
    assert membership["AssociationType"] == "AssociatedWith"
    assert membership["DestinationName"] == context["ContextName"]


def group_arn(flow: Flow) -> str:
    return flow.package.rpartition("/")[0].replace(":model-package/", ":model-package-group/")


def test_components_of_a_pipeline_are_in_its_experiment(cloud: Cloud, flow: Flow) -> None:
    api = cloud.sagemaker
    trial = flow.execution.rpartition("/")[2]
    described = api.describe_experiment(ExperimentName=flow.name)
    assert described["Source"]["SourceArn"].endswith(f":pipeline/{flow.name}")
    assert api.describe_trial(TrialName=trial)["ExperimentName"] == flow.name
    found = api.list_trial_components(TrialName=trial)["TrialComponentSummaries"]
    assert {item["TrialComponentName"] for item in found} == set(flow.components)
    training = api.describe_trial_component(TrialComponentName=flow.components[1])
    assert training["Status"]["PrimaryStatus"] == "Completed"
    assert training["Source"]["SourceType"] == "SageMakerTrainingJob"
    assert training["Parameters"]["num_round"] == {"NumberValue": 3.0}
    assert training["Parameters"]["objective"] == {"StringValue": "reg:squarederror"}
    assert training["InputArtifacts"]["train"]["MediaType"] == "text/csv"
    assert training["OutputArtifacts"]["SageMaker.ModelArtifact"]["Value"].endswith("/model.tar.gz")
    assert {item["MetricName"] for item in training["Metrics"]} == {"train:rmse"}
    assert training["StartTime"] <= training["EndTime"]
    tags = api.list_tags(ResourceArn=training["Source"]["SourceArn"])["Tags"]
    assert {"Key": "sagemaker:pipeline-execution-arn", "Value": flow.execution} in tags


def test_the_sdk_walks_the_graph(cloud: Cloud, flow: Flow) -> None:
    from sagemaker.core.lineage.artifact import Artifact
    from sagemaker.core.lineage.query import (
        LineageEntityEnum,
        LineageFilter,
        LineageQuery,
        LineageQueryDirectionEnum,
        LineageSourceEnum,
    )
    from sagemaker.core.lineage.visualizer import LineageTableVisualizer

    table = LineageTableVisualizer(cloud.session).show(training_job_name=flow.training)
    assert set(table["Direction"]) == {"Input", "Output"}
    assert set(table["Type"]) == {"DataSet", "Image", "Model"}
    shown = LineageTableVisualizer(cloud.session).show(model_package_arn=flow.package)
    assert {"Model", "Image", "Approval", "ModelGroup"} <= set(shown["Type"])
    result = LineageQuery(cloud.session).query(
        start_arns=[artifact(cloud, flow.package)["ArtifactArn"]],
        query_filter=LineageFilter(entities=[LineageEntityEnum.ARTIFACT], sources=[LineageSourceEnum.DATASET]),
        direction=LineageQueryDirectionEnum.ASCENDANTS,
        include_edges=False,
    )
    loaded = [Artifact.load(vertex.arn, cloud.session) for vertex in result.vertices]
    assert flow.raw in {item.source.source_uri for item in loaded}


def test_entities_made_by_hand_live_and_go(cloud: Cloud) -> None:
    api = cloud.sagemaker
    name = unique("hand")
    code = api.create_artifact(
        ArtifactName=name,
        Source={"SourceUri": f"https://example.com/{name}", "SourceTypes": [{"SourceIdType": "Custom", "Value": "1"}]},
        ArtifactType="Code",
        Properties={"a": "1", "b": "2"},
        Tags=[{"Key": "team", "Value": "blue"}],
    )["ArtifactArn"]
    action = api.create_action(ActionName=name, ActionType="Build", Source={"SourceUri": "ci:1"}, Status="InProgress")[
        "ActionArn"
    ]
    context = api.create_context(ContextName=name, ContextType="Project", Source={"SourceUri": "p:1"})["ContextArn"]
    api.add_association(SourceArn=code, DestinationArn=action, AssociationType="ContributedTo")
    api.add_association(SourceArn=action, DestinationArn=context)
    assert api.list_tags(ResourceArn=code)["Tags"] == [{"Key": "team", "Value": "blue"}]
    api.update_artifact(ArtifactArn=code, Properties={"a": "3", "c": "4"}, PropertiesToRemove=["c"])
    assert api.describe_artifact(ArtifactArn=code)["Properties"] == {"a": "3"}
    api.update_action(ActionName=name, Status="Completed", Description="built")
    described = api.describe_action(ActionName=action)
    assert (described["Status"], described["Description"]) == ("Completed", "built")
    reached = api.query_lineage(StartArns=[code], Direction="Descendants", IncludeEdges=True)
    assert [vertex["Type"] for vertex in reached["Vertices"]] == ["Code", "Build", "Project"]
    assert "AssociationType" not in reached["Edges"][1]
    again = api.list_associations(SourceArn=code, DestinationType="Build")["AssociationSummaries"]
    assert [(item["SourceName"], item["AssociationType"]) for item in again] == [(name, "ContributedTo")]
    refused = {
        "taken": lambda: api.create_action(ActionName=name.upper(), ActionType="x", Source={"SourceUri": "y"}),
        "twice": lambda: api.add_association(SourceArn=code, DestinationArn=action),
        "held": lambda: api.delete_artifact(ArtifactArn=code),
        "self": lambda: api.add_association(SourceArn=code, DestinationArn=code),
        "job": lambda: api.add_association(
            SourceArn=code.replace(":artifact/", ":training-job/"), DestinationArn=action
        ),
    }
    assert {case: refusal(call)[0] for case, call in refused.items()} == dict.fromkeys(refused, "ValidationException")
    api.delete_association(SourceArn=code, DestinationArn=action)
    api.delete_association(SourceArn=action, DestinationArn=context)
    api.delete_artifact(Source={"SourceUri": f"https://example.com/{name}"})
    api.delete_action(ActionName=name)
    api.delete_context(ContextName=name)
    missing = {
        "artifact": lambda: api.describe_artifact(ArtifactArn=code),
        "action": lambda: api.describe_action(ActionName=name),
        "context": lambda: api.update_context(ContextName=name, Description="x"),
        "association": lambda: api.delete_association(SourceArn=code, DestinationArn=action),
        "query": lambda: api.query_lineage(StartArns=[code]),
    }
    assert {case: refusal(call)[0] for case, call in missing.items()} == dict.fromkeys(missing, "ResourceNotFound")
