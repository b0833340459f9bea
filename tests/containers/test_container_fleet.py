"""A deployment of an image that mlparity knows nothing of, on a real engine: ``docker run IMAGE serve``."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlparity.clock import SystemClock
from mlparity.engine.container import ContainerExecutor
from mlparity.engine.executors import Executors
from mlparity.engine.sandbox import SandboxExecutor
from mlparity.ids import SystemIds
from mlparity.serving.fleet.deployment import DeploymentPhase
from tests.conformance.fleet_fixture import Timing, Yard, archive, send
from tests.containers.engine_images import PROGRAMS, engine_answers, root_file_system

IMAGE = "mlparity-test-server:1"
PERL = Path("/usr/lib/x86_64-linux-gnu/perl-base")
SERVE = r"""#!/usr/bin/perl
use IO::Socket::INET;
$SIG{TERM} = sub { exit 0 };
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 9, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
    my ($first, $length, $body) = (scalar <$client>, 0, "");
    while (my $line = <$client>) {
        $length = $1 if $line =~ /^content-length: (\d+)/i;
        last if $line eq "\r\n";
    }
    read($client, $body, $length) if $length;
    die "as it was told" if $body eq "die";
    my $answer = $first =~ m{/ping} ? "" : scalar(reverse $body) . `cat /opt/ml/model/weights` . $ENV{MINE};
    print $client "HTTP/1.1 200 OK\r\nContent-Length: " . length($answer) . "\r\nConnection: close\r\n\r\n" . $answer;
    close $client;
}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not engine_answers():
        pytest.skip("no container engine answers (`docker info`)")
    if shutil.which("perl") is None or not PERL.is_dir():
        pytest.skip("the image's server is written in this machine's perl, and there is none")
    program = tmp_path_factory.mktemp("image") / "serve"
    program.write_text(SERVE)
    program.chmod(0o755)
    more = {str(path).lstrip("/"): path for path in PERL.rglob("*") if path.is_file()}
    more |= {"bin/serve": program, "usr/bin/perl": Path("/usr/bin/perl")}
    packed = root_file_system((*PROGRAMS, "perl"), more)
    subprocess.run(["docker", "import", "-", IMAGE], input=packed, capture_output=True, check=True)
    yield IMAGE
    subprocess.run(["docker", "image", "rm", "--force", IMAGE], capture_output=True, check=False)


def test_an_image_serves_its_model_and_is_replaced_when_it_dies(image: str, tmp_path: Path) -> None:
    sandbox = SandboxExecutor(tmp_path / "scratch", SystemClock(), SystemIds())
    containers = ContainerExecutor(f"fleet-{tmp_path.name}", tmp_path / "containers")
    runtimes = 'version: 1\nruntimes: {image: {kind: container}}\nimages: [{image: "mlparity-*", runtime: image}]\n'
    timing = Timing(ping_every=0.1, ping_timeout=2.0, grace=5.0)
    yard = Yard(tmp_path / "data", Executors(sandbox, containers), timing, runtimes)
    try:
        uri = yard.put("m", archive(weights="W"))
        ready = yard.deploy("d-1", uri, image=image, environment={"MINE": "!"})
        assert ready.phase is DeploymentPhase.READY, ready.reason
        assert send(ready.sockets[0], b"abc").text == "cbaW!"
        assert {listener.laddr.ip for listener in _published()} == {"127.0.0.1"}
        assert send(ready.sockets[0], b"die").status == 502
        again = yard.until("d-1", lambda now: len(now.sockets) == 1 and now.sockets != ready.sockets)
        assert send(again.sockets[0], b"xyz").text == "zyxW!"
        yard.fleet.stop("d-1")
        yard.until("d-1", lambda now: now.phase is DeploymentPhase.STOPPED)
        listed = ["docker", "ps", "--all", "--quiet", "--filter", f"label=mlparity.owner=fleet-{tmp_path.name}"]
        assert subprocess.run(listed, capture_output=True, text=True, check=True).stdout == ""
    finally:
        yard.close()
        sandbox.close()
        containers.close()


def _published() -> list[psutil._common.sconn]:
    return [
        one
        for one in psutil.net_connections("inet")
        if one.status == psutil.CONN_LISTEN and one.pid and psutil.Process(one.pid).name() == "docker-proxy"
    ]
