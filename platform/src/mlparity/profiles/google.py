"""What points Google's and Kubeflow's SDKs at a profile: the environment, and the key file of a local account.

Follows the environment variables of google-auth, google-cloud-storage (``STORAGE_EMULATOR_HOST``), the Vertex AI SDK
and ``kfp.Client`` (``KF_PIPELINES_ENDPOINT``). The Vertex AI SDK reads no endpoint from the environment: code says
``aiplatform.init(api_endpoint=...)`` with ``MLPARITY_GCP_API_ENDPOINT``, or runs by `mlparity exec` unchanged.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from mlparity.profiles.atomic_file import write_atomically
from mlparity.profiles.model import CloudGcp, ExternalPipelines, LocalGcp, LocalPipelines, Profile

_KEY_BITS = 2048
# What would lead a local client of Google's SDKs elsewhere.
LEADS_AWAY = (
    "GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP", "GOOGLE_CLOUD_QUOTA_PROJECT", "CLOUDSDK_CONFIG",
    "GOOGLE_API_USE_MTLS_ENDPOINT", "GOOGLE_API_USE_CLIENT_CERTIFICATE", "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
    "CLOUD_ML_PROJECT_ID", "CLOUD_ML_REGION", "KF_PIPELINES_UI_ENDPOINT", "KF_PIPELINES_IAP_OAUTH2_CLIENT_ID",
    "KF_PIPELINES_APP_OAUTH2_CLIENT_ID", "KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET",
    "KF_PIPELINES_DEFAULT_EXPERIMENT_NAME", "KF_PIPELINES_OVERRIDE_EXPERIMENT_NAME",
)  # fmt: skip


def google_variables(profile: Profile) -> dict[str, str]:
    """What clients of the profile's Google and Kubeflow Pipelines APIs need."""
    return {**_gcp(profile), **_pipelines(profile)}


def key_path(profile: Profile) -> Path:
    """The key file of the local service account."""
    return profile.data_dir / "client" / "gcp_service_account.json"


def ensure_key_file(path: Path, gcp: LocalGcp) -> None:
    """Make the local service account's key file unless it is there: a key of this data folder's own.

    Google's SDKs sign their tokens with it; the local APIs check signed URLs against it. It opens nothing elsewhere.
    """
    wanted = {
        "type": "service_account",
        "project_id": gcp.project,
        "client_email": gcp.service_account,
        "client_id": gcp.project_number,
        "token_uri": f"http://127.0.0.1:{gcp.port}/token",
        "universe_domain": "googleapis.com",
    }
    found: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):  # none yet, or damaged: a new one
        found = json.loads(path.read_text("utf-8"))
    if "private_key" in found and all(found.get(name) == value for name, value in wanted.items()):
        return
    key = found.get("private_key") or _new_key()
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**wanted, "private_key_id": "mlparity-local", "private_key": key}
    write_atomically(path, json.dumps(document, indent=2, sort_keys=True) + "\n")


def _new_key() -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _gcp(profile: Profile) -> dict[str, str]:
    gcp = profile.roles.gcp_api
    if isinstance(gcp, LocalGcp):
        url = f"http://127.0.0.1:{gcp.port}"
        return {
            **_names(gcp.project, gcp.location, gcp.bucket, gcp.service_account),
            **_grpc(profile),
            "MLPARITY_GCP_API_ENDPOINT": url,
            "STORAGE_EMULATOR_HOST": url,
            "GOOGLE_APPLICATION_CREDENTIALS": str(key_path(profile)),
            "NO_GCE_CHECK": "true",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # else gcsfs waits for a gRPC service first
        }
    if isinstance(gcp, CloudGcp):
        return _names(gcp.project, gcp.location, gcp.bucket, gcp.service_account)
    return {}


def _grpc(profile: Profile) -> dict[str, str]:
    """GRPC clients alone go through the gateway: some of the SDK's calls (to Resource Manager) take no endpoint."""
    if profile.gateway is None:
        return {}
    return {
        "grpc_proxy": f"http://127.0.0.1:{profile.gateway.port}",
        "no_grpc_proxy": "127.0.0.1,localhost,::1",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(profile.data_dir / "gateway" / "ca.pem"),
    }


def _names(project: str, location: str, bucket: str, service_account: str) -> dict[str, str]:
    values = {
        "GOOGLE_CLOUD_PROJECT": project,
        "GOOGLE_CLOUD_REGION": location,
        "MLPARITY_GCP_PROJECT": project,
        "MLPARITY_GCP_LOCATION": location,
        "MLPARITY_GCP_BUCKET": bucket,
        "MLPARITY_GCP_SERVICE_ACCOUNT": service_account,
    }
    return {name: value for name, value in values.items() if value}


def _pipelines(profile: Profile) -> dict[str, str]:
    pipelines = profile.roles.pipelines_api
    if isinstance(pipelines, LocalPipelines):
        return {
            "KF_PIPELINES_ENDPOINT": f"http://127.0.0.1:{pipelines.port}",
            "MLPARITY_PIPELINES_ROOT": f"s3://{pipelines.bucket}/v2/artifacts",
        }
    if isinstance(pipelines, ExternalPipelines):
        values = {"KF_PIPELINES_ENDPOINT": pipelines.host, "MLPARITY_PIPELINES_NAMESPACE": pipelines.namespace}
        return {name: value for name, value in values.items() if value}
    return {}
