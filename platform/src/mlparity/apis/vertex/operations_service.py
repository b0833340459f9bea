"""google.longrunning.Operations, as every service of Vertex offers it."""

from __future__ import annotations

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import invalid_argument
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.operations import StoredOperation
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.page_token import make_token, page_size, read_token

_LONGEST_WAIT = 60.0  # seconds; a caller asks again
_MOST = 1000


def _message(vertex: Vertex, operation: StoredOperation, call: Call) -> Message:
    """As the caller reads it: in the version of its path, or, over gRPC, in that in which the operation was started."""
    if call.versioned or operation.version == call.api.version:
        return operation.message(call.api)
    found = operation.message(vertex.apis.get(operation.version))
    return call.api.message_class("google.longrunning.Operation").FromString(found.SerializeToString())


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """The operation as it is."""
    return _message(vertex, vertex.operations.get(request.name), call)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """The operations of a resource, or of all resources of a location; the filter is "done=true" or "done=false"."""
    wanted = {"": None, "done=true": True, "done=false": False, "done:true": True, "done:false": False}
    asked = request.filter.replace(" ", "").lower()
    if asked not in wanted:
        raise invalid_argument(f"Invalid filter {request.filter!r}. Only done=true and done=false are supported.")
    size = page_size(request, 100, _MOST)
    after = read_token(request)
    found = [item for item in vertex.operations.under(request.name) if wanted[asked] in {None, item.done}]
    names = [item.name for item in found]
    start = names.index(after) + 1 if after in names else 0
    shown = found[start : start + size]
    more = start + size < len(found)
    return call.response(
        operations=[_message(vertex, item, call) for item in shown],
        next_page_token=make_token(request, shown[-1].name) if more else "",
    )


def wait(vertex: Vertex, request: Message, call: Call) -> Message:
    """The operation when it is done or the time is over, whichever is first."""
    asked = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else _LONGEST_WAIT
    limits = [max(asked, 0.0), _LONGEST_WAIT, *([call.seconds_left] if call.seconds_left is not None else [])]
    return _message(vertex, vertex.operations.wait(request.name, min(limits)), call)


def cancel(vertex: Vertex, request: Message, call: Call) -> Message:
    """Ask for the operation's end."""
    vertex.operations.cancel(request.name)
    return call.response()


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """Forget an operation that is done."""
    vertex.operations.delete(request.name)
    return call.response()


OPERATIONS = (
    Operation("Operations.GetOperation", get),
    Operation("Operations.ListOperations", list_),
    Operation("Operations.WaitOperation", wait),
    Operation("Operations.CancelOperation", cancel, "only of operations whose work can be stopped"),
    Operation("Operations.DeleteOperation", delete),
)
