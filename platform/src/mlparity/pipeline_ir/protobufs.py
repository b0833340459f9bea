"""KFP's protobuf messages, read from the installed packages without importing them.

``import kfp`` costs a second and tens of megabytes. The generated modules carry their file descriptors as bytes: these
are taken out of the source text and put into a descriptor pool of our own.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlparity.errors import MissingDependencyError
from mlparity.pipeline_ir.errors import InvalidPipelineError

_GENERATED = {
    "kfp-pipeline-spec": "kfp/pipeline_spec/pipeline_spec_pb2.py",
    "kfp-kubernetes": "kfp/kubernetes/kubernetes_executor_config_pb2.py",
}
PIPELINE_SPEC = "ml_pipelines.PipelineSpec"
DEPLOYMENT = "ml_pipelines.PipelineDeploymentConfig"
PLATFORM_SPEC = "ml_pipelines.PlatformSpec"
KUBERNETES_EXECUTOR = "kfp_kubernetes.KubernetesExecutorConfig"


def canonical(message: str, document: Mapping[str, Any], what: str) -> dict[str, Any]:
    """``document`` checked strictly as the message's JSON, in lower camel case and without unset fields.

    Raises ``InvalidPipelineError`` naming the field. ``what`` says in the error what the document is.
    """
    from google.protobuf import json_format

    pool = _pool()
    try:
        parsed = json_format.ParseDict(dict(document), _message(message), descriptor_pool=pool)
    except (json_format.ParseError, RecursionError, TypeError, ValueError) as error:
        raise InvalidPipelineError(f"{what} is invalid", _plain(str(error))) from error
    converted: dict[str, Any] = json_format.MessageToDict(parsed, descriptor_pool=pool)
    return converted


def _plain(message: str) -> str:
    """The innermost words: nested parse errors repeat themselves."""
    return message.replace("ml_pipelines.", "").strip()


def _message(name: str) -> Any:
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))()


@functools.cache
def _pool() -> Any:
    from google.protobuf import descriptor_pool, duration_pb2, struct_pb2
    from google.rpc import status_pb2

    pool = descriptor_pool.DescriptorPool()
    any_file = status_pb2.DESCRIPTOR.dependencies[0]
    for known in (any_file, struct_pb2.DESCRIPTOR, duration_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR):
        pool.AddSerializedFile(known.serialized_pb)
    for package, path in _GENERATED.items():
        pool.AddSerializedFile(_serialized(package, path))
    return pool


def _serialized(package: str, path: str) -> bytes:
    source = _located(package, path).read_text("utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, bytes):
                return argument.value
    raise MissingDependencyError(
        f"the package {package} has no message descriptors", f"{path} is not as expected", f"pip install {package}"
    )


def _located(package: str, path: str) -> Path:
    try:
        found = Path(str(importlib.metadata.distribution(package).locate_file(path)))
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingDependencyError(
            f"the package {package} is not installed", "pipelines are read with it", f"pip install {package}"
        ) from error
    return found
