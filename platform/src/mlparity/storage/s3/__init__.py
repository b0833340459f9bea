"""The S3 protocol over a ``BucketStore``."""

from mlparity.storage.s3.absent import ABSENT, Absent
from mlparity.storage.s3.app import S3App
from mlparity.storage.s3.operations import OPERATIONS, Operation

__all__ = ["ABSENT", "OPERATIONS", "Absent", "Operation", "S3App"]
