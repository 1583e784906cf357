"""Work on hostile pages in a process that can be killed, so that one bad page harms no other.

No extractor is safe: 100,000 attributes on one tag keep most of them busy for 30 seconds inside C code, where no Python
exception arrives. So the work runs in a child process. Each item has a CPU timer whose signal kills the child at once,
wherever it is. CPU time counts, not wall time, so the load of the machine does not decide what a corpus holds. Memory
is limited too. When a child dies, the item it was working on becomes a `Failure`, and a new child continues with the
next.

A small server process forks the children. It has imported what they need and has no threads. Parent, server and child
exchange JSON, with a row's text behind it in UTF-8. Nothing that a child sends is unpickled.
"""

import atexit
import ctypes
import fcntl
import importlib
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from roots import process
from roots.errors import GuardError, RootsError

Row = dict[str, Any]
_Prepare = Callable[..., Callable[[Sequence[Any]], Iterator[Row]]]

_RETRIES = 2  # a page may not be blamed for a child killed from outside; the third time we give up
_PIPE_BYTES = 1 << 20  # a large buffer, so that child and parent rarely wait for each other
_GATHER_SECONDS = 0.1  # wait before reading more rows: on a shared core, reading each one at once would evict the child
SOME = 64  # rows that are read without waiting, so that short jobs end quickly
_ROW_BYTES = 256 << 20  # a larger row is refused, because the parent would have to hold it
_EXIT_MEMORY, _EXIT_REFUSED, _EXIT_IMPORT = 77, 78, 79
_ERROR_CHARS = 1000
_PR_SET_PDEATHSIG = 1
_HEADER = struct.Struct(">I")
_NUMBER = struct.Struct(">q")


@dataclass(frozen=True)
class Limits:
    """What one item may use."""

    cpu_seconds: float = 10.0
    memory_bytes: int = 384 << 20  # of data, in addition to what the child holds at its start
    wall_seconds: float = 300.0  # for work that sleeps; far above the CPU limit, because the machine may be busy


@dataclass(frozen=True)
class Failure:
    """An item that its child did not survive."""

    reason: str  # timeout, memory, crash
    error: str = ""  # the message, if Python raised an error


def guarded(
    prepare: _Prepare | str,
    arguments: Mapping[str, object],
    items: Sequence[object],
    limits: Limits,
    preload: tuple[str, ...] = (),
) -> Iterator[Row | Failure]:
    """Work on `items` in order; yield a row or a Failure for each.

    `prepare(**arguments)` runs in the child. It returns a function that takes the items and yields one row an item, in
    order. `prepare` is a top-level function or its name ("module:function"); with a name the caller need not import it.
    Arguments, items and rows must be JSON values. `preload` names modules that the server imports once, before it
    forks. Raises GuardError if a child cannot be prepared, if it raises a RootsError (the archive is at fault, not the
    page), or if it is killed from outside three times at one item.
    """
    done = deaths = 0
    function = prepare if isinstance(prepare, str) else f"{prepare.__module__}:{prepare.__qualname__}"
    while done < len(items):
        job = {
            "function": function,
            "arguments": dict(arguments),
            "items": list(items[done:]),
            "cpu_seconds": limits.cpu_seconds,
            "memory_bytes": limits.memory_bytes,
            "path": sys.path,
        }
        before = done
        with TemporaryDirectory(prefix="roots-") as scratch:  # removed with whatever a killed child left in it
            child = _Child(_take_server(preload), {**job, "scratch": scratch}, limits.wall_seconds)
            try:
                for row in child.rows():
                    done += 1
                    yield row
            finally:
                reason = child.end()
        deaths = 0 if done > before else deaths
        _raise_if_unusable(reason, child.error, function)
        if reason == "killed":
            deaths += 1
            if deaths > _RETRIES:
                raise GuardError("the process that reads pages was killed three times at one page: out of memory?")
        elif done < len(items):
            if reason == "done":
                raise GuardError(f"{function} gave {done} rows for {len(items)} items")
            done += 1
            yield Failure(reason, child.error)


def _raise_if_unusable(reason: str, error: str, function: str) -> None:
    """Raise GuardError if a child ended because no page can be read, not because of one page."""
    if reason == "import":
        raise GuardError(
            f"the process that reads pages cannot start: {error}. Install what is missing for {sys.executable}"
        )
    if reason in ("unprepared", "refused"):
        raise GuardError(f"{function} {reason}: {error or 'it crashed'}")


