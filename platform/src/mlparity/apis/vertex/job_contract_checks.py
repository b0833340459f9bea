"""What is refused of a ``CustomJobSpec`` before anything starts: what cannot be right, and what is not served here."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mlparity.apis.vertex import machine_types
from mlparity.apis.vertex.errors import invalid, unimplemented
from mlparity.apis.vertex.job_contract_pools import pools_of, replica_count
from mlparity.apis.vertex.job_states import Json
from mlparity.errors import InvalidRequestError
from mlparity.storage.uris import parse_uri

_MOST = 8  # replicas, each a process of this machine
_NOT_SERVED = {
    "enableWebAccess": ("enable_web_access", "interactive shells"),
    "enableDashboardAccess": ("enable_dashboard_access", "dashboards"),
    "persistentResourceId": ("persistent_resource_id", "persistent resources"),
    "tensorboard": ("tensorboard", "the upload of a job's TensorBoard logs"),
}


def check(spec: Json, path: str, buckets: Collection[str]) -> None:
    """``path`` names the spec in the request. Raises ``GoogleError`` INVALID_ARGUMENT or UNIMPLEMENTED."""
    for field, (name, what) in _NOT_SERVED.items():
        if spec.get(field):
            raise unimplemented(f"{path}.{name}: mlparity has no {what}.")
    wrong = dict(_wrong(spec, path, buckets))
    if wrong:
        raise invalid(wrong)
    for index, pool in enumerate(spec["workerPoolSpecs"]):
        _refuse_unserved(pool, f"{path}.worker_pool_specs[{index}]")
    pools = pools_of(spec)
    if len({pool.image for pool in pools}) > 1:
        raise unimplemented(f"{path}.worker_pool_specs: mlparity runs all worker pools of a job with one image.")
    if len({tuple(pool.python["packageUris"]) for pool in pools if pool.python}) > 1:
        raise unimplemented(f"{path}.worker_pool_specs: mlparity gives all worker pools of a job the same packages.")
    if sum(len(pool.replicas) for pool in pools) > _MOST:
        raise unimplemented(f"{path}.worker_pool_specs: mlparity runs at most {_MOST} replicas of a job.")


def _wrong(spec: Json, path: str, buckets: Collection[str]) -> Iterator[tuple[str, str]]:
    pools = spec.get("workerPoolSpecs", [])
    if not pools or replica_count(pools[0]) != 1:
        yield f"{path}.worker_pool_specs[0].replica_count", "The first worker pool must have exactly one replica."
    for index, pool in enumerate(pools):
        if pool:
            at = f"{path}.worker_pool_specs[{index}]"
            if index and not replica_count(pool):
                yield f"{at}.replica_count", "The value must be greater than or equal to 1."
            yield from _wrong_pool(pool, at)
    base = spec.get("baseOutputDirectory", {}).get("outputUriPrefix", "")
    yield from _wrong_uri(base, f"{path}.base_output_directory.output_uri_prefix", buckets)


def _wrong_pool(pool: Json, path: str) -> Iterator[tuple[str, str]]:
    if "containerSpec" not in pool and "pythonPackageSpec" not in pool:
        yield f"{path}.task", "One of container_spec and python_package_spec must be set."
    machine_type = pool.get("machineSpec", {}).get("machineType", "")
    if told := machine_types.wrong(machine_type, machine_types.TRAINING):
        yield f"{path}.machine_spec.machine_type", told
    for number, uri in enumerate(pool.get("pythonPackageSpec", {}).get("packageUris", [])):
        if not uri.startswith("gs://") or not uri.endswith((".tar.gz", ".whl", ".zip")):
            told = f"Invalid package URI {uri}: it must name a .tar.gz, .whl or .zip in Cloud Storage."
            yield f"{path}.python_package_spec.package_uris[{number}]", told


def _wrong_uri(uri: str, path: str, buckets: Collection[str]) -> Iterator[tuple[str, str]]:
    if not uri:
        return
    try:
        bucket, _ = parse_uri(uri, ("gs",))
    except InvalidRequestError:
        yield path, f"Invalid Cloud Storage URI: {uri}."
        return
    if bucket not in buckets:
        yield path, f"The bucket gs://{bucket} does not exist."


def _refuse_unserved(pool: Json, path: str) -> None:
    machine_types.refuse_accelerators(pool.get("machineSpec", {}), f"{path}.machine_spec")
    if pool.get("nfsMounts"):
        raise unimplemented(f"{path}.nfs_mounts: mlparity mounts no NFS.")
