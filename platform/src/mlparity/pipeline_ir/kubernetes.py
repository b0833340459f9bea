"""kfp-kubernetes' settings of a container that mean something on this machine.

Secrets and config maps are files: ``<folder>/secrets/<name>/<key>`` and ``<folder>/configmaps/<name>/<key>``. Where the
pod would be scheduled has no meaning here and is noted in the task's log; volumes are refused.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlparity.pipeline_ir.errors import InvalidPipelineError, TaskFailedError, UnsupportedPipelineError

Json = Mapping[str, Any]
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_REFUSED = {"pvcMount": "a persistent volume", "genericEphemeralVolume": "an ephemeral volume"}
_MEMBERS: Mapping[str, Sequence[str]] = {
    "secretAsEnv": (),
    "configMapAsEnv": (),
    "secretAsVolume": ("mountPath",),
    "configMapAsVolume": ("mountPath",),
    "emptyDirMounts": ("mountPath",),
    "fieldPathAsEnv": ("name", "fieldPath"),
}
_KEYS = {"secretAsEnv": "secretKey", "configMapAsEnv": "configMapKey"}
_IGNORED = (
    "nodeSelector",
    "nodeAffinity",
    "podAffinity",
    "tolerations",
    "imagePullSecret",
    "imagePullPolicy",
    "enabledSharedMemory",
    "securityContext",
)
_LABEL = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_FIXED_FIELDS = {
    "metadata.namespace": "kubeflow",
    "spec.serviceAccountName": "pipeline-runner",
    "status.podIP": "127.0.0.1",
    "status.hostIP": "127.0.0.1",
}
_FIELDS = {*_FIXED_FIELDS, "metadata.name", "metadata.uid", "spec.nodeName"}
_KINDS = {"secret": "secrets", "config map": "configmaps"}


@dataclass(frozen=True)
class PodSettings:
    """What the settings add to a job. ``files`` and ``folders`` are absolute paths inside."""

    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[str] = ()
    deadline_seconds: int = 0  # 0: none
    notes: Sequence[str] = ()


def _require(item: Json, members: Sequence[str], what: str, task: str) -> None:
    for member in members:
        if not item.get(member):
            raise InvalidPipelineError(f"{what} of task {task} is invalid", f"it has no {member}")


def check_settings(config: Json, task: str) -> None:
    """Raise ``UnsupportedPipelineError`` for what cannot be had here, naming it and the task."""
    for name, what in _REFUSED.items():
        if name in config:
            raise UnsupportedPipelineError(f"task {task} cannot be run: {name} is {what}", "there are no volumes here")
    for name, members in _MEMBERS.items():
        for item in config.get(name, ()):
            _require(item, members, name, task)
            for pair in item.get("keyToEnv", ()):
                _require(pair, ("envVar", _KEYS[name]), f"{name}.keyToEnv", task)
    for item in config.get("fieldPathAsEnv", ()):
        path = item.get("fieldPath", "")
        if path not in {*_FIXED_FIELDS, "metadata.name", "metadata.uid", "spec.nodeName"} and not _LABEL.fullmatch(
            path
        ):
            raise UnsupportedPipelineError(
                f"task {task} cannot be run: the field path {path!r} has no meaning here", "there is no pod"
            )
    for item in (
        *config.get("secretAsVolume", ()),
        *config.get("configMapAsVolume", ()),
        *config.get("emptyDirMounts", ()),
    ):
        path = item.get("mountPath", "")
        if not path.startswith("/") or ".." in path.split("/"):
            raise InvalidPipelineError(f"the mount path {path!r} of task {task} is invalid", "it must be absolute")


@dataclass(frozen=True)
class PodSource:
    """Where secrets and config maps are read from."""

    folder: Path

    def read(self, kind: str, name: str, *, optional: bool) -> dict[str, str]:
        """The keys of a "secret" or a "config map". Raises ``TaskFailedError`` where there is none."""
        if optional and not name:  # an optional input of the pipeline that was not given
            return {}
        if not _NAME.fullmatch(name):
            raise TaskFailedError(f"the {kind} {name!r} does not exist", "that is no name of one")
        place = self.folder / _KINDS[kind] / name
        if not place.is_dir():
            if optional:
                return {}
            raise TaskFailedError(
                f"the {kind} {name!r} does not exist", f"it would be the folder {place}, a file a key"
            )
        keys = sorted(path for path in place.iterdir() if path.is_file() and _NAME.fullmatch(path.name))
        return {path.name: path.read_text("utf-8").removesuffix("\n") for path in keys}


def pod_settings(
    config: Json, source: PodSource, pod_name: str, uid: str, resolve: Callable[[Json], Any]
) -> PodSettings:
    """The settings as they are for one task. ``resolve`` gives the value of a task's input specification."""

    def named(item: Json, kind: str) -> str:
        parameter = item.get(f"{kind}NameParameter")
        return str(resolve(parameter)) if parameter else str(item.get(f"{kind}Name", ""))

    environment: dict[str, str] = {}
    files: dict[str, str] = {}
    folders: list[str] = []
    for kind, words, key_name in (("secret", "secret", "secretKey"), ("configMap", "config map", "configMapKey")):
        for item in config.get(f"{kind}AsEnv", ()):
            optional = item.get("optional", False)
            name = named(item, kind)
            values = source.read(words, name, optional=optional)
            for pair in item.get("keyToEnv", ()):
                if pair[key_name] in values:
                    environment[pair["envVar"]] = values[pair[key_name]]
                elif not optional:
                    raise TaskFailedError(f"the {words} {name!r} has no key {pair[key_name]!r}")
        for item in config.get(f"{kind}AsVolume", ()):
            folder = item["mountPath"].rstrip("/")
            folders.append(folder)
            values = source.read(words, named(item, kind), optional=item.get("optional", False))
            files.update({f"{folder}/{key}": value for key, value in values.items()})
    folders += [item["mountPath"].rstrip("/") for item in config.get("emptyDirMounts", ())]
    fields = _fields(config, pod_name, uid)
    environment.update({item["name"]: fields(item["fieldPath"]) for item in config.get("fieldPathAsEnv", ())})
    notes = [f"{name} is ignored: there are no nodes to choose here" for name in _IGNORED if name in config]
    return PodSettings(environment, files, folders, int(config.get("activeDeadlineSeconds", 0)), notes)


def _fields(config: Json, pod_name: str, uid: str) -> Callable[[str], str]:
    own = {**_FIXED_FIELDS, "metadata.name": pod_name, "metadata.uid": uid, "spec.nodeName": socket.gethostname()}

    def value(path: str) -> str:
        match = _LABEL.fullmatch(path)
        if match is None:
            return own[path]
        return str(config.get("podMetadata", {}).get(match.group(1), {}).get(match.group(2), ""))

    return value
