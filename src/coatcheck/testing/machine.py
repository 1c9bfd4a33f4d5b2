# ruff: noqa: D102 - the names of tests are their docstrings
"""Random lives, for whoever writes a store: thousands of steps nobody thought of, each checked against the reference.

In a test module of yours (it needs pytest and hypothesis):

    from coatcheck.testing.machine import LifeContract

    class TestLifeOfMyStore(LifeContract):
        @pytest.fixture
        def make_stores(self):
            def make():
                empty_it()
                return lambda colour: MyStore(..., colour)
            return make

`make_stores` gives a function; each call of it begins with nothing, and gives a function from a `Colour` to a store.
All stores that one of these opens share their data, as two processes do; those of the life before are closed by then.

Partner modules: `coatcheck.testing.contracts`, which goes promise by promise; `coatcheck.testing.lives`, what is lived.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

# Assertions in installed packages explain themselves only if pytest is told before they are imported.
pytest.register_assert_rewrite("coatcheck.testing.lives")

from coatcheck.colour import Colour  # noqa: E402
from coatcheck.stores.protocols import Store  # noqa: E402
from coatcheck.testing.driving import Driver, Suite  # noqa: E402
from coatcheck.testing.lives.desk_life import DeskLife  # noqa: E402
from coatcheck.testing.lives.store_life import StoreLife  # noqa: E402
from coatcheck.testing.lives.tally import Tally  # noqa: E402

__all__ = ["DeskLife", "DeskLifeContract", "LifeContract", "StoreLife", "StoreLifeContract"]

OpenStore = Callable[[Colour], Store]
Machine = Callable[[OpenStore, Driver, Tally], RuleBasedStateMachine]


class Lives(Suite):
    """The ground of both.

    `lives` and `steps` are how many of them there are, and how long each: a subclass for the night may have more. What
    was done is kept with the test's report: the property `steps`, their number, and the section `steps`, in words.
    """

    lives = 15
    steps = 40

    def live(
        self,
        machine: Machine,
        make_stores: Callable[[], OpenStore],
        driver: Driver,
        request: pytest.FixtureRequest,
    ) -> None:
        """Live as often as it shall be, each time with an empty store."""
        tally = Tally()
        try:
            run_state_machine_as_test(
                lambda: machine(make_stores(), driver, tally),  # type: ignore[arg-type]  # a function will do, it says
                settings=settings(
                    max_examples=self.lives,
                    stateful_step_count=self.steps,
                    deadline=None,
                    suppress_health_check=[
                        HealthCheck.too_slow,
                        HealthCheck.data_too_large,
                        HealthCheck.filter_too_much,
                    ],
                    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
                ),
            )
        finally:
            request.node.user_properties.append(("steps", tally.steps.total()))
            request.node.add_report_section("call", "steps", str(tally))


class StoreLifeContract(Lives):
    """Every call of every method, beside the reference."""

    def test_a_store_answers_every_call_as_the_reference_does(
        self, make_stores: Callable[[], OpenStore], driver: Driver, request: pytest.FixtureRequest
    ) -> None:
        self.live(StoreLife, make_stores, driver, request)


class DeskLifeContract(Lives):
    """People, devices and time at two desks over the store, beside a model of what should become of them."""

    def test_ses_05_tmo_03_tmo_07_fix_01_whoever_should_be_in_is_in_and_nobody_else(
        self, make_stores: Callable[[], OpenStore], driver: Driver, request: pytest.FixtureRequest
    ) -> None:
        self.live(DeskLife, make_stores, driver, request)


class LifeContract(StoreLifeContract, DeskLifeContract):
    """Both."""
