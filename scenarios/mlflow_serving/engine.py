"""The container engine's side of the image, with `--build`: building it, and taking it away."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import yaml

from mlparity.errors import ScenarioError
from scenarios.mlflow_serving.docker import docker, told

DIGEST_LABEL = "mlparity.model-digest"
_BUILD_SECONDS = 500
_INSTEAD = "or leave --build away: the image is then described, not built"
# What pip and the build may need to reach PyPI from here; the proxies are no part of the image's history.
_FROM_ENVIRONMENT = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)


def require() -> None:
    """Raises ``ScenarioError`` that says what to do where no container engine answers."""
    what = "--build needs a container engine"
    if shutil.which("docker") is None:
        raise ScenarioError(
            what,
            "there is no `docker` command on this machine",
            f"install Docker and see that `docker info` answers, {_INSTEAD}",
        )
    asked = docker("version", "--format", "{{.Server.Version}}")
    if asked.returncode:
        why = " ".join(asked.stderr.split()) or "it does not answer"
        raise ScenarioError(
            what, why, f"start it (sudo systemctl start docker) and see that `docker info` answers, {_INSTEAD}"
        )


def build(context: Path, uri: str, digest: str) -> None:
    """`docker build` of the context, tagged ``uri`` and labelled with the model's digest. Raises ``ScenarioError``.

    The base image has the Python that the model was logged with.
    """
    python = python_version(context / "model")
    arguments = [f"--build-arg=PYTHON_VERSION={python}", f"--label={DIGEST_LABEL}=sha256:{digest}"]
    known = [name for name in _FROM_ENVIRONMENT if os.environ.get(name) and "file:" not in os.environ[name]]
    arguments += [f"--build-arg={name}" for name in known]  # docker reads the values itself
    done = docker("build", *arguments, "--tag", uri, str(context), seconds=_BUILD_SECONDS)
    if done.returncode:
        base = f"python:{python}-slim"
        hint = "the build context is printed above: try `docker build` there"
        if not has(base):
            hint = f"docker pull {base}, or give an image of your own this name: docker tag MINE {base}"
        raise ScenarioError("docker build failed", (done.stderr or done.stdout).strip()[-500:], hint)


def python_version(model: Path) -> str:
    """Major and minor version of the Python that the model was logged with, such as 3.11."""
    environment = yaml.safe_load((model / "python_env.yaml").read_text("utf-8"))
    return ".".join(str(environment["python"]).split(".")[:2])


def has(uri: str) -> bool:
    """Whether the engine has the image."""
    return docker("image", "inspect", uri).returncode == 0


def built() -> list[str]:
    """The images that ``build`` has made and that are still there; none where no engine answers."""
    if shutil.which("docker") is None:
        return []
    listed = docker("image", "ls", "--filter", f"label={DIGEST_LABEL}", "--format", "{{.Repository}}:{{.Tag}}")
    return sorted(uri for uri in listed.stdout.split() if "<none>" not in uri)


def forget(uris: Iterable[str]) -> None:
    """Remove those of the images that ``build`` has made. Raises ``ScenarioError`` where the engine keeps one."""
    for uri in set(built()) & set(uris):
        told("image", "rm", "--force", uri)
