"""Vertex custom jobs as real processes: the contract with the program, /gcs, failures, cancelling, restarts."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.vertex_bench import PARENT
from tests.vertex_jobs_bench import IMAGE, JobsBench, container, script

ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobsBench]:
    with JobsBench(tmp_path_factory.mktemp("jobs")) as made:
        yield made


def create(bench: JobsBench, *pools: dict[str, Any], **spec: Any) -> str:
    job = {"displayName": "job", "jobSpec": {"workerPoolSpecs": list(pools), **spec}}
    made = bench.call("JobService.CreateCustomJob", parent=PARENT, customJob=job)
    return str(made["name"])


def get(bench: JobsBench, name: str) -> dict[str, Any]:
    return bench.call("JobService.GetCustomJob", name=name)


def ended(bench: JobsBench, name: str) -> dict[str, Any]:
    return bench.wait(lambda: get(bench, name), *ENDED)


WRITES = """
import json, os, sys
folder = os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/")
os.makedirs(folder)
told = {name: value for name, value in os.environ.items() if name.startswith(("AIP_", "CLOUD_ML_", "MINE"))}
with open(folder + "told.json", "w") as file:
    json.dump({"arguments": sys.argv[1:], "environment": told, "data": open("/gcs/staging/data/a.csv").read()}, file)
with open("/gcs/staging/data/log.txt", "a") as file:
    file.write("more")
for path in ("staging/unnamed.txt", "nowhere/x"):  # neither is named as a whole
    try:
        open("/gcs" + "/" + path)
    except FileNotFoundError as error:
        print(error)
"""


def test_a_program_reads_and_writes_buckets_as_folders(bench: JobsBench) -> None:
    for key in ("data/a.csv", "data/log.txt", "unnamed.txt"):
        bench.bench.store.put_bytes("staging", key, b"1,2\n")
    before = bench.bench.store.head("staging", "data/a.csv").sequence
    pool = script(WRITES, "--data=gs://staging/data/*.csv", env=[{"name": "MINE", "value": "too"}])
    name = create(bench, pool, baseOutputDirectory={"outputUriPrefix": "gs://staging/out"})
    done = ended(bench, name)
    assert done["state"] == "JOB_STATE_SUCCEEDED", bench.all_logs()
    assert done["createTime"]
    assert done["startTime"] <= done["endTime"]
    job_id = name.rpartition("/")[2]
    told = json.loads(bench.objects()["out/model/told.json"])
    assert told["arguments"] == ["--data=gs://staging/data/*.csv"]
    assert told["data"] == "1,2\n"
    assert told["environment"] == {
        "AIP_MODEL_DIR": "gs://staging/out/model/",
        "AIP_CHECKPOINT_DIR": "gs://staging/out/checkpoints/",
        "AIP_TENSORBOARD_LOG_DIR": "gs://staging/out/logs/",
        "CLOUD_ML_JOB_ID": job_id,
        "CLOUD_ML_PROJECT_ID": bench.bench.vertex.project.number,
        "CLOUD_ML_REGION": "us-central1",
        "MINE": "too",
    }
    assert bench.objects()["data/log.txt"] == b"1,2\nmore"
    assert bench.bench.store.head("staging", "data/a.csv").sequence == before  # what was not changed is not written
    assert bench.log(job_id).count("No such file or directory") == 2


def test_a_failing_program_is_told_as_vertex_tells_it(bench: JobsBench) -> None:
    name = create(bench, script("open('/gcs/staging/left.txt', 'w').write('x'); raise ValueError('bad data')"))
    failed = ended(bench, name)
    assert failed["state"] == "JOB_STATE_FAILED"
    assert failed["error"]["code"] == 3
    first, *_, last, where = failed["error"]["message"].splitlines()
    assert first == "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error. "
    assert last == "ValueError: bad data"
    assert where.endswith(f"`mlparity logs {name.rpartition('/')[2]}`")
    assert bench.objects()["left.txt"] == b"x"
    refused = bench.refused("JobService.CancelCustomJob", name=name)
    assert (refused.code, "JOB_STATE_FAILED" in refused.message) == ("FAILED_PRECONDITION", True)
    assert bench.call("JobService.DeleteCustomJob", name=name)["done"]
    assert bench.refused("JobService.GetCustomJob", name=name).code == "NOT_FOUND"


WAITS = "import time; open('/gcs/staging/{0}', 'w').write('begun'); print('begun', flush=True); time.sleep(600)"


def test_a_running_job_is_cancelled_and_not_deleted(bench: JobsBench) -> None:
    name = create(bench, script(WAITS.format("cancelled.txt")))
    bench.wait(lambda: get(bench, name), "JOB_STATE_RUNNING")
    assert bench.refused("JobService.DeleteCustomJob", name=name).code == "FAILED_PRECONDITION"
    bench.call("JobService.CancelCustomJob", name=name)
    assert get(bench, name)["state"] in {"JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"}
    done = ended(bench, name)
    assert done["state"] == "JOB_STATE_CANCELLED"
    assert "error" not in done


def test_a_job_that_runs_too_long_is_cancelled_with_a_reason(bench: JobsBench) -> None:
    name = create(bench, script("import time; time.sleep(600)"), scheduling={"timeout": "1s"})
    done = ended(bench, name)
    assert (done["state"], done["error"]["code"]) == ("JOB_STATE_CANCELLED", 1)


REPLICA = """
import json, os, socket, sys
cluster, task = (json.loads(os.environ["CLUSTER_SPEC"])[part] for part in ("cluster", "task"))
tensorflow = json.loads(os.environ["TF_CONFIG"])["task"]
host, port = cluster["workerpool0"][0].split(":")
if task["type"] == "workerpool0":
    with socket.create_server((host, int(port))) as server:
        print("serving", flush=True)
        for _ in range(2):
            connection, _ = server.accept()
            with connection:
                told = connection.makefile().read()
            open("/gcs/staging/replicas.txt", "a").write(told)
    sys.exit()
