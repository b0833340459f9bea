"""The machine types that Vertex documents, for training and for prediction; and what of a machine is not served here.

https://cloud.google.com/vertex-ai/docs/training/configure-compute
https://cloud.google.com/vertex-ai/docs/predictions/configure-compute
Both lists are the same in every region here. Which sizes a family has beyond its documented ones is not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlparity.apis.vertex.errors import unimplemented
from mlparity.apis.vertex.job_states import Json

_NO_ACCELERATOR = "ACCELERATOR_TYPE_UNSPECIFIED"
_C2 = {"c2-standard": (4, 8, 16, 30, 60)}


def _named(families: Mapping[str, Sequence[int]]) -> frozenset[str]:
    return frozenset(f"{family}-{size}" for family, sizes in families.items() for size in sizes)


TRAINING = _named(
    {
        "e2-standard": (4, 8, 16, 32),
        "e2-highmem": (2, 4, 8, 16),
        "e2-highcpu": (16, 32),
        "n1-standard": (4, 8, 16, 32, 64, 96),
        "n1-highmem": (2, 4, 8, 16, 32, 64, 96),
        "n1-highcpu": (16, 32, 64, 96),
        "n2-standard": (4, 8, 16, 32, 48, 64, 80),
        "n2-highmem": (2, 4, 8, 16, 32, 48, 64, 80),
        "n2-highcpu": (16, 32, 48, 64, 80),
        "m1-ultramem": (40, 80, 160),
        "m1-megamem": (96,),
        **_C2,
    }
)
PREDICTION = _named(
    {
        "e2-standard": (2, 4, 8, 16, 32),
        "e2-highmem": (2, 4, 8, 16),
        "e2-highcpu": (2, 4, 8, 16, 32),
        "n1-standard": (2, 4, 8, 16, 32),
        "n1-highmem": (2, 4, 8, 16, 32),
        "n1-highcpu": (4, 8, 16, 32),
        "n2-standard": (2, 4, 8, 16, 32, 48, 64, 80, 96, 128),
        "n2-highmem": (2, 4, 8, 16, 32, 48, 64, 80, 96, 128),
        "n2-highcpu": (2, 4, 8, 16, 32, 48, 64, 80, 96),
        "n2d-standard": (2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224),
        "n2d-highmem": (2, 4, 8, 16, 32, 48, 64, 80, 96),
        "n2d-highcpu": (2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224),
        "c2d-standard": (2, 4, 8, 16, 32, 56, 112),
        "c2d-highmem": (2, 4, 8, 16, 32, 56, 112),
        "c2d-highcpu": (2, 4, 8, 16, 32, 56, 112),
        "c3-highcpu": (4, 8, 22, 44, 88, 176),
        **_C2,
    }
)
# What has GPUs or TPUs built in; the sizes of the GPU families are asked for with their accelerators.
_ACCELERATED = ("a2-", "a3-", "a4-", "a4x-", "g2-", "g4-", "cloud-tpu", "ct4p-", "ct5lp-", "ct5p-", "ct6e-", "tpu7x-")
DEFAULT_FOR_DEPLOYMENT = "n1-standard-2"  # the reference of MachineSpec says so


def wrong(machine_type: str, known: frozenset[str]) -> str:
    """What is wrong with a machine type, in Vertex's words; empty: nothing, or nothing but its accelerators."""
    if not machine_type:
        return "Required field is not set."
    if machine_type in known or machine_type.startswith(_ACCELERATED):
        return ""
    return f'Machine type "{machine_type}" is not supported.'


def refuse_accelerators(machine: Json, path: str) -> None:
    """Raises ``GoogleError`` UNIMPLEMENTED where a ``MachineSpec`` (JSON, at ``path``) asks for GPUs or TPUs."""
    accelerator = machine.get("acceleratorType", _NO_ACCELERATOR)
    if machine.get("acceleratorCount") or accelerator != _NO_ACCELERATOR:
        raise unimplemented(
            f"{path}.accelerator_type: mlparity has no accelerators ({accelerator}); it runs on this machine's CPUs."
        )
    if machine.get("machineType", "").startswith(_ACCELERATED):
        raise unimplemented(
            f"{path}.machine_type: mlparity has no accelerators ({machine['machineType']}); it runs on this "
            "machine's CPUs."
        )
    if machine.get("tpuTopology"):
        raise unimplemented(f"{path}.tpu_topology: mlparity has no TPUs.")
