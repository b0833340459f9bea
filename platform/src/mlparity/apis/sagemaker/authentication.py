"""Who signed a SageMaker request, and SageMaker's answers where the signature does not stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlparity.apis.sagemaker.context import Caller
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.clock import Clock
from mlparity.wire.sigv4 import Reason, SignatureError, SignedRequest, verify

_CODES = {
    Reason.MISSING: ("MissingAuthenticationTokenException", 403),
    Reason.MALFORMED: ("IncompleteSignatureException", 403),
    Reason.MALFORMED_QUERY: ("IncompleteSignatureException", 403),
    Reason.UNKNOWN_KEY: ("UnrecognizedClientException", 403),
    Reason.MISMATCH: ("InvalidSignatureException", 403),
    Reason.SKEWED: ("InvalidSignatureException", 403),
    Reason.EXPIRED: ("ExpiredTokenException", 403),
    Reason.UNSIGNED_HEADERS: ("InvalidSignatureException", 403),
}


class Authenticator:
    """Checks signatures against ``secrets``; ``identity`` gives (ARN, user id) of an access key."""

    def __init__(self, secrets: Mapping[str, str], identity: Callable[[str], tuple[str, str]], clock: Clock) -> None:
        self._secrets = secrets
        self._identity = identity
        self._clock = clock

    def __call__(self, request: SignedRequest, body: bytes) -> Caller:
        """The caller. Raises ``SageMakerError``."""
        try:
            verified = verify(request, self._secrets, self._clock, body=body)
        except SignatureError as error:
            code, status = _CODES[error.reason]
            if error.reason is Reason.UNKNOWN_KEY:
                raise SageMakerError(code, "The security token included in the request is invalid.", status) from None
            raise SageMakerError(code, str(error), status) from None
        return Caller(*self._identity(verified.access_key))
