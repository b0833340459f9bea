"""What one pipeline of the corpus is, and what it must give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Peer(StrEnum):
    """What kfp.local 2.17 makes of a pipeline. "Wrong" is checked, too: what is no longer wrong is to be told."""

    EQUAL = "gives the same"
    WRONG = "gives something else than KFP's backend, or fails"
    NONE = "is not asked"  # there is no such thing there, or it would take a container


@dataclass(frozen=True)
class Case:
    """A pipeline, its arguments, and its outputs.

    ``parameters``: every output parameter, equal with its type. ``artifacts``: name -> (text, metadata); the text is
    None where there is no file. ``why``: what kfp.local gets wrong.
    """

    pipeline: Any
    parameters: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[str | None, Mapping[str, Any]]] = field(default_factory=dict)
    peer: Peer = Peer.EQUAL
    why: str = ""

    @property
    def name(self) -> str:
        """The pipeline's, and the test's."""
        return str(self.pipeline.name)
