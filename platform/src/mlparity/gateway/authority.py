"""The local certificate authority: made on first use, private, and only good for the clouds' own host names.

The authority's certificate carries name constraints (RFC 5280, section 4.2.1.10): even somebody who had the key could
not pass for any other site with it. It is never put into a system's trust store; ``mlparity exec`` names it to the
one command that it starts.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mlparity.clock import Clock
from mlparity.errors import DataFolderError
from mlparity.profiles.atomic_file import write_atomically

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

_CA_DAYS, _LEAF_DAYS = 3650, 397
_BACKDATED = timedelta(days=1)
_KEPT_CONTEXTS = 512  # one a host; a bucket is a host
_TITLE = "mlparity local CA"


@dataclass(frozen=True)
class AuthorityFiles:
    """Where the authority is kept. ``certificate`` may be read by anyone; ``key`` by this user alone."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The certificate, as PEM: what clients are told to trust."""
        return self.folder / "ca.pem"

    @property
    def key(self) -> Path:
        """The private key, as PEM (mode 0600)."""
        return self.folder / "ca.key"


def ensure_authority(files: AuthorityFiles, domains: tuple[str, ...], clock: Clock) -> None:
    """Make the authority unless there is one for these ``domains``. Only one process may do so at a time.

    Raises ``DataFolderError`` where the folder cannot be written.
    """
    heading = f"# {_TITLE}, format 1, only for {', '.join(domains)} and below\n"
    try:
        files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if files.key.is_file() and _first_line(files.certificate) == heading:
            return
        certificate, key = _new_authority(domains, clock)
        write_atomically(files.key, key)
        write_atomically(files.certificate, heading + certificate)
        files.certificate.chmod(0o644)
    except OSError as error:
        raise DataFolderError(
            f"the local certificate authority cannot be kept in {files.folder}", str(error), "check its permissions"
        ) from error


class Certificates:
    """TLS server contexts, one a host, minted when a host is first asked for. Any thread."""

    def __init__(self, files: AuthorityFiles, clock: Clock) -> None:
        self._files = files
        self._clock = clock
        self._lock = threading.Lock()
        self._minter: _Minter | None = None
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()

    def context(self, host: str) -> ssl.SSLContext:
        """The context of ``host``. Raises ``DataFolderError`` where the authority cannot be read."""
        with self._lock:
            found = self._contexts.get(host)
            if found is None:
                found = self._contexts[host] = self._made(host)
            self._contexts.move_to_end(host)
            if len(self._contexts) > _KEPT_CONTEXTS:
                self._contexts.popitem(last=False)
            return found

    def _made(self, host: str) -> ssl.SSLContext:
        if self._minter is None:
            self._minter = _Minter.load(self._files)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # ``ssl`` reads chains from files only; this one is of mode 0600 and gone at once.
        with tempfile.NamedTemporaryFile("w", dir=self._files.folder, encoding="ascii") as chain:
            chain.write(self._minter.chain(host, self._clock))
            chain.flush()
            context.load_cert_chain(chain.name)
        return context


@dataclass(frozen=True)
class _Minter:
    """The authority's certificate and key, and the one key that all leaf certificates of this process have."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey
    leaf_key: EllipticCurvePrivateKey

    @classmethod
    def load(cls, files: AuthorityFiles) -> _Minter:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
            key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            hint = f"delete {files.folder}, then `mlparity down` and `up`"
            raise DataFolderError("the local certificate authority cannot be read", str(error), hint) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise DataFolderError(f"{files.key} is not the key that mlparity made")
        return cls(certificate, key, ec.generate_private_key(ec.SECP256R1()))

    def chain(self, host: str, clock: Clock) -> str:
        """PEM: a certificate for ``host`` and its key."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import ExtendedKeyUsageOID

        public, issuer = self.leaf_key.public_key(), self.key.public_key()
        certificate = (
            _builder("mlparity", self.certificate.subject, public, clock, _LEAF_DAYS)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return _pem(certificate) + _key_pem(self.leaf_key)


def _new_authority(domains: tuple[str, ...], clock: Clock) -> tuple[str, str]:
    """The PEM of a certificate and of its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    no_address = [x509.IPAddress(ipaddress.ip_network(net)) for net in ("0.0.0.0/0", "::/0")]
    names = x509.NameConstraints([x509.DNSName(domain) for domain in domains], no_address)
    certificate = (
        _builder(_TITLE, None, key.public_key(), clock, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(names, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate), _key_pem(key)


def _builder(
    name: str, issuer: x509.Name | None, public: EllipticCurvePublicKey, clock: Clock, days: int
) -> x509.CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _key_pem(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.readline()
    except OSError:
        return ""
