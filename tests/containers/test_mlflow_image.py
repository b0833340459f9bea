"""The inference image of mlflow_serving, built from its Dockerfile and run on a real engine."""

from __future__ import annotations

import json
import subprocess
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlparity.testing.stack import RunningStack, running_stack
from scenarios.flights.data import flights_files
from scenarios.mlflow_serving import container, contract, engine
from scenarios.mlflow_serving.digest import model_digest
from scenarios.mlflow_serving.flights import COLUMNS, sample_of
from scenarios.mlflow_serving.names import ENDPOINT, REPOSITORY
from tests.scenarios.running import told

pytestmark = [pytest.mark.sdk, pytest.mark.slow, pytest.mark.timeout(600)]
AS_ITSELF = """
version: 1
runtimes: {image: {kind: container}}
images: [{image: "*/mlflow-pyfunc:*", runtime: image}]
"""
AS_A_PROCESS = "python:3.11"  # stacks/runtimes.yaml: this environment's interpreter


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningStack]:
    """One whose owner has images run as themselves."""
    own = tmp_path / "config" / "mlparity" / "runtimes.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(AS_ITSELF)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with running_stack(tmp_path / "stack") as running:
        yield running


def test_the_image_is_its_model_wherever_it_runs_and_nothing_of_it_stays(
    python_base: str, stack: RunningStack, tmp_path: Path
) -> None:
    before = engine.built()
    try:
        said = told(stack, "mlflow_serving", "--build", "--keep")
        assert said.count(": built in ") == 2
        assert said.count(" 0 failed") == 4  # there and back, told twice
        definition = json.loads((work(stack) / "task-definition.json").read_text())
        serving = definition["containerDefinitions"][0]["image"]
        its_tag_is_its_models_digest(serving, tmp_path)
        only_the_last_layer_is_the_model(stack, sorted(set(engine.built()) - set(before)))
        assert {inspected(one)["Config"]["Image"] for one in endpoint_containers()} == {serving}
        every_way_to_run_it_gives_the_same_answers(stack, definition)
    finally:
        told(stack, "mlflow_serving", "--clean", closing="everything was taken away")
    assert engine.built() == before
    assert docker("ps", "--all", "--quiet", "--filter", "label=mlparity.owner") == ""


def its_tag_is_its_models_digest(uri: str, tmp_path: Path) -> None:
    made = docker("create", uri)
    try:
        docker("cp", f"{made}:/opt/ml/model", str(tmp_path / "model"))
    finally:
        docker("rm", made)
    digest = model_digest(tmp_path / "model")
    assert uri.rpartition(":")[2] == digest[:12]
    assert inspected(uri)["Config"]["Labels"][engine.DIGEST_LABEL] == f"sha256:{digest}"


def only_the_last_layer_is_the_model(stack: RunningStack, uris: list[str]) -> None:
    """And what ECR has is the manifest of what the engine has, layer by layer."""
    layers = [inspected(uri)["RootFS"]["Layers"] for uri in uris]
    assert len(layers) == 2
    assert layers[0][:-1] == layers[1][:-1]
    assert layers[0][-1] != layers[1][-1]
    for uri, own in zip(uris, layers, strict=True):
        ids = [{"imageTag": uri.rpartition(":")[2]}]
        found = stack.client("ecr").batch_get_image(repositoryName=REPOSITORY, imageIds=ids)["images"]
        manifest = json.loads(found[0]["imageManifest"])
        assert len(manifest["layers"]) == len(own)
        for layer, digest in zip(manifest["layers"], own, strict=True):
            assert layer["digest"] == digest or not layer["mediaType"].endswith("tar")  # compressed: another digest
        assert all(layer["size"] > 0 for layer in manifest["layers"])


def every_way_to_run_it_gives_the_same_answers(stack: RunningStack, definition: dict[str, Any]) -> None:
    """The container alone, the container behind the endpoint, and a process of the same archive behind another."""
    flights = sample_of(flights_files()).sample(20, random_state=7)[list(COLUMNS)].reset_index(drop=True)
    forms = contract.forms(flights)
    runtime = stack.client("sagemaker-runtime")
    process = process_endpoint(stack)
    with container.running(definition, "a test") as alone:
        for name in ("CSV", "dataframe_split"):
            kind, body = forms[name]
            answers = [
                contract.predictions_in(ask["Body"].read())
                for endpoint in (ENDPOINT, process)
                for ask in [runtime.invoke_endpoint(EndpointName=endpoint, ContentType=kind, Body=body)]
            ]
            assert answers == [alone.invoke(kind, body)] * 2
            assert len({one["delay_minutes"] for one in answers[0]}) > 5
        with pytest.raises(urllib.error.HTTPError, match="400"):
            alone.invoke("text/csv", flights.drop(columns="carrier").to_csv(index=False))
        assert alone.ping()
        assert alone.stop() in (0, 143)
    sagemaker = stack.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName=process)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=process, WaiterConfig={"Delay": 1})


def process_endpoint(stack: RunningStack) -> str:
    """Another endpoint of the serving model's archive, whose image stands for this machine's interpreter."""
    sagemaker, name = stack.client("sagemaker"), "as-a-process"
    config = sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"]
    (variant,) = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    image = {"Image": AS_A_PROCESS, "ModelDataUrl": model["PrimaryContainer"]["ModelDataUrl"]}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=model["ExecutionRoleArn"], PrimaryContainer=image)
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{**variant, "ModelName": name}])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    return name


def endpoint_containers() -> list[str]:
    """Those that a stack runs, by id."""
    return docker("ps", "--quiet", "--filter", "label=mlparity.owner").split()


def inspected(name: str) -> dict[str, Any]:
    return dict(json.loads(docker("inspect", name))[0])


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def work(stack: RunningStack) -> Path:
    return stack.folder.path / "scenarios" / "mlflow_serving"
