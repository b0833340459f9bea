"""What the JSON API has and this store has not, as data. A request for one is answered with an error, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Absent:
    """A method of the vendor that is not there."""

    name: str
    method: str
    template: str
    acl: bool = False  # refused as GCS does where access is uniform; any other answers notImplemented


def _collection(name: str, path: str, item: str, methods: str, *, acl: bool = False) -> tuple[Absent, ...]:
    verbs = {
        "list": ("GET", path),
        "insert": ("POST", path),
        "get": ("GET", f"{path}/{item}"),
        "patch": ("PATCH", f"{path}/{item}"),
        "update": ("PUT", f"{path}/{item}"),
        "delete": ("DELETE", f"{path}/{item}"),
    }
    return tuple(Absent(f"{name}.{method}", *verbs[method], acl=acl) for method in methods.split())


_ALL = "list insert get patch update delete"

ABSENT: tuple[Absent, ...] = (
    *_collection("bucketAccessControls", "b/{bucket}/acl", "{entity}", _ALL, acl=True),
    *_collection("defaultObjectAccessControls", "b/{bucket}/defaultObjectAcl", "{entity}", _ALL, acl=True),
    *_collection("objectAccessControls", "b/{bucket}/o/{object}/acl", "{entity}", _ALL, acl=True),
    *_collection("anywhereCaches", "b/{bucket}/anywhereCaches", "{id}", "list insert get update"),
    Absent("anywhereCaches.disable", "POST", "b/{bucket}/anywhereCaches/{id}/disable"),
    Absent("anywhereCaches.pause", "POST", "b/{bucket}/anywhereCaches/{id}/pause"),
    Absent("anywhereCaches.resume", "POST", "b/{bucket}/anywhereCaches/{id}/resume"),
    Absent("buckets.lockRetentionPolicy", "POST", "b/{bucket}/lockRetentionPolicy"),
    Absent("buckets.relocate", "POST", "b/{bucket}/relocate"),
    Absent("buckets.restore", "POST", "b/{bucket}/restore"),
    Absent("channels.stop", "POST", "channels/stop"),
    *_collection("folders", "b/{bucket}/folders", "{folder}", "list insert get delete"),
    Absent("folders.rename", "POST", "b/{bucket}/folders/{folder}/renameTo/folders/{target}"),
    *_collection("managedFolders", "b/{bucket}/managedFolders", "{folder}", "list insert get delete"),
    Absent("managedFolders.getIamPolicy", "GET", "b/{bucket}/managedFolders/{folder}/iam"),
    Absent("managedFolders.setIamPolicy", "PUT", "b/{bucket}/managedFolders/{folder}/iam"),
    Absent("managedFolders.testIamPermissions", "GET", "b/{bucket}/managedFolders/{folder}/iam/testPermissions"),
    *_collection("notifications", "b/{bucket}/notificationConfigs", "{id}", "list insert get delete"),
    Absent("objects.bulkRestore", "POST", "b/{bucket}/o/bulkRestore"),
    Absent("objects.getIamPolicy", "GET", "b/{bucket}/o/{object}/iam"),
    Absent("objects.setIamPolicy", "PUT", "b/{bucket}/o/{object}/iam"),
    Absent("objects.testIamPermissions", "GET", "b/{bucket}/o/{object}/iam/testPermissions"),
    Absent("objects.restore", "POST", "b/{bucket}/o/{object}/restore"),
    Absent("objects.watchAll", "POST", "b/{bucket}/o/watch"),
    *_collection("operations", "b/{bucket}/operations", "{id}", "list get"),
    Absent("operations.cancel", "POST", "b/{bucket}/operations/{id}/cancel"),
    Absent("operations.advanceRelocateBucket", "POST", "b/{bucket}/operations/{id}/advanceRelocateBucket"),
    *_collection("projects.hmacKeys", "projects/{project}/hmacKeys", "{id}", "list get update delete"),
    Absent("projects.hmacKeys.create", "POST", "projects/{project}/hmacKeys"),
)
