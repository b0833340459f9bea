from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlparity.clock import SystemClock
from mlparity.errors import DataFolderError
from mlparity.gateway.authority import AuthorityFiles, Certificates, ensure_authority
from mlparity.testing import TestClock

DOMAINS = ("amazonaws.com",)


@pytest.fixture
def files(tmp_path: Path) -> AuthorityFiles:
    made = AuthorityFiles(tmp_path / "gateway")
    ensure_authority(made, DOMAINS, SystemClock())
    return made


def shake_hands(server: ssl.SSLContext, trusted: Path, host: str) -> str | None:
    """A whole handshake in memory with a strict client; the version of TLS."""
    client = ssl.create_default_context(cafile=str(trusted))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname=host)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return asking.version()


def test_the_key_is_private_and_the_certificate_is_not(files: AuthorityFiles) -> None:
    assert stat.S_IMODE(files.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.certificate.stat().st_mode) == 0o644
    assert "PRIVATE" not in files.certificate.read_text()


def test_it_is_made_once_and_again_where_the_domains_change(files: AuthorityFiles) -> None:
    first = files.certificate.read_bytes()
    ensure_authority(files, DOMAINS, SystemClock())
    assert files.certificate.read_bytes() == first
    ensure_authority(files, (*DOMAINS, "googleapis.com"), SystemClock())
    assert files.certificate.read_bytes() != first


def test_clients_accept_a_certificate_for_any_depth_and_length_of_host(files: AuthorityFiles) -> None:
    certificates = Certificates(files, SystemClock())
    for host in (
        "sts.amazonaws.com",
        f"{'b' * 63}.s3.ap-southeast-2.amazonaws.com",
        "a.b.c.s3.us-east-1.amazonaws.com",
    ):
        assert shake_hands(certificates.context(host), files.certificate, host) == "TLSv1.3"
        assert certificates.context(host) is certificates.context(host)
    assert sorted(path.name for path in files.folder.iterdir()) == ["ca.key", "ca.pem"]


@pytest.mark.parametrize("host", ["example.com", "amazonaws.com.evil.org", "console.aws.amazon.com"])
def test_the_authority_is_worth_nothing_for_other_hosts(files: AuthorityFiles, host: str) -> None:
    context = Certificates(files, SystemClock()).context(host)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        shake_hands(context, files.certificate, host)


def test_a_certificate_for_another_host_is_refused(files: AuthorityFiles) -> None:
    context = Certificates(files, SystemClock()).context("iam.amazonaws.com")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(context, files.certificate, "sts.amazonaws.com")


def test_certificates_end(files: AuthorityFiles) -> None:
    long_ago = TestClock(datetime.now(UTC) - timedelta(days=800))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(Certificates(files, long_ago).context("sts.amazonaws.com"), files.certificate, "sts.amazonaws.com")


def test_a_damaged_authority_is_told(files: AuthorityFiles) -> None:
    files.key.write_text("not a key")
    with pytest.raises(DataFolderError, match="cannot be read"):
        Certificates(files, SystemClock()).context("sts.amazonaws.com")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "gateway").write_text("a file")
    with pytest.raises(DataFolderError, match="cannot be kept"):
        ensure_authority(AuthorityFiles(tmp_path / "gateway"), DOMAINS, SystemClock())