def allow_seconds(seconds: float) -> None:
    """In a child: give the item that it works on `seconds` of CPU time from now on; elsewhere do nothing."""
    if signal.getitimer(signal.ITIMER_PROF)[0]:
        signal.setitimer(signal.ITIMER_PROF, seconds)


def check_imports(preload: tuple[str, ...]) -> None:
    """Start the server that imports `preload`, and keep it for later. Raises GuardError if an import fails."""
    for _ in guarded(_no_work, {}, [None], Limits(), preload):
        pass


def _no_work() -> Callable[[Sequence[object]], Iterator[Row]]:
    return lambda items: ({} for _ in items)


class _Server:
    """The process that forks children: see `_serve`."""

    def __init__(self, preload: tuple[str, ...]) -> None:
        self.owner = os.getpid()
        self.preload = preload
        self.socket, theirs = socket.socketpair()
        # The parent handles interrupts and owns standard output.
        code = (
            "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
            f"from pipelines.extraction.guard import _serve; _serve({theirs.fileno()}, {preload!r})"
        )
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        theirs.close()

    def close(self) -> None:
        self.socket.close()
        self.process.kill()
        self.process.wait()


_idle: list[_Server] = []


@atexit.register
def _close_idle() -> None:
    """End idle servers with this process; otherwise the interpreter would warn about them."""
    while _idle:
        server = _idle.pop()
        if server.owner == os.getpid():
            server.close()


def _take_server(preload: tuple[str, ...]) -> _Server:
    """Return an idle server. Starting one takes a third of a second, so they are reused."""
    for server in [server for server in _idle if server.preload == preload]:
        _idle.remove(server)
        if server.owner == os.getpid() and server.process.poll() is None:
            return server
    return _Server(preload)


class _Child:
    """One working child, as its parent sees it."""

    def __init__(self, server: _Server, job: Mapping[str, Any], wall_seconds: float) -> None:
        self.server = server
        self.wall_seconds = wall_seconds
        self.pid = 0
        self.ready = self.ended = False
        self.error = ""
        self.verdict = ""  # ours, if we had to end it
        self.pipe, theirs = os.pipe()
        with suppress(OSError):  # a user's pipes have a limit in total; then the size stays as it is
            fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        body = json.dumps(job).encode()
        with suppress(OSError):  # a dead server shows up as a closed pipe and a missing pid
            socket.send_fds(server.socket, [_NUMBER.pack(len(body))], [theirs])
            server.socket.sendall(body)
        os.close(theirs)
        self.pid = self._number()

    def _number(self) -> int:
        """Read a number from the server; -1 if it is dead."""
        data = b""
        with suppress(OSError):
            while len(data) < _NUMBER.size and (more := self.server.socket.recv(_NUMBER.size - len(data))):
                data += more
        return int(_NUMBER.unpack(data)[0]) if len(data) == _NUMBER.size else -1

    def rows(self) -> Iterator[Row]:
        """Yield the rows until the child ends for any reason."""
        poll = select.poll()
        poll.register(self.pipe, select.POLLIN)
        held = bytearray()
        given = 0
        while True:
            if not poll.poll(self.wall_seconds * 1000):
                self.verdict = "timeout"
                return
            if given >= SOME:
                time.sleep(_GATHER_SECONDS)
            block = os.read(self.pipe, _PIPE_BYTES)
            if not block:
                self.ended = True
                return
            held += block
            start = 0
            while len(held) - start >= _HEADER.size:
                (length,) = _HEADER.unpack_from(held, start)
                if length > _ROW_BYTES:
                    self.verdict = "memory"
                    return
                end = start + _HEADER.size + length
                if len(held) < end:
                    break
                frame = _unpacked(held[start + _HEADER.size : end])
                start = end
                if isinstance(frame, str):
                    self.error = frame
                elif self.ready:
                    given += 1
                    yield frame
                else:
                    self.ready = True  # the first frame only says that the child is prepared
            del held[:start]

    def end(self) -> str:
        """Wait for the child; how it ended: done, timeout, memory, crash, killed, import, refused or unprepared."""
        os.close(self.pipe)
        if self.pid > 0 and not self.ended:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        status = self._number() if self.pid > 0 else -1
        if status == -1:
            self.server.close()
            return self.verdict or "killed"
        _idle.append(self.server)
        cause = self.verdict or _cause(status)
        if cause == "import":
            return "crash" if self.ready else cause  # once prepared, only one page is at fault
        return cause if self.ready or cause == "killed" else "unprepared"


