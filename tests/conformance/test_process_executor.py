"""What every ``ProcessExecutor`` promises, run over each way of running jobs that this machine allows."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from mlparity.clock import SystemClock
from mlparity.engine.process import ProcessExit, ProcessSpec, RunningProcess, Runtime
from mlparity.engine.sandbox import Mode, SandboxExecutor, SandboxReport, probe
from mlparity.errors import InvalidRequestError, RuntimeUnavailableError, SandboxUnavailableError
from mlparity.ids import SeededIds

RUNTIME = Runtime("host", "host", preload=("json", "numpy", "numpy.random", "threadpoolctl", "joblib"))
PATIENCE = 30.0  # seconds; far more than anything here takes


def until(condition: Callable[[], bool], what: str) -> None:
    """Poll ``condition``; fail after ``PATIENCE``."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"never came: {what}")
        time.sleep(0.005)


@dataclass
class Bench:
    """An executor and a folder, with the shortest way to run something."""

    executor: SandboxExecutor
    folder: Path
    numbers: Iterator[int]

    def start(
        self,
        *command: str,
        ml: Path | None = None,
        runtime: Runtime = RUNTIME,
        cwd: str = "/opt/ml",
        **environment: str,
    ) -> tuple[RunningProcess, Path]:
        number = next(self.numbers)
        ml = ml or self.folder / f"ml-{number}"
        ml.mkdir(exist_ok=True)
        log = self.folder / f"log-{number}.txt"
        spec = ProcessSpec(f"job-{number}", runtime, command, environment, {"/opt/ml": ml}, cwd, log)
        return self.executor.start(spec), log

    def run(self, *command: str, **options: object) -> tuple[ProcessExit, str]:
        process, log = self.start(*command, **options)  # type: ignore[arg-type]
        ended = process.wait(PATIENCE)
        assert ended is not None, f"still running; its log: {log.read_text()}"
        return ended, log.read_text()

    def python(self, source: str, *arguments: str, **options: object) -> tuple[ProcessExit, str]:
        """Run ``source`` as a script in /opt/ml."""
        ml = self.folder / f"ml-script-{next(self.numbers)}"
        ml.mkdir()
        (ml / "script.py").write_text(textwrap.dedent(source))
        return self.run("python3", "script.py", *arguments, ml=ml, **options)


def _modes() -> list[Mode]:
    modes = [Mode.USER_NAMESPACE]
    if os.geteuid() == 0:
        modes.append(Mode.ROOT)
    return modes


@pytest.fixture(scope="module", params=_modes(), ids=lambda mode: mode.name.lower())
def executor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxExecutor]:
    found = probe()
    if found.mode is None:
        pytest.skip(f"{found.why}. {found.hint}")
    scratch = tmp_path_factory.mktemp("scratch")
    made = SandboxExecutor(scratch, SystemClock(), SeededIds(), report=SandboxReport(request.param))
    yield made
    made.close()
    assert list(scratch.iterdir()) == []


@pytest.fixture
def bench(executor: SandboxExecutor, tmp_path: Path) -> Bench:
    return Bench(executor, tmp_path, itertools.count())


# --- ending ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_exit_code(bench: Bench, code: int) -> None:
    ended, _ = bench.run("/bin/bash", "-c", f"exit {code}")
    assert (ended.code, ended.signal, ended.ok) == (code, None, code == 0)
    ended, _ = bench.run("python3", "-c", f"import sys; sys.exit({code})")
    assert (ended.code, ended.signal) == (code, None)


def test_death_by_signal(bench: Bench) -> None:
    for command in (["/bin/bash", "-c", "kill -USR1 $$"], ["python3", "-c", "import os; os.kill(os.getpid(), 10)"]):
        ended, _ = bench.run(*command)
        assert (ended.code, ended.signal) == (None, signal.SIGUSR1)


def test_command_that_is_not_there(bench: Bench) -> None:
    ended, log = bench.run("no-such-program", "x")
    assert ended.code == 127
    assert "no-such-program: No such file or directory" in log


def test_usage_is_counted(bench: Bench) -> None:
    ended, _ = bench.python("sum(i * i for i in range(3_000_000)); b = bytearray(50_000_000)")
    assert ended.usage is not None
    assert ended.usage.user_seconds > 0.05
    assert ended.usage.peak_bytes > 50_000_000
    assert ended.usage.wall_seconds > 0.05


