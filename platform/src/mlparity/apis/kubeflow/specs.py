"""Pipeline files: YAML or JSON with a PipelineSpec, and perhaps a PlatformSpec as a second document.

On the wire it is one struct: the PipelineSpec itself, or ``{"pipeline_spec": …, "platform_spec": …}`` where there is a
PlatformSpec. It is stored and given back as it came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlparity.apis.kubeflow.context import Kubeflow
from mlparity.apis.kubeflow.errors import invalid
from mlparity.errors import NotFoundError
from mlparity.pipeline_ir.errors import InvalidPipelineError
from mlparity.pipeline_ir.reader import read_documents

_KIND = "PipelineSpec"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_LONGEST_NAME = 128


@dataclass(frozen=True)
class Spec:
    """A pipeline as given: ``struct`` is how the API shows it."""

    struct: Mapping[str, Any]

    @property
    def pipeline(self) -> Mapping[str, Any]:
        """The PipelineSpec."""
        both = _both(self.struct)
        return both[0] if both else self.struct

    @property
    def platform(self) -> Mapping[str, Any] | None:
        """The PlatformSpec, where there is one."""
        both = _both(self.struct)
        return both[1] if both else None

    @property
    def name(self) -> str:
        """The pipeline's own name."""
        info = self.pipeline.get("pipelineInfo", self.pipeline.get("pipeline_info"))
        return str(info.get("name", "")) if isinstance(info, Mapping) else ""


def read_struct(struct: Any) -> Spec:
    """A spec that came as JSON. Raises ``KubeflowError`` where it is none."""
    if not isinstance(struct, Mapping) or not struct:
        raise invalid("pipeline spec is empty")
    spec = Spec(struct)
    if not isinstance(spec.pipeline, Mapping) or "root" not in spec.pipeline:
        argo = str(struct.get("apiVersion", "")).startswith("argoproj.io/")
        why = "it is an Argo workflow, as KFP v1 compiled; compile it with kfp 2" if argo else "it has no root"
        raise invalid(f"unknown template format: pipeline spec is invalid: {why}")
    _require_name(spec.name)
    return spec


def read_file(data: bytes) -> Spec:
    """A spec that came as a file. Raises ``KubeflowError`` where it is none."""
    try:
        pipeline, platform = read_documents(data.decode())
    except (InvalidPipelineError, UnicodeDecodeError) as error:
        raise invalid(f"unknown template format: pipeline spec is invalid: {error}") from None
    return read_struct(pipeline if platform is None else {"pipeline_spec": pipeline, "platform_spec": platform})


def check(api: Kubeflow, spec: Spec, parameters: Mapping[str, Any] | None = None) -> None:
    """Refuse a pipeline that could not be run here, with these arguments. Raises ``InvalidRequestError``."""
    api.pipelines.read(spec.pipeline, spec.platform, parameters)


def keep(api: Kubeflow, owner: str, spec: Spec) -> None:
    """Store the spec of a version, a run or a recurring run."""
    api.documents.create(_KIND, owner, {"struct": dict(spec.struct)})


def kept(api: Kubeflow, owner: str) -> Spec:
    """The spec of a version, a run or a recurring run. Raises ``NotFoundError``."""
    return Spec(api.documents.get(_KIND, owner).body["struct"])


def forget(api: Kubeflow, owner: str) -> None:
    """Delete it, where there is one."""
    try:
        api.documents.delete(_KIND, owner)
    except NotFoundError:
        return


def _both(struct: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any] | None] | None:
    pipeline = struct.get("pipeline_spec", struct.get("pipelineSpec"))
    if not isinstance(pipeline, Mapping):
        return None
    platform = struct.get("platform_spec", struct.get("platformSpec"))
    return pipeline, platform if isinstance(platform, Mapping) and platform else None


def _require_name(name: str) -> None:
    if not name:
        raise invalid("pipeline's name cannot be empty")
    if len(name) > _LONGEST_NAME:
        raise invalid(f"pipeline's name must contain no more than {_LONGEST_NAME} characters")
    if not _NAME.fullmatch(name):
        raise invalid(
            "pipeline's name must contain only lowercase alphanumeric characters or '-' and must start with "
            "alphanumeric characters"
        )
