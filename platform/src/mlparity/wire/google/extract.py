"""Reads the installed google-cloud-aiplatform and writes its types and routes down: ``python -m ... OUT``.

One file of serialised FileDescriptorProtos and one of JSON for each version of the API. Runs in a process of its own:
the import takes seconds and 100 MB.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlparity.wire.google.call_recorder import CallRecorder, full_name
from mlparity.wire.google.descriptors import VERSIONS

_NICE = 10  # the stack that starts meanwhile goes first
_PACKAGE = "google.cloud.aiplatform_{version}"
# Google answers these for every service ("mixins"); the URIs are listed in each service's REST transport.
_MIXINS: Mapping[str, tuple[str, str, str]] = {
    "GetOperation": ("google.longrunning.Operations", "GetOperationRequest", "google.longrunning.Operation"),
    "ListOperations": ("google.longrunning.Operations", "ListOperationsRequest", ""),
    "WaitOperation": ("google.longrunning.Operations", "WaitOperationRequest", "google.longrunning.Operation"),
    "CancelOperation": ("google.longrunning.Operations", "CancelOperationRequest", "google.protobuf.Empty"),
    "DeleteOperation": ("google.longrunning.Operations", "DeleteOperationRequest", "google.protobuf.Empty"),
    "GetLocation": ("google.cloud.location.Locations", "GetLocationRequest", "google.cloud.location.Location"),
    "ListLocations": ("google.cloud.location.Locations", "ListLocationsRequest", ""),
    "GetIamPolicy": ("google.iam.v1.IAMPolicy", "GetIamPolicyRequest", "google.iam.v1.Policy"),
    "SetIamPolicy": ("google.iam.v1.IAMPolicy", "SetIamPolicyRequest", "google.iam.v1.Policy"),
    "TestIamPermissions": ("google.iam.v1.IAMPolicy", "TestIamPermissionsRequest", ""),
}
_EXTRA = (
    "google.rpc.status_pb2",
    "google.rpc.error_details_pb2",
    "google.longrunning.operations_pb2",
    "google.cloud.location.locations_pb2",
    "google.iam.v1.iam_policy_pb2",
    "google.api.httpbody_pb2",
)
_MARKS = {"Required": "required", "Output only": "output_only", "Immutable": "immutable"}
_MARK = re.compile(r"(Required|Optional|Output only|Immutable|Identifier|Input only|Deprecated)\.\s*")
_FIELD = re.compile(r"^ {8}(\w+) \(.*\):?$")


def main() -> None:
    """Write every version into the folder that is named on the command line."""
    os.nice(_NICE)
    folder = Path(sys.argv[1])
    for version in VERSIONS:
        files, index = extract(version)
        (folder / f"{version}.files").write_bytes(b"".join(files))
        document = {**index, "files": [len(content) for content in files]}
        (folder / f"{version}.json").write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")


def extract(version: str) -> tuple[list[bytes], dict[str, Any]]:
    """The files' descriptors, dependencies first, and the index: methods by full service name, and field behaviours."""
    package = _PACKAGE.format(version=version)
    root = importlib.import_module(package)
    metadata = json.loads((Path(root.__file__ or "").parent / "gapic_metadata.json").read_text(encoding="utf-8"))
    services: dict[str, dict[str, Any]] = {}
    for service, entry in metadata["services"].items():
        client = entry["clients"]["grpc"]
        rpcs = {name: found["methods"][0] for name, found in client["rpcs"].items()}
        full = f"{metadata['protoPackage']}.{service}"
        services[full] = _service(package, full, rpcs)
    _add_mixins(services, package, next(iter(metadata["services"])))
    messages = list(_messages(package))
    files: dict[str, bytes] = {}
    for extra in _EXTRA:
        _collect(importlib.import_module(extra).DESCRIPTOR, files)
    for message in messages:
        _collect(message.pb().DESCRIPTOR.file, files)
    behaviours = {message.pb().DESCRIPTOR.full_name: found for message in messages if (found := _behaviours(message))}
    return list(files.values()), {"services": services, "behaviours": behaviours}


