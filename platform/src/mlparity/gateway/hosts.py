"""Which hosts a local API answers for. Every other host is refused: nothing leaves this machine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from mlparity.wire.aws_service import service_of

# What the local certificates may be for, with everything below it.
CLOUD_DOMAINS = ("amazonaws.com", "amazonaws.com.cn", "sagemaker.aws", "googleapis.com", "vertexai.goog")
_AWS = (".amazonaws.com", ".amazonaws.com.cn")
_GOOGLE = (".googleapis.com", ".vertexai.goog")
_NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.ASCII)
_TRACKING = re.compile(r"[a-z0-9-]+\.experiments\.sagemaker\.aws")
_ON = "for a host of your own, name it in NO_PROXY before `mlparity exec`"


class Route(Enum):
    """Where a request for a host goes."""

    AWS = "aws"
    TRACKING = "tracking"  # SageMaker's MLflow tracking servers: the MLflow of the stack
    GOOGLE = "google"  # every Google API; those that are not served are refused in Google's own way
    UNSERVED = "unserved"  # an AWS service without a local API: answered here, with an error
    LOOPBACK = "loopback"
    REFUSED = "refused"


TERMINATED = (Route.AWS, Route.UNSERVED, Route.TRACKING, Route.GOOGLE)  # whose TLS ends here


@dataclass(frozen=True)
class Verdict:
    """The route, and where it is refused: what, why and what to try, in one line each."""

    route: Route
    what: str = ""
    why: str = ""
    hint: str = ""

    @property
    def reason(self) -> str:
        """One line of ASCII, fit for an HTTP reason phrase."""
        return f"{self.what}: {self.why}; {self.hint}"


@dataclass(frozen=True)
class Authority:
    """A host and a port as a request names them. The host is lower case and without its last dot."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, default_port: int) -> Authority | None:
        """Of "host", "host:port" or "[address]:port"; None where it is no such thing."""
        try:
            parts = urlsplit(f"//{text}")
            host, port = (parts.hostname or "").removesuffix("."), parts.port
        except ValueError:
            return None
        if parts.netloc != text or "@" in text or not (_is_address(host) or _NAME.fullmatch(host)):
            return None
        return cls(host, default_port if port is None else port)

    @property
    def is_loopback(self) -> bool:
        """Whether it names this machine, by name or by address. Nothing is looked up."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        return _is_address(self.host) and ipaddress.ip_address(self.host).is_loopback


class Hosts:
    """Decides by name alone.

    ``services`` are the signing names of the AWS services that are served, ``tracking`` whether there is an MLflow,
    ``google`` whether there are Google's APIs.
    """

    def __init__(self, services: Collection[str], *, tracking: bool = False, google: bool = False) -> None:
        self._services = frozenset(services)
        self._tracking = tracking
        self._google = google

    def verdict(self, authority: Authority) -> Verdict:
        """What to do with a request for ``authority``."""
        host = authority.host
        if authority.is_loopback:
            return Verdict(Route.LOOPBACK)
        what = f"mlparity refused {host}"
        if self._tracking and _TRACKING.fullmatch(host):
            return Verdict(Route.TRACKING)
        if self._google and host.endswith(_GOOGLE):
            return Verdict(Route.GOOGLE)
        if not host.endswith(_AWS):
            return Verdict(Route.REFUSED, what, "no local API serves it, and nothing leaves this machine", _ON)
        service = service_of({}, "", host).removesuffix("-fips")
        if service not in self._services or ".vpce." in host:
            hint = "`mlparity parity` lists what is there; `mlparity exec --profile aws` goes to the real one"
            return Verdict(Route.UNSERVED, what, f"there is no local API for {service}", hint)
        return Verdict(Route.AWS)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
