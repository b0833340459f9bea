"""Vertex AI's container contract in the model server, and what its prebuilt images do with instances."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlparity.serving.contract import HttpRequest
from mlparity.serving.exchange import RefusedError
from mlparity.serving.vertex import SKLEARN, XGBOOST, VertexContract

ROWS = np.array([[1.0, 2.0], [3.0, -4.0], [0.5, 0.001]])
TARGET = np.array([1.0, 2.0, 3.5])


def _ask(folder: Path, document: Any, framework: str = "", **environment: str) -> Any:
    """The predict route's answer; for a refusal its status and the text that the image sends."""
    given = {"SM_MODEL_DIR": str(folder), "AIP_PREDICT_ROUTE": "/predict", "AIP_HEALTH_ROUTE": "/health", **environment}
    if framework:
        given["AIP_FRAMEWORK"] = framework
    contract = VertexContract(given)
    routes = contract.routes(contract.load(given))
    assert routes["GET", "/health"](HttpRequest({}, b"")).status == routes["GET", "/ping"](HttpRequest({}, b"")).status
    assert routes["POST", "/predict"] is routes["POST", "/invocations"]
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    try:
        reply = routes["POST", "/predict"](HttpRequest({"content-type": "application/json"}, body))
    except RefusedError as error:
        return error.status, json.loads(error.message)
    assert reply.content_type == "application/json"
    return json.loads(reply.body)["predictions"]


@pytest.mark.parametrize("name", ["model.joblib", "model.pkl"])
def test_scikit_learn_answers_as_the_library(tmp_path: Path, name: str) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, ["yes", "no", "yes"])
    joblib.dump(model, tmp_path / name)
    assert _ask(tmp_path, {"instances": ROWS.tolist()}, SKLEARN) == model.predict(ROWS).tolist()


@pytest.mark.parametrize("name", ["model.bst", "model.joblib", "model.pkl"])
def test_xgboost_answers_as_the_library(tmp_path: Path, name: str) -> None:
    booster = xgboost.train({"max_depth": 2, "seed": 0, "nthread": 1}, xgboost.DMatrix(ROWS, TARGET), 3)
    if name.endswith(".bst"):
        (tmp_path / name).write_bytes(booster.save_raw("ubj"))
    else:
        joblib.dump(booster, tmp_path / name)
    assert _ask(tmp_path, {"instances": ROWS.tolist()}, XGBOOST) == booster.predict(xgboost.DMatrix(ROWS)).tolist()


def test_what_the_image_would_refuse_is_refused_in_its_words(tmp_path: Path) -> None:
    joblib.dump(LinearRegression().fit(ROWS, TARGET), tmp_path / "model.joblib")
    for document, said in (
        ({"instances": [[1, 2, 3]]}, "Prediction failed: Exception during sklearn prediction: X has 3 features"),
        ({"instances": [{"a": 1, "b": 2}]}, "Prediction failed: Exception during sklearn prediction: "),
        ({"instances": [[1, 2], [3]]}, "Prediction failed: Could not make an array"),
        ({"instances": [[1, 2]], "parameters": {"a": 1}}, "unexpected keyword argument 'parameters'"),
        (b"{", "Prediction failed: Could not parse"),
        ([], "Prediction failed: Request must be"),
    ):
        status, message = _ask(tmp_path, document, SKLEARN)
        assert status == 400
        assert said in message


def test_names_of_columns_do_not_reach_a_prebuilt_image(tmp_path: Path) -> None:
    """An array is all that the images make of instances: a local success must not fail in the cloud."""
    frame = pd.DataFrame(ROWS, columns=["a", "b"])
    by_name = make_pipeline(ColumnTransformer([("scale", StandardScaler(), ["a", "b"])]), LinearRegression())
    joblib.dump(by_name.fit(frame, TARGET), tmp_path / "model.joblib")
    status, message = _ask(tmp_path, {"instances": ROWS.tolist()}, SKLEARN)
    assert (status, "strings is only supported" in message) == (400, True)
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(frame, TARGET), 2)
    joblib.dump(booster, tmp_path / "model.pkl")
    (tmp_path / "model.joblib").unlink()
    status, message = _ask(tmp_path, {"instances": ROWS.tolist()}, XGBOOST)
    assert (status, "the following fields are expected" in message) == (400, True)


def test_a_folder_without_the_images_files_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    for framework, said in ((SKLEARN, "model.joblib, model.pkl in"), (XGBOOST, "model.bst in"), ("", "no model was")):
        if framework == "":
            (tmp_path / "model.json").unlink()
        with pytest.raises(RefusedError) as refused:
            _ask(tmp_path, {}, framework)
        assert said in refused.value.message
    joblib.dump({"not": "a model"}, tmp_path / "model.joblib")
    with pytest.raises(RefusedError) as refused:
        _ask(tmp_path, {}, SKLEARN)
    assert "Invalid model type detected: builtins.dict" in refused.value.message
