"""Artifacts of each kind: their files, folders, metadata; lists of them; chosen ones; into and out of pipelines."""

# Components are sources of their own: kfp knows typing's names, and a component imports what it needs.
# ruff: noqa: PTH103, PTH118, PTH123, UP006, UP014

from typing import List, NamedTuple  # noqa: UP035 - kfp's components import typing's own

from kfp.dsl import (
    HTML,
    Artifact,
    ClassificationMetrics,
    Dataset,
    Input,
    Markdown,
    Metrics,
    Model,
    Output,
)

from tests.conformance.ir_corpus.case import Case, Peer
from tests.conformance.ir_corpus.sdk import component, dsl


@component
def write(text: str, made: Output[Dataset]) -> None:
    with open(made.path, "w") as stream:
        stream.write(text)
    made.metadata["length"] = f"{len(text)} letters"
    made.metadata["note"] = 'it\'s "ä"'


@component
def write_both(text: str, number: int, made: Output[Dataset]) -> None:
    with open(made.path, "w") as stream:
        stream.write(f"{text}{number}")


@component
def read(item: Input[Artifact]) -> str:
    with open(item.path) as stream:
        return f"{type(item).__name__} {stream.read()}"


@component
def read_set(item: Input[Dataset]) -> str:
    with open(item.path) as stream:
        return f"{stream.read()} {sorted(item.metadata.items())}"


@component
def join(items: Input[List[Dataset]]) -> str:
    texts = []
    for item in items:
        with open(item.path) as stream:
            texts.append(stream.read())
    return "+".join(texts)


# SlicedClassificationMetrics are left out: kfp 2.17's own class cannot log anything.
@component
def every_kind(
    any_: Output[Artifact],
    model: Output[Model],
    metrics: Output[Metrics],
    curve: Output[ClassificationMetrics],
    page: Output[HTML],
    text: Output[Markdown],
) -> None:
    import os

    with open(any_.path, "w") as stream:
        stream.write("any")
    os.makedirs(os.path.join(model.path, "deep"))
    for name in ("a.txt", "deep/b.txt"):
        with open(os.path.join(model.path, name), "w") as stream:
            stream.write(name)
    model.framework = "sklearn"
    metrics.log_metric("accuracy", 0.75)
    metrics.log_metric("rows", 4)
    curve.log_roc_curve([0.0, 1.0], [0.0, 1.0], [0.5, 0.25])
    curve.log_confusion_matrix(["cat", "dog"], [[3, 1], [0, 4]])
    with open(page.path, "w") as stream:
        stream.write("<b>page</b>")
    with open(text.path, "w") as stream:
        stream.write("# text")


@component
def told(
    model: Input[Model], metrics: Input[Metrics], curve: Input[ClassificationMetrics], page: Input[HTML],
    text: Input[Markdown],
) -> str:  # fmt: skip
    import os

    names = sorted(
        os.path.relpath(os.path.join(folder, name), model.path)
        for folder, _, files in os.walk(model.path)
        for name in files
    )
    matrix = curve.metadata["confusionMatrix"]["rows"]
    return f"{names} {model.framework} {metrics.metadata['accuracy']} {[row['row'] for row in matrix]} {page.path[-4:]}"


@dsl.pipeline(name="artifacts-of-each-kind")
def artifacts_of_each_kind() -> NamedTuple(
    "Out", [("told", str), ("metrics", Metrics), ("curve", ClassificationMetrics), ("page", HTML), ("text", Markdown)]
):
    made = every_kind()
    names = ("model", "metrics", "curve", "page", "text")
    result = NamedTuple(
        "Out",
        [("told", str), ("metrics", Metrics), ("curve", ClassificationMetrics), ("page", HTML), ("text", Markdown)],
    )
    return result(
        told=told(**{name: made.outputs[name] for name in names}).output,
        **{name: made.outputs[name] for name in names[1:]},
    )


@dsl.pipeline(name="any-artifact")
def any_artifact() -> str:
    return read(item=write(text="x").outputs["made"]).output


@dsl.pipeline
def inner_reader(item: Input[Dataset], word: str = "inside") -> NamedTuple("In", [("text", str), ("made", Dataset)]):
    seen = read_set(item=item)
    made = write(text=f"{word}: {seen.output}")
    result = NamedTuple("In", [("text", str), ("made", Dataset)])
    return result(text=seen.output, made=made.outputs["made"])


