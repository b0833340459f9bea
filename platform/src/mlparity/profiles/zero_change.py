"""The environment of ``mlparity exec``: unmodified code calls the clouds' own hosts and ends up at the local APIs.

Unlike ``environment``, nothing here names a local endpoint to an AWS client. Every program's proxy is the gateway,
and the local certificate authority is the only one that they trust: a client that ignored its proxy would fail at TLS
instead of reaching a cloud.
"""

from __future__ import annotations

import configparser
import json
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlparity.profiles.atomic_file import write_atomically
from mlparity.profiles.environment import ClientEnvironment, client_environment
from mlparity.profiles.exported import MARK, exported_names, mark
from mlparity.profiles.model import LocalAws, Profile

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
_PROXY_NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
_OTHER_PROXIES = ("ALL_PROXY", "all_proxy", "FTP_PROXY", "ftp_proxy", "grpc_proxy", "no_grpc_proxy")
_BUNDLES = (
    "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
)  # fmt: skip
# What ``environment`` sets because it has no gateway: endpoints, and the way round the SDK's own STS calls.
_NOT_NEEDED = (
    "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL", "STORAGE_EMULATOR_HOST", "MLPARITY_GCP_API_ENDPOINT",
    "SAGEMAKER_USER_CONFIG_OVERRIDE", "SAGEMAKER_ADMIN_CONFIG_OVERRIDE",
)  # fmt: skip
# Nothing under these may be reached directly with a local profile, whatever NO_PROXY says.
_CLOUDS = (
    "amazonaws.com", "amazonaws.com.cn", "api.aws", "sagemaker.aws", "googleapis.com", "azure.com", "azure.net",
    "azureml.ms", "windows.net", "microsoftonline.com",
)  # fmt: skip


@dataclass(frozen=True)
class ZeroChange:
    """The environment, and the entries of the person's NO_PROXY that do not count."""

    environment: ClientEnvironment
    ignored: tuple[str, ...] = ()


