"""SageMaker's inference container contract.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlparity.serving.contract import HttpRequest, Route
from mlparity.serving.exchange import Payload, Reply, accepted, media_type
from mlparity.serving.json_codec import dumps
from mlparity.serving.loading import ModelFolder, load
from mlparity.serving.model import Servable


class SageMakerContract:
    """``/ping``, ``/invocations`` and, where the model offers it, ``/execution-parameters``."""

    def load(self, environment: Mapping[str, str]) -> Servable:
        """What SM_MODEL_DIR (/opt/ml/model) and the inference code in SAGEMAKER_SUBMIT_DIRECTORY make."""
        code = environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
        folder = Path(environment.get("SM_MODEL_DIR", "/opt/ml/model"))
        return load(ModelFolder(folder, environment, Path(code) if code.startswith("/") else None))

    def routes(self, model: Servable) -> Mapping[tuple[str, str], Route]:
        """The routes of one loaded model."""

        def ping(_request: HttpRequest) -> Reply:
            return Reply(b"", status=200 if model.healthy() else 503)

        def invocations(request: HttpRequest) -> Reply:
            headers = request.headers
            content_type, accept = media_type(headers.get("content-type", "")), accepted(headers.get("accept", ""))
            return model.invoke(Payload(request.body, content_type, accept, headers))

        routes: dict[tuple[str, str], Route] = {("GET", "/ping"): ping, ("POST", "/invocations"): invocations}
        parameters = model.execution_parameters
        if parameters is not None:
            routes["GET", "/execution-parameters"] = lambda _request: Reply(dumps(parameters))
        return routes