def test_wait_with_timeout_and_from_several_threads(bench: Bench) -> None:
    process, _ = bench.start("/bin/bash", "-c", "read < fifo || sleep 1000")
    assert process.wait(0.05) is None
    found: list[ProcessExit | None] = []
    threads = [threading.Thread(target=lambda: found.append(process.wait(PATIENCE))) for _ in range(3)]
    for thread in threads:
        thread.start()
    process.kill()
    for thread in threads:
        thread.join()
    assert found == [ProcessExit(None, signal.SIGKILL)] * 3
    assert process.wait(0) == ProcessExit(None, signal.SIGKILL)
    process.kill()
    process.terminate()


# --- log and environment --------------------------------------------------------------------------------------


def test_log_has_both_streams_in_order_and_while_running(bench: Bench) -> None:
    process, log = bench.start(
        "python3",
        "-c",
        "import sys,time; print('one'); print('two', file=sys.stderr); print('three'); time.sleep(1000)",
    )
    until(lambda: log.read_text() == "one\ntwo\nthree\n", "the output, though the program goes on")
    process.kill()
    process.wait(PATIENCE)


def test_log_is_appended_to(bench: Bench) -> None:
    log = bench.folder / "log.txt"
    log.write_text("before\n")
    (bench.folder / "ml").mkdir()
    spec = ProcessSpec("again", RUNTIME, ["echo", "after"], {}, {"/opt/ml": bench.folder / "ml"}, "/", log)
    process = bench.executor.start(spec)
    assert process.wait(PATIENCE) is not None
    assert log.read_text() == "before\nafter\n"


def test_environment_is_the_specs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKED_SECRET", "x")
    for command in (
        ["/usr/bin/env"],
        ["python3", "-c", "import os\nfor n, v in os.environ.items(): print(f'{n}={v}')"],
    ):
        ended, log = bench.run(*command, GIVEN="a=b c")
        assert ended.ok
        lines = dict(line.partition("=")[::2] for line in log.splitlines())
        assert lines["GIVEN"] == "a=b c"
        assert set(lines) == {"GIVEN", "PATH", "HOME", "LANG", "PYTHONUNBUFFERED"} | {
            "PIP_NO_INDEX",
            "PIP_DISABLE_PIP_VERSION_CHECK",
            "PIP_ROOT_USER_ACTION",
            "OMP_WAIT_POLICY",
        }
        assert lines["PATH"].startswith("/opt/mlparity/bin:")


def test_c_level_environment_matches(bench: Bench) -> None:
    ended, log = bench.python(
        """
        import ctypes, os, subprocess
        ctypes.CDLL(None).getenv.restype = ctypes.c_char_p
        print(ctypes.CDLL(None).getenv(b"GIVEN"), subprocess.check_output(["/bin/sh", "-c", "echo $GIVEN"]))
        """,
        GIVEN="here",
    )
    assert ended.ok
    assert "b'here\\n'" in log


def test_stdin_is_empty(bench: Bench) -> None:
    assert bench.run("/bin/cat")[0].ok
    assert bench.run("python3", "-c", "import sys; assert sys.stdin.read() == ''")[0].ok


# --- files ----------------------------------------------------------------------------------------------------


def test_each_job_has_its_own_folder_at_the_promised_path(bench: Bench) -> None:
    waiting = "echo $NAME > /opt/ml/name; while [ ! -e /opt/ml/go ]; do sleep 0.01; done; cat /opt/ml/name"
    first, first_log = bench.start("/bin/bash", "-c", waiting, ml=bench.folder / "a", NAME="first")
    second, second_log = bench.start("/bin/bash", "-c", waiting, ml=bench.folder / "b", NAME="second")
    for name in ("a", "b"):
        until((bench.folder / name / "name").exists, "what the job wrote")
        (bench.folder / name / "go").touch()
    assert first.wait(PATIENCE) is not None
    assert second.wait(PATIENCE) is not None
    assert (first_log.read_text(), second_log.read_text()) == ("first\n", "second\n")
    assert (bench.folder / "a" / "name").read_text() == "first\n"


def test_nothing_of_a_job_is_visible_outside(bench: Bench) -> None:
    name = f"made-{os.getpid()}"
    made = [Path(folder, name) for folder in ("/tmp", "/dev/shm", "/", "/opt")]
    mounts = Path("/proc/self/mounts").read_text()
    ended, log = bench.run("/bin/mkdir", *map(str, made))
    seen = [path for path in made if path.exists()]
    for path in seen:
        path.rmdir()
    assert (ended.ok, seen) == (True, []), log
    assert Path("/proc/self/mounts").read_text() == mounts


