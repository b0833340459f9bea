"""``mlparity exec``: the vendors' unmodified programs, with no endpoint named to them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlparity.testing.stack import RunningStack
from tests.sdk.cloud import JOBS, unique

PYTHON = (sys.executable, "-W", "ignore")
MLPARITY = (sys.executable, "-m", "mlparity.cli.main")


def persons_environment(stack: RunningStack | None = None, **more: str) -> dict[str, str]:
    """A shell in which nobody has set anything for AWS, and where the stack is."""
    prefixes = ("AWS_", "SAGEMAKER_", "MLFLOW_", "MLPARITY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    if stack is not None:
        kept |= {
            "MLPARITY_DATA_DIR": str(stack.config.data_dir),
            "MLPARITY_AWS_PORT": str(stack.config.aws_port),
            "MLPARITY_MLFLOW_PORT": str(stack.config.mlflow_port),
            "MLPARITY_GCP_PORT": str(stack.config.gcp_port),
            "MLPARITY_PIPELINES_PORT": str(stack.config.pipelines_port),
            "MLPARITY_GATEWAY_PORT": str(stack.config.gateway_port),
        }
    return {**kept, **more}


def run_exec(stack: RunningStack, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"env": persons_environment(stack), "timeout": 120, **options}
    return subprocess.run([*MLPARITY, "exec", "--", *command], capture_output=True, text=True, check=False, **options)


def python(text: str) -> Sequence[str]:
    return (*PYTHON, "-c", text)


def test_the_sdk_runs_a_pipeline_with_no_endpoint_named(stack: RunningStack, tmp_path: Path) -> None:
    done = run_exec(stack, *PYTHON, str(JOBS / "zero_change_pipeline.py"), unique("zero"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["endpoints"] == []
    assert told["host"] == "https://s3.amazonaws.com"
    assert (told["bucket"], told["role"]) == (stack.config.default_bucket, stack.config.role_arn)
    assert told["status"] == "Succeeded"
    assert told["job"]["answer"] == 45
    assert ":assumed-role/" in told["job"]["arn"]  # the job's own hard-coded host
    assert "mlparity refused example.com" in told["job"]["refused"]


BUCKETS = """
import boto3, json, requests, sys
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
told = {}
for style in ("auto", "virtual"):
    s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": style}))
    for bucket in sys.argv[1:]:
        if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="a b/c+d", Body=style.encode())
        signed = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b/c+d"})
        told[f"{style} {bucket}"] = [signed.partition("?")[0], requests.get(signed).text]
request = AWSRequest("GET", f"https://{sys.argv[2]}.s3.us-east-1.amazonaws.com/a%20b/c%2Bd")
S3SigV4QueryAuth(boto3.Session().get_credentials(), "s3", "us-east-1", 60).add_auth(request)
told["by hand"] = [request.url.partition("?")[0], requests.get(request.url).text]
print(json.dumps(told))
"""


def test_buckets_by_path_and_by_host_dots_included(stack: RunningStack) -> None:
    plain, dotted = unique("plain"), unique("with.dots.in")
    done = run_exec(stack, *python(BUCKETS), plain, dotted)
    assert done.returncode == 0, done.stderr
    key = "a%20b/c%2Bd"
    assert json.loads(done.stdout) == {
        f"auto {plain}": [f"https://{plain}.s3.amazonaws.com/{key}", "auto"],
        f"auto {dotted}": [f"https://s3.amazonaws.com/{dotted}/{key}", "auto"],
        f"virtual {plain}": [f"https://{plain}.s3.amazonaws.com/{key}", "virtual"],
        # boto3 goes by path whenever a bucket has dots; others do not.
        f"virtual {dotted}": [f"https://s3.amazonaws.com/{dotted}/{key}", "virtual"],
        "by hand": [f"https://{dotted}.s3.us-east-1.amazonaws.com/{key}", "virtual"],
    }


OBJECTS = """
import datetime, json, os, sys, warnings
import pandas, requests
from google.cloud import storage
del os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"]  # then gcsfs asks for the bucket's layout first, over gRPC
bucket = storage.Client().create_bucket(sys.argv[1])
frame = pandas.DataFrame({"x": [1], "y": [2]})
frame.to_parquet(f"gs://{bucket.name}/a/b.parquet")
blob, told = bucket.blob("signed"), {"read": pandas.read_parquet(f"gs://{bucket.name}/a/b.parquet").to_dict("list")}
told["listed"] = [found.name for found in bucket.list_blobs()]
for version in ("v2", "v4"):
    def url(**more):
        return blob.generate_signed_url(version=version, expiration=datetime.timedelta(minutes=5), **more)
    put = requests.put(url(method="PUT"), data=version.encode(), timeout=20)
    got, tampered = (requests.get(found, timeout=20) for found in (url(), url().replace("/signed?", "/a/b.parquet?")))
    told[version] = [url().partition("?")[0], put.status_code, got.text, tampered.status_code]
print(json.dumps(told))
"""


def test_objects_of_google_by_pandas_and_by_signed_urls(stack: RunningStack) -> None:
    name = unique("objects")
    done = run_exec(stack, *python(OBJECTS), name, timeout=30)  # gcsfs that finds no way tries for longer
    assert done.returncode == 0, done.stderr
    url = f"https://storage.googleapis.com/{name}/signed"
    assert json.loads(done.stdout) == {
        "read": {"x": [1], "y": [2]},
        "listed": ["a/b.parquet"],
        "v2": [url, 200, "v2", 403],
        "v4": [url, 200, "v4", 403],
    }


UPLOAD = """
import boto3, io, sys
from boto3.s3.transfer import TransferConfig
class Zeros(io.RawIOBase):
    def __init__(self, size): self.left = size
    def readable(self): return True
    def readinto(self, b):
        n = min(len(b), self.left); b[:n] = bytes(n); self.left -= n; return n
