"""ECR: repositories and image manifests as a registry's catalogue has them, kept over a restart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.aws_fixtures import Stack, stack

ACCOUNT = "330000000001"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def manifest(layer: str) -> str:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 7, "digest": "sha256:0"},
            "layers": [{"mediaType": "application/gzip", "size": 11, "digest": f"sha256:{layer * 64}"}],
        }
    )


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


FIRST, SECOND = manifest("a"), manifest("b")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("ecr"), ACCOUNT) as found:
        yield found


@pytest.fixture
def ecr(running: Stack) -> Any:
    client = running.client("ecr")
    for repository in client.describe_repositories()["repositories"]:
        client.delete_repository(repositoryName=repository["repositoryName"], force=True)
    client.create_repository(repositoryName="models/serve")
    return client


def put(ecr: Any, text: str, tag: str | None = None, **more: Any) -> dict[str, Any]:
    named = {"imageTag": tag} if tag else {}
    image = ecr.put_image(repositoryName="models/serve", imageManifest=text, **named, **more)["image"]
    return dict(image["imageId"])


def get(ecr: Any, *ids: dict[str, str]) -> tuple[list[tuple[Any, ...]], list[str]]:
    found = ecr.batch_get_image(repositoryName="models/serve", imageIds=list(ids))
    images = [
        (image["imageId"]["imageDigest"], image["imageId"].get("imageTag"), image["imageManifest"])
        for image in found["images"]
    ]
    return images, [failure["failureCode"] for failure in found["failures"]]


def test_an_image_is_its_manifests_digest(ecr: Any) -> None:
    assert put(ecr, FIRST, "1") == {"imageDigest": digest(FIRST), "imageTag": "1"}
    put(ecr, FIRST, "stable")
    index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []})
    assert put(ecr, index)["imageDigest"] == digest(index)
    images, failures = get(ecr, {"imageTag": "1"}, {"imageTag": "none"}, {"imageDigest": digest(FIRST)})
    assert images == [(digest(FIRST), "1", FIRST), (digest(FIRST), None, FIRST)]
    assert failures == ["ImageNotFound"]
    (described,) = ecr.describe_images(repositoryName="models/serve", imageIds=[{"imageTag": "1"}])["imageDetails"]
    assert described["imageDigest"] == digest(FIRST)
    assert sorted(described["imageTags"]) == ["1", "stable"]
    assert described["imageSizeInBytes"] == 18
    assert described["imageManifestMediaType"] == DOCKER
    tagged = ecr.list_images(repositoryName="models/serve", filter={"tagStatus": "TAGGED"})["imageIds"]
    assert sorted(each["imageTag"] for each in tagged) == ["1", "stable"]


def test_a_tag_moves_unless_the_repository_is_immutable(ecr: Any) -> None:
    put(ecr, FIRST, "latest")
    put(ecr, SECOND, "latest")
    assert get(ecr, {"imageTag": "latest"})[0] == [(digest(SECOND), "latest", SECOND)]
    ecr.put_image_tag_mutability(repositoryName="models/serve", imageTagMutability="IMMUTABLE")
    with pytest.raises(ClientError, match="ImageTagAlreadyExistsException"):
        put(ecr, FIRST, "latest")
    with pytest.raises(ClientError, match="ImageAlreadyExistsException"):
        put(ecr, SECOND, "latest")


def test_what_is_no_image_is_refused(ecr: Any) -> None:
    for text, code in (("{nope", "InvalidParameterException"), ("[]", "InvalidParameterException"),
                       ("{}", "InvalidParameterException")):  # fmt: skip
        with pytest.raises(ClientError, match=code):
            put(ecr, text, "1")
    with pytest.raises(ClientError, match="ImageDigestDoesNotMatchException"):
        put(ecr, FIRST, "1", imageDigest="sha256:" + "0" * 64)
    for call in (
        lambda: ecr.put_image(repositoryName="none", imageManifest=FIRST, imageTag="1"),
        lambda: ecr.batch_get_image(repositoryName="none", imageIds=[{"imageTag": "1"}]),
    ):
        with pytest.raises(ClientError, match="RepositoryNotFoundException"):
            call()
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        ecr.describe_images(repositoryName="models/serve", imageIds=[{"imageTag": "none"}])


def test_there_is_no_registry_and_it_is_said(ecr: Any) -> None:
    for call in (
        ecr.get_authorization_token,
        lambda: ecr.initiate_layer_upload(repositoryName="models/serve"),
        lambda: ecr.get_download_url_for_layer(repositoryName="models/serve", layerDigest="sha256:" + "a" * 64),
    ):
        with pytest.raises(ClientError, match="there is no image registry behind the repositories"):
            call()


def test_repositories_and_images_survive_a_restart(tmp_path: Path) -> None:
    account = "330000000002"

    def everything(client: Any) -> list[Any]:
        (repository,) = client.describe_repositories()["repositories"]
        repository.pop("repositoryUri")
        images = client.describe_images(repositoryName="models/serve")["imageDetails"]
        policy = client.get_repository_policy(repositoryName="models/serve")["policyText"]
        return [repository, images, policy, get(client, {"imageTag": "1"}, {"imageTag": "2"})]

    with stack(tmp_path, account) as before:
        client = before.client("ecr")
        client.create_repository(repositoryName="models/serve", imageTagMutability="IMMUTABLE")
        put(client, FIRST, "1")
        put(client, SECOND, "2")
        client.batch_delete_image(repositoryName="models/serve", imageIds=[{"imageTag": "2"}])
        statement = {"Sid": "s", "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        client.set_repository_policy(repositoryName="models/serve", policyText=policy)
        expected = everything(client)
        with pytest.raises(ClientError, match="RepositoryNotEmptyException"):
            client.delete_repository(repositoryName="models/serve")
    with stack(tmp_path, account) as after:
        assert everything(after.client("ecr")) == expected
