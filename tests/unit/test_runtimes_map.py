"""stacks/runtimes.yaml: what it maps, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlparity.engine.runtimes import RuntimeMap
from mlparity.errors import ConfigurationError, RuntimeUnavailableError

SHIPPED = Path(__file__).parents[2] / "stacks" / "runtimes.yaml"
REGISTRY = "683313688378.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("image", "name", "kind"),
    [
        (f"{REGISTRY}/sagemaker-xgboost:1.7-1", "sagemaker-xgboost", "builtin"),
        (f"{REGISTRY}/sagemaker-scikit-learn:1.2-1-cpu-py3", "sagemaker-scikit-learn", "builtin"),
        (f"{REGISTRY}/sagemaker-base-python-310:1.0", "host", "builtin"),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.0.0-cpu-py310", "pytorch", "builtin"),
        ("python:3.11-slim", "python", "host"),
        ("docker.io/library/python:3", "python", "host"),
        ("alpine", "python", "host"),
    ],
)
def test_shipped_map(image: str, name: str, kind: str) -> None:
    runtime = RuntimeMap.load(SHIPPED).resolve(image)
    assert (runtime.name, runtime.kind) == (name, kind)


def test_builtin_names_its_program() -> None:
    runtime = RuntimeMap.load(SHIPPED).resolve(f"{REGISTRY}/sagemaker-xgboost:1.7-1")
    assert runtime.module == "mlparity.engine.algorithms.xgboost"
    assert "xgboost" in runtime.preload


def test_unknown_image_names_image_file_and_remedy() -> None:
    with pytest.raises(RuntimeUnavailableError) as caught:
        RuntimeMap.load(SHIPPED).resolve("example.com/team/trainer:5")
    what, why, hint = caught.value.lines()
    assert "example.com/team/trainer:5" in what
    assert str(SHIPPED) in why
    assert '{image: "*/trainer:*", runtime: host}' in hint


def test_first_match_wins(tmp_path: Path) -> None:
    path = tmp_path / "runtimes.yaml"
    path.write_text(
        "version: 1\nruntimes: {a: {kind: host}, b: {kind: container}}\n"
        "images: [{image: 'x/special:*', runtime: b}, {image: 'x/*', runtime: a}]\n"
    )
    found = RuntimeMap.load(path)
    assert found.resolve("x/special:1").name == "b"
    assert found.resolve("x/other:1").name == "a"
    assert set(found.runtimes) == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("version: 2\nruntimes: {}\nimages: []\n", "version"),
        ("version: 1\nruntimes: {a: {kind: moon}}\nimages: []\n", "runtimes.a.kind"),
        ("version: 1\nruntimes: {a: {kind: host, nope: 1}}\nimages: []\n", "runtimes.a.nope"),
        ("version: 1\nruntimes: {a: {kind: builtin}}\nimages: []\n", "module"),
        ("version: 1\nruntimes: {}\nimages: [{image: 'x', runtime: a}]\n", "no runtime of this file"),
        ("version: 1\nruntimes: {a: [\n", "runtimes.yaml"),
        ("", "file"),
    ],
)
def test_wrong_files_are_refused_with_the_place(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "runtimes.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        RuntimeMap.load(path)
    assert str(path) in caught.value.what
    assert reason in " ".join(caught.value.lines())


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        RuntimeMap.load(tmp_path / "none.yaml")
