"""A real Cloud Storage endpoint on loopback for tests, over a store that S3 speaks to as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.clock import SystemClock
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore
from mlparity.storage.gcs import GcsApp
from mlparity.storage.s3 import S3App
from tests.conformance.s3_fixtures import ACCESS_KEY, ACCOUNT, REGION, SECRET_KEY, serve

PROJECT = "local-project"
PROJECT_NUMBER = "123456789012"
LOCATION = "US-CENTRAL1"
SIGNER = "signer@local-project.iam.gserviceaccount.com"


@dataclass(frozen=True)
class GcsEndpoint:
    """A running endpoint, S3's beside it, and the store behind both."""

    url: str
    s3_url: str
    store: FileObjectStore
    private_key: str  # of SIGNER, in PEM


@contextmanager
def gcs_endpoint(root: Path) -> Iterator[GcsEndpoint]:
    """An empty store with both protocols in front of it."""
    private, public = key_pair()
    clock, ids = SystemClock(), SystemIds()
    database = Database.open(root / "state.db")
    try:
        store = FileObjectStore(database, root / "objects", clock, ids, REGION)
        app = GcsApp(store, clock, ids, PROJECT, PROJECT_NUMBER, LOCATION, {SIGNER: public})
        s3 = S3App(store, {ACCESS_KEY: SECRET_KEY}, clock, ids, REGION, ACCOUNT)
        with serve(app) as url, serve(s3) as s3_url:
            yield GcsEndpoint(url, s3_url, store, private)
    finally:
        database.close()


def storage_client(url: str) -> Any:
    """An unmodified google-cloud-storage client of the endpoint."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    return storage.Client(project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": url})


def key_pair() -> tuple[str, str]:
    """A private key and its public one, in PEM."""
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    key = generate_private_key(65537, 2048)
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
