"""Cookies: what is read under our name, and what is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import ConfigurationError
from coatcheck.http.cookies import DUPLICATE, MAX_HEADER, MAX_PAIRS, CookieStyle, clear, read, write

NAME = "__Host-coatcheck"
TOKEN = "T" * 43
SESSION = CookieStyle(name=NAME)


def obviously_right(headers: list[bytes], name: str) -> object:
    """Read by the letter of CKY-08 to CKY-12, without a thought for speed."""
    octets = b"; ".join(headers)
    pairs = octets.split(b";")
    if len(octets) > 16384 or len(pairs) > 200:
        return None
    values = []
    for pair in pairs:
        trimmed = pair.strip(b" \t")
        if b"=" not in trimmed:
            continue
        key, value = trimmed.split(b"=", 1)
        if key != b"" and key == name.encode():
            values.append(value)
    if len(values) > 1:
        return DUPLICATE
    if not values or any(octet > 127 for octet in values[0]):
        return None
    return values[0].decode("ascii")


PIECES = st.sampled_from(
    [b"n", b"n=", b"=", b";", b"; ", b" ", b"\t", b",", b'"', b"\\", b"x", b"\x00", b"\r", b"\x0b", b"\xa0", b"N="]
)


@given(st.lists(st.lists(PIECES, max_size=14).map(b"".join), max_size=3))
def test_reading_equals_the_obviously_right_reading(headers):
    assert read(headers, "n") == obviously_right(headers, "n")


@given(st.lists(st.binary(max_size=60), max_size=3), st.integers(0, 3))
def test_reading_equals_the_obviously_right_reading_among_any_octets(noise, position):
    headers = [*noise[:position], b"__Host-coatcheck=T", *noise[position:]]

    assert read(headers, NAME) == obviously_right(headers, NAME)


@pytest.mark.parametrize(
    "header",
    [
        f"{NAME}={TOKEN}",
        f"a=b; {NAME}={TOKEN}; c=d",
        f"a=b;{NAME}={TOKEN};c=d",
        f"a=b; \t {NAME}={TOKEN} \t; c=d",
        f"; ;{NAME}={TOKEN};;",
        f'a="x; {NAME}={TOKEN}; y"',
        f"a{NAME}=x; {NAME}={TOKEN}",
        f"{NAME}-pre=x; {NAME}={TOKEN}",
    ],
)
def test_cky_08_a_well_formed_header_gives_the_value(header):
    assert read([header.encode()], NAME) == TOKEN


@pytest.mark.parametrize(
    "pair",
    [
        f"\u2000{NAME}={TOKEN}".encode(),
        b"\xa0" + f"{NAME}={TOKEN}".encode(),
        b"\x0b" + f"{NAME}={TOKEN}".encode(),
        f"__HOST-coatcheck={TOKEN}".encode(),
        f"__host-coatcheck={TOKEN}".encode(),
        f'"{NAME}"={TOKEN}'.encode(),
        f"%5f%5fHost-coatcheck={TOKEN}".encode(),
        f"$Version=1,{NAME}={TOKEN}".encode(),
        f"{NAME} ={TOKEN}".encode(),
        f"x{NAME}={TOKEN}".encode(),
        f"X{NAME}={TOKEN}".encode(),
        f"{NAME}x={TOKEN}".encode(),
        f"a={NAME}={TOKEN}".encode(),
    ],
)
def test_cky_08_a_name_that_only_resembles_ours_is_absent(pair):
    assert read([pair], NAME) is None


@pytest.mark.parametrize("value", [f'"{TOKEN}"', f" {TOKEN}", f"{TOKEN},", f"%54{TOKEN}", f"{TOKEN}X", "T\x0b"])
def test_cky_08_a_value_is_neither_unquoted_nor_decoded(value):
    assert read([f"{NAME}={value}".encode()], NAME) == value


def test_cky_08_a_value_that_is_not_ascii_is_absent():
    assert read([f"{NAME}=".encode() + b"\xff" * 43], NAME) is None


@pytest.mark.parametrize("header", [f"={NAME}={TOKEN}", NAME, f"{NAME};={TOKEN}", "=", "", ";"])
def test_cky_09_pairs_without_name_or_equals_sign_are_ignored(header):
    assert read([header.encode()], NAME) is None


@pytest.mark.parametrize(
    "headers",
    [
        [f"{NAME}=victim; {NAME}=attacker"],
        [f"{NAME}=attacker; a=b; {NAME}=victim"],
        [f"{NAME}=victim", f"{NAME}=attacker"],
        [f"{NAME}=same; {NAME}=same"],
        [f"{NAME}=; {NAME}=victim"],
        [f"{NAME}=victim;{NAME}=\u00ff"],
        [f"{NAME}=1; {NAME}=2; {NAME}=3"],
    ],
)
def test_cky_10_a_duplicate_session_cookie_is_told_apart_and_false(headers):
    value = read([header.encode() for header in headers], NAME)

    assert value is DUPLICATE
    assert not value


def test_cky_10_a_longer_or_other_name_is_no_duplicate():
    header = f"{NAME}={TOKEN}; {NAME}-pre=x; x{NAME}=y; a={NAME}=z".encode()

    assert read([header], NAME) == TOKEN


def test_cky_11_a_token_in_the_second_of_two_fields_is_found():
    assert read([b"a=b", f"{NAME}={TOKEN}".encode()], NAME) == TOKEN


def test_cky_11_fields_that_a_server_joined_with_a_comma_give_a_damaged_value():
    assert read([f"{NAME}={TOKEN}, a=b".encode()], NAME) == f"{TOKEN}, a=b"


def test_cky_12_the_limits_are_16_kib_and_200_pairs():
    assert (MAX_HEADER, MAX_PAIRS) == (16_384, 200)


def test_cky_12_a_header_of_16_kib_is_read_and_one_more_octet_is_not():
    pair = f"; {NAME}={TOKEN}".encode()
    whole = b"a=" + b"x" * (MAX_HEADER - len(pair) - 2) + pair

    assert read([whole], NAME) == TOKEN
    assert read([b"x" + whole], NAME) is None


def test_cky_12_two_hundred_pairs_are_read_and_one_more_is_not():
    pairs = [b"a=b"] * (MAX_PAIRS - 1) + [f"{NAME}={TOKEN}".encode()]

    assert read([b"; ".join(pairs)], NAME) == TOKEN
    assert read([b"; ".join(pairs), b"a=b"], NAME) is None


@pytest.mark.parametrize("unit", [b'\\"', b";", b" ", b"=", b"__Host-coatcheck=", b";__Host-coatcheck", b"; \t", b'"'])
def test_cky_12_no_header_takes_more_than_linear_time(grows_linearly, unit):
    grows_linearly(lambda size: [(unit * size)[:size]], lambda headers: read(headers, NAME), MAX_HEADER // 4)


@pytest.mark.parametrize("unit", [b'\\"', b";"])
def test_cky_12_a_header_of_64_kib_is_anonymous(unit):
    assert read([(unit * 65_536)[:65_536], f"; {NAME}={TOKEN}".encode()], NAME) is None


def attributes(set_cookie: str) -> tuple[str, list[str]]:
    pair, *rest = set_cookie.split("; ")
    return pair, sorted(rest)


def test_cky_01_a_host_cookie_has_no_domain_to_configure():
    with pytest.raises(TypeError):
        CookieStyle(name=NAME, domain="example.org")  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["__Host-coatcheck", "__Secure-coatcheck", "__Host-Http-coatcheck"])
def test_cky_01_a_prefixed_name_needs_secure(name):
    with pytest.raises(ConfigurationError, match="Secure"):
        CookieStyle(name=name, secure=False)


@pytest.mark.parametrize("name", ["__host-coatcheck", "__HOST-coatcheck", "__secure-coatcheck"])
def test_cky_01_a_prefix_in_another_letter_case_is_refused(name):
    with pytest.raises(ConfigurationError, match="spell the prefix exactly"):
        CookieStyle(name=name)


@pytest.mark.parametrize("same_site", ["Lax", "Strict"])
def test_cky_02_a_session_cookie_has_exactly_these_attributes(same_site):
    written = write(CookieStyle(name=NAME, same_site=same_site), TOKEN, max_age=None)

    expected = sorted(["Path=/", "Secure", "HttpOnly", f"SameSite={same_site}"])
    assert attributes(written) == (f"{NAME}={TOKEN}", expected)


@pytest.mark.parametrize("same_site", ["lax", "lax ", "Lax ", "none", "LAX", "", "Lax; Domain=example.org"])
def test_cky_03_another_spelling_of_same_site_is_a_startup_error(same_site):
    with pytest.raises(ConfigurationError, match=r"^same_site: spell it exactly Lax or Strict \(or None"):
        CookieStyle(name=NAME, same_site=same_site, cross_site_cookie=True)


def test_cky_03_same_site_none_needs_the_setting():
    with pytest.raises(ConfigurationError, match=r"^same_site: None .* say cross_site_cookie=True, or use Lax$"):
        CookieStyle(name=NAME, same_site="None")


def test_cky_03_same_site_none_needs_secure():
    with pytest.raises(ConfigurationError, match=r"^same_site: browsers refuse None without Secure"):
        CookieStyle(name="plain", same_site="None", secure=False, cross_site_cookie=True)


def test_cky_03_same_site_none_is_written_when_asked_for():
    style = CookieStyle(name=NAME, same_site="None", cross_site_cookie=True)

    assert "SameSite=None" in write(style, TOKEN, max_age=None)


def test_a_style_with_three_mistakes_reports_all_three():
    with pytest.raises(ConfigurationError) as refused:
        CookieStyle(name="__host-a b", same_site="lax", secure=False)

    assert len(refused.value.problems) == 4


def test_cky_05_a_cookie_that_is_not_remembered_has_neither_max_age_nor_expires():
    written = write(SESSION, TOKEN, max_age=None)

    assert "Max-Age" not in written
    assert "Expires" not in written


@pytest.mark.parametrize(
    ("remaining", "written"), [(1, 1), (29 * 86_400, 29 * 86_400), (34_560_000, 34_560_000), (34_560_001, 34_560_000)]
)
def test_cky_05_max_age_is_the_remaining_life_and_never_above_400_days(remaining, written):
    assert write(SESSION, TOKEN, max_age=remaining) == f"{write(SESSION, TOKEN, max_age=None)}; Max-Age={written}"


@pytest.mark.parametrize("max_age", [0, -1])
def test_cky_05_a_cookie_without_life_left_is_not_written(max_age):
    with pytest.raises(ValueError, match=r"^max_age must be at least 1; to remove a cookie, clear it$"):
        write(SESSION, TOKEN, max_age=max_age)


def test_cky_06_name_and_value_fill_4096_bytes_and_not_one_more():
    fits = "x" * (4096 - len(NAME))

    assert len(write(SESSION, fits, max_age=None).partition(";")[0]) == 4096 + len("=")
    with pytest.raises(ValueError, match="4096"):
        write(SESSION, fits + "x", max_age=None)


def test_cky_07_clearing_repeats_name_and_attributes_with_an_empty_value_long_past():
    pair, rest = attributes(clear(SESSION))

    expected = ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
    assert (pair, rest) == (f"{NAME}=", sorted(expected))


def test_cky_14_a_helper_cookie_has_the_attributes_of_the_session_cookie():
    helper = CookieStyle(name=f"{NAME}-pre")

    assert helper.attributes == SESSION.attributes


HOSTILE = ["a\r\nSet-Cookie: x=1", "a\nb", "a\0b", "a;b", "a,b", "a b", 'a"b', "a\\b", "é", "\x7f", "\u2028", ""]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_cky_15_a_value_that_could_split_or_confuse_the_header_raises(hostile):
    with pytest.raises(ValueError, match=NAME) as raised:
        write(SESSION, f"canary{hostile}" if hostile else "", max_age=None)

    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "a b", "a;b", "a=b", "a,b", "a\r\nb", "a\n", "é", "a" * 129])
def test_cky_15_a_name_that_is_no_token_is_a_startup_error(name):
    with pytest.raises(ConfigurationError, match=r"^cookie name: use at most 128"):
        CookieStyle(name=name)


@pytest.mark.parametrize("name", ["__Host-coatcheck", "__Secure-coatcheck", "Host-coatcheck", "x__host-coatcheck"])
def test_cky_01_a_prefix_that_is_spelled_exactly_may_be_chosen(name):
    assert write(CookieStyle(name=name), TOKEN, max_age=None).startswith(f"{name}={TOKEN}; ")


def test_a_name_of_128_characters_may_be_chosen():
    assert CookieStyle(name="a" * 128).name == "a" * 128


def test_cky_16_a_host_http_name_may_be_chosen_and_is_http_only():
    written = write(CookieStyle(name="__Host-Http-coatcheck"), TOKEN, max_age=None)

    assert written.startswith("__Host-Http-coatcheck=")
    assert "; HttpOnly" in written


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60))
def test_what_is_written_is_read_back(value):
    try:
        written = write(SESSION, value, max_age=None)
    except ValueError:
        return

    assert read([written.partition(";")[0].encode()], NAME) == value
