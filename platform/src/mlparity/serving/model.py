"""The seam between a loaded model and the protocols: what answers one invocation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlparity.serving.decoding import Table, decode
from mlparity.serving.encoding import JsonForm, encode
from mlparity.serving.exchange import Payload, RefusedError, Reply, bad_request


class Servable(Protocol):
    """A model that answers requests. Any thread."""

    @property
    def library(self) -> bool:
        """Whether only a known library's code runs: nothing that may wait for something else."""
        ...

    @property
    def execution_parameters(self) -> Mapping[str, Any] | None:
        """What SageMaker's ``/execution-parameters`` answers; None where the container does not offer it."""
        ...

    def healthy(self) -> bool:
        """What a ping is answered by. May take as long as a ping may."""
        ...

    def invoke(self, payload: Payload) -> Reply:
        """Answer one request. Raises ``RefusedError``; anything else is a defect of the model's code."""
        ...


class Predictor(Protocol):
    """A model of a known library."""

    @property
    def columns(self) -> Sequence[str]:
        """The names the model knows its columns by; empty where it knows none."""
        ...

    @property
    def native(self) -> Any:
        """The library's own object, as a ``model_fn`` would return it."""
        ...

    @property
    def plain(self) -> bool:
        """Whether an array with the columns in their order is as good as a frame with their names."""
        ...

    def predict(self, table: Table) -> Any:
        """One prediction a row. Any exception means that the rows do not suit the model."""
        ...


@dataclass(frozen=True)
class Formats:
    """What a family of containers takes and gives where the client does not say."""

    content_type: str
    accept: str
    json_form: JsonForm


@dataclass(frozen=True)
class LibraryModel:
    """Serves a predictor as the vendor's image of its library does."""

    predictor: Predictor
    formats: Formats
    execution_parameters: Mapping[str, Any] | None = None
    library: bool = True

    def healthy(self) -> bool:
        """It is loaded: that is all there is."""
        return True

    def invoke(self, payload: Payload) -> Reply:
        """Decode, predict, encode."""
        if not payload.body:
            return Reply(b"", self.formats.accept, 204)
        predictor = self.predictor
        content_type = payload.content_type or self.formats.content_type
        table = decode(payload.body, content_type, predictor.columns, plain=predictor.plain)
        try:
            predictions = predictor.predict(table)
        except RefusedError:
            raise
        except Exception as error:
            raise bad_request(f"Unable to evaluate payload provided: {error}") from error
        return encode(predictions, payload.accept or self.formats.accept, self.formats.json_form)
