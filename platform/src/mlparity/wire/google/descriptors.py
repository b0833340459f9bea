"""Types and methods of one version of a Google API, as plain protobuf classes of a pool of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

VERSIONS = ("v1", "v1beta1")
FORMAT = 1  # of what ``extract`` writes: another number with every change of it

# A message of the private pool. Its class exists only at run time, so there is no better type.
Message = Any


@dataclass(frozen=True)
class HttpRule:
    """One way to call a method over REST; ``body`` is a field's name, "*" for the rest of the request, or ""."""

    verb: str
    uri: str
    body: str


@dataclass(frozen=True)
class Method:
    """One method of a service. ``request`` and ``response`` are full names of messages.

    Of a long-running method ``operation_response`` and ``operation_metadata`` name what the operation carries; they are
    "" for others.
    """

    service: str
    name: str
    request: str
    response: str
    http: tuple[HttpRule, ...]
    streams_requests: bool = False
    streams_responses: bool = False
    operation_response: str = ""
    operation_metadata: str = ""

    @property
    def key(self) -> str:
        """As operation tables name it: "EndpointService.CreateEndpoint"."""
        return f"{self.service.rpartition('.')[2]}.{self.name}"

    @property
    def path(self) -> str:
        """As gRPC calls it."""
        return f"/{self.service}/{self.name}"


@dataclass(frozen=True)
class Behaviour:
    """What the documentation says of a message's fields (google.api.field_behavior)."""

    required: frozenset[str] = frozenset()
    output_only: frozenset[str] = frozenset()
    immutable: frozenset[str] = frozenset()


_NONE = Behaviour()


@dataclass(frozen=True)
class ApiVersion:
    """One version of the API. ``package`` is that of its own messages: "google.cloud.aiplatform.v1"."""

    version: str
    package: str
    pool: DescriptorPool
    methods: Mapping[str, Method]  # by ``Method.key``
    behaviours: Mapping[str, Behaviour] = field(repr=False)

    @classmethod
    def load(cls, folder: Path, version: str) -> ApiVersion:
        """Read what ``extract`` wrote. Raises ``OSError`` or ``ValueError`` where it is not there or damaged."""
        index = json.loads((folder / f"{version}.json").read_bytes())
        content = (folder / f"{version}.files").read_bytes()
        if sum(index["files"]) != len(content):
            raise ValueError(f"{version}.files has another length than its index says")
        pool, at = DescriptorPool(), 0
        for length in index["files"]:
            pool.AddSerializedFile(content[at : at + length])
            at += length
        methods = [
            _method(service, name, told) for service, found in index["services"].items() for name, told in found.items()
        ]
        behaviours = {
            name: Behaviour(**{kind: frozenset(fields) for kind, fields in told.items()})
            for name, told in index["behaviours"].items()
        }
        package = f"google.cloud.aiplatform.{version}"
        return cls(version, package, pool, {method.key: method for method in methods}, behaviours)

    @cached_property
    def by_path(self) -> Mapping[str, Method]:
        """The methods as gRPC calls them."""
        return {method.path: method for method in self.methods.values()}

    def message_class(self, name: str) -> Any:
        """The class of a message: by its full name, or by its name in the API's own package. Raises ``KeyError``."""
        try:
            return GetMessageClass(self.pool.FindMessageTypeByName(name))
        except KeyError:
            return GetMessageClass(self.pool.FindMessageTypeByName(f"{self.package}.{name}"))

    def new(self, name: str, /, **fields: Any) -> Message:
        """A new message of that name. Enumerations are given by number or by name."""
        return self.message_class(name)(**fields)

    def behaviour(self, full_name: str) -> Behaviour:
        """What is documented of a message's fields."""
        return self.behaviours.get(full_name, _NONE)

    def enum_name(self, name: str, number: int) -> str:
        """The name of an enumeration's value ("" for a number it does not have)."""
        value = self.pool.FindEnumTypeByName(f"{self.package}.{name}").values_by_number.get(number)
        return value.name if value else ""

    def enum_number(self, name: str, value: str) -> int:
        """The number of an enumeration's value. Raises ``KeyError``."""
        return int(self.pool.FindEnumTypeByName(f"{self.package}.{name}").values_by_name[value].number)


def _method(service: str, name: str, told: Mapping[str, Any]) -> Method:
    response, metadata = told["operation"] or ("", "")
    return Method(
        service=service,
        name=name,
        request=told["request"],
        response=told["response"],
        http=tuple(HttpRule(*rule) for rule in told["http"]),
        streams_requests=told["streams"][0],
        streams_responses=told["streams"][1],
        operation_response=response,
        operation_metadata=metadata,
    )