import time
while True:
    try:
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(f"{task['type']}-{task['index']} {tensorflow['type']} {sys.argv[1:]}\\n".encode())
        break
    except OSError:
        time.sleep(0.05)
time.sleep(600)
"""


def test_replicas_find_each_other_and_the_first_one_ends_the_job(bench: JobsBench) -> None:
    workers = {**script(REPLICA, "--worker"), "replicaCount": "2"}
    name = create(bench, script(REPLICA), workers)
    assert ended(bench, name)["state"] == "JOB_STATE_SUCCEEDED", bench.all_logs()
    assert sorted(bench.objects()["replicas.txt"].decode().splitlines()) == [
        "workerpool1-0 worker ['--worker']",
        "workerpool1-1 worker ['--worker']",
    ]
    failing = create(bench, script("import time; time.sleep(600)"), container("sh", "-c", "exit 3"))
    done = ended(bench, failing)
    assert "The replica workerpool1-0 exited with a non-zero status of 3." in done["error"]["message"]


def source(files: dict[str, str]) -> bytes:
    """A source distribution."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as packed:
        for path, text in files.items():
            item = tarfile.TarInfo(f"it-0.1/{path}")
            item.size = len(text)
            packed.addfile(item, io.BytesIO(text.encode()))
    return raw.getvalue()


def wheel(files: dict[str, str]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as packed:
        for path, text in files.items():
            packed.writestr(path, text)
    return raw.getvalue()


def test_a_python_package_runs_its_module_with_what_it_depends_on(bench: JobsBench) -> None:
    task = (
        "import sys, layered, whole, made\n"
        "told = str(sys.argv[1:]) + open('/gcs/staging/in.txt').read() + made.NAME\n"
        "open('/gcs/staging/p.txt', 'w').write(told)"
    )
    setup = (
        "from setuptools import setup; open('made.py', 'w').write('NAME = \"made\"')\n"
        "setup(name='it', version='0.1', py_modules=['made'])"
    )
    packages = {
        "trainer-0.1.tar.gz": source(
            {
                "setup.py": "raise SystemExit('built')",
                "trainer/__init__.py": "",
                "trainer/task.py": task,
                "trainer.egg-info/top_level.txt": "trainer\n",
                "trainer.egg-info/requires.txt": "pandas>=1\n\n[dev]\npytest\n",
            }
        ),
        "layered-0.1.tar.gz": source({"src/layered/__init__.py": "", "src/layered.egg-info/top_level.txt": "layered"}),
        "whole-0.1-py3-none-any.whl": wheel(
            {"whole.py": "", "whole-0.1.dist-info/METADATA": "Name: whole\nRequires-Dist: numpy\n\nRequires-Dist: no"}
        ),
        "made-0.1.tar.gz": source({"setup.py": setup, "it.egg-info/top_level.txt": "made"}),
    }
    bench.bench.store.put_bytes("staging", "in.txt", b"!")
    for name, archive in packages.items():
        bench.bench.store.put_bytes("staging", f"code/{name}", archive)
    python = {
        "executorImageUri": IMAGE,
        "packageUris": [f"gs://staging/code/{name}" for name in packages],
        "pythonModule": "trainer.task",
        "args": ["--epochs", "3"],
    }
    pool = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1", "pythonPackageSpec": python}
    name = create(bench, pool)
    assert ended(bench, name)["state"] == "JOB_STATE_SUCCEEDED", bench.all_logs()
    assert bench.objects()["p.txt"] == b"['--epochs', '3']!made"
    assert bench.packages.asked == ["pandas>=1", "numpy"]
    missing = {**pool, "pythonPackageSpec": {**python, "packageUris": ["gs://staging/code/none.tar.gz"]}}
    done = ended(bench, create(bench, missing))
    assert (done["error"]["code"], "gs://staging/code/none.tar.gz" in done["error"]["message"]) == (9, True)


def test_a_job_that_was_cut_off_starts_again_unless_retries_are_disabled(tmp_path: Path) -> None:
    with JobsBench(tmp_path) as bench:
        again = create(
            bench,
            script(
                "import os, time; path = '/gcs/staging/again.txt'; was = os.path.exists(path)\n"
                "open(path, 'a').write('begun'); was or time.sleep(600)"
            ),
        )
        lost = create(bench, script("import time; time.sleep(600)"), scheduling={"disableRetries": True})
        for name in (again, lost):
            bench.wait(partial(get, bench, name), "JOB_STATE_RUNNING")
        bench.await_object("staging", "again.txt")
        bench.stop()
        bench.start()
        assert ended(bench, again)["state"] == "JOB_STATE_SUCCEEDED", bench.all_logs()
        assert bench.objects()["again.txt"] == b"begunbegun"
        done = ended(bench, lost)
        assert (done["state"], done["error"]["code"]) == ("JOB_STATE_FAILED", 13)
        assert done["error"]["message"].startswith("Internal error occurred for the current attempt.")
