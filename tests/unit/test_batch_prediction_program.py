"""The batch prediction program: files into instances, predictions and errors into shards; with real servers."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from mlparity.serving.batch_prediction import driver
from mlparity.serving.batch_prediction.instances import instances
from mlparity.serving.batch_prediction.plan import BatchPlan, Conversion, InputFile, ServerPlan
from mlparity.serving.batch_prediction.results import Shards

ROWS = np.array([[1.0, 2.0], [3.0, -4.0], [0.5, 0.25]])
MODEL = LinearRegression().fit(ROWS, ROWS @ [2.0, 1.0])


def read(tmp_path: Path, content: str, conversion: Conversion) -> list[tuple[Any, Any, str]]:
    path = tmp_path / "input"
    path.write_text(content)
    found = instances([InputFile(str(path), "gs://b/input")], conversion)
    return [(one.shown, one.sent, one.wrong) for one in found]


def test_json_lines_become_instances(tmp_path: Path) -> None:
    assert read(tmp_path, '[1,2]\n\n"a"\n', Conversion("jsonl")) == [
        ({"instance": [1, 2]}, [1, 2], ""),
        ({"instance": "a"}, "a", ""),
    ]
    line = '{"id": 7, "b": 2, "a": 1}\n'
    keyed = Conversion("jsonl", "array", key_field="id", included=("a", "b"))
    assert read(tmp_path, line, keyed) == [({"key": 7}, [1, 2], "")]
    excluded = Conversion("jsonl", excluded=("id",))
    assert read(tmp_path, line, excluded) == [({"instance": json.loads(line)}, {"b": 2, "a": 1}, "")]
    wrong = [read(tmp_path, text, keyed)[0][2] for text in ("{", "[1]", '{"a": 1}', '{"id": 1, "a": 1}')]
    assert [text.split(":")[0] for text in wrong] == [
        "invalid JSON",
        "the line is no JSON object",
        "the instance has no key field 'id'",
        "the instance has no field 'b'",
    ]


def test_rows_and_files_become_instances(tmp_path: Path) -> None:
    csv = 'id,a,b\n1,2.5,"x, y"\n2,oops,"z"\n3,1\n'
    rows = read(tmp_path, csv, Conversion("csv"))
    assert rows[0] == ({"instance": [1.0, 2.5, "x, y"]}, [1.0, 2.5, "x, y"], "")
    assert "no number" in rows[1][2]
    assert rows[2][2] == "the row has 2 values, the header 3"
    assert read(tmp_path, csv, Conversion("csv", key_field="id"))[0][:2] == ({"key": 1.0}, [2.5, "x, y"])
    assert read(tmp_path, "abc", Conversion("file-list")) == [({"instance": "gs://b/input"}, {"b64": "YWJj"}, "")]


def test_shards_tell_how_many_there_are(tmp_path: Path) -> None:
    shards = Shards(tmp_path, "prediction.results", lines=2)
    for number in range(5):
        shards.write({"n": number})
    shards.close(always=True)
    Shards(tmp_path, "prediction.errors_stats").close(always=True)
    names = [f"prediction.results-0000{number}-of-00003" for number in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prediction.errors_stats-00000-of-00001", *names]
    assert (tmp_path / names[2]).read_text() == '{"n":4}\n'


@pytest.fixture(autouse=True)
def _interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def plan(folder: Path, lines: Sequence[str], command: Sequence[str] = ()) -> BatchPlan:
    (folder / "model").mkdir()
    joblib.dump(MODEL, folder / "model" / "model.joblib")
    (folder / "input").write_text("".join(f"{line}\n" for line in lines))
    environment = {"SM_MODEL_DIR": str(folder / "model"), "AIP_FRAMEWORK": "SCIKIT_LEARN"}
    server = ServerPlan({**environment, "AIP_HEALTH_ROUTE": "/h"}, command, "/h", "/invocations", 30.0)
    return BatchPlan(
        server=server,
        replicas=2,
        inputs=[InputFile(str(folder / "input"), "gs://b/input")],
        conversion=Conversion("jsonl"),
        parameters=None,
        batch_size=2,
        output=str(folder / "out"),
        stats=str(folder / "stats"),
        failure=str(folder / "failure"),
    )


def lines_of(folder: Path, name: str) -> list[dict[str, Any]]:
    (path,) = (folder / "out").glob(f"{name}-00000-of-00001")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_predictions_are_the_models_and_what_fails_is_an_error(tmp_path: Path) -> None:
    wide, rest = "[1, 2, 3]", [json.dumps(row) for row in ROWS.tolist()]
    assert driver.run(plan(tmp_path, [*rest, rest[0], "{", wide, wide])) == ""
    results = lines_of(tmp_path, driver.RESULTS)
    assert [one["instance"] for one in results] == [*ROWS.tolist(), ROWS.tolist()[0]]
    wanted = MODEL.predict(ROWS).tolist()
    assert [one["prediction"] for one in results] == [*wanted, wanted[0]]
    errors = lines_of(tmp_path, driver.ERRORS)
    assert len(errors) == 3
    told = [one["error"]["message"] for one in errors if one["instance"] == [1, 2, 3]]
    assert "Non-OK result 400" in told[0]
    assert "X has 3 features" in told[0]
    counts = json.loads((tmp_path / "stats").read_text())
    assert counts == {"successfulCount": 4, "failedCount": 3, "incompleteCount": 0}


def test_a_program_of_the_models_owner_and_one_that_does_not_start(tmp_path: Path) -> None:
    program = tmp_path / "serve.py"
    program.write_text(
        textwrap.dedent(
            """
            import json, os
            from http.server import BaseHTTPRequestHandler, HTTPServer
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(200 if self.path == "/h" else 404); self.end_headers()
                def do_POST(self):
                    body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                    answer = {"predictions": [sum(row) * body["parameters"]["k"] for row in body["instances"]]}
                    self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(answer).encode())
            HTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
            """
        )
    )
    made = plan(tmp_path, ["[1, 2]", "[3, 4]", "[5, 6]"], [sys.executable, str(program)])
    assert driver.run(replace(made, parameters={"k": 10})) == ""
    assert [one["prediction"] for one in lines_of(tmp_path, driver.RESULTS)] == [30, 70, 110]
    broken = replace(made, server=replace(made.server, command=[sys.executable, "-c", "raise SystemExit(3)"]))
    assert driver.run(broken) == "Model server terminated: exit code 3. See the job's log."


def test_a_job_fails_where_every_instance_does(tmp_path: Path) -> None:
    made = plan(tmp_path, ["[1]", "[2]"])
    path = tmp_path / "plan.json"
    path.write_text(made.to_json())
    with pytest.raises(SystemExit):
        driver.main([str(path)])
    assert (tmp_path / "failure").read_text().startswith("The prediction of all 2 instances failed.")
