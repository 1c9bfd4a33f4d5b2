"""From a URL to a store. A driver is imported when its scheme is asked for, an engine opened at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from coatcheck.colour import Colour
    from coatcheck.stores.protocols import Store

MUST_EXIST = "mode=rw"  # after a "?", as SQLite's own URIs say it: no file is made where there is none
FORMS = (
    "sqlite:///path/to/file.db (relative), sqlite:////absolute/path.db, postgresql://user@host/database, "
    "redis://host:6379/0 (or rediss, valkey, valkeys), or memory://"
)


def open_store(url: str, colour: Colour, *, holds_accounts: bool = True) -> Store:
    """Make the store that a URL names. Nothing is opened yet.

    With `holds_accounts` False it is one for sessions, to be joined with another (`coatcheck.stores.apart`).

    Raises:
        ConfigurationError: the URL names no store we have, or not enough of one.
    """
    from urllib.parse import unquote, urlsplit  # costs milliseconds at import

    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(f"store: that is not a URL; write {FORMS}") from None
    if url == "memory://":
        from coatcheck.stores.memory import MemoryStore

        return MemoryStore(holds_accounts=holds_accounts)
    if parts.scheme == "sqlite":
        from coatcheck.stores.sqlite.store import SqliteStore

        path = unquote(parts.path)[1:]
        if parts.netloc or not path or parts.fragment:
            raise ConfigurationError(f"store: this sqlite URL does not name a file; write {FORMS}")
        if parts.query not in ("", MUST_EXIST):
            raise ConfigurationError(
                f'store: a sqlite URL has one option, "?{MUST_EXIST}", and this one has another (in a file name, '
                f'"?" is %3F); write {FORMS}'
            )
        return SqliteStore(path, colour, holds_accounts=holds_accounts, creates=not parts.query)
    if parts.scheme in ("redis", "rediss", "valkey", "valkeys"):
        try:
            from coatcheck.stores.redis.store import RedisStore
        except ModuleNotFoundError as error:
            raise ConfigurationError(f"store: {error}; run: pip install 'coatcheck[redis]'") from error
        return RedisStore(url, colour, holds_accounts=holds_accounts)
    if parts.scheme == "postgresql":
        try:
            from coatcheck.stores.postgres.store import PostgresStore
        except ImportError as error:  # psycopg is there, but not what it is made with
            raise ConfigurationError(f"store: {error}; run: pip install 'coatcheck[postgres]'") from error
        return PostgresStore(url, colour, holds_accounts=holds_accounts)
    if parts.scheme == "postgres":
        raise ConfigurationError("store: write postgresql:// instead of postgres://")
    if parts.scheme.partition("+")[0] in ("redis", "rediss", "valkey", "valkeys"):
        raise ConfigurationError(
            f"store: {parts.scheme}:// is not supported yet; name one server that stands alone: redis://host:6379/0"
        )
    # Not the URL itself: it may bear a password.
    raise ConfigurationError(f"store: no store has the scheme {parts.scheme!r}; write {FORMS}")
