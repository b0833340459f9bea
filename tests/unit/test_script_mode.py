"""The classic script mode: what a script is told, how it is started, and how its end is written down.

The expected values are those of the SageMaker Training Toolkit 5.1.4, run on the same files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mlparity.engine.environments import requirement_lines
from mlparity.engine.script_mode import program
from mlparity.errors import RuntimeUnavailableError

HYPERPARAMETERS = {
    "sagemaker_program": '"train.py"',
    "sagemaker_submit_directory": '"s3://bkt/code/sourcedir.tar.gz"',
    "sagemaker_container_log_level": "20",
    "sagemaker_job_name": '"job-1"',
    "sagemaker_region": '"us-east-1"',
    "sagemaker_enable_network_isolation": "false",
    "_tuning_objective_metric": '"loss"',
    "epochs": "3",
    "lr": "0.1",
    "note": '"a b"',
    "list": '[1, "x"]',
    "map": '{"k": 1}',
    "flag": "true",
    "raw": "hello",
    "empty": '""',
    "n": "1",
    "none": "null",
}
SEEN = """
import json, os, sys
seen = {"argv": sys.argv, "environment": dict(os.environ), "folder": os.getcwd(), "first": sys.path[0]}
with open(os.environ["SM_MODEL_DIR"] + "/seen.json", "w") as out:
    json.dump(seen, out)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    channel = {"ContentType": None, "TrainingInputMode": "File"}
    (config / "inputdataconfig.json").write_text(json.dumps({"train": channel, "my-data": channel}))
    group = {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.large", "hosts": ["algo-1", "algo-2"]}
    resources = {
        "current_host": "algo-2",
        "current_instance_type": "ml.m5.large",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1", "algo-2"],
        "instance_groups": [group],
        "network_interface_name": "lo",
    }
    (config / "resourceconfig.json").write_text(json.dumps(resources))
    for name in ("model", "code"):
        (tmp_path / name).mkdir()
    return tmp_path


def train(
    root: Path, files: dict[str, str], hyperparameters: dict[str, str] = HYPERPARAMETERS, **more: Any
) -> tuple[int, str]:
    """Run the program over these files of code: the exit code, and the failure file's text."""
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    for name, text in files.items():
        (root / "code" / name).write_text(text)
    environment = {"PATH": "/usr/bin:/bin", "TRAINING_JOB_NAME": "job-1", "AWS_REGION": "us-east-1"}
    environment |= more.pop("environment", {})
    failure, success = root / "output" / "failure", root / "output" / "success"
    for left in (failure, success):
        left.unlink(missing_ok=True)
    code = program.run(root, environment, **more)
    assert success.exists() is (code == 0)
    return code, failure.read_text() if failure.exists() else ""


def seen(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "model" / "seen.json").read_text())
    return content


def test_the_script_is_told_what_the_toolkit_tells_it(root: Path) -> None:
    assert train(root, {"train.py": SEEN}) == (0, "")
    words = "--empty||--epochs|3|--flag|True|--list|[1, 'x']|--lr|0.1|--map|k=1|-n|1|--none||--note|a b|--raw|hello"
    assert seen(root)["argv"] == ["train.py", *words.split("|")]
    told = seen(root)["environment"]
    hps = {"empty": "", "epochs": 3, "flag": True, "list": [1, "x"], "lr": 0.1, "map": {"k": 1}, "n": 1, "none": None}
    hps |= {"note": "a b", "raw": "hello"}
    assert told["SM_HPS"] == json.dumps(hps, separators=(",", ":"))
    assert json.loads(told["SM_USER_ARGS"]) == words.split("|")
    expected = {
        "SM_HOSTS": '["algo-1","algo-2"]',
        "SM_CURRENT_HOST": "algo-2",
        "CURRENT_HOST": "algo-2",
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_USER_ENTRY_POINT": "train.py",
        "SM_MODULE_NAME": "train",
        "SM_MODULE_DIR": "s3://bkt/code/sourcedir.tar.gz",
        "SM_FRAMEWORK_PARAMS": '{"sagemaker_enable_network_isolation":false}',
        "SM_FRAMEWORK_MODULE": "",
        "SM_CHANNELS": '["my-data","train"]',
        "SM_CHANNEL_TRAIN": f"{root}/input/data/train",
        "SM_CHANNEL_MY-DATA": f"{root}/input/data/my-data",
        "SM_INPUT_DIR": f"{root}/input",
        "SM_INPUT_CONFIG_DIR": f"{root}/input/config",
        "SM_OUTPUT_DIR": f"{root}/output",
        "SM_OUTPUT_DATA_DIR": f"{root}/output/data",
        "SM_OUTPUT_INTERMEDIATE_DIR": f"{root}/output/intermediate",
        "SM_MODEL_DIR": f"{root}/model",
        "SM_CURRENT_INSTANCE_TYPE": "ml.m5.large",
        "SM_CURRENT_INSTANCE_GROUP_HOSTS": '["algo-1","algo-2"]',
        "SM_INSTANCE_GROUPS": '["homogeneousCluster"]',
        "SM_DISTRIBUTION_INSTANCE_GROUPS": "[]",
        "SM_IS_HETERO": "false",
        "SM_LOG_LEVEL": "20",
        "SM_NUM_GPUS": "0",
        "SM_HP_LIST": '[1,"x"]',
        "SM_HP_FLAG": "true",
        "SM_HP_NOTE": "a b",
        "SM_HP_NONE": "",
        "SAGEMAKER_JOB_NAME": "job-1",
        "SAGEMAKER_REGION": "us-east-1",
    }
    assert {name: told.get(name) for name in expected} == expected
    everything = json.loads(told["SM_TRAINING_ENV"])
    assert everything["hyperparameters"] == hps
    assert everything["is_master"] is False
    assert everything["job_name"] == "job-1"
    assert seen(root)["folder"] == str(root / "code")
    assert not [name for name in told if name.startswith("SM_HP_SAGEMAKER")]


