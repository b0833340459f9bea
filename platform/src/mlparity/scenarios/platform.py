"""What a scenario is given: the names and clients of the active profile. Nothing in it depends on the vendor's SDK."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from mlparity.errors import ConfigurationError, ScenarioError
from mlparity.scenarios.places import GooglePlace, PipelinesPlace


@dataclass(frozen=True)
class Parts:
    """What of a scenario is to run: its story, some of its parts, or both."""

    names: tuple[str, ...] = ()
    story: bool = True


@dataclass(frozen=True)
class Platform:
    """The active profile, as a scenario sees it. The environment already points the vendor's SDKs at it."""

    profile: str  # "embedded", "aws"
    local: bool  # whether the profile runs on this machine
    region: str
    role_arn: str  # the execution role that jobs and pipelines run as
    bucket: str  # a bucket to keep the scenario's objects in
    tracking_uri: str  # MLflow; "" where the profile has none
    data_dir: Path  # the platform's data folder
    folder: Path  # scenarios/<name>: where the scenario's own files are
    workdir: Path  # exists, belongs to this scenario, and is kept between runs
    arguments: Sequence[str] = ()  # what the person wrote after the scenario's name
    parts: Sequence[str] = ()  # the parts that were asked for beside, or instead of, the story
    story: bool = True  # whether the scenario's own story is to be told; False where only parts were asked for
    output: TextIO = sys.stdout
    google: GooglePlace | None = None
    pipelines: PipelinesPlace | None = None
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], folder: Path, arguments: Sequence[str] = (), parts: Parts | None = None
    ) -> Platform:
        """Read the MLPARITY_* variables that ``mlparity run`` and ``mlparity env`` set.

        Raises ``ConfigurationError`` where one is missing.
        """
        google, pipelines = GooglePlace.from_environment(environment), PipelinesPlace.from_environment(environment)
        aws = _required if google is None and pipelines is None else _given
        data_dir = Path(_required(environment, "MLPARITY_DATA_DIR"))
        workdir = data_dir / "scenarios" / folder.name
        workdir.mkdir(parents=True, exist_ok=True)
        return cls(
            profile=_required(environment, "MLPARITY_PROFILE"),
            local=_required(environment, "MLPARITY_LOCAL") == "true",
            region=aws(environment, "AWS_DEFAULT_REGION"),
            role_arn=aws(environment, "MLPARITY_ROLE_ARN"),
            bucket=aws(environment, "MLPARITY_BUCKET"),
            tracking_uri=environment.get("MLFLOW_TRACKING_URI", ""),
            data_dir=data_dir,
            folder=folder,
            workdir=workdir,
            arguments=tuple(arguments),
            parts=parts.names if parts else (),
            story=parts.story if parts else True,
            google=google,
            pipelines=pipelines,
        )

    @property
    def on_google(self) -> GooglePlace:
        """The profile's Google Cloud. Raises ``ConfigurationError`` where it has none."""
        if self.google is None:
            raise _missing(self.profile, "Google APIs", "gcp")
        return self.google

    @property
    def on_pipelines(self) -> PipelinesPlace:
        """The profile's Kubeflow Pipelines. Raises ``ConfigurationError`` where it has none."""
        if self.pipelines is None:
            raise _missing(self.profile, "Kubeflow Pipelines endpoint", "kubeflow")
        return self.pipelines

    def say(self, text: str) -> None:
        """Tell the person what was done: one line (or more), shown at once."""
        self.output.write(f"{text}\n")
        self.output.flush()

    def check(self, condition: bool, message: str) -> None:
        """Hold the scenario to a result. Raises ``ScenarioError`` with ``message`` unless ``condition``."""
        if not condition:
            raise ScenarioError(
                message, "a check of the scenario did not hold", "see the lines above, and the jobs' logs"
            )

    def client(self, service: str) -> Any:
        """The boto3 client of ``service`` ("s3", "sagemaker", "events") for the profile's endpoint and region."""
        if service not in self._clients:  # making one takes up to half a second
            import boto3

            session: Any = boto3.Session(region_name=self.region)
            self._clients[service] = session.client(service)
        return self._clients[service]


def _missing(profile: str, what: str, other: str) -> ConfigurationError:
    return ConfigurationError(
        f"the profile {profile} has no {what}",
        "the scenario needs one",
        f"`mlparity doctor --profile {other}` tells what is missing; the profile embedded has one on this machine",
    )


def _given(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "")


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise ConfigurationError(
            f"{name} is not set",
            "a scenario takes the names of the active profile from the environment",
            'start it with `mlparity run NAME`, or run `eval "$(mlparity env)"` first',
        )
    return value
