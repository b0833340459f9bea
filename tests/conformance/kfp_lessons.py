"""A training pipeline as people write it. kfp reads annotations as they are: no postponed ones here."""

import warnings
from typing import NamedTuple

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kfp import dsl
    from kfp.dsl import Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="python:3.11")
def make_rows(rows: int, step: int, data: Output[Dataset]) -> int:
    from pathlib import Path

    with Path(data.path).open("w") as file:
        file.writelines(f"{number},{number * step + 1}\n" for number in range(rows))
    data.metadata["rows"] = rows
    print(f"wrote {rows} rows")
    return rows


@dsl.component(base_image="python:3.11")
def fit_line(data: Input[Dataset], degree: int, model: Output[Model], metrics: Output[Metrics]) -> NamedTuple(
    "Fit", [("slope", float), ("intercept", float)]
):  # type: ignore[valid-type]
    import json
    from pathlib import Path
    from typing import NamedTuple

    if degree != 1:
        raise ValueError(f"only lines are known, not degree {degree}")
    with Path(data.path).open() as file:
        points = [tuple(map(float, line.split(","))) for line in file]
    slope = (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])
    intercept = points[0][1]
    with Path(model.path).open("w") as file:
        json.dump({"slope": slope, "intercept": intercept}, file)
    model.metadata["framework"] = "none"
    metrics.log_metric("error", sum(abs(slope * x + intercept - y) for x, y in points))
    return NamedTuple("Fit", [("slope", float), ("intercept", float)])(slope, intercept)


@dsl.component(base_image="python:3.11")
def announce(slope: float, model: Input[Model]) -> str:
    return f"{slope} {model.metadata['framework']}"


@dsl.pipeline(name="line-fitting")
def line_fitting(rows: int = 5, step: int = 2, degree: int = 1) -> int:
    made = make_rows(rows=rows, step=step)
    fitted = fit_line(data=made.outputs["data"], degree=degree)
    with dsl.If(fitted.outputs["slope"] > 1.5, name="good"):
        announce(slope=fitted.outputs["slope"], model=fitted.outputs["model"])
    with dsl.If(fitted.outputs["slope"] <= 1.5, name="bad"):
        announce(slope=fitted.outputs["slope"], model=fitted.outputs["model"])
    return made.outputs["Output"]


@dsl.component(base_image="python:3.11")
def wait_for(gate: str) -> str:
    """Until the gate (a URL) answers."""
    import time
    import urllib.error
    import urllib.request

    while True:
        try:
            with urllib.request.urlopen(gate) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError:
            time.sleep(0.02)


@dsl.component(base_image="python:3.11")
def shout(text: str) -> str:
    return text.upper()


@dsl.pipeline(name="gated")
def gated(gate: str) -> str:
    first = shout(text="first").set_caching_options(False)
    seen = wait_for(gate=gate).after(first).set_caching_options(False)
    return shout(text=seen.output).output