def _service(package: str, name_in_full: str, rpcs: Mapping[str, str]) -> dict[str, Any]:
    service = name_in_full.rpartition(".")[2]
    folder = f"{package}.services.{_snake(service)}"
    transports = importlib.import_module(f"{folder}.transports")
    recorder = CallRecorder()
    transport = getattr(transports, f"{service}GrpcTransport")(channel=recorder)
    transport._logged_channel, transport._stubs = recorder, {}  # noqa: SLF001 - its wrapper tells nothing before a call
    rules = _http_rules(folder, service)
    operations = _long_running(importlib.import_module(f"{folder}.client"))
    found = {}
    for name, python_name in rpcs.items():
        getattr(transport, python_name)
        streams, request, response = recorder.calls[f"/{name_in_full}/{name}"]
        found[name] = {
            "http": rules.get(name, []),
            "request": request,
            "response": response,
            "streams": streams,
            "operation": operations.get(python_name),
        }
    return found


def _http_rules(folder: str, service: str) -> dict[str, list[list[str]]]:
    base = getattr(importlib.import_module(f"{folder}.transports.rest_base"), f"_Base{service}RestTransport")
    found = {}
    for name, inner in inspect.getmembers(base, inspect.isclass):
        if name.startswith("_Base") and hasattr(inner, "_get_http_options"):
            options = inner._get_http_options()  # noqa: SLF001 - the only place where the routes are
            found[name.removeprefix("_Base")] = [
                [option["method"], option["uri"], option.get("body", "")] for option in options
            ]
    return found


def _add_mixins(services: dict[str, dict[str, Any]], package: str, service: str) -> None:
    rules = _http_rules(f"{package}.services.{_snake(service)}", service)
    version = f"/{package.rpartition('_')[2]}/"
    for name, (full, request, response) in _MIXINS.items():
        own = full.rpartition(".")[0]
        services.setdefault(full, {})[name] = {
            "http": [rule for rule in rules.get(name, []) if rule[1].startswith(version)],
            "request": f"{own}.{request}",
            "response": response or f"{own}.{request.removesuffix('Request')}Response",
            "streams": [False, False],
            "operation": None,
        }


def _long_running(client: Any) -> dict[str, list[str]]:
    """What the long-running methods end with and tell meanwhile, by the client's method: [response, metadata]."""
    found = {}
    for function in ast.walk(ast.parse(inspect.getsource(client))):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "from_gapic":
                told = {keyword.arg: keyword.value for keyword in node.keywords}
                classes = [node.args[2], told["metadata_type"]]
                found[function.name] = [full_name(_named(client, item)) for item in classes]
    return found


def _named(module: Any, expression: ast.expr) -> Any:
    found: Any = module
    for part in ast.unparse(expression).split("."):
        found = getattr(found, part)
    return found


def _messages(package: str) -> Iterator[Any]:
    folder = Path(importlib.import_module(f"{package}.types").__file__ or "").parent
    for path in sorted(folder.glob("*.py")):
        module = importlib.import_module(
            f"{package}.types.{path.stem}" if path.stem != "__init__" else f"{package}.types"
        )
        for name in sorted(module.__protobuf__.manifest) if hasattr(module, "__protobuf__") else ():
            yield from _with_nested(getattr(module, name))


def _with_nested(kind: Any) -> Iterator[Any]:
    if hasattr(kind, "pb"):
        yield kind
        for nested in vars(kind).values():
            if inspect.isclass(nested) and hasattr(nested, "pb"):
                yield from _with_nested(nested)


def _behaviours(message: Any) -> dict[str, list[str]]:
    """Field names by "required", "output_only" and "immutable", as the attributes' documentation begins."""
    text = (message.__doc__ or "").partition("Attributes:")[2]
    found: dict[str, list[str]] = {}
    lines = text.splitlines()
    for number, line in enumerate(lines):
        field = _FIELD.match(line)
        if field is None:
            continue
        said = " ".join(part.strip() for part in lines[number + 1 : number + 3])
        while mark := _MARK.match(said):
            if mark[1] in _MARKS:
                found.setdefault(_MARKS[mark[1]], []).append(field[1].rstrip("_"))
            said = said[mark.end() :]
    return found


def _collect(file: Any, files: dict[str, bytes]) -> None:
    if file.name in files:
        return
    for dependency in file.dependencies:
        _collect(dependency, files)
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    for message in proto.message_type:
        _own_names(message)
    files[file.name] = proto.SerializeToString()


def _own_names(message: Any) -> None:
    """The API's field names: Python's package writes ``type_`` for ``type``."""
    taken = {field.name for field in message.field}
    for field in message.field:
        if field.name.endswith("_") and field.name.rstrip("_") not in taken:
            field.name = field.name.rstrip("_")
            field.ClearField("json_name")
    for nested in message.nested_type:
        _own_names(nested)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


if __name__ == "__main__":
    main()
