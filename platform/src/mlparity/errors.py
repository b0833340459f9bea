"""The one exception tree.

Every error carries three lines: what happened, why, and what to try. The command line prints exactly
those; a wire API maps the class to its vendor's error code and sends ``what`` and ``why`` as the message.

    MlparityError
    ├── ConfigurationError        a profile, flag or environment variable is wrong
    ├── MissingDependencyError    an optional package or system tool is not installed
    ├── StackError                the stack cannot start, stop or be reached
    │   ├── PortInUseError
    │   ├── StackNotRunningError
    │   └── DataFolderError       the data folder is damaged, unwritable or from a newer version
    ├── StateError                the database refused or is locked
    ├── NotFoundError             a named thing does not exist
    ├── ConflictError             it exists already, or its state forbids the request
    ├── InvalidRequestError       the request itself cannot be right
    ├── StorageError              the bucket store
    │   ├── NoSuchBucketError / BucketExistsError / BucketNotEmptyError / InvalidBucketNameError
    │   ├── NoSuchObjectError / NoSuchUploadError
    │   ├── PreconditionFailedError / InvalidRangeError / BadDigestError
    │   └── InvalidPartError: PartTooSmallError, InvalidPartOrderError
    ├── EngineError               a job or a run cannot go on
    │   ├── RuntimeUnavailableError   no local runtime stands for this image
    │   └── SandboxUnavailableError   the promised absolute paths cannot be made private here
    └── ScenarioError             a scenario's check did not hold
"""

from __future__ import annotations


class MlparityError(Exception):
    """Base of all: ``what`` happened, ``why``, and what to ``hint`` at trying."""

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        self.what = what
        self.why = why
        self.hint = hint
        super().__init__(what if not why else f"{what}: {why}")

    def lines(self) -> tuple[str, ...]:
        """The non-empty lines to show a person, most important first."""
        return tuple(line for line in (self.what, self.why, self.hint) if line)

    def sentence(self) -> str:
        """The same in one line, for a log or a vendor's message."""
        return ". ".join(line.removesuffix(".") for line in self.lines())


class ConfigurationError(MlparityError):
    """A profile, flag or environment variable is wrong."""


class MissingDependencyError(MlparityError):
    """An optional package or system tool is not installed; ``hint`` is the command that installs it."""


class StackError(MlparityError):
    """The stack cannot start, stop or be reached."""


class PortInUseError(StackError):
    """Another program listens on a port of the profile."""


class StackNotRunningError(StackError):
    """A command needs the stack and it is not up."""


class DataFolderError(StackError):
    """The data folder is damaged, unwritable, or written by a newer version."""


class StateError(MlparityError):
    """The database refused a statement, is locked for too long, or its disk is full."""


class NotFoundError(MlparityError):
    """A named thing does not exist."""


class ConflictError(MlparityError):
    """The thing exists already, or its state forbids the request."""


class InvalidRequestError(MlparityError):
    """The request cannot be right whatever the state."""


class StorageError(MlparityError):
    """Base of the bucket store's errors."""


class NoSuchBucketError(StorageError):
    """The bucket does not exist."""


class BucketExistsError(StorageError):
    """The bucket exists already."""


class BucketNotEmptyError(StorageError):
    """The bucket still holds objects, versions or unfinished uploads."""


class InvalidBucketNameError(StorageError):
    """The name breaks the naming rules."""


class NoSuchObjectError(StorageError):
    """The key (or that version of it) does not exist."""


class NoSuchUploadError(StorageError):
    """The multipart upload does not exist or has ended."""


class InvalidPartError(StorageError):
    """A part named at completion was not uploaded as described."""


class PartTooSmallError(InvalidPartError):
    """A part other than the last is smaller than 5 MiB."""


class InvalidPartOrderError(InvalidPartError):
    """The parts named at completion are not in ascending order."""


class PreconditionFailedError(StorageError):
    """A conditional request's condition does not hold."""


class InvalidRangeError(StorageError):
    """The byte range lies outside the object."""


class BadDigestError(StorageError):
    """The body does not match the digest or checksum that was sent with it."""


class EngineError(MlparityError):
    """A job or a run cannot go on."""


class RuntimeUnavailableError(EngineError):
    """No local runtime stands for an image, or it is not installed."""


class SandboxUnavailableError(EngineError):
    """The absolute paths that a contract promises cannot be made private on this machine."""


class ScenarioError(MlparityError):
    """A check of a scenario did not hold."""
