"""DescribeTrainingJob: the control-plane call that every waiter makes, checked both ways by the vendor's model."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import boto3
from bench_measure import OURS, Budget, Options, Result, in_turns, percentile, timed
from bench_peers import moto_server, wait_until
from bench_sagemaker import ROLE_ARN, SKLEARN_IMAGE, ended, sagemaker_client
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from mlparity.testing.stack import running_stack

_ROUNDS = 10
_CALLS = 60  # a round
JOB = "bench-describe"
_PEER = "moto_server"


def run(options: Options) -> list[Result]:
    """The same calls by boto3, and signed by hand over one connection that is kept open."""
    with running_stack(options.folder / "stack", mlflow=False) as stack, moto_server(options.folder) as moto:
        urls = {OURS: stack.aws_url, _PEER: moto.url}
        for url in urls.values():
            create_job(url)
        boto = _sampled(options, {name: _boto_call(url) for name, url in urls.items()})
        raw = _sampled(options, {name: _raw_call(url) for name, url in urls.items()})
    return [*_results("boto3", boto), *_results("raw, keep-alive", raw)]


def create_job(url: str) -> None:
    """Create the job and wait until it has ended."""
    client = sagemaker_client(url)
    client.create_training_job(**training_request(JOB))
    wait_until(
        lambda: ended(client.describe_training_job(TrainingJobName=JOB)["TrainingJobStatus"]), 60, "the job's end"
    )


def training_request(name: str) -> dict[str, Any]:
    """CreateTrainingJob of a job that prints a metric."""
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": SKLEARN_IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-c", "print('loss=0.5')"],
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
        },
        "RoleArn": ROLE_ARN,
        "HyperParameters": {"trees": "20", "depth": "12"},
        "OutputDataConfig": {"S3OutputPath": "s3://sagemaker-us-east-1-123456789012/bench"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def _sampled(options: Options, calls: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    def block(call: Callable[[], None]) -> Callable[[], list[float]]:
        return lambda: [timed(call) * 1000 for _ in range(_CALLS)]

    in_turns(1, {name: block(call) for name, call in calls.items()})  # unmeasured
    return in_turns(options.rounds_or(_ROUNDS), {name: block(call) for name, call in calls.items()})


def _boto_call(url: str) -> Callable[[], None]:
    client = sagemaker_client(url)

    def call() -> None:
        client.describe_training_job(TrainingJobName=JOB)

    return call


def _raw_call(url: str) -> Callable[[], None]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    body = json.dumps({"TrainingJobName": JOB}).encode()
    headers = {"X-Amz-Target": "SageMaker.DescribeTrainingJob", "Content-Type": "application/x-amz-json-1.1"}
    credentials: Any = boto3.Session(aws_access_key_id="mlparity", aws_secret_access_key="mlparity-local-only")
    signer = SigV4Auth(credentials.get_credentials(), "sagemaker", "us-east-1")

    def call() -> None:
        request = AWSRequest("POST", f"{url}/", headers, body)
        signer.add_auth(request)
        connection.request("POST", "/", body, dict(request.headers.items()))
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != http.client.OK or answer["TrainingJobName"] != JOB:
            raise RuntimeError(f"DescribeTrainingJob: {response.status} {answer}")

    return call


def _results(how: str, samples: dict[str, list[float]]) -> list[Result]:
    middle = Result(
        "describe", f"DescribeTrainingJob p50, {how}", "ms", samples[OURS], {_PEER: samples[_PEER]}, [Budget(1, _PEER)]
    )
    slowest = {name: [percentile(values, 0.99)] for name, values in samples.items()}
    return [
        middle,
        Result("describe", f"DescribeTrainingJob p99, {how}", "ms", slowest[OURS], {_PEER: slowest[_PEER]}),
    ]
