"""moto with a memory: each service is loaded when first needed, its journal replayed, and its changes written down."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from mlparity.apis.aws.journal import Journal, JournalEntry
from mlparity.apis.aws.message import AwsError, AwsRequest, AwsResponse
from mlparity.apis.aws.moto_runtime import MotoRuntime
from mlparity.apis.aws.table import BY_SIGNING_NAME, ServiceEntry
from mlparity.clock import Clock
from mlparity.ids import IdSource

_LOG = logging.getLogger(__name__)
_FULL_START = 2  # journal entries that ``first`` makes at most


class JournaledMoto:
    """Calls to moto that outlive the process."""

    def __init__(
        self,
        moto: MotoRuntime,
        journal: Journal,
        clock: Clock,
        ids: IdSource,
        model: Callable[[str], Mapping[str, Any]],
        first: Mapping[str, Callable[[], None]],
    ) -> None:
        """``model`` gives a service's botocore document by botocore's name.

        ``first`` is run, by signing name, where a service has next to no history: it makes what exists from the
        start. It must bear being run again, as after a crash in the middle.
        """
        self.moto = moto
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._model = model
        self._first = first
        self._ready: set[str] = set()
        self._starting: set[str] = set()

    def journaled_services(self) -> frozenset[str]:
        """The signing names of the services with something to replay."""
        return self._journal.services()

    def is_ready(self, entry: ServiceEntry) -> bool:
        """Whether the service is loaded and replayed."""
        return entry.signing_name in self._ready

    def ensure(self, entry: ServiceEntry) -> None:
        """Load the service and bring it to where it was. Waits where another thread is at it."""
        if entry.signing_name in self._ready:
            return
        for needed in entry.requires:
            self.ensure(BY_SIGNING_NAME[needed])
        with self.moto.exclusive():
            # "Starting" is seen by this thread only, from within ``first``: others wait for the lock.
            if entry.signing_name in self._ready | self._starting:
                return
            self.moto.load(entry)
            count = 0
            for each in self._journal.entries(entry.signing_name):
                self._replay(entry, each)
                count += 1
            self._starting.add(entry.signing_name)
            try:
                if count < _FULL_START and entry.signing_name in self._first:
                    self._first[entry.signing_name]()
            finally:
                self._starting.discard(entry.signing_name)
            self._ready.add(entry.signing_name)

    def _replay(self, entry: ServiceEntry, each: JournalEntry) -> None:
        try:
            response = self.moto.call(entry, each.operation, each.request, seed=each.seed, at=each.at)
        except AwsError as fault:
            _LOG.warning("%s:%s of %s could not be replayed: %s", entry.name, each.operation, each.at, fault)
            return
        if not response.ok:
            _LOG.warning("%s:%s of %s was refused at replay: %r", entry.name, each.operation, each.at, response.body)

    def call(self, entry: ServiceEntry, operation: str, request: AwsRequest) -> AwsResponse:
        """One call. A change is in the journal before this returns. Raises ``AwsError`` and ``StateError``."""
        self.ensure(entry)
        if not entry.is_journaled(operation):
            return self.moto.call(entry, operation, request)
        with self.moto.exclusive():  # the journal has the order in which moto saw the calls
            made = JournalEntry(self._clock.now(), operation, request, self._ids.uuid())
            response = self.moto.call(entry, operation, request, seed=made.seed, at=made.at)
            if response.ok:
                try:
                    self._journal.append(made)
                except BaseException:
                    # Not written down is not done: the next call starts the service from its journal.
                    self.moto.unload(entry)
                    self._ready.discard(entry.signing_name)
                    raise
        return response

    def ask(self, service: str, operation: str, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        """A call of our own, journaled like any other; the answer of the JSON protocol, or {} of the query protocol.

        Raises ``AwsError`` with the service's error.
        """
        entry = BY_SIGNING_NAME[service]
        metadata = self._model(entry.name)["metadata"]
        if metadata["protocol"] == "query":
            form = {"Action": operation, "Version": metadata["apiVersion"], **params}
            headers = {"content-type": "application/x-www-form-urlencoded"}
            body = urlencode(form).encode()
        else:
            version = metadata.get("jsonVersion", "1.1")
            headers = {"content-type": f"application/x-amz-json-{version}"}
            headers["x-amz-target"] = f"{metadata['targetPrefix']}.{operation}"
            body = json.dumps(params).encode()
        response = self.call(entry, operation, AwsRequest(service, "POST", "/", "", headers, body, region))
        if "x-amz-target" not in headers:
            if not response.ok:
                raise AwsError("InternalFailure", response.body.decode("utf-8", "replace"), response.status)
            return {}
        document: dict[str, Any] = json.loads(response.body or b"{}")
        if not response.ok:
            code = str(document.get("__type", "InternalFailure")).rpartition("#")[2]
            raise AwsError(code, str(document.get("message", document.get("Message", ""))), response.status)
        return document
