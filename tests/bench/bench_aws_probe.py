"""Whether every AWS API behind the one endpoint answers, asked as clients ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench_sagemaker import client
from botocore.exceptions import BotoCoreError, ClientError

_CALLS = {
    "sagemaker": "list_training_jobs",
    "s3": "list_buckets",
    "sts": "get_caller_identity",
    "iam": "list_roles",
    "logs": "describe_log_groups",
    "events": "list_rules",
}


class Probe:
    """The clients are made before the start, so that their own cost is not measured."""

    def __init__(self, url: str) -> None:
        made: dict[str, Any] = {service: client(service, url) for service in _CALLS}
        self._missing: dict[str, Callable[[], Any]] = {
            service: getattr(found, _CALLS[service]) for service, found in made.items()
        }

    def all_answer(self) -> bool:
        """Whether every service has answered by now. Stops at the first that does not."""
        for service, call in list(self._missing.items()):
            try:
                call()
            except (BotoCoreError, ClientError):
                return False
            del self._missing[service]
        return True
