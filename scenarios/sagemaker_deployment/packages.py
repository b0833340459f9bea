"""Versions of the model: the latest that is approved, approvals with their author, and a version that is bad."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from botocore.exceptions import ClientError

from mlparity.scenarios import Platform
from scenarios.sagemaker_deployment.names import PACKAGE_GROUP
from scenarios.sagemaker_deployment.roles import approver, as_role

# Inference code that was only ever tried on flights with a weather record.
_CARELESS = """
import io
import os

import numpy as np
import xgboost


def model_fn(model_dir):
    booster = xgboost.Booster()
    booster.load_model(os.path.join(model_dir, "xgboost-model"))
    return booster


def input_fn(body, content_type):
    text = body.decode() if isinstance(body, bytes) else body
    return np.array([[float(value) for value in line.split(",")] for line in text.strip().splitlines()])


def predict_fn(rows, booster):
    return booster.predict(xgboost.DMatrix(rows))


def output_fn(predictions, accept):
    return "\\n".join(str(float(value)) for value in predictions), "text/csv"
"""


def create_group(platform: Platform) -> None:
    """The model package group, unless it is there."""
    sagemaker = platform.client("sagemaker")
    groups = sagemaker.list_model_package_groups(NameContains=PACKAGE_GROUP)["ModelPackageGroupSummaryList"]
    if PACKAGE_GROUP not in {group["ModelPackageGroupName"] for group in groups}:
        sagemaker.create_model_package_group(ModelPackageGroupName=PACKAGE_GROUP)


def latest_approved(platform: Platform) -> str:
    """The ARN of the newest approved version: what every environment then gets."""
    found = platform.client("sagemaker").list_model_packages(
        ModelPackageGroupName=PACKAGE_GROUP,
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=1,
    )["ModelPackageSummaryList"]
    platform.check(bool(found), f"no version of {PACKAGE_GROUP} is approved")
    return str(found[0]["ModelPackageArn"])


def newest(platform: Platform) -> str:
    """The ARN of the newest version, approved or not."""
    found = platform.client("sagemaker").list_model_packages(
        ModelPackageGroupName=PACKAGE_GROUP, SortBy="CreationTime", SortOrder="Descending", MaxResults=1
    )["ModelPackageSummaryList"]
    platform.check(bool(found), f"{PACKAGE_GROUP} has no version")
    return str(found[0]["ModelPackageArn"])


def approve(platform: Platform, package: str, person: str, comment: str) -> None:
    """Approve in the approver's role; who, when and why stand in the package afterwards."""
    approver(platform, person).update_model_package(
        ModelPackageArn=package, ModelApprovalStatus="Approved", ApprovalDescription=comment
    )
    described = platform.client("sagemaker").describe_model_package(ModelPackageName=package)
    actor = described["LastModifiedBy"]["IamIdentity"]["Arn"]
    platform.check(described["ModelApprovalStatus"] == "Approved", f"{package} is not approved")
    platform.check(actor.endswith(f"/{person}"), f"the approval is {actor}'s, not {person}'s")
    platform.say(f"  approved by {actor.rpartition(':')[2]} at {described['LastModifiedTime']:%H:%M:%S}: {comment}")


def own_approval_is_refused(platform: Platform, package: str, role: str) -> None:
    """The pipeline's role cannot approve what the pipeline has made."""
    try:
        as_role(platform, role, "pipeline").update_model_package(
            ModelPackageArn=package, ModelApprovalStatus="Approved", ApprovalDescription="by myself"
        )
    except ClientError as error:
        platform.check(error.response["Error"]["Code"] == "AccessDeniedException", f"refused otherwise: {error}")
        platform.say("  the pipeline's own role tried to approve it: AccessDeniedException, as it should be")
        return
    platform.check(False, "the pipeline's own role could approve its package")


def register_careless_version(platform: Platform, good: str, base: str) -> str:
    """A version with the good one's model behind careless inference code, approved on the strength of its metrics."""
    sagemaker, s3 = platform.client("sagemaker"), platform.client("s3")
    container = sagemaker.describe_model_package(ModelPackageName=good)["InferenceSpecification"]["Containers"][0]
    bucket, _, key = container["ModelDataUrl"].removeprefix("s3://").partition("/")
    archive = _with_code(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    target_bucket, _, prefix = base.removeprefix("s3://").partition("/")
    s3.put_object(Bucket=target_bucket, Key=f"{prefix}/careless/model.tar.gz", Body=archive)
    environment = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
    made: dict[str, Any] = sagemaker.create_model_package(
        ModelPackageGroupName=PACKAGE_GROUP,
        ModelPackageDescription="the same model behind new inference code",
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [
                {
                    "Image": container["Image"],
                    "ModelDataUrl": f"{base}/careless/model.tar.gz",
                    "Environment": environment,
                }
            ],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )
    return str(made["ModelPackageArn"])


def _with_code(archive: bytes) -> bytes:
    """The model's archive with ``code/inference.py`` in it."""
    result = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as given, tarfile.open(fileobj=result, mode="w:gz") as packed:
        for member in given.getmembers():
            packed.addfile(member, given.extractfile(member) if member.isfile() else None)
        code = tarfile.TarInfo("code/inference.py")
        code.size = len(_CARELESS.encode())
        packed.addfile(code, io.BytesIO(_CARELESS.encode()))
    return result.getvalue()
