"""Where things lie: every key of the store, and what shares a slot with what.

A key is `prefix:kind:{tag}:hex-digest`. No text of a user is in it (DAT-04): a session is named by the digest of its
token, a subject, name or counter by a digest of its own. What is in braces is what a cluster would place a key by.

| key | holds |
|---|---|
| `session:{2a}:digest` | string: one session, without its data |
| `data:{2a}:digest` | hash: its data, a field for each key; while there is any |
| `subject:{2a}:digest` | hash: `state`, and with an account `account`, `names`, `hash`, `version`, `changed_at` |
| `live:{2a}:digest` | hash: the subject's sessions that are not marked ended, public id to digest |
| `ended:{2a}:digest` | hash: those that are |
| `everybody:{2a}` | string: everybody's epoch, one copy for each shelf |
| `handles:{2a}` | sorted set: public ids, and where to look for the session |
| `subjects:{2a}` | sorted set: the digests of subjects that have a state, each with its text |
| `name:digest` | string: whose user name or address this is |
| `accounts` | sorted set: the subjects of all accounts, in their order |
| `counter:{attempts}:digest` | string: an attempt counter |
| `counters:{attempts}` | sorted set: all counters, by the instant until which they are kept |
| `event:{log}` | sorted set: all events by their number |
| `event-of:{log}:digest` | sorted set: the numbers of a subject's events |
| `event-count:{log}` | string: the last number given |
| `version` | string: the version of all this |
| `bookmark` | string: how far a copy into this store has come |

**The shelf** (TOK-06) is the leading six bits of a digest, 00 to 3f. Tokens are drawn until their digest falls on the
subject's shelf, so whatever one subject's request or log-in reads and writes of sessions has one tag. To keep it so,
everybody's epoch has a copy on each shelf: it is read at every request and raised once in a blue moon.

What cannot lie there: **public ids**, by which operators look sessions up without knowing whose they are, are spread by
a digest of the id. An entry says whose index to ask, not where the session is, so that a new token does not touch it
(a session of nobody has no index; its entry names the session). **Names** are unique among all accounts, and
**accounts** are listed in order: both are written when one is opened or deleted. **Counters** share a tag because an
attempt passes several gates at once or none. **Events** have one order. On one node all of it is one step; the tags
say where a cluster will have to take two.

What is kept has a time to live, so that a store that nobody purges does not grow for ever: what is left of the
session's or counter's own life, by the clock of the caller, and `GRACE`. It decides nothing (TMO-08); purging comes
long before. An index lives as long as the longest-lived of what it names; `purge` takes along the entries of keys that
ran out.
"""

from __future__ import annotations

from hashlib import sha1, sha256

from coatcheck.core.tokens import subject_digest

SHELF_BITS = 6
SHELVES = 2**SHELF_BITS
GRACE = 7 * 86_400  # seconds; ended sessions are kept for one day, so purging is long due then
LONGEST = 20 * 366 * 86_400  # no time to live is longer, whatever a clock says

_NAME_LABEL = b"coatcheck:name:1:"


def place_of(digest: bytes) -> str:
    """Give the end of every key of a digest: its shelf and its hex digits."""
    return f"{{{digest[0] >> (8 - SHELF_BITS):02x}}}:{digest.hex()}"


def digest_at(place: bytes) -> bytes:
    """Give the digest whose keys lie there."""
    return bytes.fromhex(place[5:].decode("ascii"))


def place_of_subject(subject: str) -> str:
    """Give the place of a subject's state and index. Raises UnicodeEncodeError for what is no text."""
    return place_of(subject_digest(subject))


def name_digest(name: str) -> str:
    """Give what stands for a user-name or e-mail key in a key of ours."""
    return sha256(_NAME_LABEL + name.encode()).hexdigest()


def ordered(text: str) -> bytes:
    """Write a text so that what follows does not disturb the order of texts: NUL as NUL 255, two NULs at the end."""
    return text.encode(errors="surrogatepass").replace(b"\0", b"\0\xff") + b"\0\0"


def text_of(entry: bytes) -> str:
    """Read back what `ordered` wrote, without its end."""
    return entry.replace(b"\0\xff", b"\0").decode(errors="surrogatepass")


def handle_of(session_id: str, subject: str | None, digest: bytes) -> bytes:
    """Give the entry by which a public id leads to a session (`scripts/shared/handles.lua`)."""
    where = b"d" + digest if subject is None else b"s" + subject_digest(subject)
    return ordered(session_id) + where


def listed(subject: str) -> bytes:
    """Give the entry of an account in the sorted set of all."""
    return ordered(subject) + subject_digest(subject)


def shard_of(session_id: str) -> int:
    """Say which of the sorted sets of handles has a public id."""
    # Lua has no other digest; it only spreads the ids evenly.
    return sha1(session_id.encode(), usedforsecurity=False).digest()[0] >> (8 - SHELF_BITS)


def seconds_to_live(seconds: int) -> int:
    """Give the time to live of what should be kept for so many seconds."""
    return min(max(seconds, 0), LONGEST) + GRACE
