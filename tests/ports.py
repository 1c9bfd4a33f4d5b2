"""Ports for the servers that tests start."""

from __future__ import annotations

import socket
import sys
from collections import deque

KEPT = 64  # more than any test has servers at once
_kept: deque[socket.socket] = deque()


def free_port() -> int:
    """Give a port of loopback on which nobody listens, and which nobody else is given meanwhile.

    A server takes seconds to start, and longer on a busy machine. Until it listens, the system would give the port to
    the next test that looks for one, or to any connection. So a socket of ours stays bound to it, and never listens:
    Linux lets a server in beside that if both say `SO_REUSEADDR`, as servers do. The last ports given are kept.
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    port: int = keeper.getsockname()[1]
    _kept.append(keeper)
    if sys.platform != "linux" or len(_kept) > KEPT:
        _kept.popleft().close()
    return port
