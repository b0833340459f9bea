"""Records of Vertex through the SDK: over REST by its classes, over gRPC by its clients of both API versions.

Arguments: the REST endpoint's URL, the gRPC server's address, and the file to write what was found into.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import grpc
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, aiplatform_v1, aiplatform_v1beta1

PROJECT, LOCATION = "test-project", "us-central1"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"


def refused(call: Any) -> dict[str, Any]:
    try:
        call()
    except exceptions.GoogleAPICallError as error:
        details = [type(detail).__name__ for detail in error.details]
        # Over REST the SDK puts the URL, with a port, before the server's own words.
        return {"error": type(error).__name__, "message": error.message.rpartition("int: ")[2], "details": details}
    return {"error": ""}


def endpoints() -> dict[str, Any]:
    first = aiplatform.Endpoint.create(display_name="first", labels={"stage": "dev"}, endpoint_id="first")
    second = aiplatform.Endpoint.create(display_name="second", description="of two")
    second.update(display_name="renamed", labels={"stage": "prod"})
    found = {
        "names": [first.resource_name, second.resource_name],
        "renamed": [second.display_name, second.gca_resource.description, second.labels],
        "created": str(second.create_time),
        "filtered": [item.display_name for item in aiplatform.Endpoint.list(filter="labels.stage=prod")],
        "sorted": [item.display_name for item in aiplatform.Endpoint.list(order_by="display_name")],
        "again": aiplatform.Endpoint("first").gca_resource.labels["stage"],
    }
    twice = refused(lambda: aiplatform.Endpoint.create(display_name="x", endpoint_id="first"))
    first.delete()
    gone = refused(lambda: aiplatform.Endpoint("first").gca_resource)
    return {**found, "gone": gone, "twice": twice}


def models() -> dict[str, Any]:
    image = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
    first = aiplatform.Model.upload(
        display_name="model", artifact_uri="gs://bucket/1", serving_container_image_uri=image, model_id="model"
    )
    aiplatform.Model.upload(
        display_name="model",
        artifact_uri="gs://bucket/2",
        serving_container_image_uri=image,
        parent_model=first.resource_name,
        is_default_version=False,
        version_aliases=["challenger"],
    )
    registry = first.versioning_registry
    before = {item.version_id: sorted(item.version_aliases) for item in registry.list_versions()}
    registry.add_version_aliases(["default"], version="2")
    after = {item.version_id: sorted(item.version_aliases) for item in registry.list_versions()}
    chosen = aiplatform.Model("model@challenger")
    return {"before": before, "after": after, "chosen": [chosen.version_id, chosen.uri, chosen.resource_name]}


def by_client(module: Any, service: Any, channel: Any) -> dict[str, Any]:
    client = module.EndpointServiceClient(transport=service.EndpointServiceGrpcTransport(channel=channel))
    operation = client.create_endpoint(parent=PARENT, endpoint=module.Endpoint(display_name=module.__name__))
    made = operation.result(timeout=30)
    mask = {"paths": ["description"]}
    changed = client.update_endpoint(endpoint=module.Endpoint(name=made.name, description="d"), update_mask=mask)
    listed = client.list_endpoints(request={"parent": PARENT, "page_size": 1})
    return {
        "made": [made.name, operation.metadata.generic_metadata.create_time.isoformat()],
        "changed": [changed.display_name, changed.description],
        "listed": sorted(item.display_name for item in listed),
        "wrong": refused(lambda: client.create_endpoint(parent=PARENT, endpoint=module.Endpoint())),
        "bad": refused(lambda: client.get_endpoint(name="nonsense")),
    }


def main(rest: str, address: str, found: str) -> None:
    aiplatform.init(
        project=PROJECT,
        location=LOCATION,
        api_endpoint=rest,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    results = {"rest": endpoints(), "models": models()}
    with grpc.insecure_channel(address) as channel:
        from google.cloud.aiplatform_v1.services.endpoint_service import transports as v1
        from google.cloud.aiplatform_v1beta1.services.endpoint_service import transports as v1beta1

        results["v1"] = by_client(aiplatform_v1, v1, channel)
        results["v1beta1"] = by_client(aiplatform_v1beta1, v1beta1, channel)
    Path(found).write_text(json.dumps({"version": aiplatform.__version__, **results}))


if __name__ == "__main__":
    main(*sys.argv[1:])
