"""What endpoints need of the stack beside the documents: the endpoints themselves, alarms, and topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from mlparity.apis.sagemaker.errors import not_served
from mlparity.serving.endpoints.contract import Endpoints


@dataclass(frozen=True)
class Hosting:
    """The part of the substrate that real-time and asynchronous inference stand on."""

    endpoints: Endpoints
    # Those of some alarm names that no CloudWatch alarm has.
    unknown_alarms: Callable[[Sequence[str]], Sequence[str]]
    # Publishes a text to an SNS topic, by its ARN. Raises ``MlparityError`` where the topic does not take it.
    publish_to_topic: Callable[[str, str], None]


class _Absent:
    """Stands for endpoints where the stack has no data plane."""

    def __getattr__(self, name: str) -> Any:
        raise not_served("Hosting endpoints in a stack without a data plane")


NO_HOSTING = Hosting(cast("Endpoints", _Absent()), lambda _names: (), lambda _topic, _text: None)
