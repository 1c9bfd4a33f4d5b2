"""How a desk is made of its arguments: every mistake in them is told at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar, cast, overload

from coatcheck.colour import Colour
from coatcheck.core.audit import Event
from coatcheck.core.policy import Policy, make_policy
from coatcheck.core.views import A, Account
from coatcheck.crypto.entropy import Entropy, system_entropy
from coatcheck.crypto.keys import SECRET_BYTES, Keys
from coatcheck.errors import ConfigurationError
from coatcheck.flows.bundle import Flows
from coatcheck.flows.parts import Handler, Parts
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import AccountsHalf, OwnAccounts, Store

E = TypeVar("E", bound=Event)
PAGE = 50
"""How many of something are read at once where nobody says."""


class Desk(Generic[A]):
    """What both desks are made of. `flows` are the same operations as coroutines, for `coatcheck.web` and the doors."""

    _colour: Callable[[Policy], Colour]

    @overload
    def __init__(
        self,
        store: OwnAccounts[A],
        *,
        sessions: str | Store | None = None,
        secret: bytes | None = None,
        profile: str = "standard",
        settings: Mapping[str, object] | None = None,
        clock: Callable[[], int] | None = None,
        entropy: Entropy = system_entropy,
    ) -> None: ...

    @overload
    def __init__(
        self: Desk[Account],
        store: str | Store | AccountsHalf,
        *,
        sessions: str | Store | None = None,
        secret: bytes | None = None,
        profile: str = "standard",
        settings: Mapping[str, object] | None = None,
        clock: Callable[[], int] | None = None,
        entropy: Entropy = system_entropy,
    ) -> None: ...

    def __init__(
        self,
        store: str | Store | AccountsHalf | OwnAccounts[A],
        *,
        sessions: str | Store | None = None,
        secret: bytes | None = None,
        profile: str = "standard",
        settings: Mapping[str, object] | None = None,
        clock: Callable[[], int] | None = None,
        entropy: Entropy = system_entropy,
    ) -> None:
        problems: list[str] = []
        policy, keys = Policy(), None
        try:
            policy = make_policy(profile, settings)
        except ConfigurationError as error:
            problems.extend(error.problems)
        chosen = self._colour(policy)
        opened: Store | None = None
        try:
            opened = _opened(store, sessions, chosen)
        except ConfigurationError as error:
            problems.extend(error.problems)
        try:
            # Without a secret the keys live as long as this process: enough for one that shows no forms.
            keys = Keys(entropy(SECRET_BYTES) if secret is None else secret)
        except ConfigurationError as error:
            problems.extend(error.problems)
        if problems or opened is None or keys is None:
            raise ConfigurationError(*problems)
        self.policy = policy
        self.keys = keys
        self.has_secret = secret is not None
        self.clock = clock or _system_clock
        self.entropy = entropy
        parts = Parts(opened, policy=policy, colour=chosen, clock=self.clock, entropy=entropy, keys=keys)
        own = cast("OwnAccounts[A]", store) if hasattr(store, "own_accounts") else None
        self.flows: Flows[A] = Flows(parts, own)

    def on(self, kind: type[E], handler: Handler[E]) -> None:
        """Have `handler` called with every event of a kind (a class such as `LoggedIn`), after its change is committed.

        A handler that raises is logged and changes nothing. On the async desk it may be a coroutine function; it is
        awaited before the method that caused the event returns, so keep it short. `Event` itself means every kind.
        """
        if not _is_kind_of_event(kind):
            raise TypeError(f"desk.on: name the kind of event by its class, such as coatcheck.LoggedIn, not {kind!r}")
        self.flows.parts.listen(kind, handler)


def _is_kind_of_event(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Event)


def _opened(store: object, sessions: object, colour: Colour) -> Store:
    if sessions is None:
        return cast(Store, _store_of(store, colour, holds_accounts=True, needs="find"))
    from coatcheck.stores.apart import ApartStore, about  # costs a twentieth of `import coatcheck`, and few need it

    problems: list[str] = []
    halves: list[object] = []
    for given, setting, needs in ((store, "store", "identify"), (sessions, "sessions", "find")):
        try:
            with about(setting):
                halves.append(_store_of(given, colour, holds_accounts=setting == "store", needs=needs))
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(*problems)
    return ApartStore(cast(AccountsHalf, halves[0]), cast(Store, halves[1]))


def _store_of(store: object, colour: Colour, *, holds_accounts: bool, needs: str) -> object:
    if isinstance(store, str):
        return open_store(store, colour, holds_accounts=holds_accounts)
    if isinstance(store, os.PathLike):
        raise ConfigurationError(f"store: must be a URL, not a path; write sqlite:///{store}")
    if hasattr(store, needs):
        return store
    if hasattr(store, "identify"):
        raise ConfigurationError(
            "store: holds accounts alone; say where sessions are kept, Coatcheck(..., sessions='sqlite:///sessions.db')"
        )
    raise ConfigurationError(f"store: must be a URL such as sqlite:///app.db, or a store, not {store!r}")


def _system_clock() -> int:
    return int(time.time())
