"""The pace of a cluster: halved when the service says 'too many', held as long as it says, raised slowly."""

from __future__ import annotations

import pytest

from gradient_notebook.cluster.pace import Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_trouble_there_is_no_limit(clock: Clock) -> None:
    """What is not known is not invented."""
    pace = Pace(clock)
    pace.note_answer()
    pace.probe()
    assert (pace.rate, pace.hold_s) == (None, 0)


def test_trouble_halves_what_was_measured(clock: Clock) -> None:
    """The first time the measured rate, then the granted one.

    What comes together is one trouble, and so is what comes before anything is answered: then the service takes nothing,
    however slowly it is asked.
    """
    pace = Pace(clock)
    pace.trouble(sent=4)
    assert pace.rate == pytest.approx(2)
    for _ in range(50):
        pace.trouble()
        clock.now += 3
    assert pace.rate == pytest.approx(2)
    pace.note_answer()
    pace.trouble()
    assert pace.rate == pytest.approx(1)


@pytest.mark.parametrize("demanded", [5.0, 60.0])
def test_nothing_is_sent_as_long_as_the_service_says(clock: Clock, demanded: float) -> None:
    """Never for less, also where a later word is shorter."""
    pace = Pace(clock)
    pace.trouble(demanded)
    pace.trouble(0.1)
    assert demanded <= pace.hold_s <= demanded * 1.1
    clock.now += demanded * 1.1
    assert pace.hold_s == 0


def test_trouble_without_an_end_is_waited_for_longer_and_longer(clock: Clock) -> None:
    """Where nobody answers, too; the first answer ends that."""
    pace, waits = Pace(clock), []
    for _ in range(8):
        pace.trouble()
        waits.append(pace.hold_s)
        clock.now += pace.hold_s + 3
    assert waits[0] <= 0.5
    assert 15 <= waits[-1] <= 30
    pace.note_answer()
    pace.trouble()
    assert pace.hold_s <= 0.5


def test_it_is_raised_slowly(clock: Clock) -> None:
    """A tenth at a time, and not while it is held."""
    pace = Pace(clock)
    pace.trouble(30)
    first = pace.rate or 0
    clock.now += 20
    pace.probe()
    assert pace.rate == first
    clock.now += 20
    pace.probe()
    pace.probe()
    assert pace.rate == pytest.approx(first * 1.1)
