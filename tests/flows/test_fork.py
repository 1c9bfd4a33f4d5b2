"""One desk, used before a fork and on both sides of it."""

from __future__ import annotations

import os
import signal

import pytest

from coatcheck.testing.patience import PATIENCE
from tests.flows.conftest import PASSWORD

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def in_child(work) -> int:
    """Run `work` in a forked child and give its exit status."""
    child = os.fork()
    if child == 0:
        signal.alarm(int(PATIENCE))  # a child that hangs must not outlive its test
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
def test_desk_that_was_used_works_in_child_and_parent(make_world, engine):
    desk = make_world(engine).desk.desk
    desk.sign_up(username="ada", password=PASSWORD)
    login = desk.log_in("ada", PASSWORD)

    def child() -> None:
        assert desk.authenticate(login.token)
        assert desk.log_in("ada", PASSWORD).token.reveal() != login.token.reveal()
        assert desk.log_out(login.token)

    assert in_child(child) == 0
    assert bool(desk.authenticate(login.token)) is (engine == "memory")
    assert desk.authenticate(desk.log_in("ada", PASSWORD).token)


def test_rev_04_child_sees_at_once_what_its_parent_revoked(make_world):
    desk = make_world("sqlite").desk.desk
    login = desk.start_session("ada")
    child_has_read, parent_has_revoked = os.pipe(), os.pipe()

    def child() -> None:
        assert desk.authenticate(login.token)
        os.write(child_has_read[1], b"x")
        os.read(parent_has_revoked[0], 1)
        assert desk.authenticate(login.token).reason == "revoked"

    pid = os.fork()
    if pid == 0:
        signal.alarm(int(PATIENCE))
        status = 1
        try:
            child()
            status = 0
        finally:
            os._exit(status)
    os.close(child_has_read[1])
    os.read(child_has_read[0], 1)
    desk.revoke_all(of="ada")
    os.write(parent_has_revoked[1], b"x")
    _, status = os.waitpid(pid, 0)
    for end in (child_has_read[0], *parent_has_revoked):
        os.close(end)

    assert os.waitstatus_to_exitcode(status) == 0
