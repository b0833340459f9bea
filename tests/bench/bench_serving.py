"""One logistic regression behind an endpoint with two variants (90/10) and every request captured, and its peers.

Requests of mlparity are signed, and each signature is checked; the peers check none, split nothing and capture nothing.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import joblib
from bench_load import Load, Target, load
from bench_measure import OURS, Budget, Options, Result, in_turns
from bench_model_servers import LIMIT, Served, peers
from bench_sagemaker import BUCKET, ROLE_ARN, SKLEARN_IMAGE, client, sagemaker_client
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlparity.testing.stack import RunningStack, running_stack

_ROUNDS = 5
_SECONDS = 2.0  # of each load
_MANY = 8
_NAME = "bench-serving"
_WEIGHTS = {"most": 9.0, "few": 1.0}
_MORE, _LESS = 2.5, 0.6  # throughput and p99 against the best peer's


def run(options: Options) -> list[Result]:
    """Requests a second and latencies, with one client and with eight."""
    served, expected = _model(options.folder)
    with (
        running_stack(options.folder / "stack", mlflow=False) as stack,
        peers(options, served) as others,
        _endpoint(stack, served, options.folder),
    ):
        targets = {OURS: _signed(stack, served.row), **others}
        for name, target in targets.items():
            _check(name, load(target, _MANY, 1.0).answer, expected)
        loads = {clients: _loads(options, targets, clients) for clients in (1, _MANY)}
    return [result for clients, found in loads.items() for result in _results(clients, found)]


def _loads(options: Options, targets: dict[str, Target], clients: int) -> dict[str, list[Load]]:
    found: dict[str, list[Load]] = {name: [] for name in targets}

    def one(name: str) -> list[float]:
        found[name].append(load(targets[name], clients, _SECONDS))
        return [found[name][-1].per_second]

    actions: dict[str, Callable[[], list[float]]] = {name: partial(one, name) for name in targets}
    in_turns(options.rounds_or(_ROUNDS), actions)
    return found


def _results(clients: int, loads: dict[str, list[Load]]) -> Iterator[Result]:
    who = "1 client" if clients == 1 else f"{clients} clients"
    for what, unit, of in (
        ("requests", "/s", lambda one: one.per_second),
        ("p50", "ms", lambda one: one.p50),
        ("p99", "ms", lambda one: one.p99),
    ):
        samples = {name: [of(one) for one in found] for name, found in loads.items()}
        more = unit == "/s"
        result = Result("serving", f"{what}, {who}", unit, samples.pop(OURS), samples, more_is_better=more)
        real = [name for name in samples if name != LIMIT]
        if clients == _MANY and what != "p50" and real:
            best = (max if more else min)(real, key=result.peer_median)
            budgets = [Budget(_MORE if more else _LESS, best)]
            result = Result("serving", result.what, unit, result.ours, samples, budgets, more)
        yield result


def _model(folder: Path) -> tuple[Served, int]:
    """A trained model in both forms, and what it says of the first row."""
    import mlflow.sklearn

    features, target = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, target)[-1]
    joblib.dump(model, folder / "model.joblib")
    mlflow.sklearn.save_model(model, folder / "mlflow-model", pip_requirements=["scikit-learn"])
    row = [float(value) for value in features[0]]
    return Served(folder / "model.joblib", folder / "mlflow-model", row), int(model.predict([row])[0])


def _check(name: str, answer: bytes, expected: int) -> None:
    """The last number of an answer is the prediction. Raises ``RuntimeError``."""
    document: Any = json.loads(answer)
    for key in ("predictions", "outputs", "data"):
        if isinstance(document, list) and document and isinstance(document[0], dict):
            document = document[0]
        if isinstance(document, dict) and key in document:
            document = document[key]
    if document not in ([expected], [float(expected)]):
        raise RuntimeError(f"{name} answered {answer[:300]!r}, not {expected}")


@contextmanager
def _endpoint(stack: RunningStack, served: Served, folder: Path) -> Iterator[None]:
    sagemaker, s3 = sagemaker_client(stack.aws_url), client("s3", stack.aws_url)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(served.joblib, "model.joblib")
    s3.upload_file(str(folder / "model.tar.gz"), BUCKET, "bench/model.tar.gz")
    container = {"Image": SKLEARN_IMAGE, "ModelDataUrl": f"s3://{BUCKET}/bench/model.tar.gz"}
    sagemaker.create_model(ModelName=_NAME, ExecutionRoleArn=ROLE_ARN, PrimaryContainer=container)
    variants = [
        {"VariantName": name, "ModelName": _NAME, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large",
         "InitialVariantWeight": weight}
        for name, weight in _WEIGHTS.items()
    ]  # fmt: skip
    capture = {
        "EnableCapture": True, "InitialSamplingPercentage": 100, "DestinationS3Uri": f"s3://{BUCKET}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }  # fmt: skip
    sagemaker.create_endpoint_config(EndpointConfigName=_NAME, ProductionVariants=variants, DataCaptureConfig=capture)
    sagemaker.create_endpoint(EndpointName=_NAME, EndpointConfigName=_NAME)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    try:
        yield
    finally:
        sagemaker.delete_endpoint(EndpointName=_NAME)


def _signed(stack: RunningStack, row: object) -> Target:
    """The request as boto3 sends it; a signature is good for fifteen minutes."""
    config, body = stack.config, json.dumps([row]).encode()
    url = f"{config.aws_url}/endpoints/{_NAME}/invocations"
    headers = {
        "Content-Type": "application/json", "Accept-Encoding": "identity",
        "User-Agent": "Boto3/1.43.117 md/Botocore#1.43.117 ua/2.1 os/linux lang/python#3.11.7",
        "amz-sdk-invocation-id": "d6bd8e5c-5d0c-4b5c-9dd1-3a3ea5d4e9a9", "amz-sdk-request": "attempt=1",
    }  # fmt: skip
    request = AWSRequest("POST", url, headers, body)
    SigV4Auth(Credentials(config.access_key_id, config.secret_access_key), "sagemaker", config.region).add_auth(request)
    lines = [f"POST /endpoints/{_NAME}/invocations HTTP/1.1", f"Host: {url.split('/')[2]}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    return Target(config.aws_port, head.encode() + body)
