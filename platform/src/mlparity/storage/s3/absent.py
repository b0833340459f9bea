"""The operations of S3 that are not there, as data. A request for one is answered NotImplemented, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Absent:
    """An operation of the vendor that is not there."""

    name: str
    method: str
    level: str
    query: str


ABSENT: tuple[Absent, ...] = tuple(
    Absent(name, method, level, query)
    for level, query, names in (
        ("bucket", "abac", "GET GetBucketAbac PUT PutBucketAbac"),
        ("bucket", "accelerate", "PUT PutBucketAccelerateConfiguration"),
        (
            "bucket",
            "analytics",
            (
                "DELETE DeleteBucketAnalyticsConfiguration GET GetBucketAnalyticsConfiguration "
                "GET ListBucketAnalyticsConfigurations PUT PutBucketAnalyticsConfiguration"
            ),
        ),
        (
            "bucket",
            "intelligent-tiering",
            (
                "DELETE DeleteBucketIntelligentTieringConfiguration GET GetBucketIntelligentTieringConfiguration "
                "GET ListBucketIntelligentTieringConfigurations PUT PutBucketIntelligentTieringConfiguration"
            ),
        ),
        (
            "bucket",
            "inventory",
            (
                "DELETE DeleteBucketInventoryConfiguration GET GetBucketInventoryConfiguration "
                "GET ListBucketInventoryConfigurations PUT PutBucketInventoryConfiguration"
            ),
        ),
        ("bucket", "logging", "PUT PutBucketLogging"),
        (
            "bucket",
            "metadataConfiguration",
            (
                "POST CreateBucketMetadataConfiguration DELETE DeleteBucketMetadataConfiguration "
                "GET GetBucketMetadataConfiguration"
            ),
        ),
        (
            "bucket",
            "metadataTable",
            (
                "POST CreateBucketMetadataTableConfiguration DELETE DeleteBucketMetadataTableConfiguration "
                "GET GetBucketMetadataTableConfiguration"
            ),
        ),
        ("bucket", "metadataAnnotationTable", "PUT UpdateBucketMetadataAnnotationTableConfiguration"),
        ("bucket", "metadataInventoryTable", "PUT UpdateBucketMetadataInventoryTableConfiguration"),
        ("bucket", "metadataJournalTable", "PUT UpdateBucketMetadataJournalTableConfiguration"),
        (
            "bucket",
            "metrics",
            (
                "DELETE DeleteBucketMetricsConfiguration GET GetBucketMetricsConfiguration "
                "GET ListBucketMetricsConfigurations PUT PutBucketMetricsConfiguration"
            ),
        ),
        ("bucket", "object-lock", "PUT PutObjectLockConfiguration"),
        ("bucket", "policyStatus", "GET GetBucketPolicyStatus"),
        ("bucket", "replication", "PUT PutBucketReplication DELETE DeleteBucketReplication"),
        ("bucket", "requestPayment", "PUT PutBucketRequestPayment"),
        ("bucket", "session", "GET CreateSession"),
        ("bucket", "website", "PUT PutBucketWebsite DELETE DeleteBucketWebsite"),
        (
            "object",
            "annotation",
            "DELETE DeleteObjectAnnotation GET GetObjectAnnotation GET ListObjectAnnotations PUT PutObjectAnnotation",
        ),
        ("object", "encryption", "PUT UpdateObjectEncryption"),
        ("object", "legal-hold", "GET GetObjectLegalHold PUT PutObjectLegalHold"),
        ("object", "renameObject", "PUT RenameObject"),
        ("object", "restore", "POST RestoreObject"),
        ("object", "retention", "GET GetObjectRetention PUT PutObjectRetention"),
        ("object", "select", "POST SelectObjectContent"),
        ("object", "torrent", "GET GetObjectTorrent"),
    )
    for method, name in zip(names.split()[::2], names.split()[1::2], strict=True)
)
