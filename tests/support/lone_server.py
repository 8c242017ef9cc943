"""A server program in a network of its own, for programs that listen on every address of the machine.

It runs in a network namespace that has nothing but a loopback; each of its ports is carried through a socket
in the file system onto a free port of 127.0.0.1. Linux only; no rights are needed where user namespaces are
permitted.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
ENTER = ["unshare", "--net", "--map-root-user"]


def is_permitted() -> bool:
    """Whether this machine permits network namespaces."""
    return subprocess.run([*ENTER, "true"], capture_output=True).returncode == 0


@contextmanager
def run_alone(
    program: Sequence[str], ports: Sequence[int], folder: Path
) -> Iterator[tuple[subprocess.Popen, list[int]]]:
    """Run a program alone; it ends with this block, and with this process.

    Args:
        program: its command.
        ports: that it listens on, inside.
        folder: takes the sockets and `log.txt`, what the program prints.

    Yields:
        The process, and the ports of 127.0.0.1 that lead to `ports`.
    """
    command = [*ENTER, sys.executable, __file__, str(folder), ",".join(map(str, ports)), *program]
    with (folder / "log.txt").open("ab") as log, _loop() as loop:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            listening = asyncio.run_coroutine_threadsafe(_carry_out(folder, ports), loop)
            yield process, listening.result(30)
        finally:
            process.communicate(timeout=60)  # closes its standard input: it ends


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _carry_out(folder: Path, ports: Sequence[int]) -> list[int]:
    servers = [
        await asyncio.start_server(
            _join_with(lambda port=port: asyncio.open_unix_connection(folder / str(port))), "127.0.0.1", 0
        )
        for port in ports
    ]
    return [server.sockets[0].getsockname()[1] for server in servers]


async def _live_inside(folder: Path, ports: Sequence[int], program: Sequence[str]) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for port in ports:
        (folder / str(port)).unlink(missing_ok=True)
        join = _join_with(lambda port=port: asyncio.open_connection("127.0.0.1", port))
        await asyncio.start_unix_server(join, folder / str(port))
    process = await asyncio.create_subprocess_exec(*program, stdin=asyncio.subprocess.DEVNULL)
    ended = asyncio.create_task(process.wait())
    closed = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait({ended, closed}, return_when=asyncio.FIRST_COMPLETED)
    if process.returncode is None:
        process.terminate()
    await ended


def _join_with(connect: Callable[[], Awaitable[Stream]]) -> Callable[..., Awaitable[None]]:
    """A handler of connections that carries bytes to and from another connection."""

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other = await connect()
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, other[1]), _copy(other[0], writer))

    return join


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(2**16):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    numbers = [int(port) for port in sys.argv[2].split(",")]
    asyncio.run(_live_inside(Path(sys.argv[1]), numbers, sys.argv[3:]))
