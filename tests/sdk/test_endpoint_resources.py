"""Endpoints with SageMaker's own Python SDK: built, deployed, asked, updated, traced back to data, deleted."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_diabetes

from tests.sdk.cloud import Cloud, csv_text, unique, xgboost_image
from tests.sdk.test_transform import archive

FEATURES, TARGET = load_diabetes(return_X_y=True)
ROWS = csv_text(FEATURES[:5])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own waiting asks every few seconds; a local endpoint takes one."""
    pause = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: pause(min(seconds, 0.2)))


def numbers(answer: Any) -> np.ndarray:
    """The predictions of an InvokeEndpointOutput."""
    text = answer.body.read().decode()
    return np.asarray([float(value) for value in text.replace("\n", ",").split(",") if value])


def test_build_deploy_invoke_update_delete(cloud: Cloud) -> None:
    from sagemaker.core.resources import Endpoint, EndpointConfig, Model
    from sagemaker.core.shapes import ProductionVariant
    from sagemaker.serve.model_builder import ModelBuilder

    boosters = [xgboost.train({"max_depth": depth}, xgboost.DMatrix(FEATURES, TARGET), 5) for depth in (2, 4)]
    expected = [booster.predict(xgboost.DMatrix(FEATURES[:5])) for booster in boosters]
    urls = [
        cloud.put(f"{unique('model')}/model.tar.gz", archive({"xgboost-model": bytes(booster.save_raw("ubj"))}))
        for booster in boosters
    ]
    builder = ModelBuilder(
        s3_model_data_url=urls[0],
        image_uri=xgboost_image(),
        role_arn=cloud.role,
        sagemaker_session=cloud.session,
        instance_type="ml.m5.large",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builder.build(model_name=unique("built"))
        endpoint = builder.deploy(endpoint_name=unique("built"), instance_type="ml.m5.large")
    assert endpoint.endpoint_status == "InService"
    answer = endpoint.invoke(body=ROWS, content_type="text/csv", accept="text/csv")
    np.testing.assert_allclose(numbers(answer), expected[0], rtol=1e-6)
    model = Model.create(
        model_name=unique("made"),
        primary_container={"image": xgboost_image(), "model_data_url": urls[1]},
        execution_role_arn=cloud.role,
        session=cloud.boto,
    )
    config = EndpointConfig.create(
        endpoint_config_name=unique("made"),
        production_variants=[
            ProductionVariant(
                variant_name="AllTraffic", model_name=model.model_name, initial_instance_count=1,
                instance_type="ml.m5.large",
            )
        ],
        session=cloud.boto,
    )  # fmt: skip
    endpoint.endpoint_config_name = config.endpoint_config_name
    endpoint.update(retain_all_variant_properties=True)
    endpoint.wait_for_status("InService", poll=1)
    np.testing.assert_allclose(numbers(endpoint.invoke(body=ROWS, content_type="text/csv")), expected[1], rtol=1e-6)
    found = [item.endpoint_name for item in Endpoint.get_all(name_contains=endpoint.endpoint_name, session=cloud.boto)]
    assert found == [endpoint.endpoint_name]
    endpoint.delete()
    endpoint.wait_for_delete(poll=1)


def test_an_endpoint_is_traced_back_to_its_data(cloud: Cloud) -> None:
    from sagemaker.core.lineage.context import EndpointContext

    sagemaker, name = cloud.sagemaker, unique("traced")
    data = cloud.put(f"{name}/train.csv", csv_text(np.column_stack([TARGET, FEATURES])))
    request = cloud.training_request(
        name,
        HyperParameters={"num_round": "3", "objective": "reg:squarederror"},
        InputDataConfig=[cloud.channel("train", data, "text/csv")],
    )
    sagemaker.create_training_job(**request)
    artifacts = cloud.trained(name)["ModelArtifacts"]["S3ModelArtifacts"]
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    package = sagemaker.create_model_package(
        ModelPackageGroupName=name,
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": xgboost_image(), "ModelDataUrl": artifacts}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]
    sagemaker.create_model(ModelName=name, PrimaryContainer={"ModelPackageName": package}, ExecutionRoleArn=cloud.role)
    variant = {
        "VariantName": "A", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large",
    }  # fmt: skip
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    arn = sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)["EndpointArn"]
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 100})
    summary = sagemaker.list_contexts(SourceUri=arn)["ContextSummaries"][0]
    context = EndpointContext.load(context_name=summary["ContextName"], sagemaker_session=cloud.session)
    assert context.context_type == "Endpoint"
    trained = sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobArn"]
    assert context.training_job_arns() == [trained]
    assert [item.source.source_uri for item in context.dataset_artifacts()] == [data]
    start = [summary["ContextArn"]]
    above = sagemaker.query_lineage(StartArns=start, Direction="Ascendants", MaxResults=50)["Vertices"]
    assert {"ModelPackage", "ModelDeployment", "TrainingJob", "Model", "DataSet"} <= {item["Type"] for item in above}
    sagemaker.delete_endpoint(EndpointName=name)
