"""Batch transform: what a job writes is what the model says of each row, whatever way the rows were sent."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

import joblib
import numpy as np
import pytest
import xgboost
from botocore.exceptions import ClientError, WaiterError
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

from tests.sdk.cloud import OFTEN, Cloud, csv_text, sklearn_image, unique, xgboost_image

LOGS = "/aws/sagemaker/TransformJobs"
FEATURES, TARGET = load_diabetes(return_X_y=True)
INFERENCE = """
import json, os
import numpy as np

def model_fn(model_dir, context):
    with open(os.path.join(model_dir, "factor.json")) as file:
        return json.load(file)["factor"]

def input_fn(body, content_type):
    if content_type != "application/json":
        raise ValueError("only JSON, not " + content_type)
    return np.array(json.loads(body))

def predict_fn(data, model):
    return int(data.sum() * model)

def output_fn(prediction, accept):
    return json.dumps({"sum": prediction, "batch": os.environ["SAGEMAKER_BATCH"], "mine": os.environ["MINE"]}), accept
"""


def archive(files: Mapping[str, bytes]) -> bytes:
    """A model.tar.gz."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def make_model(cloud: Cloud, image: str, files: Mapping[str, bytes], **container: Any) -> str:
    """A model of these files; its name."""
    name = unique("model")
    url = cloud.put(f"{name}/model.tar.gz", archive(files))
    cloud.sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": image, "ModelDataUrl": url, **container},
        ExecutionRoleArn=cloud.role,
    )
    return name


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    return xgboost.train({"max_depth": 4, "seed": 1}, xgboost.DMatrix(FEATURES, TARGET), 20)


@pytest.fixture(scope="module")
def xgboost_model(cloud: Cloud, stack: Any, booster: xgboost.Booster) -> Iterator[str]:
    with stack.environment_applied():
        yield make_model(cloud, xgboost_image(), {"xgboost-model": booster.save_raw("ubj")})


@pytest.fixture(scope="module")
def expected(booster: xgboost.Booster) -> np.ndarray:
    return booster.predict(xgboost.DMatrix(FEATURES))


def request(cloud: Cloud, model: str, uri: str, **changes: Any) -> dict[str, Any]:
    """A CreateTransformJob request for CSV, split by line."""
    name = unique("transform")
    source = {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
        "ContentType": "text/csv",
        "SplitType": "Line",
        **changes.pop("TransformInput", {}),
    }
    target = {
        "S3OutputPath": cloud.uri(name),
        "AssembleWith": "Line",
        "Accept": "text/csv",
        **changes.pop("TransformOutput", {}),
    }
    return {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": source,
        "TransformOutput": target,
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **changes,
    }


def transformed(cloud: Cloud, wanted: dict[str, Any]) -> dict[str, Any]:
    """Run a job to its end."""
    cloud.sagemaker.create_transform_job(**wanted)
    name = wanted["TransformJobName"]
    try:
        cloud.sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName=name, WaiterConfig=OFTEN)
    except WaiterError as error:
        if "terminal failure state" not in str(error):
            raise
    described: dict[str, Any] = cloud.sagemaker.describe_transform_job(TransformJobName=name)
    return described


def numbers(text: bytes) -> list[float]:
    return [float(line) for line in text.split()]


def test_the_sdks_transformer_predicts_every_row_as_the_model_does(
    cloud: Cloud, xgboost_model: str, expected: np.ndarray
) -> None:
    from sagemaker.core.transformer import Transformer

    name = unique("data")
    uri = cloud.put(f"{name}/rows.csv", csv_text(FEATURES))
    transformer = Transformer(
        model_name=xgboost_model,
        instance_count=1,
        instance_type="ml.m5.large",
        strategy="MultiRecord",
        assemble_with="Line",
        output_path=cloud.uri(name, "out"),
        sagemaker_session=cloud.session,
    )
    transformer.transform(uri, content_type="text/csv", split_type="Line", wait=True, logs=False)
    assert cloud.keys(cloud.uri(name, "out")) == ["rows.csv.out"]
    assert numbers(cloud.get(cloud.uri(name, "out", "rows.csv.out"))) == pytest.approx(expected.tolist(), abs=0)


