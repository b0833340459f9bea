"""A warm ``python`` does what a cold one does: each program runs both ways in the same sandbox and is compared."""

from __future__ import annotations

import itertools
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlparity.clock import SystemClock
from mlparity.engine.process import ProcessExit, ProcessSpec, Runtime
from mlparity.engine.sandbox import SandboxExecutor, probe
from mlparity.ids import SeededIds

RUNTIME = Runtime("host", "host", preload=("json", "numpy", "numpy.random", "threadpoolctl", "joblib", "email.message"))
MARK = "import sys; print('numpy' in sys.modules)"  # True in a warm interpreter only


class Runner:
    def __init__(self, executor: SandboxExecutor, folder: Path) -> None:
        self.executor = executor
        self.folder = folder
        self.numbers = itertools.count()

    def run(
        self, command: list[str], files: dict[str, str] | None = None, **environment: str
    ) -> tuple[ProcessExit, str]:
        number = next(self.numbers)
        ml = self.folder / f"ml-{number}"
        ml.mkdir()
        for name, text in (files or {}).items():
            (ml / name).parent.mkdir(parents=True, exist_ok=True)
            (ml / name).write_text(textwrap.dedent(text))
        log = self.folder / f"log-{number}"
        spec = ProcessSpec(f"job-{number}", RUNTIME, command, environment, {"/opt/ml": ml}, "/opt/ml", log)
        ended = self.executor.start(spec).wait(60)
        assert ended is not None, log.read_text()
        return ended, log.read_text()

    def both(self, command: list[str], files: dict[str, str] | None = None, **environment: str) -> str:
        """Run it warm and cold, check that they agree, and return the log."""
        warm, warm_log = self.run(command, files, **environment)
        cold, cold_log = self.run(command, files, MLPARITY_COLD_PYTHON="1", **environment)
        assert _plain(warm_log).splitlines() == _plain(cold_log).splitlines()
        assert (warm.code, warm.signal) == (cold.code, cold.signal)
        return warm_log


def _plain(log: str) -> str:
    return re.sub(r"0x[0-9a-f]{8,}", "0x", log).replace("/opt/mlparity/bin/python", sys.executable)


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxExecutor]:
    if probe().mode is None:
        pytest.skip("no sandbox on this machine")
    made = SandboxExecutor(tmp_path_factory.mktemp("scratch"), SystemClock(), SeededIds())
    yield made
    made.close()


@pytest.fixture
def runner(executor: SandboxExecutor, tmp_path: Path) -> Runner:
    return Runner(executor, tmp_path)