@pytest.mark.parametrize(
    ("files", "entry", "more", "argv0"),
    [
        ({"train.py": SEEN}, "train.py", {"as_module": True}, "train.py"),
        ({"train.py": SEEN, "setup.py": ""}, "train.py", {}, "train.py"),
        ({"train.sh": f'exec {sys.executable} inner.py "$@"', "inner.py": SEEN}, "train.sh", {}, "inner.py"),
    ],
)  # fmt: skip
def test_every_kind_of_entry_point(
    root: Path, files: dict[str, str], entry: str, more: dict[str, Any], argv0: str
) -> None:
    given = {"sagemaker_program": entry, "note": "it's 2 words"}
    assert train(root, files, given, **more) == (0, "")
    assert seen(root)["argv"][0].endswith(argv0)
    assert seen(root)["argv"][1:] == ["--note", "it's 2 words"]


def test_a_script_that_fails_is_told_as_the_toolkit_tells_it(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = "import sys\nprint('fine so far')\nprint('a warning', file=sys.stderr)\nraise ValueError('no good')\n"
    given = {"sagemaker_program": "train.py", "epochs": "3"}
    code, failure = train(root, {"train.py": script}, given)
    assert code == 1
    command = f"{sys.executable} train.py --epochs 3"
    assert failure == f'ExecuteUserScriptError:\nExitCode 1\nErrorMessage "ValueError: no good"\nCommand "{command}"'
    shown = capfd.readouterr()
    assert "fine so far" in shown.out
    for text in ("a warning", "Traceback", "Reporting training FAILURE"):
        assert text in shown.err


def test_the_scripts_own_reason_and_its_exit_code_are_kept(root: Path) -> None:
    script = "import sys\nopen('../output/failure', 'w').write('mine')\nsys.exit(7)\n"
    (root / "output").mkdir()
    assert train(root, {"train.py": script}) == (1, "mine")
    code, failure = train(root, {"train.py": "import os\nos.kill(os.getpid(), 9)\n"})
    assert code == 1
    assert "ExitCode -9" in failure
    assert "OutOfMemory: Process killed by SIGKILL" in failure


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ('""', "entry point name is empty"),
        ("-c", "plain path inside your source directory"),
        ("../x.py", "plain path inside your source directory"),
        ("other.py", "is not in your source directory, which has: train.py"),
    ],
)
def test_an_entry_point_that_cannot_be_is_refused(root: Path, entry: str, reason: str) -> None:
    code, failure = train(root, {"train.py": SEEN}, {"sagemaker_program": entry})
    assert code == 1
    assert reason in failure


def test_code_that_lies_in_the_job_is_brought_to_its_place(root: Path) -> None:
    channel = root / "input" / "data" / "code"
    channel.mkdir(parents=True)
    (channel / "train.py").write_text(SEEN)
    given = {"sagemaker_program": "train.py", "sagemaker_submit_directory": str(channel)}
    assert train(root, {}, given) == (0, "")
    assert seen(root)["folder"] == str(root / "code")


def test_what_is_not_there_is_refused_by_name(root: Path) -> None:
    code, failure = train(root, {"train.py": SEEN}, {**HYPERPARAMETERS, "sagemaker_mpi_enabled": "true"})
    assert code == 1
    assert "does not run a distribution strategy (sagemaker_mpi_enabled)" in failure


def test_requirements_that_are_there_pass_and_others_fail_the_job(root: Path) -> None:
    offline = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": "/dev/null"}
    assert train(root, {"train.py": SEEN, "requirements.txt": "pytest>=1\n"}, environment=offline) == (0, "")
    code, failure = train(root, {"requirements.txt": "no-such-package-here==1\n"}, environment=offline)
    assert code == 1
    assert failure.startswith("InstallRequirementsError:\nExitCode 1\n")
    assert "no-such-package-here==1" in failure
    told = {program.REQUIREMENTS_INSTALLED: "true"}  # by the engine, which has built the environment
    assert program.run(root, {"PATH": "/usr/bin:/bin", **told}) == 0


def test_without_a_training_job_the_program_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run(tmp_path, {}) == 1
    assert "ContainerEntrypoint" in capsys.readouterr().err


def test_requirements_that_an_environment_is_named_by() -> None:
    assert requirement_lines("# a comment\na==1  # why\n\nb>=2; \\\n  python_version>'3'\n") == [
        "a==1",
        "b>=2;    python_version>'3'",
    ]
    with pytest.raises(RuntimeUnavailableError, match=r"requirements\.txt"):
        requirement_lines("-r other.txt")
