"""A gRPC channel that calls nothing: it notes which types the client's methods would send and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import grpc


class CallRecorder(grpc.Channel):  # type: ignore[misc] # the transport asks for one; grpc has no types here
    """A channel that notes what it is asked to call: (streaming, request, response) by path."""

    def __init__(self) -> None:
        self.calls: dict[str, tuple[list[bool], str, str]] = {}

    def _note(self, streams: list[bool], path: str, codecs: Mapping[str, Any]) -> Callable[..., None]:
        found = [codecs.get("request_serializer"), codecs.get("response_deserializer")]
        kinds = [full_name(codec.__self__) for codec in found if codec is not None and hasattr(codec, "__self__")]
        if len(kinds) == len(found):  # the mixins' serialisers tell no class; their types are known
            self.calls[path] = (streams, kinds[0], kinds[1])
        return lambda *_: None

    def unary_unary(self, path: str, *_: Any, **codecs: Any) -> Any:
        """Note a plain call."""
        return self._note([False, False], path, codecs)

    def unary_stream(self, path: str, *_: Any, **codecs: Any) -> Any:
        """Note one that is answered by a stream."""
        return self._note([False, True], path, codecs)

    def stream_unary(self, path: str, *_: Any, **codecs: Any) -> Any:
        """Note one that asks by a stream."""
        return self._note([True, False], path, codecs)

    def stream_stream(self, path: str, *_: Any, **codecs: Any) -> Any:
        """Note one of two streams."""
        return self._note([True, True], path, codecs)

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        """Nothing is ever connected."""

    def unsubscribe(self, callback: Any) -> None:
        """Nothing is ever connected."""

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        return


def full_name(kind: Any) -> str:
    """The protobuf name of a message class, of protobuf's own or of proto-plus."""
    descriptor = kind.pb().DESCRIPTOR if hasattr(kind, "pb") else kind.DESCRIPTOR
    return str(descriptor.full_name)
