"""Flask's own tests, run with our door in every application they make.

They come with Flask's source distribution, which `COATCHECK_TEST_FLASK_SDIST` names or pip downloads, and are nowhere
in this repository. What does not pass is listed here with its reason, and nothing else may fail: a test that begins to
pass must leave the list.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.long

SIGNED = "is about Flask's signed cookie: its name, path, domain, lifetime or key"
HOST = "asks under a host that is not loopback, which development mode answers with 421 (HST-01)"

EXCEPTIONS = {
    "test_basic.py::test_session_path": SIGNED,
    "test_basic.py::test_session_using_application_root": SIGNED,
    "test_basic.py::test_session_using_session_settings": SIGNED,
    "test_basic.py::test_session_using_samesite_attribute": SIGNED,
    "test_basic.py::test_missing_session": SIGNED + "; without SECRET_KEY ours works",
    "test_basic.py::test_session_secret_key_fallbacks": SIGNED,
    "test_basic.py::test_session_expiration": SIGNED,
    "test_basic.py::test_session_cookie_setting": SIGNED + ", which is sent again with every answer",
    "test_basic.py::test_session_refresh_vary": SIGNED + ", which is sent again with every answer",
    "test_testing.py::test_session_transactions_no_null_sessions": SIGNED + "; without SECRET_KEY ours works",
}
"""Tests of sessions."""

OTHERS = {
    "test_basic.py::test_static_route_with_host_matching": HOST,
    "test_basic.py::test_server_name_matching": HOST,
    "test_basic.py::test_server_name_subdomain": HOST,
    "test_basic.py::test_subdomain_basic_support": HOST,
    "test_basic.py::test_subdomain_matching": HOST,
    "test_basic.py::test_subdomain_matching_with_ports": HOST,
    "test_basic.py::test_subdomain_matching_other_name": HOST,
    "test_blueprints.py::test_nesting_subdomains": HOST,
    "test_blueprints.py::test_child_and_parent_subdomain": HOST,
    "test_reqctx.py::test_environ_for_valid_idna_completes": HOST,
    "test_reqctx.py::test_normal_environ_completes": HOST,
    "test_request.py::test_trusted_hosts_config": HOST,
    "test_testing.py::test_environ_defaults_from_config": HOST,
    "test_testing.py::test_full_url_request": HOST,
    "test_testing.py::test_blueprint_with_subdomain": HOST,
    "test_testing.py::test_subdomain": HOST,
    "test_testing.py::test_nosubdomain": HOST,
    "test_reqctx.py::test_bad_environ_raises_bad_request": HOST,
    "test_session_interface.py::test_open_session_with_endpoint": "puts sessions of its own in the place of ours",
    "test_basic.py::test_app_freed_on_zero_refcount": "an application in our door is left to the collector",
}
"""Tests of something else."""

NEEDS_ASGIREF = ("test_async.py", "test_helpers.py::TestStreaming::test_async_view")


@pytest.fixture(scope="module")
def tests_of_flask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flask")
    name = f"flask-{version('flask')}"
    given = os.environ.get("COATCHECK_TEST_FLASK_SDIST")
    archive = Path(given) if given else download(name, folder)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert f"sha256:{digest}" in (ROOT / "requirements" / "test.txt").read_text(), "not the archive that is locked"
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder / name


def download(name: str, folder: Path) -> Path:
    options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder)]
    asked = [sys.executable, "-m", "pip", "download", *options, name.replace("-", "==")]
    ran = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        # Not even CI must need the net for its tests.
        pytest.skip("Flask's source distribution cannot be downloaded; COATCHECK_TEST_FLASK_SDIST may name it")
    return folder / f"{name}.tar.gz"


def test_flasks_own_tests_pass_but_for_those_that_are_listed(tests_of_flask: Path) -> None:
    options = [
        "-q",
        "-rA",
        "--tb=no",
        "-p",
        "tests.flask.behind_the_door",
        "-p",
        "no:schemathesis",
        "-p",
        "no:cacheprovider",
    ]
    # Its command line is not ours; its tests want a library that we do not.
    chosen = ["tests", "--ignore", "tests/test_cli.py"]

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "pyproject.toml", *options, *chosen],
        cwd=tests_of_flask,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
        capture_output=True,
        text=True,
        check=False,
    )

    outcomes = re.findall(r"^(PASSED|FAILED|ERROR) tests/([^\s\[]+)", ran.stdout, re.MULTILINE)
    failed = {test for outcome, test in outcomes if outcome != "PASSED" and not test.startswith(NEEDS_ASGIREF)}
    passed = sum(outcome == "PASSED" for outcome, _ in outcomes)
    print(
        f"{passed} of Flask's own tests pass, {len(EXCEPTIONS)} of its tests of sessions cannot, {len(OTHERS)} others"
    )
    assert failed == EXCEPTIONS.keys() | OTHERS.keys(), ran.stdout[-5000:]
    assert passed > 380
