"""The figures of `make figures` are there or missing, never made up."""

from __future__ import annotations

import pytest
from figures import Figure, NothingMeasuredError, delays


def test_a_figure_without_data_is_an_error_that_names_it() -> None:
    """What was not measured, of ours or of what stands beside it, is no figure and no empty median."""
    with pytest.raises(NothingMeasuredError, match="cards, ours"):
        Figure("cards", "ms", [])
    with pytest.raises(NothingMeasuredError, match="cards, naive"):
        Figure("cards", "ms", [1.0], naive=[])


@pytest.mark.parametrize(("begun", "seen"), [([], []), ([], [5.0]), ([5.0], []), ([1.0, 2.0], [5.0]), ([5.0], [4.0])])
def test_what_began_and_what_was_seen_belong_together(begun: list[float], seen: list[float]) -> None:
    """A stamp that did not come, one too many, or one of something earlier fails by name."""
    with pytest.raises(NothingMeasuredError, match="partial image"):
        delays("partial image", begun, seen)


def test_a_delay_is_from_the_beginning_to_what_was_seen() -> None:
    """Each with its own; the line has their median, and says that a target is missed."""
    assert delays("cards", [1000.0, 2000.0, 3000.0], [1040.0, 2060.0, 3090.0]) == [40, 60, 90]
    assert Figure("cards", "ms", [40, 60, 90], 50).line() == ("cards", "ms", "60", "40 to 90", "<= 50 (missed)", "", "")
    assert not Figure("cards", "ms", [40, 60, 90], 60).is_missed
