"""One stack for all SDK tests, and the SDKs pointed at it by their environment alone."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlparity.testing.stack import RunningStack
from tests.sdk.cloud import REGION, Cloud

_HERE = Path(__file__).parent
_SDK = (
    "sagemaker.core.processing",
    "sagemaker.train",
    "sagemaker.mlops.workflow.pipeline",
    "sagemaker.mlops.workflow.model_step",
    "sagemaker.serve.model_builder",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark these tests, and let the SDK's own warnings pass: they are the vendor's to mend."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.sdk)
            for module in ("sagemaker", "pydantic", "mlflow"):
                item.add_marker(pytest.mark.filterwarnings(rf"ignore:::{module}.*"))
            item.add_marker(pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:Running within a PipelineSession:UserWarning"))


@pytest.fixture(scope="session")
def cloud(stack: RunningStack) -> Iterator[Cloud]:
    """Clients of the running stack."""
    import boto3

    with stack.environment_applied():
        _import_sdk()
        from sagemaker.core.helper.session_helper import Session
        from sagemaker.core.workflow.pipeline_context import PipelineSession

        boto = boto3.Session(region_name=REGION)
        session = Session(boto_session=boto, default_bucket=stack.config.default_bucket)
        yield Cloud(
            sagemaker=boto.client("sagemaker"),
            s3=boto.client("s3"),
            logs=boto.client("logs"),
            session=session,
            pipelines=PipelineSession(boto_session=boto, default_bucket=stack.config.default_bucket),
            role=stack.config.role_arn,
            bucket=stack.config.default_bucket,
            tracking_uri=stack.config.mlflow_url,
            boto=boto,
        )


def _import_sdk() -> None:
    """Import it once: compiling it warns, and it turns the root logger to INFO."""
    level = logging.root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in _SDK:
            importlib.import_module(module)
    logging.root.setLevel(level)


@pytest.fixture(autouse=True)
def _pointed_at_the_stack(stack: RunningStack, cloud: Cloud) -> Iterator[None]:
    """The environment of `mlparity exec` for each test here, and for no other test."""
    with stack.environment_applied():
        yield
