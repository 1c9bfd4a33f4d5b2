"""Tokens at the desk, attacked with the figures of their rules: form, spread, what they tell, what costs a query."""

from __future__ import annotations

import hashlib
import math
import os
import signal
from base64 import urlsafe_b64decode
from collections import Counter

import pytest

from coatcheck.core.tokens import encode
from coatcheck.crypto.entropy import system_entropy
from tests.flows.conftest import PASSWORD

WAIT = 30  # a child that hangs must not outlive its test
MALFORMED = ["", "A" * 42, "A" * 44, "A" * 10**6, "A" * 42 + "\0", "A" * 42 + "'", "A" * 42 + "*", "A" * 42 + "\u00e9"]


def raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def tokens_of(world, subject: str, count: int) -> list[str]:
    texts = []
    for _ in range(count):
        texts.append((await world.desk.start_session(subject)).token.reveal())
        world.clock.move(1)
    return texts


async def test_tok_06_a_thousand_tokens_of_one_subject_tell_neither_who_nor_when_nor_which(make_world):
    world = make_world(settings={"sessions_per_subject": 10_000})
    subject, begun = "subject-of-ada", world.clock()
    logins = []
    for _ in range(1000):
        logins.append(await world.desk.start_session(subject))
        world.clock.move(1)
    octets = [raw(login.token.reveal()) for login in logins]

    for place in range(256):
        ones = sum(token[place // 8] >> place % 8 & 1 for token in octets)
        assert abs(ones - 500) < 6 * math.sqrt(1000) / 2, "a bit that says the same for all of one subject"
    times = {(begun + second).to_bytes(4, order) for second in range(1000) for order in ("big", "little")}
    for login, token in zip(logins, octets, strict=True):
        assert subject.encode() not in token
        assert subject not in login.token.reveal()
        assert raw(login.session.id) not in token
        digests = {getattr(hashlib, kind)(subject.encode()).digest()[:4] for kind in ("md5", "sha1", "sha256")}
        assert not any(digest in token for digest in digests)
    # A time stood at one place in all of them; that four random octets look like one happens once in a million.
    for place in range(29):
        assert sum(token[place : place + 4] in times for token in octets) < 3


async def test_tok_01_desk_draws_32_octets_of_the_system_for_each_token(quick):
    desk = quick.desk.desk
    texts = await tokens_of(quick, "ada", 50)

    assert desk.entropy is system_entropy
    assert {len(text) for text in texts} == {43}
    assert {len(raw(text)) for text in texts} == {32}
    assert [encode(raw(text)) for text in texts] == texts


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("engine", ["memory", "sqlite"])
def test_tok_02_parent_and_child_of_one_desk_give_different_tokens_and_handles(make_world, engine):
    desk = make_world(engine).desk.desk
    desk.start_session("ada")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(WAIT)
        try:
            drawn = [desk.start_session("ada") for _ in range(50)]
            os.write(write, " ".join([f"{one.token.reveal()} {one.session.id}" for one in drawn]).encode())
        finally:
            os._exit(0)
    ours = [desk.start_session("ada") for _ in range(50)]
    os.waitpid(child, 0)
    os.close(write)
    theirs = os.read(read, 2**16).decode().split()
    os.close(read)

    drawn = [*theirs, *(one.token.reveal() for one in ours), *(one.session.id for one in ours)]
    assert len(theirs) == 100
    assert len(set(drawn)) == 200


@pytest.mark.parametrize("shown", MALFORMED, ids=lambda shown: f"{len(shown)} characters ending {shown[-1:]!r}")
async def test_tok_05_what_cannot_be_a_token_costs_no_step_beside_a_log_in_either(world, shown):
    await world.member()

    await world.log_in("ada", PASSWORD, replaces=shown)

    assert world.steps == ["identify", "admit", "start"]


async def test_tok_09_no_public_id_can_be_made_of_its_token(world):
    logins = [await world.desk.start_session("ada") for _ in range(100)]

    assert len({login.session.id for login in logins}) == 100
    for login in logins:
        handle, text = raw(login.session.id), login.token.reveal()
        assert len(handle) * 8 >= 64
        for kind in ("md5", "sha1", "sha256", "sha512", "blake2b"):
            for told in (text.encode(), raw(text)):
                assert handle not in getattr(hashlib, kind)(told).digest()
        assert not await world.desk.authenticate(login.session.id)


async def test_tok_03_a_dump_of_the_memory_store_holds_no_issued_token(quick):
    subject = await quick.member()
    first = await quick.log_in()
    rotated = await quick.desk.rotate(first.session)
    second = await quick.log_in(replaces=rotated.token)
    await quick.desk.log_out(second.token)

    held = repr([_told(value) for value in vars(quick.inner).values()])

    assert subject in held, "the search would find it"
    for login in (first, rotated, second):
        assert login.token.reveal() not in held
        assert repr(raw(login.token.reveal()))[2:-1] not in held


def _told(value: object) -> object:
    """Records do not print what they hold: take them apart."""
    if isinstance(value, dict):
        return [(_told(key), _told(each)) for key, each in value.items()]
    if isinstance(value, (list, tuple, set)):
        return [_told(each) for each in value]
    fields = getattr(value, "__struct_fields__", None)
    return value if fields is None else [_told(getattr(value, field)) for field in fields]


async def test_tok_01_each_character_of_many_tokens_is_as_frequent_as_the_others(quick):
    texts = await tokens_of(quick, None, 2000)

    counts = Counter("".join(text[:42] for text in texts))
    expected = 2000 * 42 / 64
    assert len(counts) == 64
    assert all(abs(count - expected) < 6 * math.sqrt(expected) for count in counts.values())
