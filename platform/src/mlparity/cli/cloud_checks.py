"""What the profile ``aws`` needs. Without ``--online`` nothing here opens a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from mlparity.cli.check import Check
from mlparity.profiles.exported import without_other_profile
from mlparity.profiles.model import CloudAws, Profile

_OFFLINE_PROVIDERS = frozenset(
    {"env", "shared-credentials-file", "config-file", "assume-role", "assume-role-with-web-identity", "sso", "login"}
)
_PERMISSIONS = (
    "sagemaker: Create, Update, Describe, Start, Stop, List on pipelines, training and processing jobs, model packages",
    "s3: GetObject, PutObject, ListBucket on the bucket",
    "iam: GetRole, PassRole, SimulatePrincipalPolicy on the role",
    "logs: DescribeLogStreams, GetLogEvents; events: PutRule, PutTargets",
)


def cloud_checks(profile: Profile, environment: Mapping[str, str], *, online: bool = False) -> Iterator[Check]:
    """The checks of a cloud profile, in the order in which a person would set it up."""
    aws = profile.roles.aws_api
    if not isinstance(aws, CloudAws):
        return
    clean = without_other_profile(environment, profile.name)
    yield _no_local_endpoint(clean)
    yield _given(
        "region", aws.region, "set MLPARITY_REGION or AWS_REGION, or roles.aws_api.region in your profile file"
    )
    yield _given("role", aws.role_arn, "set SAGEMAKER_ROLE to the ARN of the execution role, or roles.aws_api.role_arn")
    yield _given("bucket", aws.bucket, "set MLPARITY_AWS_BUCKET, or roles.aws_api.bucket in your profile file")
    credentials = _credentials(aws, clean)
    yield credentials
    for permission in _PERMISSIONS:
        yield Check("permission", None, permission)
    if online and credentials.ok:
        yield from _online(aws)


def _no_local_endpoint(environment: Mapping[str, str]) -> Check:
    """A cloud profile must not end up at a local stack."""
    for name, value in sorted(environment.items()):
        if name.startswith("AWS_ENDPOINT_URL") and (urlsplit(value).hostname or "") in (
            "127.0.0.1",
            "localhost",
            "::1",
        ):
            return Check("endpoint", False, f"{name} points at this machine ({value})", f"unset {name}")
    return Check("endpoint", True, "no variable points AWS clients at this machine")


def _given(name: str, value: str, hint: str) -> Check:
    return Check(name, bool(value), value or f"no {name} is configured", "" if value else hint)


def _credentials(aws: CloudAws, environment: Mapping[str, str]) -> Check:
    """Whether the SDK would find credentials, asking only the places that are on this machine."""
    if any(
        name in environment for name in ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    ):
        return Check("credentials", True, "the container's credentials are configured (`--online` tries them)")
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    hint = "run `aws configure` (or `aws sso login`), set AWS_PROFILE, or set AWS_ACCESS_KEY_ID and its secret"
    try:
        session: Any = Session(profile=aws.profile or None)
        if session.get_scoped_config().get("credential_process"):
            return Check("credentials", True, "a credential_process is configured (`--online` runs it)")
        resolver = session.get_component("credential_provider")
        for provider in resolver.providers:
            if provider.METHOD in _OFFLINE_PROVIDERS and provider.load() is not None:
                return Check("credentials", True, f"found ({provider.METHOD})")
    except (BotoCoreError, OSError) as error:
        return Check("credentials", False, str(error), hint)
    return Check("credentials", False, "the AWS SDK finds none on this machine", hint)


def _online(aws: CloudAws) -> Iterator[Check]:
    """Ask AWS who we are, and whether the role and the bucket are there."""
    import boto3
    from botocore.config import Config

    session: Any = boto3.Session(profile_name=aws.profile or None, region_name=aws.region or None)
    config = Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 1})

    def asked(name: str, ask: Callable[[], str]) -> Check:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return Check(name, True, ask())
        except (BotoCoreError, ClientError, ValueError) as error:
            return Check(name, False, str(error), "see the message; AWS answered (or could not be reached) just now")

    def client(service: str) -> Any:
        return session.client(service, config=config)

    yield asked("identity", lambda: str(client("sts").get_caller_identity()["Arn"]))
    if aws.role_arn:
        role = aws.role_arn.rsplit("/", 1)[-1]
        yield asked("role exists", lambda: str(client("iam").get_role(RoleName=role)["Role"]["Arn"]))
    if aws.bucket:
        yield asked("bucket", lambda: f"{aws.bucket} answers {client('s3').head_bucket(Bucket=aws.bucket) and 'yes'}")
