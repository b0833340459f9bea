"""Recognises KFP's lightweight Python components.

Their command is a shell that installs packages, writes the function's source into a file and runs KFP's executor on
it. That executor is run at once instead, so that it starts in a warm interpreter; packages become requirements.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

_EXECUTOR = re.compile(
    r"python3 -m (kfp\.(?:v2\.components|dsl|components)\.executor_main)\s+--component_module_path\s"
)
_WRITES_PROGRAM = re.compile(r'printf "%s" "\$0" > "\$program_path/ephemeral_component\.py"')
_INSTALLS = re.compile(r"python3 -m pip install (.*?)(?=&&|\n|$)", re.DOTALL)
_GOES_ON = re.compile(r'&& "\$0" "\$@"\s*$')
_VALUED_OPTIONS = frozenset({"--index-url", "--extra-index-url", "--trusted-host", "-i", "--find-links", "-f"})


@dataclass(frozen=True)
class Program:
    """A lightweight component: its source, and the packages that it wants besides KFP."""

    source: str
    packages: Sequence[str] = ()
    ignored_options: Sequence[str] = ()  # of pip: where it would have looked


def recognise(command: Sequence[str]) -> Program | None:
    """The program that a container's command holds; None where the command is anything else."""
    words = list(command)
    installs = ""
    if len(words) >= 3 and words[:2] == ["sh", "-c"] and _GOES_ON.search(words[2]):  # noqa: PLR2004
        installs, words = words[2], words[3:]
    match words:
        case ["sh", "-ec" | "-c" | "-e", script, source]:
            if not (_EXECUTOR.search(script) and _WRITES_PROGRAM.search(script)):
                return None
        case _:
            return None
    if installs and not _INSTALLS.search(installs):
        return None
    if "-m venv" in installs:
        installs = installs.partition("-m venv")[0] + installs.rpartition("activate")[2]
    packages, options = _packages(installs)
    return Program(source, tuple(packages), tuple(options))


def _packages(script: str) -> tuple[list[str], list[str]]:
    """What a script's pip commands install, but KFP itself; and the options that say where from."""
    packages: list[str] = []
    options: list[str] = []
    for match in _INSTALLS.finditer(script):
        words = shlex.split(match.group(1))
        if "--no-deps" in words:
            continue  # KFP, with what it needs: here already
        while words:
            word = words.pop(0)
            if word in _VALUED_OPTIONS:
                options.append(f"{word} {words.pop(0) if words else ''}".strip())
            elif word.startswith("--") and "=" in word:
                options.append(word)
            elif not word.startswith("-") and not _is_kfp(word):
                packages.append(word)
    return packages, options


def _is_kfp(package: str) -> bool:
    name = re.split(r"[\s\[<>=!~;@]", package, maxsplit=1)[0]
    return name.lower().replace("_", "-") in {"kfp", "kfp-pipeline-spec", "kfp-server-api"}


def requirements(program: Program) -> tuple[str, ...]:
    """What must be installed for a program: its packages, and this machine's KFP beside them."""
    if not program.packages:
        return ()
    return (*program.packages, f"kfp=={importlib.metadata.version('kfp')}")


@functools.cache
def starter() -> str:
    """The source of the program that runs a component's: ``start_component``, as a file of the job."""
    return resources.files("mlparity.pipeline_ir").joinpath("start_component.py").read_text("utf-8")
