"""Runs one server and ends it when asked to, or when whoever asked for it is gone, however that went.

`coatcheck.testing.servers` starts this file as a program of its own, which imports nothing of ours. It writes the
server's process id to its standard output and waits for a byte on its standard input; the end of input means that
nobody is left, and then the server's folder goes too.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from typing import Any

PATIENCE = 30.0  # seconds; the file imports nothing of ours


def main() -> None:
    """Obey the orders in the first argument: `command`, `identity`, `output`, `end_signal`, `folder`."""
    orders: dict[str, Any] = json.loads(sys.argv[1])
    starter = os.getppid()
    output = os.open(orders["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    start: type[subprocess.Popen[bytes]] = subprocess.Popen
    server = start(orders["command"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, **orders["identity"])
    os.write(1, f"{server.pid}\n".encode())
    is_asked = _wait(server, starter)
    if server.poll() is None:
        server.send_signal(orders["end_signal"])
        server.send_signal(signal.SIGCONT)  # a stopped process hears nothing else
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
    if not is_asked:
        shutil.rmtree(orders["folder"], ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], starter: int) -> bool:
    """Wait until we are asked to end the server, or nobody is left who could."""
    # A forked child of the starter may hold the pipe open when the starter is gone: then our parent is another.
    while os.getppid() == starter:
        if select.select([0], [], [], 0.5)[0]:
            return os.read(0, 1) != b""
        server.poll()  # one that died by itself is no zombie
    return False


if __name__ == "__main__":
    main()
