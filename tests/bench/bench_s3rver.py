"""s3rver, an S3 server in JavaScript that keeps objects on disk: npm puts it into a cache folder when first wanted."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_measure import Options
from bench_peers import HOST, Peer, answering, process

from mlparity.stack.listen import free_port

NAME = "s3rver"
KEY = "S3RVER"  # its only credentials: the access key and the secret
_PACKAGE = "s3rver@3.7.1"
_INSTALL_SECONDS = 180


@contextmanager
def s3rver(options: Options) -> Iterator[Peer | None]:
    """The running server; None, with the reason said, where it cannot be had."""
    program = _program(options)
    if program is None:
        yield None
        return
    port, data = free_port(), options.folder / "s3rver"
    data.mkdir()
    arguments = [str(program), "-d", str(data), "-a", HOST, "-p", str(port), "--silent", "--no-vhost-buckets"]
    with process(arguments, options.folder / "s3rver.log") as started:
        yield answering(started, port, "/", 30, status=None)


def _program(options: Options) -> Path | None:
    folder = options.cache / _PACKAGE.replace("@", "-")
    program = folder / "node_modules" / ".bin" / NAME
    if program.exists():
        return program
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        options.say("  without s3rver: node and npm are not installed")
        return None
    folder.mkdir(parents=True, exist_ok=True)
    options.say(f"  installing {_PACKAGE} into {folder}")
    words = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), _PACKAGE]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS, cwd=folder,
            env={**os.environ, **options.person},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        options.say(f"  without s3rver: npm took more than {_INSTALL_SECONDS} s")
        return None
    if done.returncode or not program.exists():
        said = (done.stderr or done.stdout).strip().splitlines()
        options.say(f"  without s3rver: npm could not install it ({said[-1] if said else done.returncode})")
        return None
    return program