def test_private_tmp_is_empty_and_gone_afterwards(bench: Bench) -> None:
    ended, log = bench.run("/bin/bash", "-c", "touch /tmp/x; ls /tmp; stat -c %a /tmp")
    assert ended.ok
    assert log.splitlines()[-1] == "1777"
    ended, log = bench.run("/bin/bash", "-c", "test ! -e /tmp/x")
    assert ended.ok


def test_any_absolute_path_can_be_promised(bench: Bench) -> None:
    targets = ["/gcs", "/mnt/models", "/opt/ml/nested", "/var/azureml-app", "/opt/ml"]
    mounts = {}
    for number, target in enumerate(targets):
        mounts[target] = bench.folder / f"m{number}"
        mounts[target].mkdir()
        (mounts[target] / "who").write_text(target)
    log = bench.folder / "log.txt"
    spec = ProcessSpec("paths", RUNTIME, ["cat", *(f"{t}/who" for t in targets)], {}, mounts, "/gcs", log)
    process = bench.executor.start(spec)
    assert process.wait(PATIENCE) is not None
    assert log.read_text() == "".join(targets)


def test_the_host_is_read_only_and_scratch_hidden(bench: Bench) -> None:
    place = Path(sys.prefix, f"written-by-a-job-{os.getpid()}")
    ended, log = bench.run("/bin/touch", str(place))
    assert not place.exists()
    assert ended.code == 1
    assert "Read-only file system" in log
    marker = bench.executor._session.folder
    ended, _ = bench.run("/bin/ls", str(marker))
    assert not ended.ok


