"""Inference code that comes with a model: ``model_fn``, ``input_fn``, ``predict_fn``, ``output_fn``, ``transform_fn``.

The rules of the SageMaker inference toolkit: https://github.com/aws/sagemaker-inference-toolkit. A missing function
has the toolkit's default; each may take the request's context as one more argument.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mlparity.serving import exchange
from mlparity.serving.decoding import decode
from mlparity.serving.encoding import JsonForm, encode
from mlparity.serving.exchange import Payload, RefusedError, Reply, bad_request
from mlparity.serving.json_codec import dumps

_AS_TEXT = frozenset({exchange.CSV, exchange.JSON})  # the toolkit hands these over as str, all others as bytes


@dataclass
class Context:
    """What a function that takes one more argument gets."""

    model_dir: str
    system_properties: Mapping[str, Any] = field(default_factory=dict)
    request_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CodeModel:
    """Serves a model through its own code."""

    model: Any
    module: ModuleType
    code: Path  # the folder of the module and of what it imports
    context: Context
    content_type: str  # where the client names none
    accept: str
    execution_parameters: Mapping[str, Any] | None = None
    library: bool = False

    def healthy(self) -> bool:
        """It is loaded: the toolkit's ping says no more."""
        return True

    def invoke(self, payload: Payload) -> Reply:
        """``transform_fn``, or ``input_fn``, ``predict_fn`` and ``output_fn``.

        An exception of the code is the toolkit's 500 with the message and the traceback through the code; one that
        has a ``status_code`` keeps it. A body that fails before any code of the user's has seen it is a 400.
        """
        content_type = payload.content_type or self.content_type
        accept = payload.accept or self.accept
        body: bytes | str = payload.body
        try:
            if content_type in _AS_TEXT:
                body = _text(payload.body, content_type)
            context = replace(self.context, request_headers=payload.headers)
            return _reply(self._transform(body, content_type, accept, context), accept)
        except RefusedError:
            raise
        except Exception as error:
            status = getattr(error, "status_code", 500)
            raise RefusedError(int(status), f"{error}\n{self._told(error)}") from error

    def _told(self, error: Exception) -> str:
        """The exception and those behind it, with no other frames than the code's own."""
        report = traceback.TracebackException.from_exception(error)
        _keep_frames(report, self._is_code)
        return "".join(report.format())

    def _is_code(self, frame: traceback.FrameSummary) -> bool:
        return Path(frame.filename).is_relative_to(self.code)

    def _transform(self, body: bytes | str, content_type: str, accept: str, context: Context) -> Any:
        whole = getattr(self.module, "transform_fn", None)
        if whole is not None:
            return call(whole, (self.model, body, content_type, accept), context)
        data = call(getattr(self.module, "input_fn", default_input), (body, content_type), context)
        predict = getattr(self.module, "predict_fn", None)
        prediction = call(predict, (data, self.model), context) if predict else self._predicted(data)
        return call(getattr(self.module, "output_fn", default_output), (prediction, accept), context)

    def _predicted(self, data: Any) -> Any:
        """By default. What a library's model refuses of what our own ``input_fn`` has read is the body's fault."""
        try:
            return default_predict(data, self.model)
        except Exception as error:
            is_theirs = hasattr(self.module, "input_fn") or not hasattr(self.model, "predict")
            if is_theirs or any(map(self._is_code, traceback.extract_tb(error.__traceback__))):
                raise
            raise bad_request(f"Unable to evaluate payload provided: {error}") from error


def _keep_frames(report: traceback.TracebackException, wanted: Callable[[traceback.FrameSummary], bool]) -> None:
    report.stack[:] = [frame for frame in report.stack if wanted(frame)]
    for behind in (report.__cause__, report.__context__, *(getattr(report, "exceptions", None) or ())):
        if behind is not None:
            _keep_frames(behind, wanted)


def _text(body: bytes, content_type: str) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise bad_request(f"The {content_type} payload is not UTF-8: {error}") from error


def import_code(folder: Path, program: str) -> ModuleType:
    """Import ``program`` from ``folder``, whose other modules it may import as well.

    Raises ``RefusedError`` 500 where the file is missing or breaks the toolkit's rules.
    """
    path = folder / program
    if not path.is_file():
        raise RefusedError(500, f"the inference code {program} is not in {folder}")
    for entry in (str(folder / "lib"), str(folder)):
        if entry not in sys.path:
            sys.path.insert(0, entry)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # noqa: S101 - a file that exists has a spec
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    parts = [part for part in ("input_fn", "predict_fn", "output_fn") if hasattr(module, part)]
    if hasattr(module, "transform_fn") and parts:
        raise RefusedError(
            500,
            "Cannot use transform_fn implementation in conjunction with input_fn, predict_fn, and/or output_fn "
            "implementation",
        )
    return module


def call(function: Callable[..., Any], arguments: tuple[Any, ...], context: Context) -> Any:
    """Call with the arguments, and the context where the function takes one more."""
    wanted = _arity(function)
    if wanted == len(arguments):
        return function(*arguments)
    if wanted == len(arguments) + 1:
        return function(*arguments, context)
    raise TypeError(f"{function.__name__} takes {wanted} arguments but {len(arguments)} were given.")


@lru_cache(maxsize=64)
def _arity(function: Callable[..., Any]) -> int:
    return len(inspect.signature(function).parameters)


def default_input(body: bytes | str, content_type: str) -> Any:
    """The toolkit's: a numpy array of JSON, CSV or NPY."""
    return decode(body.encode() if isinstance(body, str) else body, content_type)


def default_predict(data: Any, model: Any) -> Any:
    """The model's own ``predict``; an XGBoost booster gets a DMatrix, as its image gives it."""
    if type(model).__name__ == "Booster":
        import xgboost

        matrix = data if isinstance(data, xgboost.DMatrix) else xgboost.DMatrix(data)
        return model.predict(matrix, validate_features=False)
    return model.predict(data)


def default_output(prediction: Any, accept: str) -> Any:
    """The toolkit's: JSON, CSV or NPY. What the model yields is streamed as it is."""
    return prediction if isinstance(prediction, Iterator) else encode(prediction, accept, JsonForm.ARRAY)


def _reply(result: Any, accept: str) -> Reply:
    if isinstance(result, Reply):
        return result
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], str):  # noqa: PLR2004 - (body, type)
        return _reply(result[0], result[1])
    if isinstance(result, str):
        return Reply(result.encode(), accept)
    if isinstance(result, bytes | bytearray | memoryview):
        return Reply(bytes(result), accept)
    if isinstance(result, Iterator):
        return Reply(b"", accept, parts=_parts(result))
    return encode(result, accept, JsonForm.ARRAY)


def _parts(yielded: Iterator[Any]) -> Iterator[bytes]:
    """What the code yields: bytes and texts as they are, anything else as a line of JSON."""
    try:
        for part in yielded:
            if isinstance(part, bytes | bytearray | memoryview):
                yield bytes(part)
            else:
                yield part.encode() if isinstance(part, str) else dumps(part) + b"\n"
    finally:
        close = getattr(yielded, "close", None)
        if close is not None:
            close()
