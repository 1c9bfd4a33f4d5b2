"""libFuzzer, which follows the branches of our own code, breaks no promise either."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT, missing
from tests.fuzz.conftest import HANG, SECONDS, SEED
from tests.fuzz.test_parsers import every_parser


def guided(name: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    if find_spec("atheris") is None:
        missing("no atheris, which has wheels for Linux on x86-64 alone")
    command = [sys.executable, "-m", "tests.fuzz.guided", name, f"-artifact_prefix={folder}/", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
@every_parser
def test_sup_09_a_minute_of_guided_search_finds_nothing(name: str, tmp_path: Path) -> None:
    found = guided(name, tmp_path, f"-max_total_time={int(SECONDS)}", f"-timeout={int(HANG)}", f"-seed={SEED}")

    told = found.stderr
    assert found.returncode == 0, told[-6000:]
    done = re.search(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+)", told)
    assert done, told[-2000:]
    print(f"{name}: {done[1]} cases, {done[2]} branches; {re.findall('slowest: .*', told)[-1]}")