def test_a_job_cannot_undo_its_mounts(bench: Bench) -> None:
    administer = 1 << 21  # CAP_SYS_ADMIN
    for command in (["cat", "/proc/self/status"], ["python3", "-c", "print(open('/proc/self/status').read())"]):
        _, log = bench.run(*command)
        held = dict(line.split(":\t") for line in log.splitlines() if line.startswith("Cap"))
        assert not any(int(held[name], 16) & administer for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"))
    ended, _ = bench.run("/bin/umount", "/opt/ml")
    assert not ended.ok


def test_job_is_root_inside(bench: Bench) -> None:
    _, log = bench.run("/bin/bash", "-c", "id -u; touch f; stat -c %u f")
    assert log == "0\n0\n"
    _, log = bench.run("python3", "-c", "import os; print(os.getuid(), os.getgid())")
    assert log == "0 0\n"


def test_hosts_are_known_by_name(bench: Bench) -> None:
    ml = bench.folder / "ml"
    ml.mkdir()
    log = bench.folder / "log.txt"
    hosts = {"algo-1": "127.0.0.1", "algo-2": "127.0.0.2"}
    source = "import socket; print(socket.gethostbyname('algo-1'), socket.gethostbyname('algo-2'))"
    spec = ProcessSpec("hosts", RUNTIME, ["python3", "-c", source], {}, {"/opt/ml": ml}, "/", log, hosts)
    process = bench.executor.start(spec)
    assert process.wait(PATIENCE) is not None
    assert log.read_text() == "127.0.0.1 127.0.0.2\n"


@pytest.mark.parametrize("shell", [False, True], ids=["interpreter", "below a shell"])
def test_memory_and_cores_are_limited(bench: Bench, shell: bool) -> None:
    source = textwrap.dedent("""
        import os
        print("cores", len(os.sched_getaffinity(0)))
        small = bytearray(20 << 20)
        try:
            bytearray(400 << 20)
        except MemoryError:
            print("refused")
    """)
    ml = bench.folder / "ml-limits"
    ml.mkdir(exist_ok=True)
    (ml / "limits.py").write_text(source)
    command = ("sh", "-c", "python3 limits.py; true") if shell else ("python3", "limits.py")
    log = bench.folder / "log-limits.txt"
    spec = ProcessSpec("job-limits", RUNTIME, command, {}, {"/opt/ml": ml}, "/opt/ml", log, cpus=1, memory_bytes=2**28)
    process = bench.executor.start(spec)
    assert process.wait(PATIENCE) is not None
    assert log.read_text().split() == ["cores", "1", "refused"]


def test_working_directory_is_made_where_it_is_missing(bench: Bench) -> None:
    _, log = bench.run("/bin/pwd", cwd="/opt/ml/input/data/code")
    assert log == "/opt/ml/input/data/code\n"


# --- stopping -------------------------------------------------------------------------------------------------


def _named(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(mark in word for word in process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.mark.parametrize("warm", [True, False])
def test_terminate_lets_the_handler_run(bench: Bench, warm: bool) -> None:
    source = (
        "import signal, sys, time\n"
        "def stop(*_):\n    print('cleaning'); sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, stop)\nprint('ready')\nwhile True: time.sleep(1000)\n"
    )
    command = (
        ["python3", "-c", source]
        if warm
        else ["/bin/bash", "-c", f"trap '' TERM; exec {sys.executable} -c \"$0\"", source]
    )
    process, log = bench.start(*command)
    until(lambda: "ready" in log.read_text(), "the handler")
    process.terminate()
    ended = process.wait(PATIENCE)
    assert ended is not None
    assert ended.code == 7
    assert log.read_text() == "ready\ncleaning\n"


def test_terminate_reaches_the_interpreters_below_a_shell_once(bench: Bench) -> None:
    source = (
        "import signal, sys, time, subprocess, os\n"
        "name = sys.argv[1]\n"
        "signal.signal(signal.SIGTERM, lambda *_: print(name, 'got it'))\n"
        "child = subprocess.Popen([sys.executable, __file__, 'inner']) if name == 'outer' else None\n"
        "print(name, 'ready')\n"
        "child.wait() if child else signal.pause()\n"
    )
    ml = bench.folder / "ml"
    ml.mkdir()
    (ml / "script.py").write_text(source)
    process, log = bench.start("/bin/bash", "-c", "trap : TERM; python3 script.py outer; echo after", ml=ml)
    until(lambda: "inner ready" in log.read_text() and "outer ready" in log.read_text(), "both interpreters")
    process.terminate()
    ended = process.wait(PATIENCE)
    assert ended is not None
    assert ended.ok
    lines = log.read_text().splitlines()
    assert sorted(lines) == sorted(["outer ready", "inner ready", "outer got it", "inner got it", "after"])


def test_kill_ends_what_left_its_group_and_ignores_signals(bench: Bench) -> None:
    mark = f"mark-{os.getpid()}-{bench.folder.name}"
    stubborn = f"trap '' TERM HUP INT; : {mark}; echo $0 up; while true; do sleep 1000; done"
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('python up'); time.sleep(1000)"
    script = f'setsid -f /bin/bash -c "$0" one; setsid /bin/bash -c "$0" two & (setsid python3 -c "$1" {mark}) & wait'
    process, log = bench.start("/bin/bash", "-c", script, stubborn, program)
    until(lambda: log.read_text().count(" up") == 3, "all three")
    assert _named(mark)
    process.kill()
    ended = process.wait(PATIENCE)
    assert ended == ProcessExit(None, signal.SIGKILL)
    assert _named(mark) == []


def test_jobs_killed_while_they_start_do_not_harm_the_worker(bench: Bench) -> None:
    bench.run("true")
    guards = {guard.pid for guard in psutil.Process().children()}
    for _ in range(12):
        process, _ = bench.start("python3", "-c", "import time; time.sleep(1000)")
        process.kill()
        assert process.wait(PATIENCE) == ProcessExit(None, signal.SIGKILL)
    assert bench.run("python3", "-c", "print('well')")[1] == "well\n"
    assert {guard.pid for guard in psutil.Process().children()} == guards


def test_the_end_of_the_command_ends_the_rest(bench: Bench) -> None:
    mark = f"left-{os.getpid()}-{bench.folder.name}"
    ended, _ = bench.run("/bin/bash", "-c", f"setsid -f /bin/bash -c ': {mark}; sleep 1000'; exit 4")
    assert ended.code == 4
    assert _named(mark) == []


def test_close_kills_what_runs(executor: SandboxExecutor, tmp_path: Path) -> None:
    other = SandboxExecutor(tmp_path / "scratch", SystemClock(), SeededIds(7), report=executor._report)
    process, log = Bench(other, tmp_path, itertools.count()).start("/bin/bash", "-c", "echo up; sleep 1000")
    until(lambda: "up" in log.read_text(), "the job")
    other.close()
    assert process.wait(0) == ProcessExit(None, signal.SIGKILL)
    other.close()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_death_of_the_worker_is_reported_and_the_next_job_gets_a_new_one(
    executor: SandboxExecutor, tmp_path: Path
) -> None:
    other = SandboxExecutor(tmp_path / "scratch", SystemClock(), SeededIds(8), report=executor._report)
    bench = Bench(other, tmp_path, itertools.count())
    before = set(psutil.Process().children())
    try:
        process, log = bench.start("python3", "-c", "import time; print('up'); time.sleep(1000)")
        until(lambda: "up" in log.read_text(), "the job")
        (guard,) = set(psutil.Process().children()) - before
        (steward,) = guard.children()
        steward.kill()
        assert process.wait(PATIENCE) == ProcessExit(None, signal.SIGKILL, lost=True)
        assert bench.run("python3", "-c", "print('again')")[1] == "again\n"
    finally:
        other.close()


def test_kill_9_of_the_executors_process_leaves_nothing(executor: SandboxExecutor, tmp_path: Path) -> None:
    assert executor._report is not None
    assert executor._report.mode is not None
    mode = executor._report.mode.value
    mark = f"orphan-{os.getpid()}-{tmp_path.name}"
    program = """
import sys, time
from pathlib import Path
from mlparity.clock import SystemClock
from mlparity.engine.process import ProcessSpec, Runtime
from mlparity.engine.sandbox import Mode, SandboxExecutor, SandboxReport
from mlparity.ids import SystemIds
folder, mode, mark = Path(sys.argv[1]), Mode(sys.argv[2]), sys.argv[3]
(folder / "ml").mkdir()
executor = SandboxExecutor(folder / "scratch", SystemClock(), SystemIds(), report=SandboxReport(mode))
source = "import time; print('up'); time.sleep(1000)"
command = ["/bin/bash", "-c", f"setsid -f /bin/bash -c ': {mark}; sleep 1000'; python3 -c \\"{source}\\" {mark}"]
mounts = {"/opt/ml": folder / "ml"}
executor.start(ProcessSpec("job", Runtime("host", "host"), command, {}, mounts, "/", folder / "log"))
time.sleep(1000)
"""
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), mode, mark])
    try:
        until(lambda: (tmp_path / "log").exists() and "up" in (tmp_path / "log").read_text(), "the job")
        below = psutil.Process(parent.pid).children(recursive=True)
        assert len(below) >= 5
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs(below, timeout=PATIENCE)
    assert alive == []
    assert _named(mark) == []
    SandboxExecutor(tmp_path / "scratch", SystemClock(), SeededIds(9), report=executor._report).close()
    assert list((tmp_path / "scratch").iterdir()) == []


