"""Linear models by their formula: the same answers as ``predict``, and ``predict`` itself wherever there is doubt."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import linear_model
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from mlparity.serving.exchange import Payload, RefusedError
from mlparity.serving.libraries import estimator_predictor
from mlparity.serving.linear import formula_of
from mlparity.serving.loading import _SKLEARN
from mlparity.serving.model import LibraryModel

RANDOM = np.random.default_rng(7)
ROWS = RANDOM.normal(size=(60, 4)) * [1, 100, 1e-3, 1]
NUMBERS = ROWS @ [1.0, 0.1, 30.0, -2.0] + 1
LABELS = np.array(["low", "mid", "high"])[np.digitize(NUMBERS, [-10, 10])]
BINARY = (NUMBERS > 0).astype(np.int32)

KNOWN: dict[str, tuple[Any, Any]] = {
    "linear": (linear_model.LinearRegression(), NUMBERS),
    "ridge": (linear_model.Ridge(), NUMBERS),
    "lasso": (linear_model.Lasso(0.01), NUMBERS),
    "elastic net, no intercept": (linear_model.ElasticNet(0.01, fit_intercept=False), NUMBERS),
    "logistic, texts": (make_pipeline(StandardScaler(), linear_model.LogisticRegression()), LABELS),
    "logistic, binary": (make_pipeline(StandardScaler(with_mean=False), linear_model.LogisticRegression()), BINARY),
    "sgd": (make_pipeline(StandardScaler(with_std=False), linear_model.SGDClassifier(random_state=0)), LABELS),
    "perceptron": (linear_model.Perceptron(random_state=0), BINARY),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_formula_is_the_models_own(name: str) -> None:
    model, target = KNOWN[name]
    model.fit(pd.DataFrame(ROWS, columns=list("abcd")), target)
    predictor = estimator_predictor(model)
    assert predictor.formula is not None
    for rows in (ROWS, ROWS[:1], ROWS.astype(np.int64), ROWS.astype(np.float32)):
        before = rows.copy()
        ours, its = predictor.predict(rows), model.predict(rows)
        assert ours.dtype == its.dtype
        assert ours.tolist() == its.tolist()
        assert np.array_equal(rows, before)


def test_what_the_formula_does_not_cover_is_predicts_own() -> None:
    model = linear_model.LinearRegression().fit(ROWS, NUMBERS)
    served = LibraryModel(estimator_predictor(model), _SKLEARN)
    for row, said in (([1.0, 2.0, 3.0], "X has 3 features"), ([1.0, float("nan"), 2.0, 3.0], "contains NaN")):
        with pytest.raises(RefusedError, match=said):
            served.invoke(Payload(json.dumps([row]).encode(), "application/json"))


class Doubled(linear_model.LinearRegression):  # type: ignore[misc]
    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        return 2 * super().predict(X)


def test_other_models_have_no_formula() -> None:
    several = linear_model.LinearRegression().fit(ROWS, np.stack([NUMBERS, NUMBERS], axis=1))
    scaled = make_pipeline(MinMaxScaler(), linear_model.LinearRegression()).fit(ROWS, NUMBERS)
    patched = linear_model.LinearRegression().fit(ROWS, NUMBERS)
    patched.predict = lambda rows: np.zeros(len(rows))
    for model in (several, scaled, patched, Doubled().fit(ROWS, NUMBERS)):
        assert formula_of(model) is None
        predictions = model.predict(ROWS)
        assert estimator_predictor(model).predict(ROWS).tolist() == predictions.tolist()