def _cause(status: int) -> str:
    """Return what a wait status means for the current item."""
    if not os.WIFSIGNALED(status):
        codes = {0: "done", _EXIT_MEMORY: "memory", _EXIT_REFUSED: "refused", _EXIT_IMPORT: "import"}
        return codes.get(os.WEXITSTATUS(status), "crash")
    number = os.WTERMSIG(status)
    if number in (signal.SIGPROF, signal.SIGXCPU):
        return "timeout"
    if number == signal.SIGABRT:
        return "memory"  # Rust and C++ abort when they get no memory
    faults = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS)
    return "crash" if number in faults else "killed"


def _serve(control: int, preload: tuple[str, ...]) -> None:
    """Run the server: fork one child after another as the parent asks."""
    parent = os.getppid()
    _die_with_parent(parent)
    missing: ImportError | None = None
    try:
        for name in preload:
            module = importlib.import_module(name)
            if hasattr(module, "prepare"):
                module.prepare()  # compiles passes here, where no page's time limit counts
    except ImportError as error:
        missing = error  # each child says so: the parent listens to them
    process.begin(arrow=False)
    link = socket.socket(fileno=control)
    while True:
        head, files, _, _ = socket.recv_fds(link, _NUMBER.size, 1)
        if len(head) < _NUMBER.size:
            return
        job = link.recv(_NUMBER.unpack(head)[0], socket.MSG_WAITALL)
        me = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_child(link, me, job, files[0], missing)
        os.close(files[0])
        link.sendall(_NUMBER.pack(pid))
        _, status = os.waitpid(pid, 0)
        link.sendall(_NUMBER.pack(status))


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends (Linux, prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _be_child(link: socket.socket, server: int, job: bytes, pipe: int, missing: ImportError | None) -> NoReturn:
    """Work on the items of a job, or say which import failed. Never returns."""
    code = 1
    try:
        link.close()
        _die_with_parent(server)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the parent is gone or has stopped reading
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if missing:
            raise missing
        _work(json.loads(job), pipe)
        code = 0
    except MemoryError:
        code = _EXIT_MEMORY
    except RootsError:
        code = _EXIT_REFUSED
        raise
    except ImportError:
        code = _EXIT_IMPORT
        raise
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        try:
            _report(pipe, sys.exc_info()[1])
        finally:
            os._exit(code)


def _report(pipe: int, error: BaseException | None) -> None:
    """Send Python's error to the parent, as a frame that holds a string instead of a row."""
    if error is not None:
        last = " ".join("".join(traceback.format_exception_only(error)).split())
        _send(pipe, json.dumps(last[:_ERROR_CHARS]).encode())


def _work(job: Row, pipe: int) -> None:
    """Send one frame when prepared, then one for each item."""
    sys.path[:] = job["path"]
    tempfile.tempdir = job["scratch"]
    module, _, name = job["function"].partition(":")
    rows = getattr(importlib.import_module(module), name)(**job["arguments"])(job["items"])
    limit = _data_bytes() + job["memory_bytes"]
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    _send(pipe, b"{}")
    seconds = job["cpu_seconds"]
    while True:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        row = next(rows, None)
        if row is None:
            break
        frame = _packed(row)
        signal.setitimer(signal.ITIMER_PROF, 0)  # waiting for the parent does not count
        _send(pipe, frame)


def _packed(row: Row) -> bytes:
    """Encode a row: JSON, then a NUL (never in JSON) and its `text`, which need not be escaped."""
    text = row.get("text")
    head = json.dumps({**row, "text": None} if text else row, ensure_ascii=False, separators=(",", ":"))
    return (f"{head}\0{text}" if text else head).encode("utf-8", "replace")


def _unpacked(frame: bytearray) -> Any:
    """Decode a frame of `_packed`."""
    head, _, text = frame.partition(b"\0")
    found = json.loads(head)
    return {**found, "text": text.decode()} if text else found


def _send(pipe: int, frame: bytes) -> None:
    data = memoryview(_HEADER.pack(len(frame)) + frame)
    while data:
        data = data[os.write(pipe, data) :]


def _data_bytes() -> int:
    """Return the bytes of this process that RLIMIT_DATA counts."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) << 10
    raise GuardError("/proc/self/status has no VmData: guarded work needs Linux")
