"""The ``python`` that a job finds on its PATH.

Asks the job's first process for a warm interpreter, lends it this process's arguments, environment, folder and
descriptors, hands signals on, and ends as the interpreter ended. Where no one answers it becomes the real
interpreter. Starts in milliseconds: ``python -I -S -E`` and nothing but built-in modules; the executor writes
it to the job's PATH with ``@SOCKET@`` and ``@PYTHON@`` filled in.
"""

# The modules behind `os`, `signal` and `socket`: those import half the standard library.
import _signal  # type: ignore[import-not-found]
import _socket
import marshal
import posix
import sys

SOCKET = "@SOCKET@"
PYTHON = "@PYTHON@"
FORWARDED = tuple(
    getattr(_signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGWINCH")
)
MAX_DESCRIPTORS = 253  # of one message


def main() -> None:  # noqa: D103
    argv = [PYTHON, *sys.argv[1:]]
    descriptors = _open_descriptors()
    ignored = [number for number in FORWARDED if _signal.getsignal(number) == _signal.SIG_IGN]
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(SOCKET)
        _ask(connection, argv, ignored, descriptors)
    except OSError:
        posix.execv(PYTHON, argv)
    for number in FORWARDED:
        if number not in ignored:
            _signal.signal(number, lambda received, _: connection.send(bytes([received])))
    for number in descriptors:
        posix.close(number)
    answer = connection.recv(4, _socket.MSG_WAITALL)
    if not answer:
        posix._exit(1)  # noqa: SLF001
    status = int.from_bytes(answer, sys.byteorder)
    if status & 0x7F:
        _die_of(status & 0x7F)
    posix._exit(status >> 8)  # noqa: SLF001


def _open_descriptors() -> list[int]:
    found = []
    for name in posix.listdir("/proc/self/fd"):
        try:
            posix.fstat(int(name))
        except OSError:
            continue  # the one that listed them
        found.append(int(name))
    return sorted(found)


def _ask(connection: _socket.socket, argv: list[str], ignored: list[int], descriptors: list[int]) -> None:
    if len(descriptors) > MAX_DESCRIPTORS:
        raise OSError
    umask = posix.umask(0)
    posix.umask(umask)
    arguments = [word.encode(sys.getfilesystemencoding(), "surrogateescape") for word in argv]
    payload = marshal.dumps((arguments, dict(posix.environ), posix.getcwdb(), umask, ignored, descriptors))
    data = len(payload).to_bytes(4, "big") + payload
    packed = b"".join(number.to_bytes(4, sys.byteorder) for number in descriptors)
    sent = connection.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])
    while sent < len(data):
        sent += connection.send(data[sent:])


def _die_of(number: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the core was the interpreter's, not this process's
    if number not in (_signal.SIGKILL, _signal.SIGSTOP):
        _signal.signal(number, _signal.SIG_DFL)
    posix.kill(posix.getpid(), number)
    posix._exit(128 + number)  # noqa: SLF001


main()
