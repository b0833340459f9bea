"""Pipelines for the tests of ``pipeline_ir``, as people write them. kfp reads annotations as they are."""

# Components are sources of their own: kfp knows typing's names, and a component imports what it needs.
# ruff: noqa: B006, PTH103, PTH120, PTH123, UP006, UP014, UP045

import warnings
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional  # noqa: UP035 - kfp's components import typing's own

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kfp import compiler, dsl, kubernetes
    from kfp.dsl import Dataset, Input, Metrics, Model, Output

IMAGE = "python:3.11"
component = dsl.component(base_image=IMAGE)


def compiled(pipeline: Any, folder: Path) -> Path:
    """The file that the SDK makes."""
    path = folder / f"{pipeline.name}.yaml"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiler.Compiler().compile(pipeline, str(path))
    return path


@component
def make_rows(count: int, rows: Output[Dataset]) -> str:
    with open(rows.path, "w") as stream:
        stream.write("\n".join(str(number) for number in range(count)))
    rows.metadata["count"] = count
    return f"{count} rows"


@component
def fit(rows: Input[Dataset], model: Output[Model], metrics: Output[Metrics], rate: float = 0.5) -> float:
    import os

    with open(rows.path) as stream:
        mean = sum(float(line) for line in stream) / int(rows.metadata["count"])
    os.makedirs(model.path)
    with open(f"{model.path}/weights.txt", "w") as stream:
        stream.write(str(mean * rate))
    model.framework = "none"
    metrics.log_metric("mean", mean)
    return mean * rate


@dsl.pipeline(name="vertical")
def vertical(count: int = 5) -> float:
    made = make_rows(count=count)
    return fit(rows=made.outputs["rows"]).outputs["Output"]


@component
def add(a: int, b: int) -> int:
    return a + b


@component
def say(text: str) -> str:
    return text


@component
def describe(value: list, more: dict) -> str:
    return f"{value!r} {more!r}"


@component
def total(values: List[int]) -> int:
    return sum(values)


@component
def flat(values: List[List[int]]) -> str:
    return str(values)


@component
def read_all(sets: Input[List[Dataset]]) -> str:
    texts = []
    for item in sets:
        with open(item.path) as stream:
            texts.append(str(len(stream.read().split())))
    return ",".join(texts)


@component
def read_one(rows: Input[Dataset]) -> int:
    with open(rows.path) as stream:
        return len(stream.read().split())


@component
def some(items: List[Dict[str, int]] = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]) -> List[Dict[str, int]]:
    return items


@dsl.pipeline
def inner(count: int, note: Optional[str] = None) -> NamedTuple("Made", [("text", str), ("rows", Dataset)]):
    made = make_rows(count=count)
    result = NamedTuple("Made", [("text", str), ("rows", Dataset)])
    return result(text=made.outputs["Output"], rows=made.outputs["rows"])


@dsl.pipeline
def each(sets: Input[List[Dataset]]) -> List[int]:
    with dsl.ParallelFor(sets) as rows:
        one = read_one(rows=rows)
    return dsl.Collected(one.output)


@dsl.pipeline(name="breadth")
def breadth(
    count: int = 3, name: str = "it's", outer: List[int] = [1, 2], more: dict = {"one": 1, "deep": [1, 2.5, {"x": 2}]}
) -> NamedTuple(
    "Out",
    [
        ("text", str), ("chosen", str), ("rows", Dataset), ("nested", str), ("read", str), ("total", int),
        ("lists", str), ("fields", int), ("each", int), ("none", int), ("quoted", str),
    ],
):  # fmt: skip
    made = inner(count=count)
    text = say(text=f"{name} made {made.outputs['text']} of {count}")
    with dsl.If(made.outputs["text"] == "9 rows"):
        first = make_rows(count=1)
    with dsl.Elif(name == "it's"):
        second = make_rows(count=2)
    with dsl.Else():
        third = make_rows(count=4)
    rows = dsl.OneOf(first.outputs["rows"], second.outputs["rows"], third.outputs["rows"])
    chosen = dsl.OneOf(first.outputs["Output"], second.outputs["Output"], third.outputs["Output"])
    with dsl.If(name == "it's"):
        quoted = say(text="quoted")
    with dsl.Else():
        unquoted = say(text="not quoted")
    with dsl.ParallelFor(outer, parallelism=1) as x:
        one = make_rows(count=x)
        with dsl.ParallelFor([10, 20]) as y:
            sums = add(a=x, b=y)
    nested = flat(values=dsl.Collected(sums.output))
    read = read_all(sets=dsl.Collected(one.outputs["rows"]))
    of_each = each(sets=dsl.Collected(one.outputs["rows"]))
    with dsl.ParallelFor(some().output) as item:
        fields = add(a=item.a, b=item.b)
    with dsl.ParallelFor(some(items=[]).output) as item:
        never = add(a=item.a, b=item.b)
    lists = describe(value=[1, 2.5, {"a": 3}, name], more=more)
    result = NamedTuple("Out", [
        ("text", str), ("chosen", str), ("rows", Dataset), ("nested", str), ("read", str), ("total", int),
        ("lists", str), ("fields", int), ("each", int), ("none", int), ("quoted", str),
    ])  # fmt: skip
    return result(
        text=text.output,
        chosen=say(text=chosen).output,
        rows=rows,
        nested=nested.output,
        read=read.output,
        total=add(a=read_one(rows=rows).output, b=0).output,
        lists=lists.output,
        fields=total(values=dsl.Collected(fields.output)).output,
        each=total(values=of_each.output).output,
        none=total(values=dsl.Collected(never.output)).output,
        quoted=dsl.OneOf(quoted.output, unquoted.output),
    )


