"""What every flow works with, put together once by the desk."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypedDict, TypeVar

import msgspec

from coatcheck.colour import Colour
from coatcheck.core import tokens
from coatcheck.core.audit import Event, record_of, safe_label
from coatcheck.core.networks import network_of, parse_address, shortened_address
from coatcheck.core.policy import Policy
from coatcheck.core.records import EventRecord
from coatcheck.core.tokens import Token, TokenFormat
from coatcheck.core.views import Client
from coatcheck.crypto.entropy import Entropy
from coatcheck.crypto.hashing import PasswordHasher
from coatcheck.crypto.keys import Keys
from coatcheck.stores.protocols import Store

E = TypeVar("E", bound=Event)
Handler = Callable[[E], Awaitable[None] | None]
Clock = Callable[[], int]

_events = logging.getLogger("coatcheck.events")
_trouble = logging.getLogger("coatcheck")


class Parts:
    """Store, policy, clock, randomness, hashing and listeners of one desk."""

    __slots__ = ("_handlers", "_policy_format", "clock", "colour", "entropy", "hasher", "keys", "policy", "store")

    def __init__(
        self,
        store: Store,
        *,
        policy: Policy,
        colour: Colour,
        clock: Clock,
        entropy: Entropy,
        keys: Keys,
    ) -> None:
        self.store = store
        self.policy = policy
        self.colour = colour
        self.clock = clock
        self.entropy = entropy
        self.keys = keys
        self.hasher = PasswordHasher(policy)
        self._policy_format = TokenFormat(policy.token_bytes)
        self._handlers: dict[type[Event], list[Handler[Event]]] = {}

    @property
    def token_format(self) -> TokenFormat:
        """The form a session token must have."""
        return self._policy_format

    def new_session_token(self, subject: str | None) -> tuple[Token, bytes]:
        """Draw a token and its digest; redrawn until the digest falls on the subject's shelf, if the store has any."""
        bits = self.store.shelf_bits
        shelf = tokens.shelf_of(subject, bits) if bits and subject is not None else None
        while True:
            text = tokens.encode(self.entropy(self.policy.token_bytes))
            digest = tokens.session_digest(text)
            if shelf is None or tokens.on_shelf(digest, shelf, bits):
                return Token(text), digest

    def origin_of(self, client: Whence) -> Origin:
        """Say where a request comes from, in the form in which it may be counted and kept.

        What has that form already is given back.
        """
        if callable(client):
            client = client()
        if client is None:
            return NOWHERE
        if isinstance(client, Origin):
            return client
        address = None if client.ip is None else parse_address(client.ip)
        kept = None if address is None else str(address)
        if address is not None and self.policy.stored_addresses != "full":
            kept = shortened_address(address) if self.policy.stored_addresses == "network" else None
        return Origin(
            network=None if address is None else network_of(address),
            ip=kept,
            user_agent=safe_label(client.user_agent),
            request_id=safe_label(client.request_id, limit=64),
            device=client.device,
        )

    def new_handle(self) -> str:
        """Draw a public session id."""
        return tokens.encode(self.entropy(tokens.HANDLE_BYTES))

    def new_subject(self) -> str:
        """Draw the id of a new account."""
        return tokens.encode(self.entropy(16))

    def listen(self, kind: type[E], handler: Handler[E]) -> None:
        """Have `handler` called after every event of a kind (or of its subclasses)."""
        self._handlers.setdefault(kind, []).append(handler)  # type: ignore[arg-type]  # called with `kind` only

    async def announce(self, *events: Event) -> None:
        """Tell listeners and the log of events whose change is committed. A listener that fails changes nothing."""
        for event in events:
            _events.info(event.name, extra={"coatcheck_event": event})
            for kind in type(event).__mro__:
                for handler in self._handlers.get(kind, ()):
                    await self._call(handler, event)

    async def _call(self, handler: Handler[Event], event: Event) -> None:
        try:
            answer = handler(event)
            if isinstance(answer, Awaitable):
                await self.colour.finish(answer)
        except Exception:  # noqa: BLE001 - LOG-07: the outcome stands whatever a listener does
            _trouble.exception("a listener for %s failed", event.name)


class Told(TypedDict):
    """What events tell of where a request came from."""

    ip: str | None
    user_agent: str | None
    request_id: str | None


class Origin(msgspec.Struct, frozen=True):
    """What a client says of itself, made fit for use: a canonical address, harmless labels (REV-08).

    `network` is what limits are counted by; `ip` is as much of the address as the policy wants kept (DAT-11).
    """

    network: str | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    device: Token | None

    @property
    def told(self) -> Told:
        """The fields that events share."""
        return {"ip": self.ip, "user_agent": self.user_agent, "request_id": self.request_id}


Whence: TypeAlias = Client | Origin | Callable[[], Client] | None
"""Where a request comes from, or what tells it where that is seldom asked: reading a request for it costs time."""
NOWHERE = Origin(network=None, ip=None, user_agent=None, request_id=None, device=None)


def records(*events: Event) -> tuple[EventRecord, ...]:
    """The events in the form in which they are kept."""
    return tuple(record_of(event) for event in events)


def check_count(name: str, count: object) -> None:
    """Raise `ValueError` for a page or batch that holds nothing: its answer would be that there is nothing (more)."""
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"{name}: must be a whole number from 1 on, not {count!r}")
