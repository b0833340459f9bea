"""Endpoints whose models say their name, for tests that count who answers."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.config import Config

from mlparity.testing.stack import RunningStack

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
INFERENCE = """
import os, signal, threading

def model_fn(model_dir):
    return os.environ["MODEL"]

def input_fn(body, content_type):
    return body if isinstance(body, str) else body.decode()

def predict_fn(text, name):
    if text == "die":
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return name

def output_fn(name, accept):
    return name, "text/plain"
"""


def until(holds: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Wait, bounded."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


class Hosted:
    """One endpoint, "e", of a stack."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.sagemaker = stack.client("sagemaker")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            member = tarfile.TarInfo("code/inference.py")
            member.size = len(INFERENCE)
            tar.addfile(member, io.BytesIO(INFERENCE.encode()))
        self._bucket = stack.config.default_bucket
        stack.client("s3").put_object(Bucket=self._bucket, Key="model.tar.gz", Body=packed.getvalue())

    def config(self, name: str, *variants: tuple[str, float], count: int = 1) -> str:
        """A configuration; each variant is (name of its model, weight)."""
        for model, _ in variants:
            container = {
                "Image": IMAGE,
                "ModelDataUrl": f"s3://{self._bucket}/model.tar.gz",
                "Environment": {"SAGEMAKER_PROGRAM": "inference.py", "MODEL": model},
            }
            self.sagemaker.create_model(
                ModelName=f"{name}-{model}", PrimaryContainer=container, ExecutionRoleArn=self.stack.config.role_arn
            )
        production = [
            {
                "VariantName": f"v{number}",
                "ModelName": f"{name}-{model}",
                "InitialInstanceCount": count,
                "InstanceType": "ml.m5.large",
                "InitialVariantWeight": weight,
            }
            for number, (model, weight) in enumerate(variants)
        ]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=production)
        return name

    def create(self, config: str) -> None:
        """Until it is in service."""
        self.sagemaker.create_endpoint(EndpointName="e", EndpointConfigName=config)
        self.settled()

    def update(self, config: str, **deployment: Any) -> None:
        """Begin an update."""
        more = {"DeploymentConfig": deployment} if deployment else {}
        self.sagemaker.update_endpoint(EndpointName="e", EndpointConfigName=config, **more)

    def described(self) -> Any:
        """DescribeEndpoint."""
        return self.sagemaker.describe_endpoint(EndpointName="e")

    def settled(self) -> Any:
        """Until nothing is under way."""
        until(lambda: self.described()["EndpointStatus"] == "InService")
        return self.described()

    def ask(self, runtime: Any, text: str = "x") -> str:
        """The name of the model that answers."""
        body = runtime.invoke_endpoint(EndpointName="e", ContentType="text/plain", Body=text)["Body"]
        with body:
            return str(body.read().decode())

    def shares(self, count: int) -> Counter[str]:
        """Who answers so many requests."""
        runtime = self.stack.client("sagemaker-runtime")
        try:
            return Counter(self.ask(runtime) for _ in range(count))
        finally:
            runtime.close()

    @contextmanager
    def load(self) -> Iterator[Counter[str]]:
        """Three clients that never try again ask all the time; the answers so far, errors by their name."""
        answers: Counter[str] = Counter()
        stop, lock = threading.Event(), threading.Lock()

        def client() -> None:
            runtime = _without_retries(self.stack)
            while not stop.is_set():
                try:
                    said = self.ask(runtime)
                except Exception as error:  # noqa: BLE001 - counted, and looked at by the test
                    said = f"error: {error}"
                with lock:
                    answers[said] += 1
            runtime.close()

        threads = [threading.Thread(target=client) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _without_retries(stack: RunningStack) -> Any:
    import boto3

    session: Any = boto3.Session(
        aws_access_key_id=stack.config.access_key_id,
        aws_secret_access_key=stack.config.secret_access_key,
        region_name=stack.config.region,
    )
    config = Config(retries={"total_max_attempts": 1})
    return session.client("sagemaker-runtime", endpoint_url=stack.config.aws_url, config=config)
