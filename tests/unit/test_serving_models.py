"""The model server in one process: what lies in a folder is found, and requests in every format get the same rows."""

from __future__ import annotations

import asyncio
import io
import json
import pickle
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LinearRegression

from mlparity.serving.exchange import RefusedError
from mlparity.serving.http_server import ModelServer
from mlparity.serving.loading import ModelFolder, load
from mlparity.serving.pace import Pace
from mlparity.serving.sagemaker import SageMakerContract

ROWS = np.array([[1.0, 2.0], [3.0, -4.0], [0.5, 1e-3]])
NAMED = pd.DataFrame(ROWS, columns=["a", "b"])
TARGET = np.array([1.0, 2.0, 3.5])


class Server:
    """A loaded folder behind its contract, at a socket for the time of a request."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.model = load(ModelFolder(folder, environment))
        self.pace = Pace(library=self.model.library)

    def ask(self, body: bytes | str, content_type: str = "", accept: str = "*/*") -> httpx.Response:
        headers = {"accept": accept} | ({"content-type": content_type} if content_type else {})
        return self.request("POST", "/invocations", content=body, headers=headers)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send(place: str) -> httpx.Response:
            server = ModelServer(SageMakerContract().routes(self.model), 2, self.pace)
            listener = await asyncio.get_running_loop().create_unix_server(server.connection, place)
            transport = httpx.AsyncHTTPTransport(uds=place)
            async with httpx.AsyncClient(transport=transport, base_url="http://m") as client:
                answer = await client.request(method, path, **options)
            listener.close()
            await server.close()
            return answer

        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(send(f"{folder}/s"))


def served(folder: Path, **environment: str) -> Server:
    return Server(folder, environment)


@pytest.fixture
def booster() -> xgboost.Booster:
    return xgboost.train({"max_depth": 2, "seed": 0, "nthread": 1}, xgboost.DMatrix(ROWS, TARGET), 3)


@pytest.fixture(autouse=True)
def _no_user_modules() -> Iterator[None]:
    """Inference code changes ``sys.path`` and ``sys.modules``, as it may in a process of its own."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name in {"inference", "helper", "serve_it"}:
            del sys.modules[name]


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


PAYLOADS: Mapping[str, tuple[bytes | str, str]] = {
    "csv": ("1,2\n3,-4\n0.5,0.001\n", "text/csv"),
    "csv with a charset": ("1,2\n3,-4\n0.5,0.001", "text/csv; charset=utf-8"),
    "json": (json.dumps(ROWS.tolist()), "application/json"),
    "instances": (json.dumps({"instances": ROWS.tolist()}), "application/json"),
    "instances with features": (
        json.dumps({"instances": [{"features": row} for row in ROWS.tolist()]}),
        "application/json",
    ),
    "dense": (
        "\n".join(json.dumps({"data": {"features": {"values": row}}}) for row in ROWS.tolist()),
        "application/jsonlines",
    ),
    "lines": ("\n".join(json.dumps(row) for row in ROWS.tolist()), "application/jsonlines"),
    "libsvm": ("0 0:1 1:2\n0 0:3 1:-4\n0 0:0.5 1:0.001", "text/x-libsvm"),
    "npy": (npy(ROWS), "application/x-npy"),
}


@pytest.mark.parametrize("name", ["xgboost-model", "model.json", "model.ubj", "model.bst"])
def test_boosters_are_found_in_every_format(tmp_path: Path, booster: xgboost.Booster, name: str) -> None:
    (tmp_path / name).write_bytes(booster.save_raw("json" if name.endswith("json") else "ubj"))
    answer = served(tmp_path).ask(*PAYLOADS["csv"])
    assert [float(line) for line in answer.text.split()] == booster.predict(xgboost.DMatrix(ROWS)).tolist()


def test_a_pickled_booster_is_one_as_well(tmp_path: Path, booster: xgboost.Booster) -> None:
    (tmp_path / "xgboost-model").write_bytes(pickle.dumps(booster))
    answer = served(tmp_path).ask(*PAYLOADS["csv"])
    assert [float(line) for line in answer.text.split()] == booster.predict(xgboost.DMatrix(ROWS)).tolist()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_every_format_holds_the_same_rows(tmp_path: Path, booster: xgboost.Booster, payload: str) -> None:
    (tmp_path / "xgboost-model").write_bytes(booster.save_raw("ubj"))
    answer = served(tmp_path).ask(*PAYLOADS[payload], accept="application/json")
    assert answer.status_code == 200, answer.text
    expected = booster.predict(xgboost.DMatrix(ROWS)).tolist()
    assert answer.json() == {"predictions": [{"score": value} for value in expected]}


