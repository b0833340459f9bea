"""One entry of the operation table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlparity.apis.kubeflow.context import Kubeflow, Request, Response

Handler = Callable[[Kubeflow, Request], Response]


@dataclass(frozen=True)
class Operation:
    """One operation of the vendor's API.

    ``name`` is the service's and the method's ("RunService.GetRun"). The handler is given the parameters of path and
    query by name, and the body's members under ``body``; an upload's file under ``file`` and its name under
    ``filename``. ``failure`` is how the vendor's messages begin ("Failed to get a run"). ``partial`` says what of it is
    refused, "" where nothing is.
    """

    name: str
    handler: Handler
    failure: str
    partial: str = ""
