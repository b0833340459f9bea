"""Turns a forked process into what ``python ...`` would have been: ``__main__``, streams, paths, signals, exit."""

from __future__ import annotations

import os
import resource
import signal
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mlparity.engine.sandbox import layout as paths
from mlparity.engine.warm import ending, streams
from mlparity.engine.warm import invocation as command_line
from mlparity.engine.warm.invocation import Invocation, Mode

# Programs whose answer is what gets imported: MLflow's, which finds out a model's requirements.
_WATCH_IMPORTS = frozenset({"_capture_modules.py"})
_OFFLINE = (
    "mlparity: jobs run offline in the environment that mlparity is installed in, and cannot change it. "
    "Install what the job needs there, start the stack again, and run the job again."
)


@dataclass(frozen=True)
class Baseline:
    """What the worker knew before it imported anything: what a cold interpreter would start with."""

    executable: str
    path: Sequence[str]  # sys.path without the script's own entry
    ahead: frozenset[str]  # top-level names imported ahead; a cold interpreter would not have them
    default_filters: int  # how many warning filters an interpreter starts with


@dataclass(frozen=True)
class Launch:
    """One interpreter to become."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: bytes
    umask: int
    ignored: Sequence[int]  # signals that the caller ignores, as nohup does
    descriptors: Mapping[int, int]  # number in the new process -> descriptor held here
    launcher: int  # process whose resource limits apply; 0: this one's

    @classmethod
    def from_request(cls, request: Sequence[Any], descriptors: Sequence[int]) -> Launch:
        """What ``launcher.py`` (or the init, for the job's own command) asks for, in the order of its tuple."""
        argv, environment, folder, umask, ignored, numbers, launcher = request
        return cls(
            tuple(os.fsdecode(word) for word in argv),
            {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()},
            os.fsencode(folder),
            umask,
            ignored,
            dict(zip(numbers, descriptors, strict=True)),
            launcher,
        )


def run(launch: Launch, baseline: Baseline) -> NoReturn:
    """Become ``launch``, to the end of the process."""
    _take_over(launch)
    invocation = command_line.parse(launch.argv)
    if invocation is None or not _is_exact(invocation, launch.environment, baseline):
        _start_cold(launch, baseline)
    _prepare(invocation, launch, baseline)
    _execute(invocation)


def _take_over(launch: Launch) -> None:
    """Process attributes: session, signals, descriptors, folder, limits."""
    os.setsid()
    for default in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(default, signal.SIG_DFL)
    for ignored in launch.ignored:
        signal.signal(ignored, signal.SIG_IGN)
    streams.move_descriptors(launch.descriptors)
    os.chdir(launch.folder)
    os.umask(launch.umask)
    if launch.launcher:
        _copy_limits(launch.launcher)


def _copy_limits(pid: int) -> None:
    os.sched_setaffinity(0, os.sched_getaffinity(pid))
    for name in (name for name in dir(resource) if name.startswith("RLIMIT_")):
        kind = getattr(resource, name)
        try:
            wanted = resource.prlimit(pid, kind)
            if kind == resource.RLIMIT_DATA and wanted[0] != resource.RLIM_INFINITY:
                wanted = (wanted[0] + _own_data(), wanted[1] + _own_data())
            if wanted != resource.getrlimit(kind):
                resource.setrlimit(kind, wanted)
        except (OSError, ValueError):
            continue  # a limit this kernel does not know, or may not be raised again


def _own_data() -> int:
    """Bytes of private memory that this process has before it runs anything of the job's: the preloaded modules."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[5])
    return pages * resource.getpagesize()


def _start_cold(launch: Launch, baseline: Baseline) -> NoReturn:
    """The real interpreter, for what a fork cannot honour."""
    os.execve(baseline.executable, [baseline.executable, *launch.argv[1:]], dict(launch.environment))  # noqa: S606


def _is_exact(invocation: Invocation, environment: Mapping[str, str], baseline: Baseline) -> bool:
    if not command_line.honours(environment):
        return False
    if invocation.mode is Mode.SCRIPT:
        script = Path(invocation.target)
        if not script.is_file() or script.suffix in {".pyc", ".zip", ".pyz"} or script.name in _WATCH_IMPORTS:
            return False
    return not _is_shadowed(invocation, environment, baseline)


def _is_shadowed(invocation: Invocation, environment: Mapping[str, str], baseline: Baseline) -> bool:
    """Whether a module of the job's own has the name of one imported ahead, and would have come first."""
    for folder in (_first_path(invocation), *_python_path(environment)):
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - names only
        except OSError:
            continue
        if any(name.partition(".")[0] in baseline.ahead and _may_be_module(folder, name) for name in names):
            return True
    return False


def _may_be_module(folder: str, name: str) -> bool:
    return name.endswith((".py", ".pyc", ".so")) or ("." not in name and Path(folder or ".", name).is_dir())


def _first_path(invocation: Invocation) -> str:
    if invocation.mode is Mode.SCRIPT:
        return os.path.dirname(os.path.realpath(invocation.target))  # noqa: PTH120 - as the interpreter does
    return str(Path.cwd()) if invocation.mode is Mode.MODULE else ""


def _python_path(environment: Mapping[str, str]) -> list[str]:
    return [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _prepare(invocation: Invocation, launch: Launch, baseline: Baseline) -> None:
    """Interpreter attributes: environment, streams, ``sys``, warnings, random state."""
    environment = launch.environment
    os.environ.clear()
    os.environ.update(environment)
    if signal.SIGINT not in launch.ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    streams.rebuild(environment, unbuffered=invocation.unbuffered or bool(environment.get("PYTHONUNBUFFERED")))
    _apply_locale(environment)
    _apply_thread_limits(environment)
    first = [_first_path(invocation)]
    sys.path[:] = [*first, *(os.path.abspath(p) for p in _python_path(environment)), *baseline.path]  # noqa: PTH100
    sys.executable = paths.PYTHON
    sys.orig_argv[:] = launch.argv
    marks = {Mode.SCRIPT: invocation.target, Mode.MODULE: "-m", Mode.COMMAND: "-c"}
    sys.argv[:] = [marks[invocation.mode], *invocation.arguments]
    if invocation.no_bytecode or environment.get("PYTHONDONTWRITEBYTECODE"):
        sys.dont_write_bytecode = True
    _apply_warnings([*environment.get("PYTHONWARNINGS", "").split(","), *invocation.warnings], baseline)
    if environment.get("PYTHONFAULTHANDLER"):
        import faulthandler

        faulthandler.enable()
    _reseed()


def _apply_locale(environment: Mapping[str, str]) -> None:
    import locale
    import time

    time.tzset()
    try:
        locale.setlocale(locale.LC_CTYPE, "" if {"LC_ALL", "LC_CTYPE", "LANG"} & set(environment) else "C.UTF-8")
    except locale.Error:
        return  # a locale that is not installed: a cold interpreter goes on as well


def _apply_thread_limits(environment: Mapping[str, str]) -> None:
    openmp, blas = command_line.thread_limits(environment)
    if openmp is None and blas is None:
        return
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
    except ImportError:
        return  # nothing that is loaded has thread pools
    for library in ThreadpoolController().lib_controllers:
        limit = openmp if library.user_api == "openmp" else blas
        if limit is not None:
            library.set_num_threads(limit)


def _apply_warnings(options: Sequence[str], baseline: Baseline) -> None:
    """Filters of the command line rank below those that imported modules add, above the interpreter's own."""
    import warnings

    wanted = [option for option in options if option]
    if not wanted:
        return
    sys.warnoptions[:] = wanted
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    current = list(filters)
    cut = len(current) - baseline.default_filters
    filters.clear()
    warnings._processoptions(wanted)  # type: ignore[attr-defined]  # noqa: SLF001 - what the interpreter calls
    filters[:] = [*current[:cut], *filters, *current[cut:]]
    warnings._filters_mutated()  # type: ignore[attr-defined]  # noqa: SLF001


def _reseed() -> None:
    # `random` reseeds itself after a fork; NumPy's legacy generator does not.
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _execute(invocation: Invocation) -> NoReturn:
    # Nothing here may keep the job's module or its code's namespace: see ``ending.run``.
    modules = len(sys.modules)
    failure: BaseException | None = None
    program: list[Any] = []
    try:
        program.extend(_program(invocation))
    except (SyntaxError, ValueError, OSError) as error:
        failure = error.with_traceback(None)
    if failure is not None:
        ending.fail(failure, modules)
    ending.run(program[0], program.pop(), modules)


def _program(invocation: Invocation) -> tuple[types.CodeType, Callable[[], Any]]:
    """The code object whose frame is the job's first, and what runs it in a new ``__main__``."""
    main = _fresh_main()
    if invocation.mode is Mode.MODULE:
        import runpy

        start = runpy._run_module_as_main  # type: ignore[attr-defined]  # noqa: SLF001 - what ``-m`` itself calls
        name, arguments = invocation.target, invocation.arguments
        return start.__code__, (lambda: _pip(start)) if name == "pip" and "install" in arguments else lambda: start(
            name
        )
    code = _compile(invocation, main)
    namespace = main.__dict__
    return code, lambda: exec(code, namespace)  # noqa: S102 - running the job's program is the purpose


def _pip(start: Callable[[str], Any]) -> None:
    try:
        start("pip")
    except SystemExit as request:
        if request.code:
            print(_OFFLINE, file=sys.stderr)  # noqa: T201 - after pip's own words, to the job's log
        raise


def _fresh_main() -> types.ModuleType:
    first = sys.modules["__main__"].__dict__
    main = types.ModuleType("__main__")
    main.__dict__.update(__loader__=first["__loader__"], __annotations__={}, __builtins__=first["__builtins__"])
    sys.modules["__main__"] = main
    return main


def _compile(invocation: Invocation, main: types.ModuleType) -> types.CodeType:
    if invocation.mode is Mode.COMMAND:
        return compile(invocation.target, "<string>", "exec", dont_inherit=True)
    from importlib.machinery import SourceFileLoader

    name = os.path.join(os.getcwd(), invocation.target)  # noqa: PTH109, PTH118 - not normalised, as the interpreter's
    main.__dict__.update(__file__=name, __cached__=None, __loader__=SourceFileLoader("__main__", name))
    return compile(Path(name).read_bytes(), name, "exec", dont_inherit=True)
