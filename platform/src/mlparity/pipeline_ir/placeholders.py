"""KFP's placeholders: {{$.inputs.parameters['x']}} and friends in constants, commands, arguments, images and metadata.

Each text is gone over once: what a value holds is never taken for a placeholder itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlparity.pipeline_ir.tasks import ArtifactValue, TaskValues
from mlparity.pipeline_ir.values import as_text, integral

_PLACEHOLDER = re.compile(r"\{\{\$(.*?)\}\}", re.DOTALL)
_INPUT_OUTPUT = re.compile(r"\.(inputs|outputs)\.(parameters|artifacts)\[(['\"])(.*?)\3\](.*)", re.DOTALL)
_KEY = re.compile(r"\[(?:(['\"])(.*?)\1|(\d+))\]", re.DOTALL)
_ESCAPE = re.compile(r"(.*?)\.?json_escape\[(\d+)\]", re.DOTALL)
_STRUCTURES = ('{"Concat": ', '{"IfPresent": ')


@dataclass(frozen=True)
class Facts:
    """What a task may know of its run and of itself."""

    job_name: str
    job_resource_name: str
    job_id: str
    job_created: str  # RFC 3339
    job_scheduled: str
    root: str  # URI
    task_name: str
    task_id: str
    more: Mapping[str, str] = field(default_factory=dict)  # what the API adds: name -> value

    def named(self) -> dict[str, str]:
        """By placeholder, without {{$ and }}."""
        return {
            ".pipeline_job_name": self.job_name,
            ".pipeline_job_resource_name": self.job_resource_name,
            ".pipeline_job_uuid": self.job_id,
            ".pipeline_job_create_time_utc": self.job_created,
            ".pipeline_job_schedule_time_utc": self.job_scheduled,
            ".pipeline_root": self.root,
            ".pipeline_task_name": self.task_name,
            ".pipeline_task_uuid": self.task_id,
            **{f".{name}": value for name, value in self.more.items()},
        }


@dataclass(frozen=True)
class Placeholders:
    """What the placeholders of one task mean.

    ``output_files``: where each output parameter is to be written. ``outputs``: the artifacts it is to make.
    ``executor_input`` is the whole as JSON, once there is one. ``path_of`` gives an artifact's local path.
    """

    facts: Facts
    inputs: TaskValues
    path_of: Callable[[ArtifactValue], str]
    outputs: Mapping[str, ArtifactValue]
    output_files: Mapping[str, str]
    metadata_file: str = ""
    executor_input: str = ""

    def resolve(self, text: str) -> str:
        """``text`` with every placeholder that means something here replaced; others stay, as with KFP's launcher."""
        return _PLACEHOLDER.sub(lambda match: self._meaning(match.group(1), match.group(0)), text)

    def resolve_all(self, value: Any) -> Any:
        """A JSON value with the placeholders of all its strings, and of its keys, replaced."""
        if isinstance(value, str):
            return self.resolve(value)
        if isinstance(value, Mapping):
            return {self.resolve(key): self.resolve_all(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.resolve_all(item) for item in value]
        return value

    def words(self, words: Sequence[str]) -> list[str]:
        """A command or its arguments: Concat and IfPresent, too, and nothing for what is absent."""
        return [word for text in words for word in self._word(text)]

    def _word(self, text: str) -> list[str]:
        if not text.startswith(_STRUCTURES):
            return [self.resolve(text)]
        return self._structure(json.loads(text))

    def _structure(self, item: Any) -> list[str]:
        if item is None:
            return []
        if isinstance(item, str):
            return [self.resolve(item)]
        if isinstance(item, list):
            return [word for part in item for word in self._structure(part)]
        if "Concat" in item:
            return ["".join(word for part in item["Concat"] for word in self._structure(part))]
        condition = item["IfPresent"]
        name = condition["InputName"]
        there = self.inputs.parameters.get(name) is not None or name in self.inputs.artifacts
        return self._structure(condition["Then"] if there else condition.get("Else"))

    def _meaning(self, text: str, whole: str) -> str:
        escape = _ESCAPE.fullmatch(text)
        if escape is not None:
            return _escaped(self._meaning(escape.group(1), whole), int(escape.group(2)))
        if text == "" and self.executor_input:
            return self.executor_input
        if text in {".outputs.output_file", ".outputMetadataUri"} and self.metadata_file:
            return self.metadata_file
        named = self.facts.named()
        if text in named:
            return named[text]
        match = _INPUT_OUTPUT.fullmatch(text)
        if match is None:
            return whole
        side, kind, _, name, rest = match.groups()
        found = self._parameter(side, name, rest) if kind == "parameters" else self._artifact(side, name, rest)
        return whole if found is None else found

    def _parameter(self, side: str, name: str, rest: str) -> str | None:
        if side == "outputs":
            return self.output_files.get(name) if rest == ".output_file" else None
        if self.inputs.parameters.get(name) is None:
            return None
        value = _inside(self.inputs.parameters[name], rest)
        return None if value is None else as_text(value)

    def _artifact(self, side: str, name: str, rest: str) -> str | None:
        found = self.outputs.get(name) if side == "outputs" else next(iter(self.inputs.artifacts.get(name, ())), None)
        if found is None:
            return None
        plain = {".uri": found.uri, ".name": found.name, ".path": self.path_of(found)}
        if rest in plain:
            return plain[rest]
        if rest.startswith(".metadata"):
            value = _inside(dict(found.metadata), rest.removeprefix(".metadata"))
            return None if value is None else as_text(value)
        return None


def _inside(value: Any, keys: str) -> Any:
    """What ``["a"][0]`` picks from a value; None where there is nothing."""
    position = 0
    while position < len(keys):
        match = _KEY.match(keys, position)
        if match is None:
            return None
        name, index = match.group(2), match.group(3)
        try:
            value = value[int(index)] if index is not None else value[name]
        except (LookupError, TypeError):
            return None
        position = match.end()
    return value


def _escaped(text: str, times: int) -> str:
    """``text`` as it stands inside that many JSON strings within each other."""
    for _ in range(times):
        text = json.dumps(text, ensure_ascii=False)[1:-1]
    return text


def mentions(text: str) -> list[str]:
    """The placeholders in a text, without {{$ and }}."""
    return _PLACEHOLDER.findall(text)


def unresolvable(text: str, more: Collection[str] = ()) -> str | None:
    """The first placeholder in ``text`` that never means anything here; None where all may. ``more``: an API's own."""
    facts = Facts("", "", "", "", "", "", "", "", dict.fromkeys(more, ""))
    known = {*facts.named(), "", ".outputs.output_file", ".outputMetadataUri"}
    for mention in mentions(text):
        escape = _ESCAPE.fullmatch(mention)
        plain = escape.group(1) if escape else mention
        if plain in known:
            continue
        match = _INPUT_OUTPUT.fullmatch(plain)
        if match is None or match.group(5) == ".value":
            return f"{{{{${mention}}}}}"
    return None


def as_json_text(document: Mapping[str, Any]) -> str:
    """The executor input as programs get it."""
    return json.dumps(integral(document), ensure_ascii=False)