s3 = boto3.client("s3")
open(sys.argv[2], "wb").truncate(64 << 20)
with open(sys.argv[2], "rb") as body:
    s3.put_object(Bucket=sys.argv[1], Key="whole", Body=body)
s3.upload_fileobj(Zeros(64 << 20), sys.argv[1], "parts", Config=TransferConfig(multipart_chunksize=8 << 20))
for key in ("whole", "parts"):
    body = s3.get_object(Bucket=sys.argv[1], Key=key)["Body"]
    print(sum(len(piece) for piece in body.iter_chunks(1 << 20)))
"""


def test_large_objects_go_through_in_constant_memory(stack: RunningStack, tmp_path: Path) -> None:
    record = stack.record()
    process = psutil.Process(next(child.pid for child in record.children if child.name == "control-plane"))
    assert run_exec(stack, *python("import boto3; boto3.client('s3').list_buckets()")).returncode == 0
    before = process.memory_info().rss
    done = run_exec(stack, *python(UPLOAD), stack.config.default_bucket, str(tmp_path / "zeros"))
    assert done.stdout.split() == [str(64 << 20)] * 2, done.stderr
    assert process.memory_info().rss - before < 48 << 20


TRACKING = """
import mlflow, sys, os
os.environ.pop("SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT", None)
mlflow.set_tracking_uri("arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/team")
mlflow.set_experiment(sys.argv[1])
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 0.5)
print(mlflow.get_run(run.info.run_id).data.metrics)
"""


def test_a_tracking_servers_host_is_the_stacks_mlflow(stack: RunningStack) -> None:
    done = run_exec(stack, *python(TRACKING), unique("zero"))
    assert done.returncode == 0, done.stderr
    assert "{'loss': 0.5}" in done.stdout


def test_streams_and_exit_code_are_the_commands_own(stack: RunningStack) -> None:
    done = run_exec(stack, "sh", "-c", "cat; echo oops >&2; exit 7", input="from standard input")
    assert (done.returncode, done.stdout, done.stderr) == (7, "from standard input", "oops\n")


def test_a_commands_own_options_are_its_own(stack: RunningStack) -> None:
    command = [*MLPARITY, "exec", "echo", "--profile", "aws", "-h"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=persons_environment(stack), timeout=60
    )
    assert done.stdout == "--profile aws -h\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_command(stack: RunningStack, number: signal.Signals) -> None:
    text = f"import signal; signal.signal(signal.{number.name}, lambda n, f: (print(n, flush=True), exit(40 + n)))\n"
    text += "print('ready', flush=True)\nwhile True: signal.pause()"
    command = [*MLPARITY, "exec", "--", *python(text)]
    with subprocess.Popen(command, env=persons_environment(stack), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == f"{int(number)}\n"
        assert process.wait(30) == 40 + number


def test_a_closed_pipe_ends_the_command_quietly(stack: RunningStack) -> None:
    """Python ignores SIGPIPE; a command must not inherit that."""
    done = run_exec(stack, "sh", "-c", "yes | head -n 1; kill -s PIPE $$; echo survived")
    assert done.stdout == "y\n"
    assert done.returncode == -signal.SIGPIPE


def test_what_is_no_program(stack: RunningStack, tmp_path: Path) -> None:
    done = run_exec(stack, "no-such-program-here")
    assert done.returncode == 127
    assert done.stderr.splitlines()[0] == "error: no-such-program-here cannot be started"
    file = tmp_path / "file"
    file.write_text("not a program")
    assert run_exec(stack, str(file)).returncode == 126


def test_without_a_command_three_lines_say_so() -> None:
    done = subprocess.run([*MLPARITY, "exec"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert [line.split(":")[0] for line in lines] == ["error", "  why", "  try"]


def test_a_cloud_profile_gets_no_gateway(tmp_path: Path) -> None:
    environment = persons_environment(MLPARITY_DATA_DIR=str(tmp_path / "d"), HTTPS_PROXY="http://corp.example:3128")
    text = "import os, json; print(json.dumps(dict(os.environ)))"
    command = [*MLPARITY, "exec", "--profile", "aws", "--", *python(text)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
    found = json.loads(done.stdout)
    assert (found["MLPARITY_PROFILE"], found["HTTPS_PROXY"]) == ("aws", "http://corp.example:3128")
    assert "AWS_CA_BUNDLE" not in found
    assert not (tmp_path / "d" / "stack").exists()


ALONE = """
set -e
ip link set lo up
python -m mlparity.cli.main exec -- python -W ignore "$1" zero-alone
python -m mlparity.cli.main status
python -m mlparity.cli.main down
"""


@pytest.mark.slow
def test_a_machine_without_a_network_is_enough(tmp_path: Path) -> None:
    """A namespace with nothing but loopback: whatever tried to leave would fail here, by name or by address."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare or ip is not installed")
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no network namespaces")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = persons_environment(MLPARITY_DATA_DIR=str(tmp_path / "data"), PATH=path)
    done = subprocess.run(
        [*alone, "sh", "-c", ALONE, "sh", str(JOBS / "zero_change_pipeline.py")],
        capture_output=True, text=True, check=False, env=environment, timeout=240, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert told["status"] == "Succeeded"
    assert "gateway: healthy" in done.stdout
