"""Answers that are made while they are sent: what they say of caching is out before they have looked at anybody."""

from __future__ import annotations

from coatcheck.web.passage import Passage


def expect_late_look(passage: Passage) -> None:
    """Take an answer that goes on after its headers for personal, where a cookie of ours came along (HDR-01).

    What it is going to look at cannot be known, and when it has, no header can be taken back. Before
    `passage.headers`.
    """
    if passage.exchange.has_cookie_of_ours:
        passage.is_personal = True
