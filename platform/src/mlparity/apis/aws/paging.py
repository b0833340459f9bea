"""Pages of CloudWatch Logs: a token is the sort key of the last item shown, so pages neither repeat nor skip."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from mlparity.apis.aws.message import AwsError

Item = TypeVar("Item")

_DEFAULT = 50


def page_of(
    items: Sequence[Item], key: Callable[[Item], Any], params: Mapping[str, Any]
) -> tuple[Sequence[Item], dict[str, str]]:
    """One page of ``items``, which are sorted by ``key`` (last first where ``descending``), and its ``nextToken``."""
    if "nextToken" in params:
        last = decode_token(params["nextToken"])
        try:
            items = [item for item in items if (key(item) < last if params.get("descending") else key(item) > last)]
        except TypeError:
            raise _invalid() from None
    limit = params.get("limit", _DEFAULT)
    shown = items[:limit]
    return shown, {"nextToken": encode_token(key(shown[-1]))} if len(items) > limit else {}


def encode_token(key: Any) -> str:
    """An opaque token for a sort key of JSON values."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def decode_token(token: str) -> Any:
    """The inverse. Raises ``AwsError`` (InvalidParameterException) for a token that is not one of ours."""
    try:
        return json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error):
        raise _invalid() from None


def _invalid() -> AwsError:
    return AwsError("InvalidParameterException", "The specified nextToken is invalid.")