# --- refusals -------------------------------------------------------------------------------------------------


def test_refusals(bench: Bench) -> None:
    log = bench.folder / "log.txt"
    good = {"/opt/ml": bench.folder}

    def start(name: str = "a", runtime: Runtime = RUNTIME, mounts: dict[str, Path] = good, cwd: str = "/") -> None:
        bench.executor.start(ProcessSpec(name, runtime, ["true"], {}, mounts, cwd, log))

    for name in ("", "a/b", "..", "-x", "a b"):
        with pytest.raises(InvalidRequestError):
            start(name)
    for target in ("opt/ml", "/", "/opt/../etc", "/opt/ml/"):
        with pytest.raises(InvalidRequestError):
            start(mounts={target: bench.folder})
    with pytest.raises(InvalidRequestError):
        start(mounts={"/opt/ml": bench.folder / "missing"})
    with pytest.raises(InvalidRequestError):
        start(cwd="relative")
    for kind in ("venv", "container"):
        with pytest.raises(RuntimeUnavailableError, match="not ready"):
            start(runtime=Runtime("x", kind))
    with pytest.raises(RuntimeUnavailableError, match="no_such_module"):
        start(runtime=Runtime("x", "host", requires=("no_such_module",)))
    with pytest.raises(SandboxUnavailableError, match="interpreter"):
        start(mounts={sys.prefix: bench.folder})


def test_without_a_way_to_run_jobs_start_says_what_to_do(tmp_path: Path) -> None:
    executor = SandboxExecutor(
        tmp_path / "s", SystemClock(), SeededIds(), report=SandboxReport(None, "denied", "do this")
    )
    spec = ProcessSpec("a", RUNTIME, ["true"], {}, {"/opt/ml": tmp_path}, "/", tmp_path / "log")
    with pytest.raises(SandboxUnavailableError) as caught:
        executor.start(spec)
    assert caught.value.lines()[1:] == ("denied", "do this")
    executor.close()
