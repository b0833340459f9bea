"""The parts of ``pipeline_ir`` that need no engine: CEL, placeholders, commands, quantities, values, refusals."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mlparity.engine.jobs import Job, LogStream
from mlparity.engine.process import Runtime
from mlparity.errors import RuntimeUnavailableError
from mlparity.pipeline_ir import lightweight
from mlparity.pipeline_ir.cel import holds, select
from mlparity.pipeline_ir.checks import Allowed, check_pipeline
from mlparity.pipeline_ir.definition import Component, Container, Interface
from mlparity.pipeline_ir.errors import InvalidPipelineError, TaskFailedError, UnsupportedPipelineError
from mlparity.pipeline_ir.executors import read_executor
from mlparity.pipeline_ir.kubernetes import PodSource
from mlparity.pipeline_ir.launch import Launch, job_spec
from mlparity.pipeline_ir.locations import local_path
from mlparity.pipeline_ir.log_tail import failure_text
from mlparity.pipeline_ir.placeholders import Facts, Placeholders
from mlparity.pipeline_ir.quantities import quantity
from mlparity.pipeline_ir.reader import read_documents, read_pipeline
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskValues
from mlparity.pipeline_ir.values import as_type, finite, parse_output

X = "inputs.parameter_values['x']"


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        (f"{X} == 3", 3.0, True),
        (f"{X} > 2.5", 3, True),
        (f"int({X}) >= 3 && int({X}) < 10", 3, True),
        (f"double({X}) != 3.0", 3, False),
        (f"{X} == '3'", 3, False),  # of different types: not equal
        (f"'int({X})' == '3'", 3, True),  # as the compiler writes a number's comparison with a string
        (f"{X} == true", True, True),
        (f"{X} == 1", True, False),
        (f"string({X}) == 'true'", True, True),
        (f"{X} == 'it's'", "it's", True),  # as the compiler writes a quote
        (f"!({X} == 'it's') && !({X} == 'b')", "it's", False),
        (f"!({X} == 'it's') || {X} == 'o'b'", "other", True),
        (f"{X} == 'a\nb'", "a\nb", True),
        (f"{X} == ' && '", " && ", True),
        (f"{X} == 'x'", None, False),
    ],
)
def test_conditions(condition: str, value: Any, expected: bool) -> None:
    assert holds(condition, {"x": value}) is expected


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (f"{X} < 'a'", "cannot be evaluated"),
        (X, "neither true nor false"),
        (f"{X} ==", "is no CEL"),
        ("inputs.parameter_values['y'] == 1", "cannot be evaluated"),
    ],
)
def test_conditions_that_mean_nothing(condition: str, reason: str) -> None:
    with pytest.raises(TaskFailedError, match=reason):
        holds(condition, {"x": 1})


@pytest.mark.parametrize(
    ("expression", "value", "expected"),
    [
        ('parseJson(string_value)["a"]', {"a": 1, "b": 2}, 1),
        ('parseJson(string_value)["a"]["b"]', {"a": {"b": [1, 2.5]}}, [1, 2.5]),
        ("parseJson(string_value)[1]", [True, {"z": 1, "a": None}], {"z": 1, "a": None}),
        ('parseJson(string_value)["a"]', '{"a": "text"}', "text"),
        ("struct_value.a", {"a": 2}, 2),
    ],
)
def test_selectors(expression: str, value: Any, expected: Any) -> None:
    assert select(expression, value) == expected


ROWS = ArtifactValue("rows", "gs://bkt/a/rows", "system.Dataset", metadata={"n": 3, "deep": {"k": [1]}})
TEXTS = Placeholders(
    Facts(
        "job", "projects/p/job", "id-1", "2026-01-01T00:00:00Z", "later", "gs://bkt", "the task", "t-1", {"zone": "z"}
    ),
    TaskValues(
        {"s": 'a"b', "n": 3.0, "l": [1, 2.5], "o": None, "p": "{{$.inputs.parameters['s']}}"}, {"rows": (ROWS,)}
    ),
    lambda artifact: local_path(artifact.uri),
    {"model": ArtifactValue("model", "s3://bkt/m")},
    {"out": "/s3/bkt/out"},
    "/s3/bkt/executor_output.json",
    '{"a": "b"}',
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{$.inputs.parameters['s']}}-{{$.inputs.parameters['n']}}", 'a"b-3'),
        ('{{$.inputs.parameters["l"]}}', "[1,2.5]"),
        ("{{$.inputs.parameters['l'][0]}}", "1"),
        ("{{$.inputs.parameters['p']}}", "{{$.inputs.parameters['s']}}"),  # a value is not gone over again
        ("{{$.inputs.parameters['o']}}", "{{$.inputs.parameters['o']}}"),  # what is not there stays
        ("{{$.inputs.artifacts['rows'].uri}} {{$.inputs.artifacts['rows'].path}}", "gs://bkt/a/rows /gcs/bkt/a/rows"),
        ("{{$.inputs.artifacts['rows'].metadata['deep']['k']}}", "[1]"),
        ("{{$.outputs.artifacts['model'].path}} {{$.outputs.parameters['out'].output_file}}", "/s3/bkt/m /s3/bkt/out"),
        ("{{$.outputs.output_file}}", "/s3/bkt/executor_output.json"),
        ("{{$}} {{$.json_escape[1]}} {{$.json_escape[2]}}", r'{"a": "b"} {\"a\": \"b\"} {\\\"a\\\": \\\"b\\\"}'),
        ("{{$.inputs.parameters['s'].json_escape[1]}}", r"a\"b"),
        ("{{$.pipeline_job_name}}/{{$.pipeline_task_name}}/{{$.zone}}", "job/the task/z"),
    ],
)
def test_placeholders(text: str, expected: str) -> None:
    assert TEXTS.resolve(text) == expected


def test_structures_in_arguments() -> None:
    words = [
        '{"Concat": ["a-", "{{$.inputs.parameters[\'s\']}}", {"IfPresent": {"InputName": "o", "Then": "x"}}]}',
        '{"IfPresent": {"InputName": "s", "Then": ["--s", "{{$.inputs.parameters[\'s\']}}"]}}',
        '{"IfPresent": {"InputName": "o", "Then": ["--o"], "Else": {"Concat": ["no", "ne"]}}}',
        '{"IfPresent": {"InputName": "o", "Then": ["--o"]}}',
        '{"plain": "json"}',
    ]
    assert TEXTS.words(words) == ['a-a"b', "--s", 'a"b', "none", '{"plain": "json"}']


EXECUTOR = (
    'program_path=$(mktemp -d)\n\nprintf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
    "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main --component_module_path "
    '"$program_path/ephemeral_component.py" "$@"'
)
PIP = "python3 -m pip install --quiet --no-warn-script-location"
KFP = f"{PIP} 'kfp==2.9.0' '--no-deps' 'typing-extensions>=3.7.4'"
OWN = f"{PIP} --index-url https://x/simple 'a>=1,<2' 'b[c]; python_version<\"4\"'"


def test_lightweight_components_are_recognised() -> None:
    script = f'\nif ! x; then\n y\nfi\n\nPIP_DISABLE_PIP_VERSION_CHECK=1 {OWN}  &&  {KFP} && "$0" "$@"\n'
    program = lightweight.recognise(["sh", "-c", script, "sh", "-ec", EXECUTOR, "source"])
    assert program is not None
    assert (program.source, program.packages) == ("source", ("a>=1,<2", 'b[c]; python_version<"4"'))
    assert program.ignored_options == ("--index-url https://x/simple",)
    plain = lightweight.recognise(["sh", "-ec", EXECUTOR, "source"])
    assert plain == lightweight.Program("source")
    assert lightweight.requirements(lightweight.Program("source")) == ()
    for other in (["sh", "-c", "echo"], ["sh", "-ec", "echo", "source"], ["python3", "-m", "kfp"], []):
        assert lightweight.recognise(other) is None


def test_in_a_real_container_the_shell_runs_as_it_is_written() -> None:
    command = ("sh", "-ec", EXECUTOR, "source")
    interface = Interface()
    launch = Launch(
        Component("comp", interface, interface, executor="exec"),
        Container("python:3.11", command, ("--executor_input", "{{$}}")),
        TaskValues(),
        TEXTS.facts,
        "gs://bkt/root/task",
    )
    log = LogStream("group", "stream")
    here = job_spec(launch, log, lambda _: Runtime("python", "host"))
    assert list(here.command[:2]) == ["python3", "/kfp-task/start/start_component.py"]
    assert here.files["/kfp-task/program/ephemeral_component.py"] == "source"
    there = job_spec(launch, log, lambda _: Runtime("images", "container"))
    assert tuple(there.command[:4]) == command
    assert (dict(there.files), there.working_directory) == ({}, "")
    document = json.loads(there.command[-1])
    assert document["outputs"]["outputFile"] == "/gcs/bkt/root/task/executor_output.json"


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", 0.5), ("2", 2), ("1.5", 1.5), ("1Gi", 2**30), ("512Mi", 2**29), ("2G", 2e9), ("1e3", 1000), ("", 0)],
)
def test_quantities(text: str, number: float) -> None:
    assert float(quantity(text, "limit")) == number


def test_values_take_their_declared_type() -> None:
    assert (as_type(3.0, "NUMBER_INTEGER", "x"), as_type(3, "NUMBER_DOUBLE", "x")) == (3, 3.0)
    assert isinstance(as_type(3, "NUMBER_DOUBLE", "x"), float)
    assert as_type({"a": 1.0}, "STRING", "x") == '{"a":1}'
    assert parse_output("[1, 2.0]", "LIST", "x") == [1, 2.0]
    assert parse_output("7\n", "NUMBER_INTEGER", "x") == 7
    assert parse_output("text\n", "STRING", "x") == "text\n"
    assert finite({"a": [float("nan"), 1.0]}) == {"a": ["NaN", 1.0]}
    for value, kind in ((1.5, "NUMBER_INTEGER"), ("a", "LIST"), (1, "BOOLEAN"), (True, "NUMBER_INTEGER")):
        with pytest.raises(TaskFailedError, match="type mismatch"):
            as_type(value, kind, "x")
    with pytest.raises(TaskFailedError, match="is no BOOLEAN"):
        parse_output("True", "BOOLEAN", "x")


def test_paths_stay_inside() -> None:
    assert local_path("minio://bkt//a/./b/") == "/minio/bkt/a/b"
    for uri in ("gs://bkt/../other", "https://host/a", "plain"):
        with pytest.raises(TaskFailedError):
            local_path(uri)


def test_secrets_are_found_by_plain_names_only(tmp_path: Path) -> None:
    folder = tmp_path / "secrets" / "good"
    folder.mkdir(parents=True)
    (folder / "key").write_text("value\n")
    source = PodSource(tmp_path)
    assert source.read("secret", "good", optional=False) == {"key": "value"}
    assert source.read("config map", "good", optional=True) == {}
    assert source.read("secret", "", optional=True) == {}
    for name in ("../secrets/good", "missing", ""):
        with pytest.raises(TaskFailedError, match="does not exist"):
            source.read("secret", name, optional=False)


SPEC = """
pipelineInfo: {name: small}
schemaVersion: 2.1.0
components:
  comp-one:
    executorLabel: exec-one
    inputDefinitions: {parameters: {x: {parameterType: NUMBER_INTEGER}}}
    outputDefinitions: {parameters: {out: {parameterType: STRING}}}
  comp-dag:
    dag: {tasks: {one: {componentRef: {name: comp-one}, inputs: {parameters: {x: {runtimeValue: {constant: 1.0}}}}}}}