def test_estimators_answer_as_sagemakers_image_does(tmp_path: Path) -> None:
    model = LinearRegression().fit(ROWS, TARGET)
    joblib.dump(model, tmp_path / "model.joblib")
    server = served(tmp_path)
    expected = model.predict(ROWS).tolist()
    assert server.ask(*PAYLOADS["json"]).json() == expected
    assert server.ask(*PAYLOADS["csv"], accept="text/csv").text == "".join(f"{value}\n" for value in expected)
    lines = server.ask(*PAYLOADS["csv"], accept="application/jsonlines").text.splitlines()
    assert [json.loads(line) for line in lines] == expected
    assert np.load(io.BytesIO(server.ask(*PAYLOADS["csv"], accept="application/x-npy").content)).tolist() == expected


def test_named_columns_come_by_name_or_in_their_order(tmp_path: Path) -> None:
    model = LinearRegression().fit(NAMED, TARGET)
    joblib.dump(model, tmp_path / "model.pkl")
    server = served(tmp_path)
    expected = model.predict(NAMED).tolist()
    split = {"dataframe_split": {"columns": ["a", "b"], "data": ROWS.tolist()}}
    records = {"dataframe_records": NAMED.to_dict("records")}
    for document in (split, records, ROWS.tolist(), {"inputs": NAMED.to_dict("list")}):
        assert server.ask(json.dumps(document), "application/json").json() == expected
    for header in ("a,b\n", ""):
        assert server.ask(header + str(PAYLOADS["csv"][0]), "text/csv").json() == expected