def zero_change(profile: Profile, inherited: Mapping[str, str]) -> ZeroChange:
    """What a command of ``mlparity exec`` gets, in a process that has ``inherited``.

    A profile without a gateway (a cloud's) gets what ``client_environment`` says.
    """
    base = client_environment(profile, inherited)
    if profile.gateway is None or not isinstance(profile.roles.aws_api, LocalAws):
        return ZeroChange(base)
    own, ignored = _own_hosts(inherited)
    bundle = str(bundle_path(profile) if own else certificate_path(profile))
    folder = profile.data_dir / "client"
    values = {
        **{name: value for name, value in base.values.items() if name not in (*_NOT_NEEDED, MARK)},
        **proxy_variables(f"http://127.0.0.1:{profile.gateway.port}", own),
        **certificate_variables(bundle),
        "AWS_CONFIG_FILE": str(folder / "exec_aws_config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "exec_aws_credentials"),
        "NODE_USE_ENV_PROXY": "1",
        "FSSPEC_GCS": _gcsfs_defaults(inherited),
    }
    values[MARK] = mark(profile.name, values)
    _, ours = exported_names(inherited)
    gone = {*base.removed, *_OTHER_PROXIES, *_NOT_NEEDED[:4], *(ours & set(_NOT_NEEDED))}
    removed = tuple(sorted(gone & (inherited.keys() - values.keys())))
    return ZeroChange(ClientEnvironment(values, removed), ignored)


def write_zero_change_files(profile: Profile, inherited: Mapping[str, str]) -> None:
    """Write the files that the environment names. The certificate authority must be there already."""
    aws = profile.roles.aws_api
    if profile.gateway is None or not isinstance(aws, LocalAws):
        return
    folder = profile.data_dir / "client"
    folder.mkdir(parents=True, exist_ok=True)
    secret = aws.secret_access_key.get_secret_value()
    pair = f"aws_access_key_id = {aws.access_key_id}\naws_secret_access_key = {secret}\n"
    names = ["default", *_profile_names(inherited)]  # code that names a profile of the person's finds it
    titles = ["default", *(f"profile {name}" for name in names[1:])]
    write_atomically(folder / "exec_aws_config", "".join(f"[{t}]\nregion = {aws.region}\n\n" for t in titles))
    write_atomically(folder / "exec_aws_credentials", "".join(f"[{name}]\n{pair}\n" for name in names))
    if _own_hosts(inherited)[0]:
        parts = [certificate_path(profile).read_text("ascii"), *_public_bundle(inherited)]
        write_atomically(bundle_path(profile), "\n".join(parts))


def proxy_variables(url: str, own_hosts: Iterable[str] = ()) -> dict[str, str]:
    """Every spelling of "use this proxy"; this machine and ``own_hosts`` are reached without it."""
    direct = ",".join(dict.fromkeys([*LOCAL_HOSTS, *own_hosts]))
    return {**dict.fromkeys(_PROXY_NAMES, url), "NO_PROXY": direct, "no_proxy": direct}


def certificate_variables(bundle: str) -> dict[str, str]:
    """Every spelling of "trust the authorities in this file"."""
    # The folder counts beside the file, and without the variable it is the system's.
    return {**dict.fromkeys(_BUNDLES, bundle), "SSL_CERT_DIR": str(Path(bundle).parent)}


def certificate_path(profile: Profile) -> Path:
    """The local authority's certificate."""
    return profile.data_dir / "gateway" / "ca.pem"


def bundle_path(profile: Profile) -> Path:
    """That certificate and the public authorities, for a person whose NO_PROXY names hosts of his own."""
    return profile.data_dir / "client" / "exec_bundle.pem"


def _gcsfs_defaults(inherited: Mapping[str, str]) -> str:
    """What gcsfs takes of itself: it alone looks at no proxy unless it is told to. The person's own are kept."""
    try:
        given = json.loads(inherited.get("FSSPEC_GCS", "{}"))
    except json.JSONDecodeError:
        given = {}
    given = given if isinstance(given, dict) else {}  # fsspec leaves out what is none
    session = given.get("session_kwargs")
    session = session if isinstance(session, dict) else {}
    return json.dumps({**given, "session_kwargs": {**session, "trust_env": True}})


def _own_hosts(inherited: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The entries of NO_PROXY that count, besides this machine, and those that do not: they would open a cloud."""
    listed = [host.strip() for host in (inherited.get("NO_PROXY") or inherited.get("no_proxy") or "").split(",")]
    hosts = [host for host in dict.fromkeys(listed) if host and host not in LOCAL_HOSTS]
    kept = tuple(host for host in hosts if not _opens_a_cloud(host))
    return kept, tuple(host for host in hosts if host not in kept)


def _opens_a_cloud(entry: str) -> bool:
    """Whether clients that match by suffix would reach a cloud's host directly."""
    name = entry.lower().partition(":")[0].strip("*. ")
    return any(not name or f".{cloud}".endswith(f".{name}") or f".{name}".endswith(f".{cloud}") for cloud in _CLOUDS)


def _profile_names(inherited: Mapping[str, str]) -> list[str]:
    """The names of the person's AWS profiles; nothing else is read from those files."""
    home = Path(inherited.get("HOME") or "/nonexistent") / ".aws"
    places = [
        (inherited.get("AWS_CONFIG_FILE") or str(home / "config"), "profile "),
        (inherited.get("AWS_SHARED_CREDENTIALS_FILE") or str(home / "credentials"), ""),
    ]
    names: dict[str, None] = {}
    for path, prefix in places:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(Path(path).expanduser(), encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError, RuntimeError):
            continue
        sections = [section.strip() for section in parser.sections() if section.startswith(prefix)]
        names |= dict.fromkeys(section.removeprefix(prefix).strip("\"' ") for section in sections)
    return [name for name in names if name and name != "default"]


def _public_bundle(inherited: Mapping[str, str]) -> list[str]:
    """The bundle that the person's programs use now: the one that they name, else the system's."""
    named = [inherited.get(name, "") for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")]
    for path in [*named, ssl.get_default_verify_paths().cafile or ""]:
        if path and Path(path).is_file():
            return [Path(path).read_text("utf-8", "replace")]
    return []
