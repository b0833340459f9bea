"""The manifest of an image that the container engine has.

https://github.com/opencontainers/image-spec/blob/main/manifest.md and .../image-layout.md
"""

from __future__ import annotations

import json
import posixpath
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mlparity.errors import ScenarioError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_SMALL = 1 << 20  # bytes; of a saved image everything but its layers is far below


def manifest(uri: str) -> str:
    """The image's manifest. Raises ``ScenarioError``.

    Docker 25 and newer save the manifest itself. Older ones save the configuration and the layers: the manifest is then
    written from these, with their true digests and sizes; its layers are not compressed.
    """
    with subprocess.Popen(["docker", "save", uri], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as saving:
        assert saving.stdout is not None  # it was asked for
        try:
            return manifest_in(saving.stdout)
        except (tarfile.TarError, KeyError, ValueError) as error:
            raise ScenarioError("the built image's manifest cannot be read", repr(error)) from error
        finally:
            saving.kill()


def manifest_in(saved: IO[bytes]) -> str:
    """The same from what `docker save` writes; read once, in its order, and never kept: an image is large."""
    held = _Saved.read(saved)
    if "index.json" in held.content:
        described = json.loads(held.content["index.json"])["manifests"][0]
        while described.get("mediaType") == _INDEX:
            described = _own_platform(json.loads(held.blob(described["digest"])))
        return held.blob(described["digest"]).decode()
    (image,) = json.loads(held.content["manifest.json"])
    config = held.content[image["Config"]]
    differences = json.loads(config)["rootfs"]["diff_ids"]
    layers = [
        {"mediaType": _LAYER, "digest": digest, "size": held.size(name)}
        for digest, name in zip(differences, image["Layers"], strict=True)
    ]
    digest = f"sha256:{Path(image['Config']).name.removesuffix('.json')}"
    configuration = {"mediaType": _CONFIG, "digest": digest, "size": len(config)}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": configuration, "layers": layers}
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _own_platform(index: dict[str, Any]) -> dict[str, Any]:
    """The image among its attestations, which are of no platform."""
    known = (one for one in index["manifests"] if one.get("platform", {}).get("os") != "unknown")
    return dict(next(known))


@dataclass
class _Saved:
    """The members of a saved image by name: sizes of all, links, and the content of the small ones."""

    sizes: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def read(cls, saved: IO[bytes]) -> _Saved:
        held = cls()
        with tarfile.open(fileobj=saved, mode="r|") as tar:
            for entry in _members(tar):
                held.sizes[entry.name] = entry.size
                if entry.issym():  # a layer that another image has too
                    held.links[entry.name] = posixpath.join(posixpath.dirname(entry.name), entry.linkname)
                stream = tar.extractfile(entry) if entry.isfile() and entry.size <= _SMALL else None
                if stream is not None:
                    held.content[entry.name] = stream.read()
        return held

    def size(self, name: str) -> int:
        return self.sizes[posixpath.normpath(self.links.get(name, name))]

    def blob(self, digest: str) -> bytes:
        return self.content[f"blobs/{digest.replace(':', '/')}"]


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (entry := tar.next()) is not None:
        yield entry
