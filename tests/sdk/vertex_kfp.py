"""Pipelines for the tests of Vertex AI Pipelines. kfp reads annotations as they are: no postponed ones here."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kfp import compiler, dsl

_IMAGE = "python:3.11"


class Outputs(NamedTuple):
    """Of ``flights``."""

    total: int
    metrics: dsl.Metrics


@dsl.component(base_image=_IMAGE)
def make(rows: int, data: dsl.Output[dsl.Dataset]) -> int:
    import os
    from pathlib import Path

    data.metadata["where"] = f"{os.environ['GOOGLE_CLOUD_PROJECT']} {os.environ['CLOUD_ML_REGION']}"
    Path(data.path).write_text("\n".join(str(row) for row in range(rows)))
    data.metadata["rows"] = rows
    return rows


@dsl.component(base_image=_IMAGE)
def fit(data: dsl.Input[dsl.Dataset], metrics: dsl.Output[dsl.Metrics], model: dsl.Output[dsl.Model]) -> float:
    from pathlib import Path

    values = [int(line) for line in Path(data.path).read_text().splitlines()]
    Path(model.path).write_text(f"mean {sum(values) / len(values)}")
    model.metadata["made of"] = data.name
    metrics.log_metric("accuracy", 0.875)
    return 0.875


@dsl.component(base_image=_IMAGE)
def square(number: int) -> int:
    return number * number


@dsl.component(base_image=_IMAGE)
def total(numbers: list) -> int:
    return sum(numbers)


@dsl.component(base_image=_IMAGE)
def say(text: str, where: str) -> str:
    return f"{text} in {where}"


@dsl.component(base_image=_IMAGE)
def refuse(why: str) -> str:
    raise ValueError(why)


@dsl.component(base_image=_IMAGE)
def sleep(seconds: float) -> None:
    import time

    time.sleep(seconds)


@dsl.pipeline(name="flights")
def flights(rows: int = 4, label: str = "") -> Outputs:
    made = make(rows=rows)
    made.set_env_variable("LABEL", "x")
    fitted = fit(data=made.outputs["data"])
    with dsl.If(fitted.outputs["Output"] > 0.5, name="good"):
        say(text=label, where="{{$.pipeline_job_name}} of {{$.pipeline_google_cloud_location}}")
    with dsl.Else(name="bad"):
        say(text="bad", where="")
    with dsl.ParallelFor([1, 2, 3], parallelism=2) as number:
        squared = square(number=number)
    added = total(numbers=dsl.Collected(squared.output))
    return Outputs(total=added.output, metrics=fitted.outputs["metrics"])


@dsl.pipeline(name="refuses")
def refuses() -> None:
    refused = refuse(why="the data is too old")
    say(text=refused.output, where="")


@dsl.pipeline(name="sleeps")
def sleeps() -> None:
    sleep(seconds=300.0)


def compiled(pipeline: Any, folder: Path) -> str:
    """The file that the SDK of Kubeflow Pipelines makes."""
    path = folder / f"{pipeline.name}.yaml"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiler.Compiler().compile(pipeline, str(path))
    return str(path)
