"""The corpus of compiled pipelines: each gives here what it must, and what kfp.local gives where that is right."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlparity.errors import NoSuchObjectError
from tests.conformance.ir_corpus import kfp_local
from tests.conformance.ir_corpus.case import Case, Peer
from tests.conformance.ir_corpus.corpus import CASES
from tests.conformance.ir_corpus.sdk import compiler
from tests.conformance.ir_running import PipelineWorld, Ran


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every pipeline as the SDK compiles it."""
    made = tmp_path_factory.mktemp("corpus")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in CASES:
            compiler.Compiler().compile(case.pipeline, str(made / f"{case.name}.yaml"))
    asked = {case.name: dict(case.arguments) for case in CASES if case.peer is not Peer.NONE}
    (made / "arguments.json").write_text(json.dumps(asked), "utf-8")
    return made


@pytest.fixture(scope="module")
def peer(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """kfp.local at work on the corpus, while this process runs it, too."""
    words = [sys.executable, kfp_local.__file__, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineWorld]:
    made = PipelineWorld(tmp_path_factory.mktemp("world"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def runs(world: PipelineWorld, folder: Path, peer: subprocess.Popen[str]) -> Mapping[str, str]:
    """Every pipeline's run: they go side by side."""
    return {case.name: world.submit(folder / f"{case.name}.yaml", case.arguments) for case in CASES}


@pytest.fixture(scope="module")
def theirs(runs: Mapping[str, str], peer: subprocess.Popen[str]) -> Mapping[str, Any]:
    """What kfp.local gave."""
    told, error = peer.communicate(timeout=180)
    assert peer.returncode == 0, error
    return json.loads(told)  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_here(case: Case, world: PipelineWorld, runs: Mapping[str, str]) -> None:
    assert _ours(world, case, world.wait(runs[case.name])) == _expected(case)


@pytest.mark.parametrize("case", [case for case in CASES if case.peer is not Peer.NONE], ids=lambda case: case.name)
def test_in_kfp_local(case: Case, theirs: Mapping[str, Any]) -> None:
    """Where kfp.local is wrong, as ``case.why`` says, it must be so still: else the corpus has to say otherwise."""
    if case.peer is Peer.EQUAL:
        assert _typed(theirs[case.name]) == _expected(case)
    else:
        assert _typed(theirs[case.name]) != _expected(case), "kfp.local is right now"


def _ours(world: PipelineWorld, case: Case, ran: Ran) -> str:
    assert ran.ok, [(task.name, task.state.value, task.error) for task in ran.tasks if task.error]
    artifacts = {
        name: [_text(world, items[0].uri), dict(items[0].metadata)]
        for name, items in ran.tasks[0].outputs.artifacts.items()
    }
    return _typed({"parameters": dict(ran.outputs), "artifacts": artifacts})


def _text(world: PipelineWorld, uri: str) -> str | None:
    try:
        return world.read(uri).decode()
    except NoSuchObjectError:
        return None


def _expected(case: Case) -> str:
    artifacts = {name: [text, dict(metadata)] for name, (text, metadata) in case.artifacts.items()}
    return _typed({"parameters": dict(case.parameters), "artifacts": artifacts})


def _typed(document: Mapping[str, Any]) -> str:
    """As text: so that 1, 1.0 and True are different."""
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False)
