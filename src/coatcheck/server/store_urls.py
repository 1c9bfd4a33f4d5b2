"""The URLs of stores as settings: what they may be, where their password comes from, and how they are shown.

A URL that bears a password is a secret: refused on a command line, which other users of the machine can read, and never
printed as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from coatcheck.colour import Blocking, hashing_lane, run_blocking
from coatcheck.errors import ConfigurationError
from coatcheck.server.secret import read_secret_file
from coatcheck.stores.apart import ApartStore, about
from coatcheck.stores.opening import FORMS, MUST_EXIST, open_store
from coatcheck.stores.protocols import Store

MEMORY = "memory://"
_WITHOUT_PASSWORD = ("sqlite", "memory")
_SECRET_OPTIONS = ("password", "sslpassword")  # what libpq calls them


def sqlite_file(url: str) -> Path | None:
    """Give the file that a store's URL names; None for other stores and for URLs that name none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    path = unquote(parts.path)[1:]
    is_whole = parts.scheme == "sqlite" and path.isprintable() and not (parts.netloc or parts.fragment)
    is_whole = is_whole and parts.query in ("", MUST_EXIST)
    return Path(path) if is_whole and path else None


def that_exists(url: str) -> str:
    """Give the URL of a store that was there a moment ago, and must not be begun anew if it is gone."""
    if url.startswith("postgresql:"):
        return f"{url}{'&' if '?' in url else '?'}{MUST_EXIST}"
    return f"{url}?{MUST_EXIST}" if sqlite_file(url) is not None and "?" not in url else url


def without_password(url: str) -> str:
    """Give a URL in which `****` stands for each password, and for everything if it is no URL."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "****" if "@" in url or "password" in url.lower() else url
    # The last @ ends who we are: a password that holds one unescaped, or what else it should not, is hidden whole.
    userinfo, at, place = rest.rpartition("@")
    user = re.split("[:?]", userinfo, maxsplit=1)[0]
    place, question, options = place.partition("?")
    shown = "&".join(map(_option_without_password, options.split("&")))
    return f"{scheme}://{user}{':****' if user != userinfo else ''}{at}{place}{question}{shown}"


def bears_password(url: str) -> bool:
    """Say whether there is something in a URL that must not be shown."""
    shown = without_password(url)
    return shown != url


def with_password(url: str, password: str) -> str:
    """Give a URL with a password for who is named in it."""
    scheme, _, rest = url.partition("://")
    rest, question, options = rest.partition("?")
    userinfo, _, place = rest.rpartition("@")
    return f"{scheme}://{userinfo.partition(':')[0]}:{quote(password, safe='')}@{place}{question}{options}"


def password_from(file: Path, url: str) -> str:
    """Read the password of a URL from a file of its own.

    Raises:
        ConfigurationError: the file cannot be read or other users can, there is nothing in it, or the URL needs none.
    """
    if url.partition(":")[0] in _WITHOUT_PASSWORD:
        raise ConfigurationError(f"{url.partition(':')[0]} URLs have no password; leave it out")
    if bears_password(url):
        raise ConfigurationError("the URL bears a password too; take it out there")
    try:
        password = read_secret_file(file).decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is not UTF-8; save it as UTF-8") from None
    if not password or not password.isprintable():
        raise ConfigurationError(f"{file} does not hold one line with a password")
    return password


def store_at(url: str, *, holds_accounts: bool = True) -> Store:
    """Make the store that a URL names, for one command that blocks. Nothing is opened yet.

    Raises ConfigurationError, which calls it `store`.
    """
    if urlsplit(url).scheme == "sqlite" and sqlite_file(url) is None:
        raise ConfigurationError(f"store: {without_password(url)!r} does not name a file; write {FORMS}")
    return open_store(url, Blocking(hashing_lane(queue=1, nice=0)), holds_accounts=holds_accounts)


def version_at(url: str) -> int:
    """Read the version of what is kept where a URL leads; 0 if nothing is. Changes and creates nothing.

    Raises what the store says that is none of ours, cannot be used or cannot be reached; it is called `store`.
    """
    store = store_at(url)
    try:
        version: int = run_blocking(store.schema_version())  # type: ignore[attr-defined]  # all but memory:// have one
    finally:
        run_blocking(store.close())
    return version


def stores_at(store: str, sessions: str | None) -> Store:
    """Make the store that one URL or two name. Raises ConfigurationError with the problems of both."""
    halves: list[Store] = []
    problems: list[str] = []
    for setting, url in (("store", store), ("sessions", sessions)):
        if url is not None:
            try:
                with about(setting):
                    halves.append(store_at(url, holds_accounts=setting == "store"))
            except ValueError:
                problems.append(f"{setting}: that is not a URL; write {FORMS}")
            except ConfigurationError as error:
                problems.extend(error.problems)
    if problems:
        raise ConfigurationError(*problems)
    return halves[0] if sessions is None else ApartStore(*halves)


def problems_of(store: str, sessions: str | None) -> Iterator[str]:
    """Say what is wrong with the URLs themselves; nothing is opened."""
    try:
        stores_at(store, sessions)
    except ConfigurationError as error:
        yield from error.problems


def _option_without_password(option: str) -> str:
    name, equals, _ = option.partition("=")
    # libpq takes no notice of spaces around a name.
    return f"{name}=****" if equals and unquote(name).strip().lower() in _SECRET_OPTIONS else option
