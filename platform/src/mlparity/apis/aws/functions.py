"""AWS Lambda's functions as moto keeps them, for whoever runs them: Lambda steps of SageMaker pipelines."""

from __future__ import annotations

from mlparity.apis.aws.journaled_moto import JournaledMoto
from mlparity.apis.aws.table import BY_NAME
from mlparity.engine.functions import FunctionCode
from mlparity.errors import NotFoundError

_LAMBDA = BY_NAME["lambda"]
_ARN_PARTS = 7


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
            environment={str(key): str(value) for key, value in (found.environment_vars or {}).items()},
        )
