"""What the endpoint answers, compared with the model's own predictions; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
from botocore.exceptions import ClientError

from mlparity.scenarios import Platform
from scenarios.mlflow_serving.names import ENDPOINT
from scenarios.mlflow_serving.versions import Version

Predictions = list[dict[str, Any]]
Ask = Callable[[str, str], Predictions]  # content type and body to predictions
_JSON, _CSV = "application/json", "text/csv"


def own_predictions(version: Version, flights: pd.DataFrame) -> Predictions:
    """What the version says without any endpoint."""
    import mlflow

    predicted = mlflow.pyfunc.load_model(str(version.folder)).predict(flights)
    return _plain(predicted.to_dict("records"))


def _plain(records: Any) -> Predictions:
    return [{"delay_minutes": float(one["delay_minutes"]), "late": bool(one["late"])} for one in records]


def forms(flights: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Every form that MLflow's server reads: name to content type and body."""
    split, records = flights.to_dict("split"), flights.to_dict("records")
    return {
        "dataframe_split": (_JSON, json.dumps({"dataframe_split": {k: split[k] for k in ("columns", "data")}})),
        "dataframe_records": (_JSON, json.dumps({"dataframe_records": records})),
        "inputs": (_JSON, json.dumps({"inputs": flights.to_dict("list")})),
        "instances": (_JSON, json.dumps({"instances": records})),
        "CSV": (_CSV, flights.to_csv(index=False)),
    }


def invoke(runtime: Any, content_type: str, body: str) -> Predictions:
    """One request; the predictions."""
    answer = runtime.invoke_endpoint(EndpointName=ENDPOINT, ContentType=content_type, Body=body)
    return predictions_in(answer["Body"].read())


def predictions_in(body: bytes) -> Predictions:
    """Of an answer of MLflow's scoring server."""
    return _plain(json.loads(body)["predictions"])


def compare(platform: Platform, version: Version, flights: pd.DataFrame, ask: Ask | None = None) -> str:
    """Check every form against the model's own predictions; in words. ``ask`` is the endpoint where none is given."""
    expected = own_predictions(version, flights)
    asking = ask or partial(invoke, platform.client("sagemaker-runtime"))
    asked = forms(flights)
    for name, (content_type, body) in asked.items():
        said = asking(content_type, body)
        platform.check(said == expected, f"{name}: the answer is {said[:2]}, the model says {expected[:2]}")
    return f"{len(expected)} flights, equal predictions from {', '.join(asked)}"


def refuses(platform: Platform, flights: pd.DataFrame) -> list[str]:
    """A missing column and a wrong type get a 400 that says what is wrong; the words of each."""
    told = []
    for what, wrong in (
        ("carrier", flights.drop(columns="carrier")),
        ("distance", flights.assign(distance="far")),
    ):
        body = json.dumps({"dataframe_records": wrong.to_dict("records")})
        try:
            invoke(platform.client("sagemaker-runtime"), _JSON, body)
        except ClientError as error:
            response: Any = error.response
            refused = response["Error"]["Code"] == "ModelError" and response.get("OriginalStatusCode") == 400
            platform.check(refused, f"refused otherwise: {response}")
            message = str(json.loads(response["OriginalMessage"])["message"])
            platform.check(what in message, f"the refusal does not name {what}: {message}")
            told.append(" ".join(message.split()))
            continue
        platform.check(False, f"flights with a wrong {what} were answered")
    return told
