"""Takes away what the scenario made, whatever the reaper has left, and looks that nothing is there."""

from __future__ import annotations

import contextlib

from mlparity.scenarios import Platform
from scenarios.mlflow_serving import container, engine, reaper, versions
from scenarios.mlflow_serving.names import ENDPOINT, NAME, REPOSITORY
from scenarios.sagemaker_common.endpoints import exists, settled


def clean_up(platform: Platform) -> None:
    """Endpoint, configurations, models, images, the empty repository, objects, registered model; containers."""
    if exists(platform, ENDPOINT):
        settled(platform, ENDPOINT)
        reaper.reap(platform, ENDPOINT)
    else:
        reaper.remove_rest(platform, ENDPOINT)
    ecr, s3 = platform.client("ecr"), platform.client("s3")
    if tags := _own_images(platform):  # of a run that was cut off before it made their models
        ecr.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag} for tag in tags])
    container.remove(container.left(str(platform.workdir)))
    engine.forget(_built_images(platform))
    with contextlib.suppress(ecr.exceptions.RepositoryNotFoundException, ecr.exceptions.RepositoryNotEmptyException):
        ecr.delete_repository(repositoryName=REPOSITORY)
    for key in _objects(platform):
        s3.delete_object(Bucket=platform.bucket, Key=key)
    versions.forget(platform)


def left_over(platform: Platform) -> list[str]:
    """What of the scenario can still be listed."""
    sagemaker = platform.client("sagemaker")
    return [
        *(item["EndpointName"] for item in sagemaker.list_endpoints(NameContains=ENDPOINT)["Endpoints"]),
        *(
            item["EndpointConfigName"]
            for item in sagemaker.list_endpoint_configs(NameContains=ENDPOINT)["EndpointConfigs"]
        ),
        *(item["ModelName"] for item in sagemaker.list_models(NameContains=ENDPOINT)["Models"]),
        *(f"image {tag}" for tag in _own_images(platform)),
        *(f"container {one}" for one in container.left(str(platform.workdir))),
        *(f"image {uri} in the engine" for uri in _built_images(platform)),
        *_objects(platform),
        *(f"alias {alias}" for alias in versions.aliases(platform)),
    ]


def _objects(platform: Platform) -> list[str]:
    listed = platform.client("s3").list_objects_v2(Bucket=platform.bucket, Prefix=f"{NAME}/")
    return [item["Key"] for item in listed.get("Contents", [])]


def _own_images(platform: Platform) -> list[str]:
    """The tags of images that this scenario has put: others may keep theirs in the repository, too."""
    ecr, contexts = platform.client("ecr"), platform.workdir / "image"
    try:
        pages = ecr.get_paginator("list_images").paginate(repositoryName=REPOSITORY)
        tags = {image.get("imageTag", "") for page in pages for image in page["imageIds"]}
    except ecr.exceptions.RepositoryNotFoundException:
        return []
    return sorted(tag for tag in tags if tag and (contexts / tag).is_dir())


def _built_images(platform: Platform) -> list[str]:
    """What the engine still has of the images that this scenario has built here."""
    contexts = platform.workdir / "image"
    return [uri for uri in engine.built() if f"/{REPOSITORY}:" in uri and (contexts / uri.rpartition(":")[2]).is_dir()]
