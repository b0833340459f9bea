"""Where captured data is: an endpoint's in DESTINATION/ENDPOINT/VARIANT/yyyy/mm/dd/hh/, batch transform's by manifests.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlparity.apis.sagemaker import endpoints
from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.endpoint_status import serving_config
from mlparity.apis.sagemaker.errors import validation
from mlparity.apis.sagemaker.monitoring_plans import MonitoringPlan
from mlparity.engine.workspace import parse_uri

# A job has ten inputs at most, and the baseline and the scripts are four of them.
_MOST_FOLDERS = 6
_HOUR, _DAY = "%Y/%m/%d/%H", "%Y/%m/%d"


@dataclass(frozen=True)
class Folder:
    """``path`` under the URI ``base``; both without a slash at the end."""

    base: str
    path: str

    @property
    def uri(self) -> str:
        """As an input of a job: the slash keeps it from being the beginning of another folder's name."""
        return f"{self.base}/{self.path}/"


@dataclass(frozen=True)
class CaptureSource:
    """What an endpoint captures to."""

    endpoint: str
    destination: str
    variants: Sequence[str]


def capture_of(api: SageMaker, endpoint: str) -> CaptureSource:
    """Raises ``ValidationException`` where the endpoint does not exist or captures nothing."""
    config = serving_config(endpoints.find(api, endpoint))
    capture = config.get("DataCaptureConfig", {})
    if not capture.get("EnableCapture"):
        raise validation(f"Endpoint {endpoint} does not have data capture enabled.")
    variants = [variant["VariantName"] for variant in config["ProductionVariants"]]
    return CaptureSource(endpoint, capture["DestinationS3Uri"].rstrip("/"), variants)


def check_source(api: SageMaker, plan: MonitoringPlan) -> None:
    """Refuse an endpoint that does not exist or captures nothing."""
    if plan.endpoint:
        capture_of(api, plan.endpoint)


def captured(api: SageMaker, source: CaptureSource, hours: Iterable[datetime]) -> list[Folder]:
    """The folders that hold data of ``hours``; larger ones where there would be too many."""
    paths = [f"{source.endpoint}/{variant}" for variant in source.variants]
    return hour_folders(api, source.destination, paths, list(hours))


def hour_folders(api: SageMaker, base: str, paths: Sequence[str], hours: Sequence[datetime]) -> list[Folder]:
    """Of each path: the hours with objects; whole days, or all of it, where that would be too many folders."""
    found: list[Folder] = []
    for form in (_HOUR, _DAY, ""):
        names = dict.fromkeys("/".join(part for part in (path, f"{hour:{form}}" if form else "") if part)
                              for path in paths for hour in hours)  # fmt: skip
        found = [Folder(base, name) for name in names if has_objects(api, f"{base}/{name}/")]
        if len(found) <= _MOST_FOLDERS:
            return found
    return found


def manifests(api: SageMaker, destination: str, hours: Iterable[datetime]) -> list[str]:
    """The URIs of the manifests that batch transform jobs left of what they read in ``hours``."""
    bucket, folder = parse_uri(destination.rstrip("/"))
    prefixes = ["/".join(part for part in (folder, "input", f"{hour:{_HOUR}}/") if part) for hour in hours]
    found = [f"s3://{bucket}/{info.key}" for prefix in prefixes for info in api.store.iterate(bucket, prefix)]
    if len(found) > _MOST_FOLDERS:
        raise validation(f"{len(found)} batch transform jobs ended in the window: {_MOST_FOLDERS} can be analysed")
    return found


def has_objects(api: SageMaker, uri: str) -> bool:
    """Whether an object's URI starts with ``uri``."""
    bucket, prefix = parse_uri(uri)
    return next(iter(api.store.iterate(bucket, prefix)), None) is not None
