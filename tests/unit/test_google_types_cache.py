"""The types of Google's API in the data folder: written once, read quickly, and honest about what is wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlparity.errors import MissingDependencyError, StackError
from mlparity.wire.google import cache
from mlparity.wire.google.cache import GoogleApis
from tests.vertex_bench import types


def copied(folder: Path) -> GoogleApis:
    """A cache as another process has left it."""
    source = types()._target()
    shutil.copytree(source, folder / source.name)
    return GoogleApis(folder)


def test_what_is_there_is_read_without_the_package(tmp_path: Path) -> None:
    found = copied(tmp_path)
    program = (
        "import sys, pathlib\n"
        "from mlparity.wire.google.cache import GoogleApis\n"
        f"apis = GoogleApis(pathlib.Path({str(tmp_path)!r}))\n"
        "assert apis.ready()\n"
        "apis.prepare()\n"
        "apis.get('v1beta1').new('Endpoint')\n"
        "heavy = {'google.cloud.aiplatform_v1', 'google.api_core', 'proto', 'grpc'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert found.ready()


def test_nothing_is_ready_before_it_is_prepared(tmp_path: Path) -> None:
    apis = GoogleApis(tmp_path / "types")
    assert not apis.ready()
    with pytest.raises(StackError, match="not ready"):
        apis.get("v1")
    with pytest.raises(KeyError):
        apis.get("v2")


def test_a_failed_extraction_is_told_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'ImportError: broken package' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    apis = GoogleApis(tmp_path / "types")
    with pytest.raises(StackError, match="broken package"):
        apis.prepare()
    with pytest.raises(StackError, match="broken package"):
        apis.ready()
    assert list((tmp_path / "types").iterdir()) == []


def test_a_damaged_cache_is_removed(tmp_path: Path) -> None:
    apis = copied(tmp_path)
    path = apis._target() / "v1.files"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StackError):
        apis.get("v1")
    assert not apis.ready()


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_PACKAGE", "no-such-package")
    with pytest.raises(MissingDependencyError, match="no-such-package is not installed"):
        GoogleApis(tmp_path).ready()
