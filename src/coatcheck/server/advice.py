"""What an allowed configuration is weak in: told when the server starts, and by `coatcheck doctor`."""

from __future__ import annotations

import time
from typing import NamedTuple

from coatcheck.colour import run_blocking
from coatcheck.core.policy import make_policy, warnings_of
from coatcheck.errors import StoreError
from coatcheck.server.config import Config
from coatcheck.server.store_urls import MEMORY, store_at


class Advice(NamedTuple):
    """One weakness, in words, and how to mend it."""

    about: str
    words: str
    mend: str


def weaknesses_of(config: Config) -> list[Advice]:
    """Name each setting that is weaker than NIST SP 800-63B-4 asks (TMO-06), and missing proxies."""
    policy = make_policy(config.profile, config.settings)
    found = [
        Advice("policy", words, "take the line out of [settings], or know why it is there")
        for words in warnings_of(policy)
    ]
    if has_unnamed_proxy(config):
        found.append(
            Advice(
                "proxies",
                "public_url is set, no certificate and no trusted_proxies: to the server all visitors have the proxy's "
                "address and share one limit on failed log-ins",
                "set trusted_proxies to the proxy's address and trusted_hops to 1",
            )
        )
    return found


def sessions_left_behind(config: Config) -> Advice | None:
    """Look whether `sessions` was set while `store` held live sessions: nobody is asked for them, nor are they ended.

    One question to `store`, which must be ready. Where it cannot be answered, as among a great many of the dead that
    nobody has purged, nothing is said: advice must keep no server from starting.
    """
    if config.sessions is None or config.store == MEMORY:
        return None
    store = store_at(config.store)
    try:
        if not run_blocking(store.any_live(at=int(time.time()))):
            return None
    except StoreError:
        return None
    finally:
        run_blocking(store.close())
    return Advice(
        "sessions",
        "store itself holds live sessions from before sessions was set: whoever has one must log in again, and they "
        "come back to life when sessions is taken out",
        "take sessions out and copy them (docs/stores.md, Sessions apart), or end them with a settings file without "
        "sessions: coatcheck sessions revoke --everybody --config FILE",
    )


def has_unnamed_proxy(config: Config) -> bool:
    """Say whether another program must speak TLS in front of the server, and nobody has said which."""
    return config.public_url is not None and not config.uses_tls and not config.trusted_proxies
