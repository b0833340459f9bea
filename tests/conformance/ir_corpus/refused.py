"""Pipelines that the SDK compiles and that cannot run here, or nowhere; and what they are refused with."""

# Components are sources of their own: kfp knows typing's names, and a component imports what it needs.
# ruff: noqa: SIM117, UP006

from typing import List  # noqa: UP035 - kfp's components import typing's own

from mlparity.pipeline_ir.errors import InvalidPipelineError, UnsupportedPipelineError
from tests.conformance.ir_corpus.features import echo
from tests.conformance.ir_corpus.sdk import component, dsl, kubernetes


@dsl.pipeline(name="a-volume")
def a_volume() -> None:
    kubernetes.mount_pvc(echo(text="x"), "data", "/data")


@dsl.pipeline(name="a-new-volume")
def a_new_volume() -> None:
    kubernetes.CreatePVC(pvc_name="data", access_modes=["ReadWriteOnce"], size="1Gi")


@dsl.pipeline(name="an-accelerator")
def an_accelerator() -> None:
    echo(text="x").set_accelerator_type("NVIDIA_TESLA_T4").set_accelerator_limit(1)


@dsl.pipeline(name="a-foreign-image")
def a_foreign_image() -> None:
    echo(text="x").set_container_image("registry.example.com/team/private:1.0")


@dsl.pipeline(name="a-foreign-address")
def a_foreign_address() -> None:
    dsl.importer(artifact_uri="https://example.com/data.csv", artifact_class=dsl.Dataset)


@dsl.pipeline(name="a-workspace", pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def a_workspace() -> None:
    echo(text=dsl.WORKSPACE_PATH_PLACEHOLDER)


@component
def configured(config: dsl.TaskConfig) -> None:
    pass


@dsl.pipeline(name="a-task-config")
def a_task_config() -> None:
    configured()


@dsl.pipeline(name="text-of-an-outer-loop")
def text_of_an_outer_loop() -> None:
    """kfp 2.17 does not hand the outer loop's item to the inner loop where only a text mentions it."""
    with dsl.ParallelFor(["a", "b"]) as outer:
        with dsl.ParallelFor(["c", "d"]) as inner:
            echo(text=f"{outer}{inner}")


@component
def pairs() -> List[dict]:
    return [{"x": "1"}]


@dsl.pipeline(name="text-of-a-field")
def text_of_a_field() -> None:
    """Here it takes the field of an item, in a text, for an output of the task that made the list."""
    with dsl.ParallelFor(pairs().output) as item:
        echo(text=f"<{item.x}>")


CASES = [
    (a_volume, UnsupportedPipelineError, "task echo cannot be run: pvcMount is a persistent volume"),
    (a_new_volume, UnsupportedPipelineError, "task createpvc cannot be run: it is a CreatePVC"),
    (an_accelerator, UnsupportedPipelineError, r"it asks for an accelerator \(NVIDIA_TESLA_T4\)"),
    (a_foreign_image, UnsupportedPipelineError, "registry.example.com/team/private:1.0"),
    (a_foreign_address, UnsupportedPipelineError, "'https://example.com/data.csv' is in no bucket"),
    (a_workspace, UnsupportedPipelineError, "the pipeline's workspace cannot be provided here"),
    (a_task_config, UnsupportedPipelineError, "its input config is a TaskConfig"),
    (text_of_an_outer_loop, InvalidPipelineError, r"has no input parameter '(pipelinechannel--)?loop-item-param-"),
    (text_of_a_field, InvalidPipelineError, "task pairs has no output parameter 'Output-loop-item-subvar-x'"),
]
