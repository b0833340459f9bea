"""What endpoints need of the stack beside the documents: the endpoints themselves, alarms, and topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlparity.serving.endpoints.contract import Endpoints
from mlparity.serving.endpoints.plans import ModelContainer


def _nothing_is_expected(_containers: Sequence[ModelContainer]) -> None:
    """Where nothing is deployed."""


@dataclass(frozen=True)
class Hosting:
    """The part of the substrate that real-time and asynchronous inference stand on."""

    endpoints: Endpoints
    # Those of some alarm names that no CloudWatch alarm has.
    unknown_alarms: Callable[[Sequence[str]], Sequence[str]]
    # Publishes a text to an SNS topic, by its ARN. Raises ``MlparityError`` where the topic does not take it.
    publish_to_topic: Callable[[str, str], None]
    # These may be deployed soon: what can be made ready is. Returns at once.
    expect: Callable[[Sequence[ModelContainer]], None] = _nothing_is_expected
