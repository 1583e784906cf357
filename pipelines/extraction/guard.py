"""Work on hostile pages in a process that can be killed: one page never takes its neighbours, or the job, with it.

No extractor is safe (100,000 attributes on one tag cost most of them 30 seconds inside C code, where no Python
exception arrives), so the work runs in a child. Every item is worked on under a CPU timer whose signal kills the child
at once, wherever it is; CPU time and not wall time, so that the load of the machine does not decide what a corpus
holds. Memory is bounded too. When a child dies, the item in flight is a `Failure` and a new child goes on with the
next. Measured: 6 us an item, 5 ms a new child.

Children are forked from a small server process which has imported what they need and has no threads. Parent, server and
child talk in JSON, and a row's text in UTF-8 behind it: nothing a child sends is ever unpickled.
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

from roots.errors import GuardError, RootsError
from roots.process import collect_seldom, keep_spare

Row = dict[str, Any]
_Prepare = Callable[..., Callable[[Sequence[Any]], Iterator[Row]]]

_RETRIES = 2  # a child killed from outside is no fault of its page; the third time is the machine's
_PIPE_BYTES = 1 << 20  # the pipe's buffer, so that child and parent seldom wait for each other
# Seconds that rows gather in the pipe before they are taken, once a child has given SOME: where both share a core, a
# parent that takes each row as it comes throws the child out of the processor, and out of its caches, at every page.
# Measured, CPU of extract with resiliparse on one core: 20 ms 3 to 5 % less, 50 ms 2 to 7 %, 100 ms 8 to 10 %; of the
# whole main job on two cores 100 ms take 2 to 4 % less than 50, and 200 no less.
_GATHER_SECONDS = 0.1
SOME = 64
_ROW_BYTES = 256 << 20  # a row beyond this is refused: it would be the parent's memory
_EXIT_MEMORY, EXIT_REFUSED = 77, 78
_ERROR_CHARS = 1000
_PR_SET_PDEATHSIG = 1
_HEADER = struct.Struct(">I")
_NUMBER = struct.Struct(">q")


@dataclass(frozen=True)
class Limits:
    """What one item may use."""

    cpu_seconds: float = 10.0
    memory_bytes: int = 384 << 20  # of data, on top of what the child holds when it starts
    wall_seconds: float = (
        300.0  # for work that sleeps; far beyond the CPU limit, as a busy machine is no fault of a page
    )


@dataclass(frozen=True)
class Failure:
    """An item that its child did not survive."""

    reason: str  # timeout, memory, crash
    error: str = ""  # what Python had to say, where it was Python's error


def guarded(
    prepare: _Prepare | str,
    arguments: Mapping[str, Any],
    items: Sequence[Any],
    limits: Limits,
    preload: tuple[str, ...] = (),
) -> Iterator[Row | Failure]:
    """Work on `items` in order; yield for each its row, or the Failure that it was.

    `prepare(**arguments)` runs in the child and gives a function from the items to an iterator of one row an item, in
    their order. `prepare` is a function at the top of a module, or its name ("module:function"), which spares the
    caller its imports; arguments, items and rows are what JSON can hold. `preload` are modules that are dear to import:
    the process that forks the children imports them once.
    Raises GuardError when a child cannot be prepared, when it raises a RootsError (the archive, not the page, is at
    fault), and when it is killed from outside three times at one item.
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
        with TemporaryDirectory(prefix="roots-") as scratch:  # what a killed child leaves there goes with it
            child = _Child(_take_server(preload), {**job, "scratch": scratch}, limits.wall_seconds)
            try:
                for row in child.rows():
                    done += 1
                    yield row
            finally:
                reason = child.end()
        deaths = 0 if done > before else deaths
        if reason == "killed":
            deaths += 1
            if deaths > _RETRIES:
                raise GuardError("the process that reads pages was killed three times at one page: out of memory?")
        elif reason in ("unprepared", "refused"):
            raise GuardError(f"{function} {reason}: {child.error or 'it crashed'}")
        elif done < len(items):
            if reason == "done":
                raise GuardError(f"{function} gave {done} rows for {len(items)} items")
            done += 1
            yield Failure(reason, child.error)


class _Server:
    """The process that forks children: see `_serve`."""

    def __init__(self, preload: tuple[str, ...]) -> None:
        self.owner = os.getpid()
        self.preload = preload
        self.socket, theirs = socket.socketpair()
        # Interrupts are the parent's; so is standard output, whatever an engine prints.
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
    """End the servers of this process with it, and not as a warning of the interpreter's."""
    while _idle:
        server = _idle.pop()
        if server.owner == os.getpid():
            server.close()


def _take_server(preload: tuple[str, ...]) -> _Server:
    """A server with nothing to do; starting one costs a third of a second, so they are used again."""
    for server in [server for server in _idle if server.preload == preload]:
        _idle.remove(server)
        if server.owner == os.getpid() and server.process.poll() is None:
            return server
    return _Server(preload)


