"""What endpoints need of the stack beside the documents: the endpoints themselves, alarms, and topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlparity.serving.endpoints.contract import Endpoints


@dataclass(frozen=True)
class Hosting:
    """The part of the substrate that real-time and asynchronous inference stand on."""

    endpoints: Endpoints
    # Those of some alarm names that no CloudWatch alarm has.
    unknown_alarms: Callable[[Sequence[str]], Sequence[str]]
    # Publishes a text to an SNS topic, by its ARN. Raises ``MlparityError`` where the topic does not take it.
    publish_to_topic: Callable[[str, str], None]
