"""The coverage of each vendor API, read from the declarations that the routers read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

OTHERS = "(the others)"  # one row for all that moto answers; what moto lacks answers the vendor's error
State = Literal["works", "partial", "refused", "absent"]


@dataclass(frozen=True)
class Coverage:
    """One operation of a vendor's API.

    ``refused``: it is known and answers the vendor's error, with the reason in ``note``; ``absent``: it is not there
    and answers the vendor's error for what it does not know or implement.
    """

    api: str
    operation: str
    state: State
    note: str = ""


def sagemaker() -> Iterator[Coverage]:
    """Every operation of botocore's model of SageMaker."""
    from mlparity.apis.sagemaker.operations import BY_NAME

    for name in _model_operations("sagemaker"):
        operation = BY_NAME.get(name)
        if operation is None:
            yield Coverage("sagemaker", name, "absent")
        else:
            yield Coverage("sagemaker", name, "partial" if operation.partial else "works", operation.partial)


def sagemaker_runtime() -> Iterator[Coverage]:
    """Every operation of botocore's model of SageMaker's runtime."""
    from mlparity.apis.sagemaker.runtime.operations import OPERATIONS

    served = {operation.name: operation.partial for operation in OPERATIONS}
    for name in _model_operations("sagemaker-runtime"):
        if name in served:
            yield Coverage("sagemaker-runtime", name, "partial" if served[name] else "works", served[name])
        else:
            yield Coverage("sagemaker-runtime", name, "absent")


def sagemaker_metrics() -> Iterator[Coverage]:
    """Every operation of botocore's model of SageMaker Metrics."""
    from mlparity.apis.sagemaker.component_metrics import BY_NAME

    for name in _model_operations("sagemaker-metrics"):
        note = BY_NAME[name].partial
        yield Coverage("sagemaker-metrics", name, "partial" if note else "works", note)


def s3() -> Iterator[Coverage]:
    """Every operation of botocore's model of S3."""
    from mlparity.storage.s3 import OPERATIONS

    served = {operation.name: operation.note for operation in OPERATIONS}
    for name in sorted({*served, *_model_operations("s3")}):
        if name in served:
            yield Coverage("s3", name, "partial" if served[name] else "works", served[name])
        else:
            yield Coverage("s3", name, "absent")


def vertex() -> Iterator[Coverage]:
    """Every method of the installed google-cloud-aiplatform's v1."""
    from mlparity.apis.vertex.coverage import coverage

    for name, state, note in coverage():
        yield Coverage("vertex", name, state, note)


def gcs() -> Iterator[Coverage]:
    """Every method of Cloud Storage's JSON API, and what of its XML API is there. One of several ways counts once."""
    from mlparity.storage.gcs import ABSENT, OPERATIONS

    notes: dict[str, list[str]] = {}
    for operation in OPERATIONS:
        notes.setdefault(operation.name, []).extend([operation.note] if operation.note else [])
    for name in sorted({*notes, *(absent.name for absent in ABSENT)}):
        if name in notes:
            note = "; ".join(dict.fromkeys(notes[name]))
            yield Coverage("gcs", name, "partial" if note else "works", note)
        else:
            yield Coverage("gcs", name, "absent")


def kubeflow() -> Iterator[Coverage]:
    """Every operation of the OpenAPI document of the installed kfp-server-api, and what the UI asks besides."""
    from mlparity.apis.kubeflow.operations import EXTRA, OPERATIONS, REFUSED, UPLOADS
    from mlparity.apis.kubeflow.server_api import server_api

    served = {operation.name: operation.partial for operation in OPERATIONS} | dict.fromkeys(UPLOADS, "")
    served |= {route.name: "" for route in EXTRA if route.name not in served}
    for name in sorted({*served, *(route for route in server_api().routes)}):
        if name in served:
            yield Coverage("kubeflow", name, "partial" if served[name] else "works", served[name])
        elif name in REFUSED:
            yield Coverage("kubeflow", name, "refused", REFUSED[name])
        else:
            yield Coverage("kubeflow", name, "absent")


def aws_service(name: str) -> Iterator[Coverage]:
    """A service beside them: its own operations, what it refuses, and how the rest is served."""
    from mlparity.apis.aws.table import BY_NAME

    entry = BY_NAME[name]
    for operation in sorted(entry.native):
        yield Coverage(name, operation, "works")
    for operation, reason in sorted(entry.refused.items()):
        yield Coverage(name, operation, "refused", reason)
    if entry.only is not None:
        for operation in sorted(entry.only - entry.native):
            yield Coverage(name, operation, "partial", f"moto; {entry.note}" if entry.note else "moto")
        for operation in _model_operations(name):
            if operation not in entry.only | entry.native | entry.refused.keys():
                yield Coverage(name, operation, "absent")
    elif entry.moto:
        volatile = ", ".join(sorted(entry.volatile))
        notes = (entry.how, entry.note, f"not kept over a restart: {volatile}" if volatile else "")
        yield Coverage(name, OTHERS, "partial", "; ".join(filter(None, notes)))
    else:
        for operation in _model_operations(name):
            if operation not in entry.native:
                yield Coverage(name, operation, "absent")


def apis() -> Mapping[str, Callable[[], Iterator[Coverage]]]:
    """Every API by name, in the order in which they are shown."""
    from functools import partial

    from mlparity.apis.aws.table import SERVICES

    others = {entry.name: partial(aws_service, entry.name) for entry in SERVICES}
    own = {"sagemaker": sagemaker, "sagemaker-runtime": sagemaker_runtime, "sagemaker-metrics": sagemaker_metrics}
    return {**own, "s3": s3, "vertex": vertex, "gcs": gcs, "kubeflow": kubeflow, **others}


def _model_operations(service: str) -> list[str]:
    """The vendor's operations, by the model that botocore ships."""
    from botocore.loaders import Loader

    return sorted(Loader().load_service_model(service, "service-2")["operations"])