deploymentSpec:
  executors:
    exec-one: {container: {image: "python:3.11", command: [echo], args: ["{{$.inputs.parameters['x']}}"]}}
root:
  dag:
    tasks:
      first:
        componentRef: {name: comp-one}
        inputs: {parameters: {x: {componentInputParameter: x}}}
      second:
        componentRef: {name: comp-dag}
        dependentTasks: [first]
  inputDefinitions: {parameters: {x: {parameterType: NUMBER_INTEGER, defaultValue: 2.0, isOptional: true}}}
"""
Edit = Callable[[dict[str, Any]], object]


def checked(edit: Edit, platform: Mapping[str, Any] | None = None) -> None:
    def runtime_of(image: str) -> Runtime:
        if image == "unknown":
            raise RuntimeUnavailableError("no local runtime stands for the image unknown", "", "add a line")
        return Runtime("host", "host")

    spec = copy.deepcopy(read_documents(SPEC)[0])
    edit(spec)
    executor = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-one": platform}}}}}
    check_pipeline(read_pipeline(spec, executor if platform else None), Allowed(runtime_of))


def container(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["deploymentSpec"]["executors"]["exec-one"]["container"]  # type: ignore[no-any-return]


def tasks(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["root"]["dag"]["tasks"]  # type: ignore[no-any-return]


def nothing(_: dict[str, Any]) -> None:
    pass


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda spec: container(spec).update(image="unknown"), "task first cannot be run: no local runtime"),
        (lambda spec: container(spec).pop("command"), "names no command"),
        (lambda spec: container(spec).update(image="argostub/createpvc"), "CreatePVC"),
        (lambda spec: container(spec).update(resources={"accelerator": {"type": "nvidia.com/gpu"}}), "nvidia.com/gpu"),
        (lambda spec: container(spec).update(lifecycle={"preCacheCheck": {"command": ["a"]}}), "lifecycle"),
        (lambda spec: container(spec).update(args=["{{$.workspace_path}}"]), "workspace_path"),
        (lambda spec: container(spec).update(args=["{{$.inputs.artifacts['a'].value}}"]), "value"),
        (lambda spec: spec["deploymentSpec"]["executors"].update({"exec-one": {"resolver": {}}}), "it is a resolver"),
        (
            lambda spec: spec["deploymentSpec"]["executors"].update(
                {"exec-one": {"importer": {"artifactUri": {"constant": "https://host/x"}}}}
            ),
            "in no bucket",
        ),
        (
            lambda spec: spec["components"]["comp-one"]["inputDefinitions"]["parameters"].update(
                x={"parameterType": "TASK_CONFIG"}
            ),
            "TaskConfig",
        ),
        (
            lambda spec: tasks(spec)["first"]["inputs"]["parameters"].update(
                x={"runtimeValue": {"runtimeParameter": "x"}}
            ),
            "runtimeParameter",
        ),
    ],
)
def test_what_cannot_run_here_is_refused_by_name(edit: Edit, reason: str) -> None:
    checked(nothing)
    with pytest.raises(UnsupportedPipelineError) as caught:
        checked(edit)
    assert reason in ". ".join(caught.value.lines())


def test_a_custom_job_of_one_machine_is_its_container() -> None:
    pool = {
        "replicaCount": 1,
        "machineSpec": {"machineType": "n1-standard-4"},
        "containerSpec": {"imageUri": "python:3.11", "command": ["echo"], "env": [{"name": "A", "value": "b"}]},
    }
    job = {"customJob": {"customJob": {"displayName": "job", "jobSpec": {"workerPoolSpecs": [pool]}}}}
    found = read_executor("exec", job)
    assert found == Container("python:3.11", ("echo",), (), {"A": "b"})
    pool["replicaCount"] = 2
    with pytest.raises(UnsupportedPipelineError, match="not one container on one machine"):
        read_executor("exec", job)


@pytest.mark.parametrize(
    ("platform", "reason"),
    [
        ({"pvcMount": [{"mountPath": "/data", "constant": "p"}]}, "pvcMount"),
        ({"genericEphemeralVolume": [{"mountPath": "/data"}]}, "genericEphemeralVolume"),
        ({"fieldPathAsEnv": [{"name": "A", "fieldPath": "status.phase"}]}, "status.phase"),
        ({"secretAsEnv": [{"secretName": "s", "keyToEnv": [{"secretKey": "k"}]}]}, "no envVar"),
        ({"emptyDirMounts": [{"volumeName": "v", "mountPath": "relative"}]}, "must be absolute"),
    ],
)
def test_settings_of_pods_that_mean_nothing_here(platform: Mapping[str, Any], reason: str) -> None:
    checked(nothing, {"nodeSelector": {"labels": {"a": "b"}}})
    with pytest.raises((UnsupportedPipelineError, InvalidPipelineError), match=reason):
        checked(nothing, platform)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda spec: spec.update(colour="red"), 'no field named "colour"'),
        (lambda spec: tasks(spec)["first"].update(colour="red"), 'no field named "colour"'),
        (lambda spec: container(spec).update(colour="red"), 'no field named "colour"'),
        (lambda spec: spec["pipelineInfo"].clear(), "pipelineInfo.name"),
        (lambda spec: tasks(spec).clear(), "no tasks"),
        (lambda spec: tasks(spec)["first"].update(dependentTasks=["second"]), "in a circle"),
        (lambda spec: tasks(spec)["first"].update(dependentTasks=["third"]), "no task 'third'"),
        (lambda spec: tasks(spec)["first"]["componentRef"].update(name="comp-two"), "no component 'comp-two'"),
        (lambda spec: tasks(spec)["first"].update(triggerPolicy={"condition": "a =="}), "condition of task first"),
        (lambda spec: spec["deploymentSpec"]["executors"].pop("exec-one"), "no executor 'exec-one'"),
        (
            lambda spec: spec["components"]["comp-dag"]["dag"]["tasks"]["one"].update(
                componentRef={"name": "comp-dag"}
            ),
            "lies inside itself",
        ),
        (
            lambda spec: spec["root"]["dag"].update(
                outputs={
                    "parameters": {"o": {"valueFromParameter": {"producerSubtask": "z", "outputParameterKey": "o"}}}
                }
            ),
            "no task 'z'",
        ),
        (
            lambda spec: tasks(spec)["second"].update(
                parameterIterator={"itemInput": "i", "items": {"inputParameter": "nowhere"}}
            ),
            "'nowhere' to go over",
        ),
        (
            lambda spec: tasks(spec)["second"].update(parameterIterator={"itemInput": "i", "items": {"raw": "{}"}}),
            "no list",
        ),
        (lambda spec: container(spec).update(resources={"resourceCpuLimit": "many"}), "no quantity"),
        (lambda spec: container(spec).update(env=[{"value": "b"}]), "a field is missing: name"),
        (
            lambda spec: tasks(spec)["first"]["inputs"]["parameters"].update(
                x={"taskOutputParameter": {"producerTask": "second"}}
            ),
            "a field is missing: outputParameterKey",
        ),
        (lambda spec: spec.update(sdkVersion=date(2026, 1, 1)), "not JSON serializable"),
    ],
)
def test_what_contradicts_itself_is_refused(edit: Edit, reason: str) -> None:
    with pytest.raises(InvalidPipelineError) as caught:
        checked(edit)
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", ["[1]", "a: b: c", "", "a: 1\n---\nb: 2\n---\nc: 3"])
def test_files_that_are_no_pipeline(text: str) -> None:
    with pytest.raises(InvalidPipelineError):
        read_documents(text)


class _Ended:
    exit_code = 1
    results: Mapping[str, Any] = {}


def test_a_failure_shows_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    job: Job = _Ended()  # type: ignore[assignment]
    assert failure_text(log, job) == "The program ended with exit code 1"
    log.write_text("\n".join(f"line {number}" for number in range(3000)))
    assert failure_text(log, job).splitlines()[1:] == [f"line {number}" for number in range(2985, 3000)]
    log.write_text('[KFP Executor now INFO]: Got executor_input:\n{\n    "inputs": {\n    }\n}\ndying\n')
    assert failure_text(log, job) == "The program ended with exit code 1:\ndying"
