"""The one local project over gRPC: ``google.cloud.resourcemanager.v3.Projects.GetProject``, which Google's SDKs ask.

The messages are the part of the vendor's that is filled here, by their field numbers; other fields stay unset.
"""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "google.cloud.resourcemanager.v3"
_METHOD = f"/{_PACKAGE}.Projects/GetProject"
_ACTIVE = 1
_STRING, _INT32 = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_INT32
_FIELDS = {
    "GetProjectRequest": (("name", 1, _STRING),),
    # The state is an enumeration: on the wire a number.
    "Project": (("name", 1, _STRING), ("project_id", 3, _STRING), ("state", 4, _INT32), ("display_name", 5, _STRING)),
}


class ProjectsGrpc(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types here
    """Answers for the project by its id or number; any other one is refused as one that the caller may not see."""

    def __init__(self, project: str, number: str) -> None:
        self._project = project
        self._number = number
        pool = descriptor_pool.DescriptorPool()
        pool.Add(_file())
        self._messages = {
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _FIELDS
        }

    def service(self, details: Any) -> Any:
        """The handler of GetProject; None for every other method."""
        if details.method != _METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._get,
            request_deserializer=self._messages["GetProjectRequest"].FromString,
            response_serializer=_bytes,
        )

    def _get(self, request: Any, context: Any) -> Any:
        wanted = request.name.removeprefix("projects/")
        if wanted not in (self._project, self._number):
            told = f"The caller does not have permission on the project {wanted}; the local one is {self._project}"
            context.abort(grpc.StatusCode.PERMISSION_DENIED, told)
        return self._messages["Project"](
            name=f"projects/{self._number}", project_id=self._project, state=_ACTIVE, display_name=self._project
        )


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="mlparity/projects.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            message.field.add(
                name=field, number=number, type=kind, label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
            )
    return file
