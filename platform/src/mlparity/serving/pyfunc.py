"""An MLflow model as MLflow's own container serves it: ``mlflow.pyfunc.scoring_server``, behind our HTTP.

Parsing, the signature's enforcement, parameters and error documents are MLflow's. What MLflow's server does not
read (JSON Lines, NPY, LIBSVM, CSV without a header) is read by our decoders, and CSV or JSON Lines are written where
the client asks for them. Rows of plain numbers that suit the signature exactly take a short way to the same
estimator: whatever is not plainly right goes through MLflow.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.serving import exchange
from mlparity.serving.decoding import decode
from mlparity.serving.encoding import JsonForm, encode
from mlparity.serving.exchange import Payload, RefusedError, Reply
from mlparity.serving.json_codec import loads
from mlparity.serving.libraries import predictor_of
from mlparity.serving.model import Predictor
from mlparity.serving.numeric import Kind, rows_of

_PARSED_BY_MLFLOW = frozenset({exchange.CSV, exchange.JSON})
_LIBRARIES = frozenset({"mlflow.sklearn", "mlflow.xgboost"})  # no code of the user's runs in these


@dataclass(frozen=True)
class ShortWay:
    """For models whose signature has named columns of doubles and longs only, and that take arrays."""

    predictor: Predictor
    kinds: Mapping[str, Kind]

    def predict(self, body: bytes) -> Any:
        """The predictions; None where the payload has to go the long way."""
        try:
            rows = rows_of(loads(body), self.kinds)
            return None if rows is None else self.predictor.predict(rows)
        except Exception:  # noqa: BLE001 - MLflow says what is wrong
            return None


@dataclass(frozen=True)
class PyfuncModel:
    """Serves ``native``, an ``mlflow.pyfunc.PyFuncModel``."""

    native: Any
    accept: str = exchange.JSON
    short_way: ShortWay | None = None
    library: bool = False
    execution_parameters: Mapping[str, Any] | None = None

    def healthy(self) -> bool:
        """It is loaded: MLflow's ping says no more."""
        return True

    def invoke(self, payload: Payload) -> Reply:
        """Parse, enforce, predict, encode."""
        content_type = payload.content_type or exchange.JSON
        accept = payload.accept or self.accept
        if self.short_way is not None and content_type == exchange.JSON:
            predictions = self.short_way.predict(payload.body)
            if predictions is not None:
                return encode(predictions, accept, JsonForm.MLFLOW)
        from mlflow.exceptions import MlflowException

        try:
            if content_type in _PARSED_BY_MLFLOW:
                return self._as_mlflow(payload.body, content_type, accept)
            table = decode(payload.body, content_type, self._columns())
            return encode(self.native.predict(table), accept, JsonForm.MLFLOW)
        except MlflowException as error:
            raise RefusedError(_status(error), error.serialize_as_json(), exchange.JSON) from error

    def _as_mlflow(self, body: bytes, content_type: str, accept: str) -> Reply:
        from mlflow.pyfunc.scoring_server import invocations

        text = body.decode("utf-8", "replace")
        if content_type == exchange.CSV:
            text = _with_header(text, self._columns())
        answer = invocations(text, content_type, self.native, self.native.metadata.get_input_schema())
        if answer.status != 200 or accept == exchange.JSON:  # noqa: PLR2004 - HTTP
            return Reply(answer.response.encode(), answer.mimetype, answer.status)
        document = loads(answer.response.encode())
        return encode(document.get("predictions", document), accept, JsonForm.MLFLOW)

    def _columns(self) -> Sequence[str]:
        schema = self.native.metadata.get_input_schema()
        return tuple(schema.input_names()) if schema is not None and schema.has_input_names() else ()


def serve_pyfunc(native: Any, accept: str) -> PyfuncModel:
    """The model, with the short way where it has one."""
    library = getattr(native, "loader_module", "") in _LIBRARIES
    return PyfuncModel(native, accept or exchange.JSON, _short_way(native) if library else None, library)


def _short_way(native: Any) -> ShortWay | None:
    schema, metadata = native.metadata.get_input_schema(), native.metadata
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return None
    flavor = metadata.flavors.get("python_function", {})
    if flavor.get("predict_fn", "predict") != "predict" or metadata.get_params_schema() is not None:
        return None
    kinds = {}
    for column in schema.inputs:
        kind = _KINDS.get(getattr(column.type, "name", ""))
        if kind is None or not column.required:
            return None
        kinds[column.name] = kind
    predictor = predictor_of(native.get_raw_model())
    if predictor is None or not predictor.plain or tuple(predictor.columns) not in {(), tuple(kinds)}:
        return None
    return ShortWay(predictor, kinds)


_KINDS = {"double": Kind.DOUBLE, "long": Kind.LONG}


def _with_header(text: str, columns: Sequence[str]) -> str:
    """MLflow wants the columns' names in the first line; SageMaker's clients often send rows only."""
    first = next(csv.reader([text.partition("\n")[0].rstrip("\r")]), [])
    if not columns or len(first) != len(columns) or set(first) & set(columns):
        return text
    quoted = ('"' + name.replace('"', '""') + '"' for name in columns)
    return f"{','.join(quoted)}\n{text}"


def _status(error: Any) -> int:
    return int(error.get_http_status_code())
