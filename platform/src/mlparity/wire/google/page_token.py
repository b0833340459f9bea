"""Page tokens that only continue the list they were made for (AIP-158)."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.status import Code, GoogleError, Violation, bad_request

_OWN = ("page_token", "page_size", "read_mask")


def make_token(request: Message, position: Any) -> str:
    """A token of this list request; ``position`` is JSON."""
    content = json.dumps([_fingerprint(request), position], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def read_token(request: Message) -> Any:
    """The position in the request's ``page_token``, None where there is none. Raises ``GoogleError``."""
    token = request.page_token
    if not token:
        return None
    try:
        fingerprint, position = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError):
        raise _refused("The page token is invalid.") from None
    if fingerprint != _fingerprint(request):
        raise _refused("The page token was made for a request with other parameters.")
    return position


def page_size(request: Message, default: int, most: int) -> int:
    """How many items to answer: more than ``most`` is ``most``. Raises ``GoogleError`` for a negative size."""
    asked = int(request.page_size)
    if asked < 0:
        text = f"page_size must not be negative, but it is {asked}."
        raise GoogleError(Code.INVALID_ARGUMENT, text, [bad_request([Violation("page_size", text)])])
    return min(asked or default, most)


def _fingerprint(request: Message) -> str:
    asked = type(request)()
    asked.CopyFrom(request)
    for name in _OWN:
        if name in asked.DESCRIPTOR.fields_by_name:
            asked.ClearField(name)
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).hexdigest()[:16]


def _refused(text: str) -> GoogleError:
    return GoogleError(Code.INVALID_ARGUMENT, text, [bad_request([Violation("page_token", text)])])
