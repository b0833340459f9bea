"""A SageMaker model's container as the serving substrate takes it: where its artifacts are, and what it runs with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker.context import SageMaker
from mlparity.serving.endpoints.plans import ModelContainer

Container = Mapping[str, Any]


def artifact(container: Container) -> tuple[str, bool]:
    """(URI, whether it is a .tar.gz) of a resolved container's artifacts; ("", False) where it has none."""
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source is not None:
        return source["S3Uri"], source["CompressionType"] == "Gzip"
    url = container.get("ModelDataUrl", "")
    return (_as_s3(url), True) if url else ("", False)


def hosted(api: SageMaker, container: Container, role: str) -> ModelContainer:
    """A container as endpoints run it; of a model: as ``model_containers.resolve`` gives it."""
    uri, packed = artifact(container)
    environment = {"AWS_REGION": api.arns.region, **container.get("Environment", {})}
    code = environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    code_uri = code if code.startswith("s3://") else ""
    return ModelContainer(container["Image"], uri, packed, code_uri, environment, role)


def expect_package(api: SageMaker, specification: Mapping[str, Any]) -> None:
    """The containers of an inference specification that has been approved: whoever approves a model deploys it next.

    Returns at once. What is wrong with them is told when a model is made of them.
    """
    found = [each for each in specification.get("Containers", ()) if "Image" in each]
    api.hosting.expect([hosted(api, each, role="") for each in found])


def _as_s3(url: str) -> str:
    """``https://s3.REGION.amazonaws.com/bucket/key`` and ``https://bucket.s3…/key`` as ``s3://bucket/key``."""
    host = re.fullmatch(r"https://(?:(?P<bucket>[^/]+)\.)?s3[.-][^/]*/(?P<rest>.+)", url)
    if host is None:
        return url
    return f"s3://{host['bucket']}/{host['rest']}" if host["bucket"] else f"s3://{host['rest']}"
