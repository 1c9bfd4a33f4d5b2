"""How long each kind of refusal takes, measured and told, never judged: machines are busy (ENU-02 B).

What decides is asserted elsewhere: as many verifications, of the same cost, and as many steps for each kind.
`pytest -m long -s tests/flows/test_rules_timing.py` prints the medians.
"""

from __future__ import annotations

import statistics
import time

import pytest

from coatcheck import Client, InvalidCredentials
from coatcheck.core.throttle import Settlement, lock_of
from tests.flows.conftest import PASSWORD, WRONG

SAMPLES = 400
CLASSES = {
    "unknown": ("nobody", WRONG),
    "wrong password": ("ada", WRONG),
    "disabled, right password": ("dora", PASSWORD),
    "no password": ("nora", PASSWORD),
    "locked, wrong password": ("lola", WRONG),
    "locked, right password": ("lola", PASSWORD),
}


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("engine", ["memory", "sqlite"])
async def test_enu_02_medians_of_the_refusals_are_told(make_world, record_property, engine):
    world = make_world(engine)
    subjects = {name: await world.member(name) for name in ("ada", "dora", "lola")}
    await world.member("nora", hashed="!")
    await world.desk.disable(subjects["dora"])
    lock = lock_of(subjects["lola"], world.desk.policy)
    for _ in range(world.desk.policy.password_lock_failures):
        await world.inner.settle([Settlement(lock, "failure", world.clock())], account=None, events=())
    took: dict[str, list[float]] = {what: [] for what in CLASSES}

    for number in range(SAMPLES):
        turn = number % len(CLASSES)  # whoever comes first pays for what lies between the rounds
        for place, what in enumerate([*list(CLASSES)[turn:], *list(CLASSES)[:turn]]):
            name, password = CLASSES[what]
            client = Client(ip=f"2001:db8:{number:x}:{place:x}::1")
            begun = time.perf_counter()
            with pytest.raises(InvalidCredentials):
                world.desk.desk.log_in(name, password, client=client)
            took[what].append(time.perf_counter() - begun)
        world.clock.move(25 * 3600)  # waits are over, the lock is not
        for name in ("ada", "dora", "nora"):
            await world.desk.unlock(f"subject-of-{name}")

    unknown = statistics.median(took["unknown"])
    for what, times in took.items():
        median = statistics.median(times)
        told = f"{median * 1000:.2f} ms, {(median - unknown) * 1000:+.2f} ms from unknown"
        record_property(what, told)
        print(f"{engine}: {what}: {told}")
    assert {len(times) for times in took.values()} == {SAMPLES}