@component
def attempt(word: str) -> str:
    import os

    if os.environ["READY"] != "yes":
        raise ValueError(f"not ready for {word}")
    return word


@component
def tidy(status: dsl.PipelineTaskFinalStatus) -> str:
    return f"{status.state} {status.pipeline_task_name} {status.error_message}"


@dsl.pipeline(name="failing")
def failing() -> None:
    last = tidy()
    with dsl.ExitHandler(last, name="guarded"):
        tried = attempt(word="this").set_retry(2).set_display_name("the attempt")
        kubernetes.use_config_map_as_env(tried, "settings", {"ready": "READY"})
        say(text=tried.output)
        say(text="whatever").after(tried).ignore_upstream_failure()


@dsl.pipeline
def deep_failing() -> str:
    tried = attempt(word="deep")
    kubernetes.use_config_map_as_env(tried, "settings", {"ready": "READY"})
    return tried.output


@dsl.pipeline(name="loop-failing")
def loop_failing() -> None:
    with dsl.ParallelFor([1, 2]) as x:
        add(a=x, b=x)
        deep_failing()
    add(a=1, b=1)


SHELL = 'printf "%s\\n" "$@" > "$2"; echo "$E $F $(cat /etc/settings/ready) $POD" > "$1"; printf 7 > "$3"'


@dsl.container_component
def shell(
    text: str, size: int, plain: dsl.OutputPath(str), number: dsl.OutputPath(int), made: Output[Dataset],
    name: Optional[str] = None,
):  # fmt: skip
    return dsl.ContainerSpec(
        image="alpine:3.20",
        command=["sh", "-ec", SHELL],
        args=[
            "sh", plain, made.path, number, text, size,
            dsl.ConcatPlaceholder(["a-", text, "-", made.uri]),
            dsl.IfPresentPlaceholder("name", ["--name", name], ["--no-name"]),
            "{{$.pipeline_job_name}}/{{$.pipeline_task_name}}", "{{$.json_escape[1]}}",
        ],
    )  # fmt: skip


@dsl.pipeline(name="containers")
def containers(size: int = 3) -> NamedTuple("Out", [("plain", str), ("number", int)]):
    task = (
        shell(text='say "hi"', size=size).set_env_variable("E", "given").set_cpu_limit("500m").set_memory_limit("1Gi")
    )
    kubernetes.use_secret_as_env(task, "keys", {"token": "F"})
    kubernetes.use_config_map_as_volume(task, "settings", "/etc/settings")
    kubernetes.use_field_path_as_env(task, "POD", "metadata.labels['team']")
    kubernetes.add_pod_label(task, "team", "ml")
    kubernetes.add_node_selector(task, "disk", "fast")
    task.set_caching_options(False)
    result = NamedTuple("Out", [("plain", str), ("number", int)])
    return result(plain=task.outputs["plain"], number=task.outputs["number"])


@dsl.pipeline(name="imports")
def imports(uri: str, grade: str = "good") -> int:
    known = dsl.importer(
        artifact_uri="s3://mlpipeline/data/rows.txt", artifact_class=Dataset, metadata={"grade": grade}
    )
    given = dsl.importer(artifact_uri=uri, artifact_class=Dataset, reimport=True)
    read_one(rows=given.output)
    return read_one(rows=known.output).output


@component
def wait() -> None:
    import time

    print("waiting", flush=True)
    time.sleep(600)


@dsl.pipeline(name="waiting")
def waiting() -> None:
    with dsl.ParallelFor([1, 2, 3], parallelism=2) as x:
        add(a=x, b=x).after(wait())


@component
def nap(number: int) -> int:
    import time

    time.sleep(0.05)
    return number * number


@dsl.pipeline(name="fan-out")
def fan_out(numbers: List[int]) -> int:
    with dsl.ParallelFor(numbers, parallelism=5) as number:
        square = nap(number=number)
    return total(values=dsl.Collected(square.output)).output


@component
def maybe(text: Optional[str] = None, count: int = 3) -> str:
    return f"{text!r} {count}"


@dsl.pipeline
def handing_on(note: Optional[str] = None, count: int = 4) -> str:
    return maybe(text=note, count=count).output


@dsl.pipeline(name="optional")
def optional(note: Optional[str] = None) -> NamedTuple("Out", [("inside", str), ("outside", str)]):
    with dsl.If(note == "x"):
        say(text=note)
    result = NamedTuple("Out", [("inside", str), ("outside", str)])
    return result(inside=handing_on(note=note).output, outside=maybe(text=note).output)


@component
def elsewhere(moved: Output[Dataset], suffixed: Output[Dataset]) -> str:
    import os

    from kfp import dsl

    moved.set_path("/kfp-task/work/mine.txt")
    suffixed.uri = dsl.get_uri("own/name.txt")
    for item in (moved, suffixed):
        os.makedirs(os.path.dirname(item.path), exist_ok=True)
        with open(item.path, "w") as stream:
            stream.write("1\n2")
    moved.metadata["loss"] = float("nan")
    return "{{$.pipeline_job_name}}"


@component
def told(job: str, resource: str, task: str, own: str, again: str) -> str:
    return f"{job} {resource} {task} {bool(own)} {again}"


@dsl.pipeline(name="places")
def places() -> NamedTuple("Out", [("both", int), ("told", str)]):
    made = elsewhere()
    both = add(a=read_one(rows=made.outputs["moved"]).output, b=read_one(rows=made.outputs["suffixed"]).output)
    text = told(
        job=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        resource=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
        task=dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
        own=dsl.PIPELINE_TASK_ID_PLACEHOLDER,
        again=made.outputs["Output"],
    )
    result = NamedTuple("Out", [("both", int), ("told", str)])
    return result(both=both.output, told=text.output)
