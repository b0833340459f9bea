"""AWS Lambda's functions as moto keeps them, for whoever runs them: Lambda steps of SageMaker pipelines."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mlparity.apis.aws.journaled_moto import JournaledMoto
from mlparity.apis.aws.message import AwsError, AwsRequest
from mlparity.apis.aws.table import BY_NAME
from mlparity.engine.functions import FunctionCode
from mlparity.errors import NotFoundError, StorageError

_LAMBDA = BY_NAME["lambda"]
_ARN_PARTS = 7
_INVALID = "InvalidParameterValueException"
ReadObject = Callable[[str, str], bytes]


def with_code(request: AwsRequest, operation: str, params: Mapping[str, Any], read: ReadObject) -> AwsRequest:
    """CreateFunction and UpdateFunctionCode with the archive itself where they name an object of S3.

    Lambda, too, copies the object when it is told of it. Raises ``AwsError`` where the object cannot be read, and for
    code that is an image.
    """
    given = params.get("Code", {}) if operation == "CreateFunction" else params
    if "ImageUri" in given:
        raise AwsError(_INVALID, "mlparity runs functions whose code is a zip archive, not images")
    if "S3Bucket" not in given:
        return request
    bucket, key = given["S3Bucket"], given.get("S3Key", "")
    if "S3ObjectVersion" in given:
        raise AwsError(_INVALID, "S3ObjectVersion is not supported by mlparity: the newest version is taken")
    try:
        archive = base64.b64encode(read(bucket, key)).decode("ascii")
    except StorageError as error:
        raise AwsError(_INVALID, f"Error occurred while GetObject. S3 Error Message: {error}") from error
    body = json.loads(request.body)
    code = body["Code"] if operation == "CreateFunction" else body
    for member in ("S3Bucket", "S3Key"):
        code.pop(member, None)
    code["ZipFile"] = archive
    return replace(request, body=json.dumps(body).encode())


def function(moto: JournaledMoto, arn: str) -> FunctionCode:
    """The function of an ARN, which may end in a version or alias. Raises ``NotFoundError``."""
    parts = arn.split(":")
    if len(parts) < _ARN_PARTS or parts[2] != "lambda" or parts[5] != "function":
        raise NotFoundError(f"{arn} is not the ARN of a Lambda function")
    name, qualifier = parts[6], parts[7] if len(parts) > _ARN_PARTS else None
    moto.ensure(_LAMBDA)
    with moto.moto.exclusive():
        backend = moto.moto.backend(_LAMBDA, parts[3])
        try:
            found = backend.get_function(name, qualifier)
        except Exception:  # noqa: BLE001 - moto has an error class of its own for every kind of absence
            found = None
        if found is None or not getattr(found, "code_bytes", b""):
            raise NotFoundError(
                f"there is no Lambda function {arn} here",
                "a Lambda step runs the code of the function as a local process",
                "create the function on the local stack, as you do on AWS: "
                f"`aws lambda create-function --function-name {name} --zip-file fileb://code.zip ...`, "
                "or give the SDK's Lambda helper its function_name and script",
            )
        return FunctionCode(
            arn=arn,
            name=name,
            runtime=str(found.run_time or ""),
            handler=str(found.handler or ""),
            archive=bytes(found.code_bytes),
            timeout_seconds=int(found.timeout),
            memory_mb=int(found.memory_size),
            role=str(found.role or ""),
            environment={str(key): str(value) for key, value in (found.environment_vars or {}).items()},
        )
