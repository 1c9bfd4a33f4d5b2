"""Ports for the servers that tests start."""

from __future__ import annotations

import socket
import sys
from collections import deque

from coatcheck.testing.servers import held_port

KEPT = 64  # more than any test has servers at once
_kept: deque[socket.socket] = deque()


def free_port() -> int:
    """Give a port of loopback on which nobody listens, and which nobody else is given meanwhile.

    A server takes seconds to start, and longer on a busy machine. Until it listens, the system would give the port to
    the next test that looks for one, or to any connection. So a socket of ours holds it. The last ports given are kept.
    """
    keeper = held_port()
    port: int = keeper.getsockname()[1]
    _kept.append(keeper)
    if sys.platform != "linux" or len(_kept) > KEPT:
        _kept.popleft().close()
    return port
