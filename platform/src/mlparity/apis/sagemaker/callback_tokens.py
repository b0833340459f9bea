"""The tokens of callback steps: made once for each attempt of a step, and found again."""

from __future__ import annotations

from datetime import datetime

from mlparity.apis.sagemaker.context import SageMaker
from mlparity.errors import NotFoundError

_TOKEN = "CallbackToken"  # noqa: S105 - the name of a kind of document
_STEP = "CallbackStep"
_LENGTH = 10  # the model's


def token_of(api: SageMaker, run_id: str, step: str, began: datetime) -> str:
    """The token of the attempt that began then; the same one after a crash, another one when the step runs again."""
    name = f"{run_id}:{step}:{began.isoformat()}"
    try:
        return str(api.documents.get(_STEP, name).body["Token"])
    except NotFoundError:
        pass
    token = api.ids.token(_LENGTH)
    with api.transaction():
        api.documents.create(_TOKEN, token, {"Run": run_id, "Step": step, "Began": began.isoformat()})
        api.documents.create(_STEP, name, {"Token": token})
    return token


def step_of(api: SageMaker, token: str) -> tuple[str, str, datetime]:
    """(run id, step name, when the attempt began). Raises ``NotFoundError``."""
    body = api.documents.get(_TOKEN, token).body
    return body["Run"], body["Step"], datetime.fromisoformat(body["Began"])