def test_arrays_and_frames_give_the_same(tmp_path: Path) -> None:
    """Models that see columns by place get arrays; the answers are those of a frame."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    by_name = ColumnTransformer([("only", "passthrough", ["b"])])
    models = [
        (make_pipeline(StandardScaler(), RandomForestRegressor(5, random_state=0)), True),
        (make_pipeline(by_name, LinearRegression()), False),
        (xgboost.XGBRegressor(n_estimators=3, n_jobs=1), True),
    ]
    for number, (model, plain) in enumerate(models):
        folder = tmp_path / str(number)
        folder.mkdir()
        joblib.dump(model.fit(NAMED, TARGET), folder / "model.joblib")
        server = served(folder)
        assert server.model.predictor.plain is plain
        expected = model.predict(NAMED).tolist()
        split = {"dataframe_split": {"columns": ["a", "b"], "data": ROWS.tolist()}}
        for document in (split, {"dataframe_records": NAMED.to_dict("records")}, ROWS.tolist()):
            assert server.ask(json.dumps(document), "application/json").json() == expected
        assert server.ask(*PAYLOADS["csv"]).json() == expected


def test_a_skops_file_is_an_estimator(tmp_path: Path) -> None:
    import skops.io

    model = LinearRegression().fit(ROWS, TARGET)
    skops.io.dump(model, tmp_path / "model.skops")
    assert served(tmp_path).ask(*PAYLOADS["json"]).json() == model.predict(ROWS).tolist()


@pytest.fixture
def mlflow_folder(tmp_path: Path) -> Path:
    import mlflow.sklearn
    from mlflow.models import infer_signature

    model = LinearRegression().fit(NAMED, TARGET)
    mlflow.sklearn.save_model(
        model, tmp_path / "model", signature=infer_signature(NAMED, TARGET), pip_requirements=["scikit-learn"]
    )
    joblib.dump(model, tmp_path / "native")
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # MLflow warns of its own type hints when it is imported
def test_an_mlflow_folder_is_served_with_its_signature(mlflow_folder: Path) -> None:
    server = served(mlflow_folder)
    assert server.model.short_way is not None  # rows that suit the signature exactly go past MLflow's frames
    predictions = joblib.load(mlflow_folder / "native").predict(NAMED).tolist()
    expected = {"predictions": predictions}
    reordered = {"dataframe_split": {"columns": ["b", "a"], "data": ROWS[:, ::-1].tolist()}}
    straight = {"dataframe_split": {"columns": ["a", "b"], "data": ROWS.tolist()}}
    records = {"dataframe_records": NAMED.to_dict("records")}
    extra = {"dataframe_records": NAMED.assign(c=1).to_dict("records")}
    for document in (reordered, straight, records, extra, {"inputs": NAMED.to_dict("list")}):
        assert server.ask(json.dumps(document), "application/json").json() == expected
    for header in ("a,b\n", ""):
        assert server.ask(header + str(PAYLOADS["csv"][0]), "text/csv").json() == expected
    assert server.ask("b,a\n2,1\n", "text/csv").json()["predictions"] == predictions[:1]
    assert server.ask(*PAYLOADS["lines"]).json() == expected
    assert server.ask(json.dumps(straight), "application/json", "text/csv").text.split() == list(map(str, predictions))
    whole = {"dataframe_records": [{"a": 1, "b": 2}]}
    assert server.ask(json.dumps(whole), "application/json").json()["predictions"] == predictions[:1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"dataframe_records": [{"a": 1.0}]}, "Model is missing inputs ['b']"),
        ({"dataframe_records": [{"a": 1.0, "b": "x"}]}, "Failed to convert column b to type 'float64'"),
        ({"rows": []}, "The input must be a JSON dictionary with exactly one of the input fields"),
        ([[1, 2]], "The input must be a JSON dictionary with exactly one of the input fields"),
    ],
)
def test_what_breaks_the_signature_is_refused_in_mlflows_words(mlflow_folder: Path, document: Any, said: str) -> None:
    answer = served(mlflow_folder).ask(json.dumps(document), "application/json")
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["message"]


PYFUNC = """
import mlflow
from helper import FACTOR
class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [float(value) * FACTOR + params["plus"] for value in model_input["a"]]
mlflow.models.set_model(Model())
"""


@pytest.mark.filterwarnings("ignore")
def test_a_pyfunc_brings_its_code_and_takes_parameters(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    (tmp_path / "model.py").write_text(PYFUNC)
    (tmp_path / "helper.py").write_text("FACTOR = 3\n")
    signature = infer_signature(NAMED[["a"]], [1.0], params={"plus": 1.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        mlflow.pyfunc.save_model(
            tmp_path / "served" / "m",
            python_model=str(tmp_path / "model.py"),
            code_paths=[str(tmp_path / "helper.py")],
            signature=signature,
            pip_requirements=["mlflow", "no-such-package-anywhere==1"],
        )
    sys.modules.pop("helper", None)
    server = served(tmp_path / "served")
    assert not server.model.library
    document = {"dataframe_records": [{"a": 2}], "params": {"plus": 0.5}}
    assert server.ask(json.dumps(document), "application/json").json() == {"predictions": [6.5]}
    assert "no-such-package-anywhere==1 (not installed)" in caplog.text


def test_inference_code_whose_requirements_are_not_met_is_not_served(tmp_path: Path) -> None:
    folder = code(tmp_path, CODE)
    requirements = folder / "code" / "requirements.txt"
    requirements.write_text("# comment\nnumpy>=1\nnumpy==0.1\nno-such-package-anywhere\nother; python_version < '3'\n")
    with pytest.raises(RefusedError) as caught:
        served(folder)
    assert "numpy==0.1 (installed: " in caught.value.message
    assert "no-such-package-anywhere (not installed)" in caught.value.message
    assert "other" not in caught.value.message.partition("workers run")[0]
    assert served(folder, MLPARITY_REQUIREMENTS_INSTALLED="true").ask("21", "text/csv").text == "42,text/csv"


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "said"),
    [
        ("x", "image/png", "*/*", 415, "Content type image/png is not supported"),
        ("1,2", "text/csv", "image/png", 406, "Accept type image/png is not supported"),
        ("{", "application/json", "*/*", 400, "Loading application/json data failed"),
        ("1,2,3", "text/csv", "*/*", 400, "Feature size of inference data 3 is not consistent"),
        ("1,x", "text/csv", "*/*", 400, "Unable to evaluate payload provided"),
        ("", "text/csv", "*/*", 204, ""),
    ],
)
def test_what_cannot_be_answered_is_told(
    tmp_path: Path, booster: xgboost.Booster, body: str, content_type: str, accept: str, status: int, said: str
) -> None:
    (tmp_path / "xgboost-model").write_bytes(booster.save_raw("ubj"))
    answer = served(tmp_path).ask(body, content_type, accept)
    assert answer.status_code == status
    assert said in answer.text


def test_the_contracts_other_routes(tmp_path: Path, booster: xgboost.Booster) -> None:
    (tmp_path / "xgboost-model").write_bytes(booster.save_raw("ubj"))
    server = served(tmp_path)
    assert server.request("GET", "/ping").status_code == 200
    assert server.request("GET", "/execution-parameters").json()["BatchStrategy"] == "MULTI_RECORD"
    assert server.request("POST", "/ping").status_code == 405
    assert server.request("GET", "/other").status_code == 404


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(RefusedError, match=r"the archive holds readme\.txt"):
        served(tmp_path)


CODE = """
import helper
def model_fn(model_dir):
    return {"dir": model_dir}
def input_fn(body, content_type, context):
    assert context.model_dir
    return helper.read(body), content_type
def predict_fn(data, model):
    return [data[0] * 2, data[1]]
