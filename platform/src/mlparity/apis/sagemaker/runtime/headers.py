"""The runtime's request headers: what they may hold, what goes on to the container, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from mlparity.apis.sagemaker.runtime.errors import Refusal, validation
from mlparity.wire.aws_model import AwsModel, Violation, message

_PREFIX = b"x-amzn-sagemaker-"
_LONG = 1024
_VARIANT = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*\Z")
_INFERENCE_ID = re.compile(r"[!-~][ -~]{0,63}\Z")
_MAX_NAME = 63
# Header -> (member of the request, what it asks for).
_REFUSED = {
    "target-model": ("TargetModel", "A multi-model endpoint"),
    "target-container-hostname": ("TargetContainerHostname", "Direct invocation of one container"),
    "enable-explanations": ("EnableExplanations", "A Clarify explainer"),
    "inference-component": ("InferenceComponentName", "An inference component"),
    "session-id": ("SessionId", "A stateful session"),
}


@dataclass(frozen=True)
class Wanted:
    """What a request's headers ask for."""

    content_type: str
    custom_attributes: str
    inference_id: str
    target_variant: str
    head: bytes  # header lines for the container


class RefusedError(Exception):
    """The headers are not to be taken."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def read(headers: list[tuple[bytes, bytes]], operation: str, model: Callable[[], AwsModel]) -> Wanted:
    """What ``headers`` (lower-case names) ask for. Raises ``RefusedError``. ``model`` words what is wrong."""
    given = {"content-type": "", "accept": ""}
    for name, value in headers:
        if name == b"content-type" or name == b"accept":  # noqa: PLR1714 - on the way of every request
            given[name.decode()] = value.decode("latin-1")
        elif name.startswith(_PREFIX):
            short = name[len(_PREFIX) :].decode("latin-1")
            if short in _REFUSED:
                raise RefusedError(_not_supported(short))
            given[f"-{short}"] = value.decode("latin-1")
    accept = given["accept"] if operation == "InvokeEndpoint" else given.get("-accept", "")
    return _checked(
        operation,
        model,
        given["content-type"],
        accept,
        given.get("-custom-attributes", ""),
        given.get("-inference-id", ""),
        given.get("-target-variant", ""),
    )


def _not_supported(short: str) -> Refusal:
    member, what = _REFUSED[short]
    return validation(f"{what} ({member}) is not supported by mlparity. See `mlparity parity sagemaker-runtime`.")


# The same values come again and again, so that their check and their lines are made once.
@lru_cache(maxsize=4096)
def _checked(
    operation: str,
    model: Callable[[], AwsModel],
    content_type: str,
    accept: str,
    custom: str,
    inference_id: str,
    variant: str,
) -> Wanted:
    values = (content_type, accept, custom)
    if (
        not all(len(value) <= _LONG and value.isascii() for value in values)
        or (inference_id and not _INFERENCE_ID.match(inference_id))
        or (variant and (len(variant) > _MAX_NAME or not _VARIANT.match(variant)))
    ):
        given = {
            "ContentType": content_type,
            "Accept": accept,
            "CustomAttributes": custom,
            "InferenceId": inference_id,
            "TargetVariant": variant,
        }
        wrong = _violations(operation, model(), given)
        if wrong:
            raise RefusedError(validation(message(wrong)))
    lines = {
        "Content-Type": content_type,
        "Accept": accept,
        "X-Amzn-SageMaker-Custom-Attributes": custom,
        "X-Amzn-SageMaker-Inference-Id": inference_id,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return Wanted(content_type, custom, inference_id, variant, head.encode("latin-1"))


def _violations(operation: str, model: AwsModel, given: dict[str, str]) -> list[Violation]:
    request = {"EndpointName": "x", "Body": "", **{name: value for name, value in given.items() if value}}
    return model.read_request(operation, request)[1]