def test_one_record_a_request_gives_the_same_and_keeps_the_order(
    cloud: Cloud, xgboost_model: str, expected: np.ndarray
) -> None:
    uri = cloud.put(f"{unique('data')}/rows.csv", csv_text(FEATURES[:60]))
    job = transformed(
        cloud, request(cloud, xgboost_model, uri, BatchStrategy="SingleRecord", MaxConcurrentTransforms=4)
    )
    assert job["TransformJobStatus"] == "Completed"
    assert job["TransformEndTime"] >= job["TransformStartTime"] >= job["CreationTime"]
    output = job["TransformOutput"]["S3OutputPath"]
    assert numbers(cloud.get(f"{output}/rows.csv.out")) == expected[:60].tolist()
    log = cloud.log(LOGS, job["TransformJobName"])
    assert any("MaxConcurrentTransforms=4, MaxPayloadInMB=6, BatchStrategy=SINGLE_RECORD" in line for line in log)


def test_every_file_of_a_prefix_has_its_output_also_compressed_and_on_two_instances(
    cloud: Cloud, xgboost_model: str, expected: np.ndarray
) -> None:
    base = unique("data")
    parts = {"a.csv.gz": slice(0, 10), "deep/b.csv.gz": slice(10, 25), "deep/er/c.csv.gz": slice(25, 26)}
    for key, rows in parts.items():
        cloud.s3.put_object(
            Bucket=cloud.bucket, Key=f"{base}/in/{key}", Body=gzip.compress(csv_text(FEATURES[rows]).encode())
        )
    job = transformed(
        cloud,
        request(
            cloud,
            xgboost_model,
            cloud.uri(base, "in/"),
            TransformInput={"CompressionType": "Gzip"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 2},
        ),
    )
    assert job["TransformJobStatus"] == "Completed", job
    output = job["TransformOutput"]["S3OutputPath"]
    assert cloud.keys(output) == sorted(f"{key}.out" for key in parts)
    for key, rows in parts.items():
        assert numbers(cloud.get(f"{output}/{key}.out")) == expected[rows].tolist()


def test_a_manifest_names_the_files(cloud: Cloud, xgboost_model: str, expected: np.ndarray) -> None:
    base = unique("data")
    for number in range(3):
        cloud.put(f"{base}/{number}.csv", csv_text(FEATURES[number : number + 1]))
    manifest = cloud.put(f"{base}.manifest", json.dumps([{"prefix": cloud.uri(base) + "/"}, "0.csv", "2.csv"]))
    source = {"DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": manifest}}}
    job = transformed(cloud, request(cloud, xgboost_model, manifest, TransformInput=source))
    output = job["TransformOutput"]["S3OutputPath"]
    assert cloud.keys(output) == ["0.csv.out", "2.csv.out"]
    assert numbers(cloud.get(f"{output}/2.csv.out")) == [expected[2]]


def test_an_id_column_is_left_out_for_the_model_and_joined_to_its_answer(
    cloud: Cloud, xgboost_model: str, expected: np.ndarray
) -> None:
    lines = [f'"row, {index}",{line}' for index, line in enumerate(csv_text(FEATURES[:5]).splitlines())]
    uri = cloud.put(f"{unique('data')}/rows.csv", "\n".join(lines) + "\n")
    association = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    job = transformed(cloud, request(cloud, xgboost_model, uri, DataProcessing=association))
    assert job["TransformJobStatus"] == "Completed", job
    assert job["DataProcessing"] == association
    written = cloud.get(f"{job['TransformOutput']['S3OutputPath']}/rows.csv.out").decode().splitlines()
    assert written == [f'"row, {index}",{value}' for index, value in enumerate(expected[:5].tolist())]


