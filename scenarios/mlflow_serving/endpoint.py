"""From a registered version to the endpoint: archive in S3, image in ECR, model, configuration, endpoint."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from mlparity.scenarios import Platform
from scenarios.mlflow_serving import engine, image, saved_image
from scenarios.mlflow_serving.digest import archive
from scenarios.mlflow_serving.names import (
    DIGEST_TAG,
    ENDPOINT,
    ENDPOINT_TAG,
    NAME,
    REGISTERED_MODEL,
    TTL_TAG,
    VARIANT,
    VERSION_TAG,
)
from scenarios.mlflow_serving.versions import Version
from scenarios.sagemaker_common.endpoints import exists, settled

# Blue/green: new instances first, then all the traffic at once, then the old ones go.
_BLUE_GREEN = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 0,
    }
}


def prepare(platform: Platform, version: Version, instance_type: str, *, build: bool) -> tuple[str, str]:
    """Image, archive, model and configuration of the version, made where they are not there.

    The image's URI and the configuration's name. Every name ends with the model's digest.
    """
    packed = archive(version.folder)
    key = f"{NAME}/models/{version.digest}.tar.gz"
    if "Contents" not in platform.client("s3").list_objects_v2(Bucket=platform.bucket, Prefix=key):
        platform.client("s3").put_object(Bucket=platform.bucket, Key=key, Body=packed)
    uri = f"{image.repository(platform)}:{version.tag}"
    _image(platform, version, uri, packed, build=build)
    name = f"{ENDPOINT}-{version.tag}"
    _model(platform, name, version, uri, f"s3://{platform.bucket}/{key}")
    return uri, _config(platform, name, version, instance_type)


def _image(platform: Platform, version: Version, uri: str, packed: bytes, *, build: bool) -> None:
    if image.has(platform, version.tag):
        if not build or engine.has(uri):
            platform.say(f"  {uri}: ECR has it, the model is the same")
            return
        image.drop(platform, version.tag)  # a description, or of an engine that was emptied
    manifest, how = image.description(platform.folder, version, packed), "described, not built"
    context = image.build_context(platform.folder, version, platform.workdir / "image" / version.tag)
    if build:
        platform.say(f"  docker build of {context}")
        began = time.monotonic()
        engine.build(context, uri, version.digest)
        manifest, how = saved_image.manifest(uri), f"built in {time.monotonic() - began:.0f} s"
    platform.say(f"  {uri}: {how}; manifest {image.push(platform, version.tag, manifest)[:19]}")


def _model(platform: Platform, name: str, version: Version, uri: str, url: str) -> None:
    sagemaker = platform.client("sagemaker")
    if _there(lambda: sagemaker.describe_model(ModelName=name)):
        return
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=platform.role_arn,
        PrimaryContainer={"Image": uri, "ModelDataUrl": url},
        Tags=_tags(version),
    )


def _config(platform: Platform, model: str, version: Version, instance_type: str) -> str:
    sagemaker, name = platform.client("sagemaker"), f"{model}-{instance_type.replace('.', '-')}"
    if not _there(lambda: sagemaker.describe_endpoint_config(EndpointConfigName=name)):
        variant = {"VariantName": VARIANT, "ModelName": model, "InstanceType": instance_type, "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=_tags(version))
    return name


def _tags(version: Version) -> list[dict[str, str]]:
    tags = {
        ENDPOINT_TAG: ENDPOINT,
        VERSION_TAG: f"{REGISTERED_MODEL}/{version.number}",
        DIGEST_TAG: version.digest,
    }
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _there(describe: Any) -> bool:
    try:
        describe()
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException":
            raise
        return False
    return True


def deploy(platform: Platform, config: str, until: datetime) -> float:
    """Create the endpoint or bring it to ``config``, and wait; seconds. Its time to live starts anew."""
    sagemaker, began = platform.client("sagemaker"), time.monotonic()
    tags = [{"Key": TTL_TAG, "Value": until.isoformat(timespec="seconds")}]
    if exists(platform, ENDPOINT):
        arn = sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointArn"]
        sagemaker.add_tags(ResourceArn=arn, Tags=tags)
        sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config, DeploymentConfig=_BLUE_GREEN)
    else:
        sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config, Tags=tags)
    described = settled(platform, ENDPOINT)
    reason = described.get("FailureReason", "it went back to what it had")
    serves = described["EndpointStatus"] == "InService" and described["EndpointConfigName"] == config
    platform.check(serves, f"{ENDPOINT} does not serve {config}: {described['EndpointStatus']}, {reason}")
    return time.monotonic() - began
