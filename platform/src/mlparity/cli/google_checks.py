"""What the profiles ``gcp`` and ``kubeflow`` need. Without ``--online`` nothing here opens a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlparity.cli.check import Check
from mlparity.profiles.exported import without_other_profile
from mlparity.profiles.model import CloudGcp, ExternalPipelines, Profile

_LOCAL = ("127.0.0.1", "localhost", "::1")
_PERMISSIONS = (
    "roles/aiplatform.user on the project",
    "roles/storage.objectAdmin on the bucket, for you and for the service account",
    "roles/iam.serviceAccountUser on the service account",
)
_SECONDS = 10.0


def google_checks(profile: Profile, environment: Mapping[str, str], *, online: bool = False) -> Iterator[Check]:
    """The checks of a profile on Google Cloud, in the order in which a person would set it up."""
    gcp = profile.roles.gcp_api
    if not isinstance(gcp, CloudGcp):
        return
    clean = without_other_profile(environment, profile.name)
    yield _no_emulator(clean)
    yield _given("project", gcp.project, "set GOOGLE_CLOUD_PROJECT, or roles.gcp_api.project in your profile file")
    yield _given("location", gcp.location, "set MLPARITY_GCP_LOCATION (us-central1, …), or roles.gcp_api.location")
    yield _given("bucket", gcp.bucket, "set MLPARITY_GCP_BUCKET, or roles.gcp_api.bucket in your profile file")
    account = gcp.service_account or "the project's default one (Compute Engine's)"
    yield Check("account", None, f"pipelines run as {account}")
    credentials = _credentials(clean)
    yield credentials
    for permission in _PERMISSIONS:
        yield Check("permission", None, permission)
    if online and credentials.ok:
        yield from _online(gcp)


def pipelines_checks(profile: Profile, *, online: bool = False) -> Iterator[Check]:
    """The checks of a profile with a Kubeflow Pipelines endpoint of the person's own."""
    pipelines = profile.roles.pipelines_api
    if not isinstance(pipelines, ExternalPipelines):
        return
    yield _given("host", pipelines.host, "set KF_PIPELINES_ENDPOINT, or roles.pipelines_api.host in your profile file")
    if online and pipelines.host:
        yield _asked("answers", lambda: _healthz(pipelines.host))


def _no_emulator(environment: Mapping[str, str]) -> Check:
    """A cloud profile must not end up at a local stack."""
    for name in ("STORAGE_EMULATOR_HOST", "MLPARITY_GCP_API_ENDPOINT"):
        value = environment.get(name, "")
        if value and (urlsplit(value).hostname or "") in _LOCAL:
            return Check("endpoint", False, f"{name} points at this machine ({value})", f"unset {name}")
    return Check("endpoint", True, "no variable points Google's clients at this machine")


def _given(name: str, value: str, hint: str) -> Check:
    return Check(name, bool(value), value or f"no {name} is configured", "" if value else hint)


def _credentials(environment: Mapping[str, str]) -> Check:
    """Whether google-auth would find application default credentials in a file on this machine."""
    hint = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key file"
    named = environment.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    if named:
        there = Path(named).is_file()
        return Check("credentials", there, named if there else f"{named} does not exist", "" if there else hint)
    home = environment.get("CLOUDSDK_CONFIG") or str(Path(environment.get("HOME", "/")) / ".config" / "gcloud")
    usual = Path(home) / "application_default_credentials.json"
    if usual.is_file():
        return Check("credentials", True, f"found ({usual})")
    return Check("credentials", False, "google-auth finds none on this machine", hint)


def _online(gcp: CloudGcp) -> Iterator[Check]:
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    credentials, _ = google.auth.default(scopes=scopes)
    session: Any = AuthorizedSession(credentials)

    def get(url: str) -> str:
        answer = session.get(url, timeout=_SECONDS)
        return f"{answer.status_code} {answer.reason}" if answer.ok else _raise(answer.text)

    if gcp.location and gcp.project:
        place = f"https://{gcp.location}-aiplatform.googleapis.com/v1/projects/{gcp.project}/locations/{gcp.location}"
        yield _asked("vertex", lambda: get(f"{place}/pipelineJobs?pageSize=1"))
    if gcp.bucket:
        yield _asked("bucket", lambda: get(f"https://storage.googleapis.com/storage/v1/b/{gcp.bucket}"))


def _healthz(host: str) -> str:
    import httpx

    answer = httpx.get(f"{host.rstrip('/')}/apis/v2beta1/healthz", timeout=_SECONDS, follow_redirects=True)
    return "healthz answers" if answer.is_success else _raise(f"{answer.status_code} {answer.text[:200]}")


def _asked(name: str, ask: Callable[[], str]) -> Check:
    try:
        return Check(name, True, ask())
    except Exception as error:  # noqa: BLE001 - whatever a vendor's client raises is what the person has to know
        return Check(name, False, str(error)[:500], "see the message; it was asked just now")


def _raise(text: str) -> str:
    raise OSError(text)
