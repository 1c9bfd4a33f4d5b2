"""Listeners: called after the change, never able to undo or to fail it."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck.core.audit import Event, LoggedIn, LoggedOut


async def test_log_07_listener_that_raises_changes_nothing_and_is_logged(world, caplog):
    def failing(_: LoggedIn) -> None:
        raise LookupError("a listener's own error")

    later: list[Event] = []
    world.desk.on(LoggedIn, failing)
    world.desk.on(LoggedIn, later.append)

    login = await world.desk.start_session("ada")

    assert await world.is_live(login.token)
    assert len(later) == 1
    assert "a listener for logged_in failed" in caplog.text
    assert login.token.reveal() not in caplog.text


async def test_listener_hears_its_kind_after_the_change_is_there(world):
    heard = []
    steps = world.steps
    world.desk.on(LoggedOut, lambda _: heard.append(list(steps)))

    login = await world.desk.start_session("ada")
    await world.desk.log_out(login.token)

    assert heard == [["start", "find", "end"]]


async def test_async_listener_is_awaited_at_the_async_desk(make_world):
    world = make_world(is_async=True)
    heard = []

    async def listener(event: Event) -> None:
        await asyncio.sleep(0)
        heard.append(event.name)

    world.desk.on(Event, listener)
    await world.desk.start_session("ada")

    assert heard == ["logged_in"]


async def test_log_07_async_listener_at_the_blocking_desk_runs_if_it_needs_no_loop(make_world, caplog):
    world = make_world()
    heard = []

    async def plain(event: Event) -> None:
        heard.append(event.name)

    async def needs_a_loop(event: Event) -> None:
        await asyncio.sleep(0)
        heard.append(f"never {event.name}")

    world.desk.on(LoggedIn, plain)
    world.desk.on(LoggedIn, needs_a_loop)
    login = await world.desk.start_session("ada")

    assert await world.is_live(login.token)
    assert heard == ["logged_in"]
    assert "a listener for logged_in failed" in caplog.text


@pytest.mark.parametrize("kind", [Event, LoggedIn])
async def test_each_event_comes_once_to_each_listener(quick, kind):
    heard = []
    quick.desk.on(kind, heard.append)

    await quick.desk.start_session("ada")

    assert [event.name for event in heard] == ["logged_in"]