@dsl.pipeline(name="artifacts-into-pipelines")
def artifacts_into_pipelines() -> NamedTuple("Out", [("text", str), ("made", Dataset)]):
    first = inner_reader(item=write(text="one").outputs["made"])
    second = inner_reader(item=first.outputs["made"], word="again")
    result = NamedTuple("Out", [("text", str), ("made", Dataset)])
    return result(text=second.outputs["text"], made=second.outputs["made"])


@dsl.pipeline
def inner_maker(text: str) -> Dataset:
    return write(text=text).outputs["made"]


@dsl.pipeline(name="artifacts-out-of-pipelines")
def artifacts_out_of_pipelines() -> NamedTuple("Out", [("text", str), ("made", Dataset)]):
    made = inner_maker(text="made")
    result = NamedTuple("Out", [("text", str), ("made", Dataset)])
    return result(text=read_set(item=made.output).output, made=made.output)


@dsl.pipeline(name="one-of-artifacts")
def one_of_artifacts(number: int = 2) -> NamedTuple("Out", [("text", str), ("made", Dataset)]):
    with dsl.If(number == 1):
        one = write(text="one")
    with dsl.Elif(number == 2):
        two = write(text="two")
    with dsl.Else():
        more = write(text="more")
    chosen = dsl.OneOf(one.outputs["made"], two.outputs["made"], more.outputs["made"])
    result = NamedTuple("Out", [("text", str), ("made", Dataset)])
    return result(text=read_set(item=chosen).output, made=chosen)


@dsl.pipeline(name="lists-of-artifacts")
def lists_of_artifacts() -> NamedTuple("Out", [("joined", str), ("nested", str)]):
    with dsl.ParallelFor(["a", "b", "c"]) as letter:
        one = write(text=letter)
        with dsl.ParallelFor([1, 2]) as number:
            deep = write_both(text=letter, number=number)
    result = NamedTuple("Out", [("joined", str), ("nested", str)])
    return result(
        joined=join(items=dsl.Collected(one.outputs["made"])).output,
        nested=join(items=dsl.Collected(deep.outputs["made"])).output,
    )


NOTE = 'it\'s "ä"'
CURVE = {
    "confidenceMetrics": [
        {"confidenceThreshold": 0.5, "falsePositiveRate": 0, "recall": 0},
        {"confidenceThreshold": 0.25, "falsePositiveRate": 1, "recall": 1},
    ],
    "confusionMatrix": {
        "annotationSpecs": [{"displayName": "cat"}, {"displayName": "dog"}],
        "rows": [{"row": [3, 1]}, {"row": [0, 4]}],
    },
}
SEEN = f"one [('length', '3 letters'), ('note', {NOTE!r})]"
AGAIN = f"again: inside: {SEEN} [('length', '60 letters'), ('note', {NOTE!r})]"
CASES = [
    Case(
        artifacts_of_each_kind,
        {"told": "['a.txt', 'deep/b.txt'] sklearn 0.75 [[3, 1], [0, 4]] page"},
        artifacts={
            "metrics": (None, {"accuracy": 0.75, "rows": 4}),
            "curve": (None, CURVE),
            "page": ("<b>page</b>", {}),
            "text": ("# text", {}),
        },
        peer=Peer.WRONG,
        why="whole numbers of a confusion matrix arrive as floats",
    ),
    Case(any_artifact, {"Output": "Dataset x"}),
    Case(
        artifacts_into_pipelines,
        {"text": f"inside: {SEEN} [('length', '60 letters'), ('note', {NOTE!r})]"},
        artifacts={"made": (AGAIN, {"length": f"{len(AGAIN)} letters", "note": NOTE})},
        peer=Peer.WRONG,
        why="a pipeline inside a pipeline takes no artifacts",
    ),
    Case(
        artifacts_out_of_pipelines,
        {"text": f"made [('length', '4 letters'), ('note', {NOTE!r})]"},
        artifacts={"made": ("made", {"length": "4 letters", "note": NOTE})},
    ),
    Case(
        one_of_artifacts,
        {"text": f"more [('length', '4 letters'), ('note', {NOTE!r})]"},
        {"number": 3},
        artifacts={"made": ("more", {"length": "4 letters", "note": NOTE})},
        peer=Peer.WRONG,
        why="OneOf knows parameters only",
    ),
    Case(
        lists_of_artifacts,
        {"joined": "a+b+c", "nested": "a1+a2+b1+b2+c1+c2"},
        peer=Peer.WRONG,
        why="artifacts of a loop in a loop cannot be collected",
    ),
]
