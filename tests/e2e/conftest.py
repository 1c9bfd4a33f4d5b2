"""Servers for the stories: each in a folder of its own, each stopped by its own number, quietly or the test fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.serving import Server

Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers: `serve("--workers", "2", env={...})`."""
    with ExitStack() as servers:

        def start(*options: str, **settings: object) -> Server:
            server = Server(tmp_path / f"server-{len(list(tmp_path.iterdir()))}", *options, **settings)  # type: ignore[arg-type]
            servers.callback(server.end)
            server.start()
            return server

        yield start


@pytest.fixture
def server(serve: Serve) -> Server:
    """One server in development mode."""
    return serve()
