"""Google Cloud Storage's protocols over the bucket store. A bucket and its objects are the same that S3 shows."""

from mlparity.storage.gcs.absent import ABSENT, Absent
from mlparity.storage.gcs.app import GcsApp
from mlparity.storage.gcs.operations import OPERATIONS, Operation, serves

__all__ = ["ABSENT", "OPERATIONS", "Absent", "GcsApp", "Operation", "serves"]