def output_fn(prediction, accept):
    return ",".join(map(str, prediction)), "text/csv"
"""


def code(folder: Path, text: str, name: str = "inference.py") -> Path:
    (folder / "code").mkdir()
    (folder / "code" / name).write_text(text)
    (folder / "code" / "helper.py").write_text("def read(body):\n    return int(body)\n")
    return folder


def test_a_models_own_functions_are_called(tmp_path: Path) -> None:
    answer = served(code(tmp_path, CODE)).ask("21", "text/csv")
    assert (answer.text, answer.headers["content-type"]) == ("42,text/csv", "text/csv")


def test_the_program_may_have_another_name(tmp_path: Path) -> None:
    folder = code(tmp_path, CODE, "serve_it.py")
    assert served(folder, SAGEMAKER_PROGRAM="serve_it.py").ask("1", "text/csv").text == "2,text/csv"


def test_missing_functions_have_the_toolkits_defaults(tmp_path: Path) -> None:
    joblib.dump(LinearRegression().fit(ROWS, TARGET), tmp_path / "model.joblib")
    folder = code(tmp_path, "def predict_fn(data, model):\n    return model.predict(data) * 0 + len(data)\n")
    server = served(folder)
    assert server.ask(*PAYLOADS["json"]).json() == [3.0, 3.0, 3.0]
    assert server.ask("x", "image/png").status_code == 415
    assert server.ask(*PAYLOADS["json"], accept="image/png").status_code == 406


def test_transform_fn_does_it_all(tmp_path: Path) -> None:
    text = "def model_fn(d): return 1\ndef transform_fn(m, body, kind, accept): return body[::-1].encode(), accept\n"
    assert served(code(tmp_path, text)).ask('"ab"', "application/json", "text/plain").text == '"ba"'


def test_transform_fn_goes_with_no_other(tmp_path: Path) -> None:
    text = "def model_fn(d): return 1\ndef transform_fn(m, b, c, a): return b\ndef input_fn(b, c): return b\n"
    with pytest.raises(RefusedError, match="Cannot use transform_fn implementation in conjunction"):
        served(code(tmp_path, text))


@pytest.mark.parametrize(("raised", "status"), [("RuntimeError('boom')", 500), ("Mine()", 418)])
def test_exceptions_of_the_code_are_answered(tmp_path: Path, raised: str, status: int) -> None:
    text = "class Mine(Exception):\n    status_code = 418\n    def __str__(self): return 'boom'\n"
    text += f"def model_fn(d): return 1\ndef predict_fn(d, m): raise {raised}\n"
    answer = served(code(tmp_path, text)).ask("[1]", "application/json")
    assert answer.status_code == status
    assert answer.text.startswith("boom\nTraceback")


@pytest.mark.parametrize("text", ["", "# every function is the default\n"])
def test_a_csv_that_is_no_numbers_is_the_clients_fault(tmp_path: Path, text: str) -> None:
    joblib.dump(LinearRegression().fit(ROWS, TARGET), tmp_path / "model.joblib")
    server = served(code(tmp_path, text) if text else tmp_path)
    for body in ("not a number,2", "1,2,3", "\n", b"\xff,1"):
        answer = server.ask(body, "text/csv", "text/csv")
        assert answer.status_code == 400, (body, answer.text)
        assert "Traceback" not in answer.text
    assert "could not convert string to float: 'not a number'" in server.ask("not a number,2", "text/csv").text


def test_a_model_of_the_users_own_that_fails_is_no_bad_request(tmp_path: Path) -> None:
    text = "class Odd:\n    def predict(self, data): raise ValueError('odd')\ndef model_fn(d): return Odd()\n"
    assert served(code(tmp_path, text)).ask("1,2", "text/csv").status_code == 500


def test_an_error_of_the_code_shows_the_codes_own_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "import helper, json\ndef model_fn(d): return 1\ndef input_fn(b, c):\n    try: return helper.read(b)\n"
    text += "    except ValueError as error: raise RuntimeError('no number') from error\n"
    text += "def predict_fn(d, m): return json.loads('{' * d)\n"
    server = served(code(tmp_path, text))
    raised = server.ask("x", "text/csv").text
    assert raised.startswith("no number\nTraceback (most recent call last):\n")
    assert "code/helper.py" in raised  # of the exception behind it
    assert "code/inference.py" in raised
    assert raised.endswith("RuntimeError: no number\n")
    in_a_library = server.ask("1", "text/csv").text
    assert in_a_library.count("  File ") == 1  # json's frames are not the user's either
    assert "json.decoder.JSONDecodeError" in in_a_library
    assert "user_code.py" not in raised + in_a_library
    assert "json/decoder.py" in caplog.text  # the log has them all