class _Child:
    """One child at work, as its parent sees it."""

    def __init__(self, server: _Server, job: Mapping[str, Any], wall_seconds: float) -> None:
        self.server = server
        self.wall_seconds = wall_seconds
        self.pid = 0
        self.ready = self.ended = False
        self.error = ""
        self.verdict = ""  # ours, where we had to end it
        self.pipe, theirs = os.pipe()
        with suppress(OSError):  # a user has so much for pipes and no more: then it stays as it is
            fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        body = json.dumps(job).encode()
        with suppress(OSError):  # a dead server shows as a pipe that ends, and as no pid
            socket.send_fds(server.socket, [_NUMBER.pack(len(body))], [theirs])
            server.socket.sendall(body)
        os.close(theirs)
        self.pid = self._number()

    def _number(self) -> int:
        """A number from the server; -1 from a dead one."""
        data = b""
        with suppress(OSError):
            while len(data) < _NUMBER.size and (more := self.server.socket.recv(_NUMBER.size - len(data))):
                data += more
        return int(_NUMBER.unpack(data)[0]) if len(data) == _NUMBER.size else -1

    def rows(self) -> Iterator[Row]:
        """The rows, until the child ends, for whatever reason."""
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
        """See the child to its end, and say what it died of: done, timeout, memory, crash, killed, unprepared."""
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
        return cause if self.ready or cause == "killed" else "unprepared"


def _cause(status: int) -> str:
    """What a wait status says of the item in flight."""
    if not os.WIFSIGNALED(status):
        return {0: "done", _EXIT_MEMORY: "memory", EXIT_REFUSED: "refused"}.get(os.WEXITSTATUS(status), "crash")
    number = os.WTERMSIG(status)
    if number in (signal.SIGPROF, signal.SIGXCPU):
        return "timeout"
    if number == signal.SIGABRT:
        return "memory"  # what Rust and C++ do where they get none
    faults = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS)
    return "crash" if number in faults else "killed"


def _serve(control: int, preload: tuple[str, ...]) -> None:
    """Fork one child after another as the parent asks: the main of the server process."""
    parent = os.getppid()
    _die_with_parent(parent)
    for name in preload:
        importlib.import_module(name)
    collect_seldom()
    keep_spare()
    link = socket.socket(fileno=control)
    while True:
        head, files, _, _ = socket.recv_fds(link, _NUMBER.size, 1)
        if len(head) < _NUMBER.size:
            return
        job = link.recv(_NUMBER.unpack(head)[0], socket.MSG_WAITALL)
        me = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_child(link, me, job, files[0])
        os.close(files[0])
        link.sendall(_NUMBER.pack(pid))
        _, status = os.waitpid(pid, 0)
        link.sendall(_NUMBER.pack(status))


def _die_with_parent(parent: int) -> None:
    """Be killed by the kernel when the process that started us ends, however it ends (Linux, prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _be_child(link: socket.socket, server: int, job: bytes, pipe: int) -> NoReturn:
    """Work on the items of a job, and never come back."""
    code = 1
    try:
        link.close()
        _die_with_parent(server)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the parent is gone, or has seen enough
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _work(json.loads(job), pipe)
        code = 0
    except MemoryError:
        code = _EXIT_MEMORY
    except RootsError:
        code = EXIT_REFUSED
        raise
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        try:
            _report(pipe, sys.exc_info()[1])
        finally:
            os._exit(code)


def _report(pipe: int, error: BaseException | None) -> None:
    """Tell the parent what Python raised: one frame that is a text and no row."""
    if error is not None:
        last = "".join(traceback.format_exception_only(error)).strip()
        _send(pipe, json.dumps(last[:_ERROR_CHARS]).encode())


def _work(job: Row, pipe: int) -> None:
    """Send one frame when prepared, then one an item."""
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
        signal.setitimer(signal.ITIMER_PROF, 0)  # waiting for the parent is not the page's time
        _send(pipe, frame)


def _packed(row: Row) -> bytes:
    """A row as a frame: JSON, and behind a NUL, which JSON never holds, its `text`, which is not worth escaping."""
    text = row.get("text")
    head = json.dumps({**row, "text": None} if text else row, ensure_ascii=False, separators=(",", ":"))
    return (f"{head}\0{text}" if text else head).encode("utf-8", "replace")


def _unpacked(frame: bytearray) -> Any:
    """What `_packed` made a frame of."""
    head, _, text = frame.partition(b"\0")
    found = json.loads(head)
    return {**found, "text": text.decode()} if text else found


def _send(pipe: int, frame: bytes) -> None:
    data = memoryview(_HEADER.pack(len(frame)) + frame)
    while data:
        data = data[os.write(pipe, data) :]


def _data_bytes() -> int:
    """What RLIMIT_DATA counts of this process now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) << 10
    raise GuardError("/proc/self/status has no VmData: guarded work needs Linux")
