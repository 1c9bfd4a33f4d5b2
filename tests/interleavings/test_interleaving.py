"""The machinery itself: all orders, each once, and none that leads elsewhere is left out."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb

import pytest

from coatcheck.errors import NotFound
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.interleaving import Failed, Pick, Played, Stage, every_order, in_a_row
from coatcheck.testing.meetings import Meeting
from coatcheck.testing.samples import NOW, a_digest, put, started
from coatcheck.testing.suites.interleavings import BY_NAME
from tests.interleavings.conftest import copies_of_memory


async def steps(stage: Stage, *names: str) -> list[object]:
    """Call store methods that need no arguments but these, one after the other."""
    arguments = {"find": (a_digest(1),), "states_of": (["ada"],)}
    return [await getattr(stage.store, name)(*arguments.get(name, ())) for name in names]


async def put_and_look(stage: Stage, who: str) -> object:
    await put(stage.store, a_digest(1), **{who: b"1"})
    found = await stage.store.find(a_digest(1))
    assert found is not None
    return found.session.data


def play_of(**players: tuple[str, ...]):
    def play(pick: Pick) -> Played:
        stage = Stage()
        return stage.play({who: steps(stage, *names) for who, names in players.items()}, pick)

    return play


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (1, 1), (2, 3), (4, 4)])
def test_every_merge_of_two_rows_of_steps_is_played_once(first: int, second: int) -> None:
    played = [str(p) for p in every_order(play_of(A=("find",) * first, B=("find",) * second))]

    assert len(played) == len(set(played)) == comb(first + second, first)


def test_every_merge_of_three_is_played_once() -> None:
    played = [str(p) for p in every_order(play_of(A=("find",) * 2, B=("ready",) * 2, C=("find",) * 2))]

    assert len(played) == len(set(played)) == 90


def test_of_orders_of_reads_alone_one_is_played_when_reduced() -> None:
    play = play_of(A=("find", "ready"), B=("states_of", "find"), C=("ready",))

    assert len(list(every_order(play, is_reduced=True))) == 1


def test_a_step_is_taken_whole_and_only_in_its_turn() -> None:
    def play(pick: Pick) -> Played:
        stage = Stage()
        stage.run(started(stage.inner, 1))
        return stage.play({who: put_and_look(stage, who) for who in ("A", "B")}, pick)

    seen = {str(played): played.answers for played in every_order(play)}

    assert len(seen) == 6
    assert seen["A.patch A.find B.patch B.find"] == {
        "A": b'{"app":{"A":1}}',
        "B": b'{"app":{"A":1,"B":1}}',
    }
    assert seen["A.patch B.patch A.find B.find"]["A"] == b'{"app":{"A":1,"B":1}}'


def test_players_draw_the_same_bytes_whoever_draws_first() -> None:
    stage = Stage()

    async def draw() -> bytes:
        await stage.store.ready()
        return stage.entropy(16)

    def play(pick: Pick) -> Mapping[str, object]:
        stage.enter(MemoryStore())
        return stage.play({"A": draw(), "B": draw()}, pick).answers

    one, other = every_order(play)

    assert one == other
    assert one["A"] != one["B"]


def test_our_errors_are_answers_and_others_come_through() -> None:
    stage = Stage()

    async def refused() -> None:
        await stage.store.ready()
        raise NotFound("session_not_found")

    async def broken() -> None:
        await stage.store.ready()
        raise ZeroDivisionError

    assert stage.play({"A": refused()}, in_a_row("A")).answers == {"A": Failed("NotFound", "session_not_found")}
    with pytest.raises(ZeroDivisionError):
        stage.play({"A": refused(), "B": broken()}, in_a_row("BA"))


def test_a_play_that_does_not_begin_alike_each_time_is_refused() -> None:
    stage = Stage()
    stage.run(started(stage.inner, 1))  # here to stay: the stage is not entered anew

    async def end_or_not() -> None:
        if await stage.store.end(a_digest(1), at=NOW, reason="revoked", events=()):
            await stage.store.ready()

    def play(pick: Pick) -> Played:
        return stage.play({"A": end_or_not(), "B": steps(stage, "ready")}, pick)

    with pytest.raises(RuntimeError, match="begin alike"):
        list(every_order(play))


@pytest.mark.parametrize(
    "pair", [("log_in", "change_password"), ("reauthenticate", "revoke_all_but_here"), ("log_in", "delete_account")]
)
def test_the_orders_left_out_lead_nowhere_else(pair: tuple[str, str]) -> None:
    meeting = Meeting([BY_NAME[name] for name in pair], copies_of_memory())

    everything = [play.outcome for play in meeting.orders(is_reduced=False)]
    reduced = [play.outcome for play in meeting.orders(is_reduced=True)]

    assert len(reduced) < len(everything)
    assert all(outcome in reduced for outcome in everything)
