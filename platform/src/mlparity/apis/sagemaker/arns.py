"""SageMaker's ARNs, made and read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlparity.apis.sagemaker.errors import validation


@dataclass(frozen=True)
class Arns:
    """The ARNs of one account in one region. SageMaker writes names in lower case in them."""

    region: str
    account_id: str

    def of(self, kind: str, name: str) -> str:
        """``arn:aws:sagemaker:REGION:ACCOUNT:KIND/NAME``."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:{kind}/{name}"

    def training_job(self, name: str) -> str:
        """Of a training job."""
        return self.of("training-job", name)

    def processing_job(self, name: str) -> str:
        """Of a processing job."""
        return self.of("processing-job", name)

    def pipeline(self, name: str) -> str:
        """Of a pipeline."""
        return self.of("pipeline", name)

    def execution(self, pipeline: str, execution_id: str) -> str:
        """Of a pipeline execution."""
        return f"{self.pipeline(pipeline)}/execution/{execution_id}"

    def model_package_group(self, name: str) -> str:
        """Of a model package group."""
        return self.of("model-package-group", name)

    def model_package(self, name: str, version: int) -> str:
        """Of a group's version; of the unversioned package called ``name``, where the version is 0."""
        return self.of("model-package", f"{name}/{version}" if version else name)


def name_of(kind: str, name_or_arn: str) -> str:
    """The name, from a name or an ARN of that kind. Raises ``ValidationException`` for another kind's ARN."""
    if not name_or_arn.startswith("arn:"):
        return name_or_arn
    match = re.fullmatch(rf"arn:[^:]+:sagemaker:[^:]*:[^:]*:{kind}/([^/]+)", name_or_arn)
    if match is None:
        raise validation(f"{name_or_arn} is not the ARN of a {kind}")
    return match.group(1)


def execution_id_of(arn: str) -> tuple[str, str]:
    """(pipeline, execution id) from a pipeline execution's ARN."""
    match = re.fullmatch(r"arn:[^:]+:sagemaker:[^:]*:[^:]*:pipeline/([^/]+)/execution/([^/]+)", arn)
    if match is None:
        raise validation(f"{arn} is not the ARN of a pipeline execution")
    return match.group(1), match.group(2)


def model_package_of(arn: str) -> tuple[str, int]:
    """(group, version) from a model package's ARN or name; (name, 0) from those of an unversioned one."""
    match = re.fullmatch(r"(?:arn:[^:]+:sagemaker:[^:]*:[^:]*:model-package/)?([^/:]+)(?:/(\d+))?", arn)
    if match is None:
        raise validation(f"{arn} is not the ARN of a model package")
    return match.group(1), int(match.group(2) or 0)


def role_of(arn: str) -> str:
    """The name of the role behind a role's ARN or a session's; the ARN itself for anybody else."""
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    if kind == "assumed-role":
        return rest.partition("/")[0]
    return rest.rpartition("/")[2] if kind == "role" else arn
