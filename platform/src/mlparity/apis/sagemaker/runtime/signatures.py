"""Whether a request's signature stands, by keys that the control plane hands out: the router has no secrets.

A signing key is good for one access key, day, region and service. It is kept for a minute, so that one whose access
key was deleted is not taken for long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlparity.apis.sagemaker.runtime.errors import Refusal
from mlparity.clock import Clock
from mlparity.serving.routing.incoming import Request
from mlparity.wire.sigv4 import Claim, Reason, SignatureError, SignedRequest, read_claim, verify_claim

_KEPT_SECONDS = 60.0
_MOST = 1000  # keys that are kept
_CODES = {
    Reason.MISSING: "MissingAuthenticationTokenException",
    Reason.MALFORMED: "IncompleteSignatureException",
    Reason.MALFORMED_QUERY: "IncompleteSignatureException",
    Reason.UNKNOWN_KEY: "UnrecognizedClientException",
    Reason.EXPIRED: "ExpiredTokenException",
}
_UNKNOWN = "The security token included in the request is invalid."
_WRONG_SERVICE = "Credential should be scoped to correct service:"
Told = Callable[[bytes | None], None]


@dataclass(frozen=True)
class Scope:
    """What a signing key is good for."""

    access_key: str
    date: str  # YYYYMMDD
    region: str
    service: str


class Signatures:
    """``ask`` gets a scope's signing key from the control plane and calls back with it, or None where it is unknown."""

    def __init__(self, ask: Callable[[Scope, Told], None], clock: Clock, service: str = "sagemaker") -> None:
        self._ask = ask
        self._clock = clock
        self._service = service
        self._keys: dict[Scope, tuple[bytes, float]] = {}  # the key, and until when it is kept

    def check(self, request: Request, then: Callable[[Refusal | None], None]) -> None:
        """Call ``then``, now or later, with None where the signature stands, else with what to answer."""
        path, _, query = request.target.decode("latin-1").partition("?")
        signed = SignedRequest(
            request.method,
            path,
            query,
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers],
        )
        try:
            claim = read_claim(signed)
        except SignatureError as error:
            then(_refusal(error))
            return
        if claim.service != self._service:
            then(Refusal(403, "InvalidSignatureException", f"{_WRONG_SERVICE} '{self._service}'."))
            return
        scope = Scope(claim.access_key, claim.date, claim.region, claim.service)
        key, until = self._keys.get(scope, (b"", 0.0))
        if self._clock.monotonic() < until:
            then(self._verdict(signed, claim, key, request.body))
            return

        def told(found: bytes | None) -> None:
            if found is None:
                self._keys.pop(scope, None)
            else:
                if len(self._keys) >= _MOST:
                    self._keys.clear()
                self._keys[scope] = found, self._clock.monotonic() + _KEPT_SECONDS
            then(self._verdict(signed, claim, found, request.body))

        self._ask(scope, told)

    def _verdict(self, signed: SignedRequest, claim: Claim, key: bytes | None, body: bytes) -> Refusal | None:
        try:
            verify_claim(signed, claim, key, self._clock, body=body)
        except SignatureError as error:
            return _refusal(error)
        return None


def _refusal(error: SignatureError) -> Refusal:
    message = _UNKNOWN if error.reason is Reason.UNKNOWN_KEY else str(error)
    return Refusal(403, _CODES.get(error.reason, "InvalidSignatureException"), message)
