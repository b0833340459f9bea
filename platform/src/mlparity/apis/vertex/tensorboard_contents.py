"""What is in a tensorboard: experiments, their runs, and the time series of those."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import already_exists, invalid, unimplemented
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.names import new_id, parent_of
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.apis.vertex.tensorboards import (
    EXPERIMENTS,
    LISTED,
    RUNS,
    SERIES,
    TENSORBOARDS,
    delete_below,
    documents,
)
from mlparity.wire.aip160 import Language
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.status import GoogleError

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_LARGEST_BATCH = 1000


@dataclass(frozen=True)
class Contents:
    """The methods of one kind. ``field`` is what requests call it; ``plural`` what methods call many of them."""

    kind: ResourceKind
    parent: ResourceKind
    field: str
    plural: str
    unique_names: bool = True

    @property
    def listing(self) -> Listing:
        """How they are listed."""
        items = self.field if self.kind is SERIES else f"{self.field}s"
        return Listing(self.kind, items, Language(LISTED), nested=True)

    def create(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """A new one in its parent."""
        with vertex.transaction():
            self.parent.get(vertex, call.api, request.parent)
            return self._create(vertex, request, call)

    def batch_create(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """Several new ones, all or none. Requests may name parents under the one of the batch."""
        if len(request.requests) > _LARGEST_BATCH:
            raise invalid({"requests": f"At most {_LARGEST_BATCH} can be created in a batch."})
        made: list[Message] = []
        with vertex.transaction():
            for number, one in enumerate(request.requests):
                if one.parent != request.parent and not one.parent.startswith(f"{request.parent}/"):
                    raise invalid({f"requests[{number}].parent": f"The parent must be {request.parent}."})
                self.parent.get(vertex, call.api, one.parent)
                made.append(self._create(vertex, one, call))
        return call.response(**{self.listing.items: made})

    def get(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """One of them."""
        return self._told(vertex, [self.kind.get(vertex, call.api, request.name)])[0]

    def list_(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """Those of the parent that the filter selects."""
        self.parent.get(vertex, call.api, request.parent)
        response = self.listing.respond(vertex, request, call)
        self._told(vertex, getattr(response, self.listing.items))
        return response

    def update(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """Replace what the mask names."""
        changed = getattr(request, self.field)

        def check(found: Message) -> None:
            self._check_name(vertex, parent_of(found.name), found)

        return self._told(vertex, [self.kind.update(vertex, call.api, changed, request.update_mask.paths, check)])[0]

    def delete(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """Delete one with all that is in it."""
        with vertex.transaction():
            self.kind.delete(vertex, request.name)
            delete_below(vertex, request.name)
            return vertex.operations.done(call, request.name, call.new("google.protobuf.Empty"))

    def operations(self) -> Mapping[str, Any]:
        """The methods by their names in the service."""
        name = self.kind.message
        return {
            f"Create{name}": self.create,
            f"Get{name}": self.get,
            f"List{self.plural}": self.list_,
            f"Update{name}": self.update,
            f"Delete{name}": self.delete,
        }

    def _create(self, vertex: Vertex, request: Message, call: Call) -> Message:
        new, given = getattr(request, self.field), getattr(request, f"{self.field}_id")
        if given and not _ID.fullmatch(given):
            raise invalid({f"{self.field}_id": f"The ID {given!r} must match [a-z0-9][a-z0-9-]{{0,127}}."})
        kind = call.api.enum_name(f"{SERIES.message}.ValueType", new.value_type) if self.kind is SERIES else ""
        if kind == "BLOB_SEQUENCE":
            raise unimplemented("mlparity keeps no blob sequences: time series are SCALAR or TENSOR.")
        new.name = f"{request.parent}/{self.kind.collection}/{given or new_id(vertex.ids)}"
        self._check_name(vertex, request.parent, new)
        return self.kind.create(vertex, call.api, new)

    def _check_name(self, vertex: Vertex, parent: str, new: Message) -> None:
        if not self.unique_names or not new.display_name:
            return
        for document in documents(vertex, self.kind, f"{parent}/{self.kind.collection}"):
            taken = document.body["resource"].get("displayName") == new.display_name
            if taken and document.name != new.name:
                raise _taken(self.kind, new, document.name)

    def _told(self, vertex: Vertex, found: Sequence[Message]) -> Sequence[Message]:
        """Time series tell how far they go."""
        if self.kind is SERIES:
            extents = vertex.metadata.time_series.extents([item.name for item in found])
            for item in found:
                if item.name in extents:
                    item.metadata.max_step = extents[item.name].max_step
                    item.metadata.max_wall_time.FromDatetime(extents[item.name].max_at)
        return found


def _taken(kind: ResourceKind, new: Message, other: str) -> GoogleError:
    return already_exists(kind.message, f"{other} with display name {new.display_name!r}")


_EXPERIMENTS = Contents(
    EXPERIMENTS, TENSORBOARDS, "tensorboard_experiment", "TensorboardExperiments", unique_names=False
)
_RUNS = Contents(RUNS, EXPERIMENTS, "tensorboard_run", "TensorboardRuns")
_SERIES = Contents(SERIES, RUNS, "tensorboard_time_series", "TensorboardTimeSeries")

OPERATIONS = (
    *(
        Operation(f"TensorboardService.{name}", handler)
        for contents in (_EXPERIMENTS, _RUNS, _SERIES)
        for name, handler in contents.operations().items()
    ),
    Operation("TensorboardService.BatchCreateTensorboardRuns", _RUNS.batch_create),
    Operation("TensorboardService.BatchCreateTensorboardTimeSeries", _SERIES.batch_create),
)