def test_json_lines_are_joined_as_objects(cloud: Cloud) -> None:
    model = LinearRegression().fit(FEATURES, TARGET)
    packed = io.BytesIO()
    joblib.dump(model, packed)
    name = make_model(cloud, sklearn_image(), {"model.joblib": packed.getvalue()})
    records = [{"id": index, "features": row} for index, row in enumerate(FEATURES[:4].tolist())]
    uri = cloud.put(f"{unique('data')}/rows.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    kinds = "application/jsonlines"
    job = transformed(
        cloud,
        request(
            cloud,
            name,
            uri,
            TransformInput={"ContentType": kinds},
            TransformOutput={"Accept": kinds},
            DataProcessing={
                "InputFilter": "$.features",
                "JoinSource": "Input",
                "OutputFilter": "$['id','SageMakerOutput']",
            },
        ),
    )
    assert job["TransformJobStatus"] == "Completed", job
    written = cloud.get(f"{job['TransformOutput']['S3OutputPath']}/rows.jsonl.out").splitlines()
    assert [json.loads(line) for line in written] == [
        {"id": index, "SageMakerOutput": value} for index, value in enumerate(model.predict(FEATURES[:4]).tolist())
    ]


def test_a_models_own_inference_code_answers(cloud: Cloud) -> None:
    files = {"factor.json": b'{"factor": 10}', "code/inference.py": INFERENCE.encode()}
    name = make_model(cloud, sklearn_image(), files, Environment={"SAGEMAKER_PROGRAM": "inference.py", "MINE": "m"})
    uri = cloud.put(f"{unique('data')}/rows.json", "[[1, 2], [3, 4]]")
    job = transformed(
        cloud,
        request(
            cloud,
            name,
            uri,
            TransformInput={"ContentType": "application/json", "SplitType": "None"},
            TransformOutput={"Accept": "application/json", "AssembleWith": "None"},
            Environment={"MINE": "job"},
        ),
    )
    assert job["TransformJobStatus"] == "Completed", job
    written = json.loads(cloud.get(f"{job['TransformOutput']['S3OutputPath']}/rows.json.out"))
    assert written == {"sum": 100, "batch": "true", "mine": "job"}


def test_a_pipeline_of_containers_passes_answers_on(cloud: Cloud) -> None:
    code = "def model_fn(d): return {factor}\ndef input_fn(b, t): return float(b)\n"
    code += "def predict_fn(x, m): return x * m\ndef output_fn(p, a): return str(p), 'text/csv'\n"
    containers = []
    for factor in (2, 5):
        url = cloud.put(
            f"{unique('m')}/model.tar.gz", archive({"code/inference.py": code.format(factor=factor).encode()})
        )
        containers.append({"Image": sklearn_image(), "ModelDataUrl": url})
    name = unique("pipeline")
    cloud.sagemaker.create_model(ModelName=name, Containers=containers, ExecutionRoleArn=cloud.role)
    uri = cloud.put(f"{unique('data')}/rows.csv", "1\n3\n")
    job = transformed(cloud, request(cloud, name, uri, BatchStrategy="SingleRecord"))
    assert job["TransformJobStatus"] == "Completed", job
    assert cloud.get(f"{job['TransformOutput']['S3OutputPath']}/rows.csv.out") == b"10.0\n30.0\n"


def test_a_bad_record_fails_the_job_and_spares_the_other_files(
    cloud: Cloud, xgboost_model: str, expected: np.ndarray
) -> None:
    base = unique("data")
    cloud.put(f"{base}/bad.csv", "1,2,3\n")
    cloud.put(f"{base}/good.csv", csv_text(FEATURES[:2]))
    job = transformed(cloud, request(cloud, xgboost_model, cloud.uri(base) + "/"))
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: Too many objects failed. See job logs for more information"
    output = job["TransformOutput"]["S3OutputPath"]
    assert cloud.keys(output) == ["good.csv.out"]
    assert numbers(cloud.get(f"{output}/good.csv.out")) == expected[:2].tolist()
    log = "\n".join(cloud.log(LOGS, job["TransformJobName"]))
    assert f"{cloud.bucket}/{base}/bad.csv: ClientError: 400" in log
    assert "Feature size of inference data 3 is not consistent" in log


def test_a_model_that_fails_is_an_algorithm_error(cloud: Cloud) -> None:
    code = b"def model_fn(d): return 1\ndef transform_fn(m, b, t, a): raise RuntimeError('boom')\n"
    name = make_model(cloud, sklearn_image(), {"code/inference.py": code})
    uri = cloud.put(f"{unique('data')}/rows.csv", "1\n")
    job = transformed(cloud, request(cloud, name, uri, ModelClientConfig={"InvocationsMaxRetries": 0}))
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"
    log = "\n".join(cloud.log(LOGS, job["TransformJobName"]))
    assert "Bad HTTP status received from algorithm: 500" in log
    assert "boom" in log


def test_a_running_job_stops(cloud: Cloud) -> None:
    code = b"import time\ndef model_fn(d):\n  print('loading', flush=True)\n  time.sleep(600)\n"
    name = make_model(cloud, sklearn_image(), {"code/inference.py": code})
    uri = cloud.put(f"{unique('data')}/rows.csv", "1\n")
    wanted = request(cloud, name, uri)
    cloud.sagemaker.create_transform_job(**wanted)
    job = wanted["TransformJobName"]
    cloud.sagemaker.stop_transform_job(TransformJobName=job)
    cloud.sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName=job, WaiterConfig=OFTEN)
    assert cloud.sagemaker.describe_transform_job(TransformJobName=job)["TransformJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="is in status Stopped"):
        cloud.sagemaker.stop_transform_job(TransformJobName=job)
    listed = cloud.sagemaker.list_transform_jobs(NameContains=job, StatusEquals="Stopped")["TransformJobSummaries"]
    assert [item["TransformJobName"] for item in listed] == [job]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"TransformInput": {"SplitType": "RecordIO"}}, "SplitType RecordIO is not supported by mlparity"),
        (
            {"DataCaptureConfig": {"DestinationS3Uri": "s3://b/c", "GenerateInferenceId": True}},
            "DataCaptureConfig.GenerateInferenceId is not supported by mlparity",
        ),
        ({"DataProcessing": {"InputFilter": "$["}}, "is not a JSONPath"),
        ({"MaxPayloadInMB": 60, "MaxConcurrentTransforms": 2}, "cannot exceed 100 MB"),
        ({"ModelName": "no-such-model"}, 'Could not find model "arn:aws:sagemaker:'),
    ],
)
def test_what_cannot_be_is_refused(cloud: Cloud, xgboost_model: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        cloud.sagemaker.create_transform_job(**request(cloud, xgboost_model, cloud.uri("x"), **changes))


def test_models_are_made_described_listed_tagged_and_deleted(cloud: Cloud, booster: xgboost.Booster) -> None:
    from sagemaker.core.resources import Model

    name = make_model(cloud, xgboost_image(), {"xgboost-model": booster.save_raw("ubj")}, Environment={"A": "1"})
    described = cloud.sagemaker.describe_model(ModelName=name)
    assert described["PrimaryContainer"]["Environment"] == {"A": "1"}
    assert described["PrimaryContainer"]["Mode"] == "SingleModel"
    assert Model.get(model_name=name, session=cloud.boto).model_arn == described["ModelArn"]
    cloud.sagemaker.add_tags(ResourceArn=described["ModelArn"], Tags=[{"Key": "k", "Value": "v"}])
    assert cloud.sagemaker.list_tags(ResourceArn=described["ModelArn"])["Tags"] == [{"Key": "k", "Value": "v"}]
    assert [item["ModelName"] for item in cloud.sagemaker.list_models(NameContains=name)["Models"]] == [name]
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        cloud.sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": xgboost_image()})
    cloud.sagemaker.delete_model(ModelName=name)
    with pytest.raises(ClientError, match="Could not find model"):
        cloud.sagemaker.describe_model(ModelName=name)
    missing = {"Image": xgboost_image(), "ModelDataUrl": cloud.uri("no/such.tar.gz")}
    with pytest.raises(ClientError, match="Could not find model data at s3://"):
        cloud.sagemaker.create_model(ModelName=name, PrimaryContainer=missing)
    unknown = "123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:1"
    with pytest.raises(ClientError, match=f"Requested image {unknown} not found.*add a line under `images:`"):
        cloud.sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": unknown})
    with pytest.raises(ClientError, match="Mode MultiModel is not supported by mlparity"):
        cloud.sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": xgboost_image(), "Mode": "MultiModel"})


def test_a_model_of_a_package_needs_its_approval(cloud: Cloud, booster: xgboost.Booster, expected: np.ndarray) -> None:
    group, name = unique("group"), unique("model")
    url = cloud.put(f"{group}/model.tar.gz", archive({"xgboost-model": booster.save_raw("ubj")}))
    cloud.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    specification = {
        "Containers": [{"Image": xgboost_image(), "ModelDataUrl": url}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    package = cloud.sagemaker.create_model_package(
        ModelPackageGroupName=group, InferenceSpecification=specification, ModelApprovalStatus="PendingManualApproval"
    )["ModelPackageArn"]
    with pytest.raises(ClientError, match="it must be Approved"):
        cloud.sagemaker.create_model(ModelName=name, PrimaryContainer={"ModelPackageName": package})
    cloud.sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    cloud.sagemaker.create_model(ModelName=name, PrimaryContainer={"ModelPackageName": package})
    uri = cloud.put(f"{group}/rows.csv", csv_text(FEATURES[:3]))
    job = transformed(cloud, request(cloud, name, uri))
    assert numbers(cloud.get(f"{job['TransformOutput']['S3OutputPath']}/rows.csv.out")) == expected[:3].tolist()
