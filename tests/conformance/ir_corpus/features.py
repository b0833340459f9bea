"""Pipelines for what cannot be told from outputs alone: failures, retries, limits, caching, Kubernetes' settings."""

# Components are sources of their own: kfp knows typing's names, and a component imports what it needs.
# ruff: noqa: ICN001, PTH123, SIM117, UP006, UP014

from typing import List, NamedTuple  # noqa: UP035 - kfp's components import typing's own

from kfp.dsl import Artifact, ClassificationMetrics, Dataset, Input, Metrics, Output

from tests.conformance.ir_corpus.sdk import IMAGE, component, dsl, kubernetes


@component
def echo(text: str) -> str:
    return text


@component
def fail(text: str = "on purpose") -> str:
    raise ValueError(text)


@component
def told(status: dsl.PipelineTaskFinalStatus, word: str) -> str:
    return f"{word}: {status.state} of {status.pipeline_task_name}, error {status.error_code} {status.error_message!r}"


@component
def ask(url: str, enough: int) -> str:
    """Fail until it has been asked for ``enough`` times."""
    import urllib.request

    with urllib.request.urlopen(url) as answer:
        count = int(answer.read())
    if count < enough:
        raise RuntimeError(f"only {count}")
    return f"{count} times"


@component
def meet(gate: str) -> str:
    """Wait until the gate (a URL) answers."""
    import time
    import urllib.error
    import urllib.request

    while True:
        try:
            with urllib.request.urlopen(gate) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError:
            time.sleep(0.02)


@component
def measured(number: int, metrics: Output[Metrics], curve: Output[ClassificationMetrics]) -> int:
    metrics.log_metric("number", number)
    curve.log_confusion_matrix(["a", "b"], [[number, 0], [0, 1]])
    return number


@component
def write(text: str, made: Output[Dataset]) -> None:
    with open(made.path, "w") as stream:
        stream.write(text)


@component
def read(item: Input[Artifact]) -> str:
    with open(item.path) as stream:
        return stream.read()


@component
def surroundings(names: List[str], files: List[str]) -> dict:
    import os

    texts = {}
    for path in files:
        with open(path) as stream:
            texts[path] = stream.read()
    return {**{name: os.environ.get(name, "-") for name in names}, **texts}


@component
def hungry(megabytes: int) -> int:
    return len(bytes(megabytes * 2**20)) // 2**20


@component
def cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


@component
def sleeper() -> None:
    import time

    time.sleep(600)


@dsl.component(base_image=IMAGE, packages_to_install=["numpy>=1.20", "kfp==2.17.0"])
def with_packages() -> float:
    import numpy

    return float(numpy.arange(5).sum())


@dsl.pipeline(name="exit-after-success")
def exit_after_success() -> None:
    last = told(word="end")
    with dsl.ExitHandler(last, name="guarded"):
        echo(text="x")


@dsl.pipeline
def failing_inside() -> str:
    return fail(text="deep").output


@dsl.pipeline(name="exit-after-failures-in-a-loop")
def exit_after_failures_in_a_loop(word: str = "end") -> None:
    last = told(word=word)
    with dsl.ExitHandler(last):
        with dsl.ParallelFor(["a", "b"]) as item:
            echo(text=item)
            failing_inside()


@dsl.pipeline(name="retries")
def retries(url: str) -> str:
    task = ask(url=url, enough=3).set_retry(3, backoff_duration="1s", backoff_factor=0.1, backoff_max_duration="2s")
    return task.set_caching_options(False).output


@dsl.pipeline
def asking(url: str) -> str:
    return ask(url=url, enough=2).set_caching_options(False).output


@dsl.pipeline(name="retried-pipeline")
def retried_pipeline(url: str) -> str:
    return asking(url=url).set_retry(1, backoff_duration="0s").output


@dsl.pipeline(name="given-up")
def given_up(url: str) -> str:
    task = ask(url=url, enough=9).set_retry(1, backoff_duration="0s").set_caching_options(False)
    return echo(text=task.output).output


@dsl.pipeline(name="side-by-side")
def side_by_side(gate: str) -> NamedTuple("Out", [("a", str), ("b", str)]):
    result = NamedTuple("Out", [("a", str), ("b", str)])
    return result(a=meet(gate=f"{gate}/a").output, b=meet(gate=f"{gate}/b").output)


@dsl.pipeline(name="wide-loop")
def wide_loop(gate: str, items: List[str]) -> List[str]:
    with dsl.ParallelFor(items) as item:
        one = meet(gate=item)
    return dsl.Collected(one.output)


@dsl.pipeline(name="metrics-again")
def metrics_again(number: int = 3) -> int:
    return measured(number=number).outputs["Output"]


@dsl.pipeline(name="caching-by-task")
def caching_by_task(word: str) -> str:
    first = echo(text=word)
    second = echo(text=first.output).set_caching_options(False)
    made = write(text=second.output)
    return read(item=made.outputs["made"]).output


