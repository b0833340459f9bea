"""Versions of the model: trained by the pipeline of vertex_training, one that is careless, approved by people."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.scenarios import Platform
from scenarios.vertex_deployment.flights import Flights
from scenarios.vertex_deployment.settings import FOLDER, LABEL, MODEL, WINTER
from scenarios.vertex_training.runs import Ended
from scenarios.vertex_training.settings import SERVING_IMAGE


@dataclass(frozen=True)
class Version:
    """A version in the registry. ``training_data`` is the gs:// URI of what it was trained on; "" where unknown."""

    name: str  # projects/…/models/flights-deployment@2
    roc_auc: float = 0.0
    training_data: str = ""

    @property
    def number(self) -> str:
        """Its version id."""
        return self.name.rpartition("@")[2]


def pipeline_job(platform: Platform, package: Path, name: str, parameters: Mapping[str, Any]) -> Any:
    """A job of the compiled pipeline, not started."""
    place = platform.on_google
    from google.cloud import aiplatform

    given = {"project": place.project, "location": place.location, "model_id": MODEL, **parameters}
    return aiplatform.PipelineJob(
        display_name=name,
        template_path=str(package),
        pipeline_root=f"gs://{place.bucket}/{FOLDER}/pipelines",
        parameter_values=given,
        labels=LABEL,
    )


def trained(platform: Platform, package: Path, name: str, parameters: Mapping[str, Any]) -> Version:
    """Run the pipeline to its end; the version that it registered."""
    job = pipeline_job(platform, package, name, {"months": [WINTER], **parameters})
    job.submit(service_account=platform.on_google.service_account or None)
    error = ""
    try:
        job.wait()
    except RuntimeError as failure:  # the SDK's word for a run that failed
        error = str(failure)
    ended = Ended(job, 0.0, error)
    platform.check(ended.state == "SUCCEEDED", f"{name}: {ended.state} {error}")
    return registered(platform, ended)


def registered(platform: Platform, ended: Ended) -> Version:
    """The version that a run registered."""
    platform.check(ended.states().get("register") == "SUCCEEDED", f"no version was registered: {ended.states()}")
    told = ended.output("register", "registered").metadata
    return Version(str(told["resourceName"]), float(told["roc_auc"]), str(ended.output("prepare", "train").uri))


def careless(platform: Platform, winter: Flights) -> Version:
    """A version that knows one airport: it cannot take a flight from another, and nobody has tried."""
    import joblib
    import numpy as np
    from google.cloud import aiplatform
    from google.cloud.storage import Blob
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    known = winter.leaving("JFK")
    columns = make_column_transformer((OneHotEncoder(handle_unknown="error"), [5]), (StandardScaler(), [2, 3]))
    estimator = make_pipeline(columns, LogisticRegression()).fit(
        np.array(known.instances), known.table["late"].to_numpy()
    )
    stream = io.BytesIO()
    joblib.dump(estimator, stream)
    place = platform.on_google
    folder = f"gs://{place.bucket}/{FOLDER}/careless"
    Blob.from_uri(f"{folder}/model.joblib", client=place.storage()).upload_from_string(stream.getvalue())
    made = aiplatform.Model.upload(
        display_name=MODEL,
        parent_model=MODEL,
        artifact_uri=folder,
        serving_container_image_uri=SERVING_IMAGE,
        version_description="simpler, and as good on JFK's flights",
        is_default_version=False,
    )
    return Version(str(made.versioned_resource_name))


def approve(version: str, who: str) -> None:
    """First who decided, as a label of the version, then the decision, as its alias."""
    from google.cloud import aiplatform, aiplatform_v1

    number = version.rpartition("@")[2]
    registry = aiplatform.Model(MODEL).versioning_registry
    labels = dict(aiplatform.Model(MODEL, version=number).labels)
    changed = aiplatform_v1.Model(name=version, labels={**labels, "decided-by": who})
    registry.client.update_model(model=changed, update_mask={"paths": ["labels"]})
    registry.add_version_aliases(["approved"], version=number)


def approved(platform: Platform) -> Any:
    """The approved version, looked up by its alias and pinned by its number."""
    from google.cloud import aiplatform

    found = aiplatform.Model(MODEL, version="approved")
    platform.check("approved" in found.version_aliases, f"the aliases are {found.version_aliases}")
    return aiplatform.Model(MODEL, version=found.version_id)


def estimator_of(platform: Platform, model: Any) -> Any:
    """A version's model, in this process."""
    import joblib
    from google.cloud.storage import Blob

    blob = Blob.from_uri(f"{model.uri.rstrip('/')}/model.joblib", client=platform.on_google.storage())
    return joblib.load(io.BytesIO(blob.download_as_bytes()))