PROGRAMS = {
    "namespace": """
        import sys, os
        skip = {"__builtins__", "__loader__"}
        print({k: v for k, v in list(globals().items()) if k not in skip and k.startswith("__")})
        print(type(__loader__).__name__, sys.argv, sys.path, os.getcwd(), sys.flags.safe_path, sys.warnoptions)
        for s in (sys.stdout, sys.stderr):
            print(s.encoding, s.errors, s.line_buffering, s.write_through, s.name, s.mode)
        print(sys.stdin.encoding, sys.stdin.errors, sys.stdin.line_buffering, sys.stdin.name, sys.stdin.isatty())
        print(__import__("__main__") is sys.modules["__main__"], sys.modules["__main__"].__dict__ is globals())
    """,
    "streams": """
        import io, sys
        print([type(s.buffer).__name__ for s in (sys.stdin, sys.stdout, sys.stderr)])
        print([s.fileno() for s in (sys.stdin, sys.stdout, sys.stderr)], sys.__stdout__ is sys.stdout)
        sys.stdout.reconfigure(line_buffering=True)
        print("grüße", "\\udc80".encode("utf-8", "surrogateescape"))
    """,
    "traceback": "def f(x):\n    return 1 / x\n\nf(0)\n",
    "chained traceback": """
        def g():
            try:
                {}["k"]
            except KeyError as e:
                raise ValueError("what") from e
        g()
    """,
    "syntax error": "print('never')\nx = = 1\n",
    "exit message": "import sys; sys.exit('a message')",
    "exit none": "import sys; sys.exit()",
    "exit large": "import sys; sys.exit(300)",
    "exit negative": "import sys; sys.exit(-1)",
    "exit in atexit": "import atexit, sys; atexit.register(lambda: print('bye')); sys.exit(5)",
    "atexit order and error": """
        import atexit
        atexit.register(print, "first registered")
        atexit.register(lambda: 1 / 0)
        atexit.register(print, "last registered")
    """,
    "keyboard interrupt": "raise KeyboardInterrupt",
    "sigint": "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(10)",
    "os exit": "import os; print('no', end='', flush=True); os._exit(9)",
    "abort": "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()",
    "threads": """
        import threading
        go = threading.Event()
        def work():
            go.wait(); print("thread done")
        threading.Thread(target=work).start()
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        print("main done"); go.set()
    """,
    "thread error": """
        import threading
        t = threading.Thread(target=lambda: 1 / 0, name="worker"); t.start(); t.join()
    """,
    "pool": """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(2)
        print(sorted(pool.map(lambda x: x * x, range(5))))
    """,
    "unflushed file": "f = open('/opt/ml/out', 'w'); f.write('kept'); import atexit\n"
    "atexit.register(lambda: print(open('/opt/ml/out').read() == ''))",
    "destructor": """
        class A:
            def __del__(self): print("deleted", __name__)
        a = A()
        cycle = A(); cycle.me = cycle
    """,
    "excepthook": """
        import sys
        sys.excepthook = lambda kind, value, trace: print("hook", kind.__name__, value, trace.tb_lineno)
        raise RuntimeError("x")
    """,
    "broken excepthook": """
        import sys
        def hook(*a): raise TypeError("broken")
        sys.excepthook = hook
        raise RuntimeError("x")
    """,
    "logging": "import logging as l; l.basicConfig(level=10); l.info('hello'); l.getLogger('a').error('x')",
    "warnings": "import warnings as w; w.warn('w'); w.warn('d', DeprecationWarning); print(w.filters[-5:])",
    "full device": "import sys; sys.stdout = open('/dev/full', 'w'); print('x')",
    "closed stdout": "import sys; print('x'); sys.stdout.close()",
    "fork": """
        import os, sys
        pid = os.fork()
        if pid == 0:
            print("child", flush=True); sys.exit(3)
        print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """,
    "exec": "import os; os.execvp('echo', ['echo', 'replaced'])",
    "inspect": """
        import inspect
        def f():
            return 1
        print(inspect.getsource(f), inspect.stack()[0].filename)
    """,
    "signals": """
        import signal
        for s in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
            print(s.name, str(signal.getsignal(s)))
        print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
    """,
    "descriptors": "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:3], os.umask(0))",
    "pickle of main": """
        import pickle
        class A: pass
        print(type(pickle.loads(pickle.dumps(A()))), A.__module__)
    """,
    "seeded numbers": """
        import random, numpy as np
        random.seed(1); np.random.seed(1); print(random.random(), np.random.rand())
    """,
    "time zone": "import time, os; print(time.strftime('%Z %H', time.gmtime(0)), time.tzname)",
    "subprocess": """
        import subprocess, sys
        source = "import sys; print(sys.argv); sys.exit(4)"
        done = subprocess.run([sys.executable, "-c", source, "a"], capture_output=True, text=True)
        print(done.returncode, done.stdout, done.stderr)
        done = subprocess.run([sys.executable], input="print('from stdin')", capture_output=True, text=True)
        print(done)
    """,
    "multiprocessing": """
        import multiprocessing as mp, os
        def double(x): return 2 * x
        if __name__ == "__main__":
            for method in ("fork", "spawn", "forkserver"):
                with mp.get_context(method).Pool(2) as pool:
                    print(method, pool.map(double, range(4)))
            spawn = mp.get_context("spawn")
            p = spawn.Process(target=os._exit, args=(6,)); p.start(); p.join(); print(p.exitcode)
            q = spawn.Process(target=__import__("time").sleep, args=(1000,)); q.start(); q.terminate(); q.join()
            print(q.exitcode)
    """,
    "shared memory": """
        from multiprocessing import shared_memory
        import numpy as np
        s = shared_memory.SharedMemory(create=True, size=80); np.ndarray(10, buffer=s.buf)[:] = 1
        print(np.ndarray(10, buffer=s.buf).sum()); s.close(); s.unlink()
    """,
    "joblib": """
        from joblib import Parallel, delayed
        def work(x): return x + 1
        if __name__ == "__main__":
            print(Parallel(n_jobs=2)(delayed(work)(i) for i in range(4)))
    """,
    "process pool": """
        from concurrent.futures import ProcessPoolExecutor
        import multiprocessing as mp
        def work(x): return x * 3
        if __name__ == "__main__":
            with ProcessPoolExecutor(2, mp_context=mp.get_context("spawn")) as pool:
                print(list(pool.map(work, range(3))))
    """,
    "asyncio": "import asyncio\nasync def main(): await asyncio.sleep(0); print('ran')\nasyncio.run(main())",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_script_behaves_the_same(runner: Runner, name: str) -> None:
    runner.both(["python3", "script.py", "--lr", "0.1"], {"script.py": PROGRAMS[name]})


@pytest.mark.parametrize(
    "name", ["namespace", "traceback", "syntax error", "exit message", "keyboard interrupt", "destructor"]
)
def test_command_and_module_behave_the_same(runner: Runner, name: str) -> None:
    source = textwrap.dedent(PROGRAMS[name])
    runner.both(["python3", "-c", source, "a", "-b"])
    runner.both(["python3", "-m", "package.tool", "a", "-b"], {"package/__init__.py": "", "package/tool.py": source})
    runner.both(["python3", "-m", "package"], {"package/__init__.py": "", "package/__main__.py": source})


@pytest.mark.parametrize(
    "command",
    [
        ["--version"],
        ["-V"],
        ["missing.py"],
        ["-m", "no_such_module"],
        ["-c"],
        ["--nonsense"],
        ["-I", "-c", "import sys; print(sys.flags)"],
        ["-O", "-c", "assert False"],
        ["-X", "utf8", "-c", "print(1)"],
        ["-W", "error", "-c", "import warnings; warnings.warn('w')"],
        ["-Wignore", "-c", "import warnings, sys; warnings.warn('w'); print(sys.warnoptions)"],
        ["-uB", "-c", "import sys; print(sys.dont_write_bytecode, sys.stdout.write_through)"],
        ["-B", "-u", "sub/script.py", "-u"],
        ["folder"],
    ],
)
def test_command_lines(runner: Runner, command: list[str]) -> None:
    files = {
        "sub/script.py": "import sys; print(sys.argv, sys.path[0], __file__)",
        "folder/__main__.py": "print('main of folder')",
    }
    runner.both(["python3", *command], files)


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONPATH": "/opt/ml/lib:relative"},
        {"PYTHONDONTWRITEBYTECODE": "1"},
        {"PYTHONWARNINGS": "error::UserWarning"},
        {"PYTHONIOENCODING": "latin-1:replace"},
        {"PYTHONHASHSEED": "42"},
        {"PYTHONUNBUFFERED": ""},
        {"LC_ALL": "C"},
        {"LANG": "de_DE.ISO-8859-1"},
        {"TZ": "Asia/Tokyo"},
        {"OMP_NUM_THREADS": "1", "ODD": "a=b\nc", "UNICODE": "grüße"},
        {"PYTHONFAULTHANDLER": "1"},
        {"PYTHONSAFEPATH": "1"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_environments(runner: Runner, environment: dict[str, str]) -> None:
    source = """
        import sys, os, time, warnings
        print(sys.path, sys.dont_write_bytecode, sys.stdout.encoding, sys.stdout.errors, sys.warnoptions)
        print(hash("a") if os.environ.get("PYTHONHASHSEED") else "", time.tzname, sys.stdout.write_through)
        print(sorted((n, v) for n, v in os.environ.items() if n != "MLPARITY_COLD_PYTHON"))
        import faulthandler; print(faulthandler.is_enabled())
        import helper; print(helper.__file__)
        warnings.warn("w")
    """
    runner.both(["python3", "script.py"], {"script.py": source, "lib/helper.py": "", "helper.py": ""}, **environment)


def test_warm_is_warm_at_every_level(runner: Runner) -> None:
    nested = f'import subprocess, sys; subprocess.run([sys.executable, "-c", "{MARK}"])'
    script = {"script.py": MARK, "driver.py": nested}
    assert runner.run(["python3", "script.py"], script)[1] == "True\n"
    shell = "python3 script.py && python script.py && sh x.sh && $(command -v python3) script.py"
    log = runner.run(["/bin/bash", "-c", shell], {**script, "x.sh": "exec python3 script.py"})[1]
    assert log == "True\n" * 4
    assert runner.run(["/bin/bash", "-c", "python3 driver.py"], script)[1] == "True\n"
    assert runner.run(["python3", "script.py"], script, MLPARITY_COLD_PYTHON="1")[1] == "False\n"


def test_a_jobs_own_module_wins_over_a_preloaded_one(runner: Runner) -> None:
    files = {
        "numpy.py": "name = 'mine'",
        "script.py": "import numpy; print(numpy.name)",
        "lib/joblib/__init__.py": "own = 1",
    }
    assert runner.run(["python3", "script.py"], files)[1] == "mine\n"
    source = "import joblib; print(joblib.own)"
    assert (
        runner.run(["python3", "-c", source], {"lib/joblib/__init__.py": "own = 1"}, PYTHONPATH="/opt/ml/lib")[1]
        == "1\n"
    )


def test_random_sequences_differ_between_jobs(runner: Runner) -> None:
    source = "import random, numpy as np; print(random.random(), np.random.rand(), np.random.default_rng().random())"
    first, second = (runner.run(["python3", "-c", source])[1].split() for _ in range(2))
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_unflushed_output_and_files_are_written(runner: Runner) -> None:
    _, log = runner.run(
        ["/bin/bash", "-c", "python3 script.py | cat; cat out"],
        {"script.py": "import sys; sys.stdout.write('no newline'); f = open('out', 'w'); f.write('kept')"},
    )
    assert log == "no newlinekept"


def test_launcher_hands_over_everything(runner: Runner) -> None:
    script = """
        echo hello | python3 -c 'import sys; print(sys.stdin.read().strip() + "!")' | cat
        python3 -c 'import os; os.write(7, b"to seven")' 7>seven; cat seven; echo
        umask 077; ulimit -n 200; cd /tmp
        python3 -c 'import os, resource as r; print(oct(os.umask(0)), r.getrlimit(r.RLIMIT_NOFILE), os.getcwd())'
        python3 -c 'import os; os.kill(os.getpid(), 9)'; echo "status $?"
        python3 -c 'import sys; sys.exit(42)'; echo "status $?"
        python3 -c 'import sys; print(sys.stdin)' <&-
        GIVEN=1 python3 -c 'import os; print(os.environ["GIVEN"])'
        (trap "" HUP; exec python3 -c 'import signal; print(signal.getsignal(signal.SIGHUP))')
        env -i /opt/mlparity/bin/python3 -c 'import os; print(dict(os.environ))'
        exit 0
    """
    log = runner.both(["/bin/bash", "script.sh"], {"script.sh": script})
    assert "hello!" in log
    assert "to seven" in log
    assert "status 137" in log
    assert "status 42" in log


def test_launcher_forwards_signals_and_its_death_is_its_interpreters(runner: Runner) -> None:
    handler = """
        import os, signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(33))
        open("up", "w").write(str(os.getpid()))
        signal.pause()
    """
    script = """
        up() { while [ ! -s up ]; do sleep 0.01; done; }
        python3 handler.py & pid=$!
        up; kill $pid; wait $pid; echo "status $?"
        rm up; python3 handler.py & pid=$!
        up; kill -9 $pid; wait $pid 2>/dev/null
        while [ -e /proc/$(cat up) ]; do sleep 0.01; done
        echo gone
    """
    ended, log = runner.run(["/bin/bash", "script.sh"], {"script.sh": script, "handler.py": handler})
    assert ended.ok
    assert "status 33" in log
    assert log.endswith("gone\n")


def test_thread_limits_are_applied(runner: Runner) -> None:
    source = "import numpy, threadpoolctl; print([p['num_threads'] for p in threadpoolctl.threadpool_info()])"
    assert runner.run(["python3", "-c", source], OMP_NUM_THREADS="1")[1] == "[1]\n"
    expected = os.cpu_count() or 1
    assert runner.run(["python3", "-c", source])[1] == f"[{expected}]\n"


def test_linear_algebra_works_after_the_fork(runner: Runner) -> None:
    source = (
        "import numpy as np; a = np.ones((600, 600)); print((a @ a).sum(), np.linalg.svd(a[:50, :50])[1][0].round())"
    )
    assert runner.run(["python3", "-c", source])[1] == "216000000.0 50.0\n"


def test_pip_works_offline_and_leaves_the_environment_alone(runner: Runner) -> None:
    ended, log = runner.run(
        ["/bin/bash", "-c", "python3 -m pip install -r requirements.txt"], {"requirements.txt": "numpy\n"}
    )
    assert ended.ok, log
    assert "Requirement already satisfied" in log
    ended, log = runner.run(["/bin/bash", "-c", "pip install surely-not-installed-here"])
    assert ended.code == 1
    assert "No matching distribution found" in log
    assert "mlparity" in log