@dsl.pipeline(name="within-memory")
def within_memory(megabytes: int) -> int:
    return hungry(megabytes=megabytes).set_memory_limit("128Mi").set_caching_options(False).output


@dsl.pipeline(name="one-core")
def one_core() -> NamedTuple("Out", [("one", int), ("all", int)]):
    result = NamedTuple("Out", [("one", int), ("all", int)])
    return result(one=cores().set_cpu_limit("1").set_cpu_request("100m").output, all=cores().output)


@dsl.pipeline(name="too-long")
def too_long() -> None:
    kubernetes.set_timeout(sleeper(), 1)


@dsl.pipeline(name="settings")
def settings(secret: str = "keys") -> dict:
    task = surroundings(
        names=["GIVEN", "TOKEN", "READY", "POD", "NONE", "SPACE"],
        files=["/etc/keys/token", "/etc/settings/ready"],
    )
    task.set_env_variable("GIVEN", "by the task")
    kubernetes.use_secret_as_env(task, secret, {"token": "TOKEN"})
    kubernetes.use_secret_as_env(task, "absent", {"x": "NONE"}, optional=True)
    kubernetes.use_config_map_as_env(task, "settings", {"ready": "READY"})
    kubernetes.use_secret_as_volume(task, "keys", "/etc/keys")
    kubernetes.use_config_map_as_volume(task, "settings", "/etc/settings")
    kubernetes.use_field_path_as_env(task, "POD", "metadata.annotations['team']")
    kubernetes.add_pod_annotation(task, "team", "ml")
    kubernetes.empty_dir_mount(task, "space", "/etc/space")
    kubernetes.add_toleration(task, "gpu")
    kubernetes.set_image_pull_policy(task, "Always")
    return task.set_caching_options(False).output


@dsl.pipeline(name="missing-secret")
def missing_secret() -> None:
    kubernetes.use_secret_as_env(echo(text="x"), "nowhere", {"a": "A"})


@component
def last_word(text: str = "nothing came") -> str:
    return text


@dsl.pipeline(name="in-spite-of-failures")
def in_spite_of_failures() -> None:
    failed = fail().set_display_name("what fails")
    last_word(text=failed.output).ignore_upstream_failure().set_display_name("the last word")
    echo(text="other branch").set_display_name("besides")
    echo(text=failed.output)


@dsl.pipeline(name="packages")
def packages() -> float:
    return with_packages().output


@dsl.container_component
def python_program(
    item: Input[Dataset], number: int, made: Output[Dataset], text: dsl.OutputPath(str), name: str = "",
    other: str = "x",
):  # fmt: skip
    program = (
        "import sys, pathlib; made, text, *rest = sys.argv[1:]; "
        "[pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True) for path in (made, text)]; "
        "pathlib.Path(made).write_text('made'); pathlib.Path(text).write_text('|'.join(rest))"
    )
    return dsl.ContainerSpec(
        image="python:3.12-slim",
        command=["python3", "-c", program],
        args=[
            made.path, text, number, item.metadata["kind"], dsl.ConcatPlaceholder(["n=", number, ",", other]),
            dsl.IfPresentPlaceholder("name", [dsl.ConcatPlaceholder(["--name=", name]), "and"], ["--none"]),
            dsl.IfPresentPlaceholder("other", ["--other", other]),
            dsl.PIPELINE_JOB_NAME_PLACEHOLDER, dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
        ],
    )  # fmt: skip


@component
def labelled(made: Output[Dataset]) -> None:
    with open(made.path, "w") as stream:
        stream.write("data")
    made.metadata["kind"] = 'it\'s "raw"'


@dsl.pipeline(name="containers-without-docker")
def containers_without_docker() -> NamedTuple("Out", [("text", str), ("made", str)]):
    done = python_program(item=labelled().outputs["made"], number=7).set_display_name("a program")
    result = NamedTuple("Out", [("text", str), ("made", str)])
    return result(text=done.outputs["text"], made=read(item=done.outputs["made"]).output)


@dsl.pipeline(name="imports-from-buckets")
def imports_from_buckets(where: str) -> NamedTuple("Out", [("s3", str), ("gs", str), ("given", str)]):
    over_s3 = dsl.importer(artifact_uri="s3://mlpipeline/in/one.txt", artifact_class=Dataset)
    over_gs = dsl.importer(artifact_uri="gs://mlpipeline/in/one.txt", artifact_class=Artifact, metadata={"number": 5})
    given = dsl.importer(artifact_uri=where, artifact_class=Dataset, reimport=True)
    result = NamedTuple("Out", [("s3", str), ("gs", str), ("given", str)])
    return result(
        s3=read(item=over_s3.output).output, gs=read(item=over_gs.output).output, given=read(item=given.output).output
    )
