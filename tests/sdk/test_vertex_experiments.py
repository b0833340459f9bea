"""Experiments and ML metadata through the unmodified google-cloud-aiplatform: what is logged is what is read again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from mlparity.metadata import NewNode
from tests.sdk.vertex_running import PARENT, Running, vertex_running

pytestmark = pytest.mark.filterwarnings("ignore:::google.*")
STORE = f"{PARENT}/metadataStores/default"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with vertex_running(tmp_path_factory.mktemp("vertex")) as found:
        yield found


@pytest.fixture
def sdk(running: Running) -> Any:
    logging.getLogger("google.cloud.aiplatform").setLevel(logging.WARNING)
    return running.init()


@pytest.fixture
def flights(sdk: Any, running: Running) -> Iterator[Any]:
    """An experiment of two runs: the first with everything that can be logged."""
    board = sdk.Tensorboard.create(display_name="board")
    running.init(experiment="flights", experiment_tensorboard=board)
    with sdk.start_run("lr") as run:
        run.log_params({"c": 0.5, "kind": "lr"})
        run.log_metrics({"accuracy": 0.75})
        run.log_metrics({"accuracy": 0.8, "auc": 0.9})
        for loss in (1.0, 0.5, 0.25):
            run.log_time_series_metrics({"loss": loss})
        run.log_classification_metrics(
            labels=["no", "yes"],
            matrix=[[5, 1], [2, 4]],
            fpr=[0.0, 0.5, 1.0],
            tpr=[0.0, 0.7, 1.0],
            threshold=[1.0, 0.5, 0.0],
            display_name="of the test set",
        )
    with sdk.start_run("dt") as run:
        run.log_params({"depth": 3})
        run.log_metrics({"accuracy": 0.7})
    experiment = sdk.Experiment("flights")
    yield experiment
    experiment.delete(delete_backing_tensorboard_runs=True)
    board.delete()
    assert [found.name for found in sdk.Experiment.list()] == []


def test_runs_as_a_data_frame(sdk: Any, flights: Any) -> None:
    frame = sdk.get_experiment_df("flights").set_index("run_name")
    lr, dt = frame.loc["lr"].dropna().to_dict(), frame.loc["dt"].dropna().to_dict()
    common = {"experiment_name": "flights", "run_type": "system.ExperimentRun", "state": "COMPLETE"}
    assert lr == common | {
        "param.c": 0.5,
        "param.kind": "lr",
        "metric.accuracy": 0.8,
        "metric.auc": 0.9,
        "time_series_metric.loss": 0.25,
    }
    assert dt == common | {"param.depth": 3.0, "metric.accuracy": 0.7}
    series = sdk.ExperimentRun("lr", experiment="flights").get_time_series_data_frame()
    assert series[["step", "loss"]].to_dict("list") == {"step": [1, 2, 3], "loss": [1.0, 0.5, 0.25]}


def test_a_run_is_read_continued_and_removed(sdk: Any, flights: Any, running: Running) -> None:
    run = sdk.ExperimentRun("lr", experiment="flights")
    assert (run.get_params(), run.get_metrics()) == ({"c": 0.5, "kind": "lr"}, {"accuracy": 0.8, "auc": 0.9})
    (measured,) = run.get_classification_metrics()
    assert (measured["display_name"], measured["labels"]) == ("of the test set", ["no", "yes"])
    assert (measured["matrix"], measured["tpr"]) == ([[5.0, 1.0], [2.0, 4.0]], [0.0, 0.7, 1.0])
    with sdk.start_run("lr", resume=True) as resumed:
        resumed.log_metrics({"f1": 0.6})
        resumed.log_time_series_metrics({"loss": 0.125})
    assert sdk.ExperimentRun("lr", experiment="flights").get_metrics() == {"accuracy": 0.8, "auc": 0.9, "f1": 0.6}
    assert run.get_time_series_data_frame()["step"].tolist() == [1, 2, 3, 4]
    assert [found.name for found in sdk.ExperimentRun.list(experiment="flights")] == ["lr", "dt"]
    with pytest.raises(Exception, match="flights-dt` already exists"):
        sdk.ExperimentRun.create("dt", experiment="flights")
    run.delete(delete_backing_tensorboard_run=True)
    assert [found.name for found in sdk.ExperimentRun.list(experiment="flights")] == ["dt"]
    assert list(sdk.get_experiment_df("flights")["run_name"]) == ["dt"]
    with pytest.raises(Exception, match="Context does not exist"):
        sdk.ExperimentRun("lr", experiment="flights").get_params()


def test_executions_and_artifacts_of_a_run(sdk: Any, flights: Any, running: Running) -> None:
    with sdk.start_run("traced") as run:
        data, model = (
            sdk.Artifact.create(schema_title=f"system.{kind}", uri=f"gs://b/{kind}", display_name=kind, metadata=facts)
            for kind, facts in (("Dataset", {"rows": 10}), ("Model", {"accuracy": 0.9, "kind": "lr"}))
        )
        with sdk.start_execution(
            schema_title="system.ContainerExecution", display_name="train", metadata={"epochs": 3}
        ) as train:
            assert train.state.name == "RUNNING"
            train.assign_input_artifacts([data])
            train.assign_output_artifacts([model])
    assert sdk.Execution(train.resource_name).state.name == "COMPLETE"
    assert [found.uri for found in train.get_input_artifacts()] == ["gs://b/Dataset"]
    assert [found.uri for found in train.get_output_artifacts()] == ["gs://b/Model"]
    assert {found.display_name for found in run.get_artifacts()} >= {"Dataset", "Model"}
    assert [(found.display_name, found.metadata) for found in run.get_executions()] == [("train", {"epochs": 3.0})]
    good = 'schema_title="system.Model" AND metadata.accuracy.number_value > 0.8 AND uri="gs://b/*"'
    assert [found.name for found in sdk.Artifact.list(filter=good)] == [model.name]
    assert sdk.Artifact.list(filter=good.replace("0.8", "0.95")) == []
    assert sdk.Artifact.get_with_uri("gs://b/Dataset").name == data.name
    context = sdk.Context(f"{STORE}/contexts/flights-traced")
    part = context.query_lineage_subgraph()
    assert [found.name for found in part.executions] == [train.resource_name]
    assert {(event.artifact, event.type_.name) for event in part.events} == {
        (data.resource_name, "INPUT"),
        (model.resource_name, "OUTPUT"),
    }
    with running.grpc_client("MetadataService") as client:
        whole = client.query_artifact_lineage_subgraph(artifact=data.resource_name)
        assert [found.name for found in whole.artifacts] == [data.resource_name, model.resource_name]
        over_grpc = [found.name for found in client.list_artifacts(request={"parent": STORE, "filter": good})]
        assert over_grpc == [model.resource_name]
        assert client.get_context(name=context.resource_name).parent_contexts == [f"{STORE}/contexts/flights"]
    model.update(metadata={"stage": "prod"}, description="kept")
    again = sdk.Artifact(model.resource_name)
    assert (again.metadata, again.gca_resource.description) == (
        {"accuracy": 0.9, "kind": "lr", "stage": "prod"},
        "kept",
    )
    train.delete()
    model.delete()
    assert sdk.Artifact.list(filter=good) == []


def test_contexts_and_their_children(sdk: Any) -> None:
    parent, child = (
        sdk.Context.create(schema_title=f"system.{kind}", resource_id=kind.lower(), display_name=kind)
        for kind in ("Pipeline", "PipelineRun")
    )
    parent.add_context_children([child])
    assert sdk.Context(child.resource_name).parent_contexts == [parent.resource_name]
    found = sdk.Context.list(filter=f'parent_contexts:"{parent.resource_name}"')
    assert [context.display_name for context in found] == ["PipelineRun"]
    with pytest.raises(Exception, match="cycle") as caught:
        child.add_context_children([parent])
    assert type(caught.value).__name__ in {"InvalidArgument", "BadRequest"}
    for context in (child, parent):
        context.delete()
    with pytest.raises(Exception, match="does not exist"):
        sdk.Context(parent.resource_name)


def test_scalars_and_the_default_tensorboard(sdk: Any, running: Running) -> None:
    first, second = (sdk.Tensorboard.create(display_name=name, is_default=True) for name in ("first", "second"))
    (default,) = sdk.Tensorboard.list(filter="is_default=true")
    assert default.display_name == "second"
    experiment = sdk.TensorboardExperiment.create(tensorboard_experiment_id="exp", tensorboard_name=first.name)
    run = sdk.TensorboardRun.create(tensorboard_run_id="run", tensorboard_experiment_name=experiment.resource_name)
    run.create_tensorboard_time_series(display_name="loss")
    for step, loss in ((1, 0.5), (2, 0.25), (2, 0.2)):
        run.write_tensorboard_scalar_data(time_series_data={"loss": loss}, step=step)
    values = [(point.step, point.scalar.value) for point in run.read_time_series_data()["loss"].values]
    assert values == [(1, 0.5), (2, 0.2)]
    with running.grpc_client("TensorboardService", "v1beta1") as client:
        (series,) = client.list_tensorboard_time_series(parent=run.resource_name)
        assert (series.display_name, series.metadata.max_step) == ("loss", 2)
        exported = client.export_tensorboard_time_series_data(tensorboard_time_series=series.name)
        assert [point.scalar.value for point in exported] == [0.5, 0.2]
    for board in (first, second):
        board.delete()


def test_a_pipelines_run_is_a_row_of_its_experiment(sdk: Any, running: Running) -> None:
    running.init(experiment="nightly")
    store = running.bench.vertex.metadata.of("vertex/test-project/us-central1/default")
    with store.transaction():  # as pipelines write it
        store.contexts.create(NewNode("train-1", "train-1", "system.PipelineRun", "0.0.1"))
        facts = {"input:depth": 4, "output:done": True}
        store.executions.create(NewNode("train-1", "train-1", "system.Run", "0.0.1", metadata=facts, state="COMPLETE"))
        for title, measured in (("system.Metrics", {"accuracy": 0.9}), ("google.RegressionMetrics", {"mse": 2.5})):
            store.artifacts.create(NewNode(title.lower(), title, title, "0.0.1", metadata=measured))
        store.add_members("train-1", ["system.metrics", "google.regressionmetrics"], ["train-1"])
        store.add_children("nightly", ["train-1"])
    (row,) = sdk.get_experiment_df("nightly").to_dict("records")
    assert row == {
        "experiment_name": "nightly",
        "run_name": "train-1",
        "run_type": "system.PipelineRun",
        "state": "COMPLETE",
        "param.depth": 4,
        "metric.accuracy": 0.9,
        "metric.mse": 2.5,
    }
    sdk.Experiment("nightly").delete()
