"""What lies in a database of Redis or Valkey, read past the store: all of it, and whether its indexes agree with it."""

from __future__ import annotations

from typing import Any

import redis

Dump = dict[bytes, Any]
READS = {
    b"string": lambda client, key: client.get(key),
    b"hash": lambda client, key: dict(client.hgetall(key)),
    b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    b"list": lambda client, key: client.lrange(key, 0, -1),
}


def client_of(url: str) -> redis.Redis:
    return redis.Redis.from_url(url.partition("?")[0], socket_timeout=30)


def everything(url: str) -> Dump:
    """Read every key there is, whatever it holds."""
    with client_of(url) as client:
        return {key: READS[client.type(key)](client, key) for key in client.scan_iter(count=1000)}


def of_kind(dump: Dump, kind: str) -> Dump:
    return {key: value for key, value in dump.items() if f"{key.decode()}:".startswith(f"coatcheck:{kind}:")}


def place_of(digest: bytes) -> bytes:
    return b"{%02x}:%b" % (digest[0] >> 2, digest.hex().encode())


def sessions_in(dump: Dump) -> dict[bytes, tuple[bytes, bytes, bool]]:
    """Read of each session, by its place: its public id, the place of its owner (`-` for nobody), whether it ended."""
    found = {}
    for key, kept in of_kind(dump, "session").items():
        head, _, body = kept.partition(b"\n")
        *_, ended, owner, id_size, _, _ = head.split(b" ")
        found[key.split(b":", 2)[2]] = (body[: int(id_size)], owner, ended != b"-")
    return found


def disagreements(url: str) -> list[str]:
    """Name what an index has and is not there, and what is there and no index has."""
    dump = everything(url)
    sessions = sessions_in(dump)
    wrong: list[str] = []
    indexed: dict[tuple[bytes, bytes, bool], bytes] = {}
    for kind, is_ended in (("live", False), ("ended", True)):
        for key, index in of_kind(dump, kind).items():
            owner = key.split(b":", 2)[2]
            for public_id, digest in index.items():
                indexed[public_id, owner, is_ended] = place_of(digest)
    wrong += [f"{key} is in an index and not there" for key in indexed.keys() - set(sessions.values())]
    owned = {place: session for place, session in sessions.items() if session[1] != b"-"}
    wrong += [f"{place} is in no index" for place, session in owned.items() if indexed.get(session) != place]
    handles = {}
    for members in of_kind(dump, "handles").values():
        for handle, _ in members:
            assert handle[-35:-33] == b"\0\0"
            handles[handle[:-35].replace(b"\0\xff", b"\0")] = (handle[-33:-32], place_of(handle[-32:]))
    for place, (public_id, owner, _) in sessions.items():
        meant = (b"d", place) if owner == b"-" else (b"s", owner)
        if handles.pop(public_id, None) != meant:
            wrong.append(f"{public_id!r} has no handle, or a wrong one")
    wrong += [f"the handle {public_id!r} leads nowhere" for public_id in handles]
    wrong += [
        f"{key} is the data of no session"
        for key in of_kind(dump, "data")
        if key.split(b":", 2)[2] not in sessions or sessions[key.split(b":", 2)[2]][2]
    ]
    counters = {key.rpartition(b":")[2] for key in of_kind(dump, "counter")}
    listed = {key for index in of_kind(dump, "counters").values() for key, _ in index}
    wrong += [f"counter {key!r} and the index of counters disagree" for key in counters ^ listed]
    return wrong
