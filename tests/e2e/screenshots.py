"""Take the pictures of the pages. Programs run by hand, at the root, with src on PYTHONPATH:

    python -m tests.e2e.screenshots                writes those of docs/images anew
    python -m tests.e2e.screenshots FOLDER         writes every page in every state and look into a folder
    python -m tests.e2e.screenshots FOLDER login*  those whose names match

They need Chromium and playwright, as the browser tests do.
"""

from __future__ import annotations

import os
import re
import sqlite3
import struct
import sys
import tempfile
import zlib
from base64 import b64decode, b64encode
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import ROOT
from tests.e2e import gallery
from tests.e2e.serving import FOR_CROWDS, PASSWORD, Server, Visitor

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 200_000

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:149.0) Gecko/20100101 Firefox/149.0"
ANDROID = (
    "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 "
    "Mobile Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.0 Safari/605.1.15"
)
DESKTOP: dict[str, Any] = {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"}
NARROW: dict[str, Any] = {"viewport": {"width": 640, "height": 760}, "color_scheme": "light"}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "is_mobile": True}

# A page like ours has few colours: the 256 most used, and for each other its nearest, make a third of the bytes.
PAINT_BY_NUMBERS = """async picture => {
  const bitmap = await createImageBitmap(await (await fetch('data:image/png;base64,' + picture)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
  canvas.drawImage(bitmap, 0, 0);
  const { data } = canvas.getImageData(0, 0, bitmap.width, bitmap.height);
  const dots = new Uint32Array(data.buffer), used = new Map();
  for (const dot of dots) used.set(dot, (used.get(dot) ?? 0) + 1);
  const parts = dot => [dot & 255, dot >> 8 & 255, dot >> 16 & 255];
  const palette = [...used].sort((a, b) => b[1] - a[1]).slice(0, 256).map(([dot]) => parts(dot));
  const number = new Map();
  for (const dot of used.keys()) {
    const [r, g, b] = parts(dot);
    const far = palette.map(([x, y, z]) => (r - x) ** 2 + (g - y) ** 2 + (b - z) ** 2);
    number.set(dot, far.indexOf(Math.min(...far)));
  }
  const numbers = Uint8Array.from(dots, dot => number.get(dot));
  const text = await new Promise(done => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.split(',')[1]);
    reader.readAsDataURL(new Blob([numbers]));
  });
  return [bitmap.width, bitmap.height, palette.flat(), text];
}"""

# Where and how long ago the devices of the picture logged in, the newest first.
DEVICES = {FIREFOX: ("192.0.2.7", 240), ANDROID: ("198.51.100.23", 9_000), SAFARI: ("203.0.113.40", 3 * 86_400)}


def main(folder: str | None = None, pattern: str = "*") -> int:
    into = IMAGES if folder is None else Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        few_tries = {} if folder is None else {"COATCHECK_ACCOUNT_FREE_FAILURES": "5"}
        server = Server(Path(scratch), env={**FOR_CROWDS, "COATCHECK_NETWORK_FREE_SIGN_UPS": "1000", **few_tries})
        server.start()
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("COATCHECK_CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        try:
            if folder is None:
                take_all(browser, server)
            else:
                take_gallery(browser, server, into, pattern)
        finally:
            browser.close()
            server.end()
    if folder is not None:
        return 0
    sizes = {path.name: path.stat().st_size for path in sorted(IMAGES.glob("*.png"))}
    for name, size in sizes.items():
        print(f"{size:8} {name}{'  TOO LARGE' if size > MOST_BYTES else ''}")
    return int(max(sizes.values()) > MOST_BYTES)


def take_gallery(browser: Browser, server: Server, into: Path, pattern: str) -> None:
    for name in gallery.STATES:
        if not fnmatch(name, pattern):
            continue
        context = browser.new_context(base_url=server.url)
        page = context.new_page()
        gallery.bring(page, server, name)
        for look in gallery.LOOKS:
            gallery.look(page, look)
            page.screenshot(path=into / f"{name}.{look}.png", full_page=True, animations="disabled")
        context.close()
        print(name)


def take_all(browser: Browser, server: Server) -> None:
    Visitor(server).call("POST", "/api/signup", {"username": "ada", "email": "ada@example.org", "password": PASSWORD})
    for agent in (SAFARI, ANDROID):
        Visitor(server, headers={"User-Agent": agent}).log_in("ada", remember=True)

    visitor = page_of(browser, server, NARROW)
    visitor.goto("/login")
    take(visitor, "login", height=820)
    visitor.goto("/signup")
    take(visitor, "signup", height=980)

    owner = page_of(browser, server, DESKTOP, user_agent=FIREFOX)
    log_in(owner)
    spread_out(server)
    owner.goto("/account")
    take(owner, "account")
    owner.goto("/docs")
    take(owner, "docs")

    stranger = page_of(browser, server, NARROW)
    stranger.goto("/signup")
    stranger.get_by_label("User name").fill("x")
    stranger.get_by_label("Password").fill("short")
    stranger.get_by_role("button", name="Sign up").click()
    take(stranger, "signup-refused", height=1100)

    phone = page_of(browser, server, PHONE, user_agent=FIREFOX)
    phone.context.add_cookies(owner.context.cookies())  # type: ignore[arg-type]  # what comes out goes in
    phone.goto("/account")
    take(phone, "account-phone-dark")


def page_of(browser: Browser, server: Server, look: dict[str, Any], **more: Any) -> Page:
    context = browser.new_context(base_url=server.url, device_scale_factor=2, **look, **more)
    return context.new_page()


def log_in(page: Page) -> None:
    page.goto("/login")
    page.get_by_label("User name or e-mail address").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name=re.compile("Your account")).wait_for()


def spread_out(server: Server) -> None:
    """Let the devices be in different places, and not all of this very minute."""
    connection = sqlite3.connect(server.store, timeout=10)
    with connection:
        for agent, (ip, ago) in DEVICES.items():
            which = "user_agent = (SELECT id FROM user_agents WHERE text = ?)"
            connection.execute(
                "UPDATE sessions SET ip = ?, created_at = created_at - ?, last_seen_at = last_seen_at - ? "
                f"WHERE {which}",
                (ip, ago, ago // 3, agent),
            )
            connection.execute(f"UPDATE events SET ip = ?, at = at - ? WHERE {which}", (ip, ago, agent))
        oldest = max(ago for _, ago in DEVICES.values()) + 60
        connection.execute("UPDATE events SET at = at - ?, ip = '203.0.113.40' WHERE name = 'signed_up'", (oldest,))
        connection.execute("UPDATE accounts SET created_at = created_at - ?", (oldest,))
    connection.close()


def take(page: Page, name: str, *, height: int | None = None) -> None:
    if height is not None:
        page.set_viewport_size({"width": (page.viewport_size or {"width": 640})["width"], "height": height})
    picture = page.screenshot(scale="device", animations="disabled")
    easel = page.context.new_page()
    width, tall, palette, numbers = easel.evaluate(PAINT_BY_NUMBERS, b64encode(picture).decode("ascii"))
    easel.close()
    (IMAGES / f"{name}.png").write_bytes(png(width, tall, bytes(palette), b64decode(numbers)))


def png(width: int, height: int, palette: bytes, numbers: bytes) -> bytes:
    """Write a picture of numbered colours (PNG, third edition, colour type 3; no filter, which suits it best)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + numbers[start : start + width] for start in range(0, len(numbers), width))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, content) for kind, content in parts)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
