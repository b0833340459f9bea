"""What is checked of every request before its handler sees it, the same over REST and gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlparity.apis.vertex.context import Project
from mlparity.apis.vertex.errors import invalid
from mlparity.apis.vertex.operation import Operation
from mlparity.wire.google.descriptors import ApiVersion, Message, Method
from mlparity.wire.google.field_checks import REQUIRED, clear_output_only, missing, unknown_enums
from mlparity.wire.google.field_mask import ALL, mask_violations
from mlparity.wire.google.status import Code, GoogleError, Violation, error_info, unreadable
from mlparity.wire.google.uri_template import UriTemplate

# Values of any text: the documentation calls them required, and the service takes them empty.
_MAY_BE_EMPTY = frozenset({"EnvVar.value"})


def checked(api: ApiVersion, method: Method, operation: Operation, request: Message, project: Project) -> Message:
    """The request as the handler gets it: with the project's id for its number and without output-only fields.

    Raises ``GoogleError`` that names everything that is wrong.
    """
    request = _by_project_id(request, project)
    if not operation.reads_output_only:
        kept = {name for rule in method.http for name in UriTemplate.parse(rule.uri).formats}
        clear_output_only(api, request, kept)
    enums = list(unknown_enums(request))
    if enums:
        raise unreadable(enums)
    found = [*_missing(api, request, operation), *_masks(request)]
    if found:
        raise invalid(found)
    _check_names(method, request)
    return request


def updated_field(request: Message) -> str:
    """The name of the request's field that holds the resource to update, "" where the request is no update."""
    if "update_mask" not in request.DESCRIPTOR.fields_by_name:
        return ""
    return next((f.name for f in request.DESCRIPTOR.fields if f.message_type and _is_resource(f)), "")


def _is_resource(field: Any) -> bool:
    return not field.is_repeated and not field.message_type.full_name.startswith("google.protobuf.")


def _missing(api: ApiVersion, request: Message, operation: Operation) -> Iterator[Violation]:
    lenient = _MAY_BE_EMPTY | operation.may_be_empty
    updated = updated_field(request)
    mask = set(request.update_mask.paths) if updated else set()

    def skip(kind: str, path: str) -> bool:
        if kind in lenient:
            return True
        # Of the resource in an update only what the mask names is replaced, and so asked for.
        return bool(updated) and path.startswith(f"{updated}.") and not _named(path[len(updated) + 1 :], mask)

    yield from missing(api, request, skip=skip)


def _named(path: str, mask: set[str]) -> bool:
    return ALL in mask or any(path == item or path.startswith((f"{item}.", f"{item}[")) for item in mask)


def _masks(request: Message) -> Iterator[Violation]:
    updated = updated_field(request)
    if updated:
        yield from mask_violations(getattr(request, updated).DESCRIPTOR, request.update_mask.paths, "update_mask")


def _check_names(method: Method, request: Message) -> None:
    """The names that REST has in its path have the form of one of the method's paths."""
    given: dict[str, str] = {}
    for rule in method.http:
        template = UriTemplate.parse(rule.uri)
        given = {name: _value(request, name) for name in template.variables}
        if all(template.variables[name].fullmatch(value) for name, value in given.items()):
            return
    unset = [Violation(name, REQUIRED) for name, value in given.items() if not value]
    if unset:
        raise invalid(unset)
    if given:
        raise bad_name(method)


def bad_name(method: Method) -> GoogleError:
    """The answer to a resource name that is none of the method's."""
    about = {"service": "aiplatform.googleapis.com", "method": f"{method.service}.{method.name}"}
    detail = error_info("RESOURCE_PROJECT_INVALID", "googleapis.com", about)
    return GoogleError(Code.INVALID_ARGUMENT, "Invalid resource field value in the request.", [detail])


def _value(request: Message, path: str) -> str:
    for part in path.split("."):
        request = getattr(request, part)
    return str(request)


def _by_project_id(request: Message, project: Project) -> Message:
    """The request with the project's id wherever a resource name has its number: one resource has one name here."""
    number = f"projects/{project.number}/"
    if not project.number or number.encode() not in request.SerializeToString():
        return request
    renamed = type(request)()
    renamed.CopyFrom(request)
    _rename(renamed, number, f"projects/{project.id}/")
    return renamed


def _rename(message: Message, number: str, name: str) -> None:
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.full_name.startswith("google.protobuf."):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if field.message_type is not None:
            for child in value if field.is_repeated else [value]:
                _rename(child, number, name)
        elif isinstance(value, str) and value.startswith(number):
            setattr(message, field.name, name + value.removeprefix(number))
        elif field.is_repeated and any(isinstance(item, str) and item.startswith(number) for item in value):
            value[:] = [name + item.removeprefix(number) if item.startswith(number) else item for item in value]
