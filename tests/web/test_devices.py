"""How clients are named in the device list."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.web.devices import NAME_MAX, UNKNOWN, device_name

LINUX_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPHONE = f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {APPLE}"
MAC = f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {APPLE}"


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (LINUX_FIREFOX, "Firefox on Linux"),
        (
            f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        (f"{IPHONE} Version/17.5 Mobile/15E148 Safari/604.1", "Safari on iOS"),
        (f"{IPHONE} CriOS/126.0 Mobile/15E148 Safari/604.1", "Chrome on iOS"),
        (f"{MAC} Version/18.0 Safari/605.1.15", "Safari on macOS"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0 Safari/537.36 Edg/142.0", "Edge on Windows"),
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/142.0 Safari/537.36", "Headless Chrome on Linux"),
        ("curl/8.5.0", "curl"),
        ("python-httpx/0.27", "python-httpx"),
        ("MyApp/1.0", "MyApp"),
        ("Dalvik/2.1.0 (Linux; U; Android 13)", "Android"),
        ("Mozilla/5.0", "A browser"),
        ("<script>alert(1)</script>/2", UNKNOWN),
        ("", UNKNOWN),
        (" \t ", UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_a_client_is_named_by_program_and_system(user_agent: str | None, expected: str) -> None:
    assert device_name(user_agent) == expected


@given(st.text(alphabet=st.characters(), max_size=200) | st.sampled_from(["Firefox/" * 4000, "\ud800", "A" * 70_000]))
def test_rev_08_any_text_gives_a_short_printable_name(user_agent: str) -> None:
    name = device_name(user_agent)

    assert 0 < len(name) <= NAME_MAX
    assert name.isascii()
    assert name.isprintable()


def test_without_ua_parser_the_name_is_short_and_honest() -> None:
    """A fresh interpreter in which `import ua_parser` fails, as where the extra is not installed."""
    program = (
        "import sys; sys.modules['ua_parser'] = None\n"
        "from coatcheck.web.devices import device_name\n"
        f"print(device_name('curl/8.5.0'), device_name({LINUX_FIREFOX!r}), device_name(None), sep='|')"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "curl|A browser|Unknown device"


def test_naming_devices_loads_the_rules_only_when_a_name_is_asked() -> None:
    program = "import sys, coatcheck.web.devices; print('ua_parser' in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "False"
