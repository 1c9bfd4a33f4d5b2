"""The applications under load, one module for each server process. `serving` starts them.

All give the same few bytes of JSON: `/bare` asks nobody, `/authenticated` asks who is there, `/door` does so behind
Coatcheck's door, `/raw` reads the row by hand and judges nothing; `/cpu` tells what the process has used so far.
`COATCHECK_BENCH_FILE` names the SQLite file, which its side has filled before.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

FILE = "COATCHECK_BENCH_FILE"
BODY = b'{"greeting":"welcome back","items":[1,2,3,4,5,6,7,8],"more":false}'
JSON = "application/json"


def file() -> Path:
    return Path(os.environ[FILE])


def cpu() -> bytes:
    """The processor time of this process, as long as any other answer."""
    return f"{time.process_time():{len(BODY)}.6f}".encode()
