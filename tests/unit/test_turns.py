"""One thread works while others wait, and warnings held meanwhile; interrupts at every step."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from cave_auth_adapter import runtime
from cave_auth_adapter.runtime import holding_warnings, warn_once
from cave_auth_adapter.sources import turns
from cave_auth_adapter.sources.turns import Turn, Turns


def test_a_turn_ends_after_an_error() -> None:
    one = Turns()
    with pytest.raises(ZeroDivisionError):
        one.take("it", lambda: 1 // 0)
    assert one.take("it", lambda: 7) == (Turn.MINE, 7)


def test_turns_of_different_things_are_independent() -> None:
    one, other = Turns(), Turns()
    inner = one.take("it", lambda: [one.take("that", int), other.take("it", int)])[1]
    assert inner == [(Turn.MINE, 0), (Turn.MINE, 0)]


def test_another_thread_waits_for_the_turn_to_end() -> None:
    one, said, waiting = Turns(), [], threading.Event()

    def wait() -> None:
        waiting.set()
        said.append(one.take("it", int))

    def work() -> None:
        other.start()
        waiting.wait()
        assert said == []

    other = threading.Thread(target=wait)
    one.take("it", work)
    other.join()
    assert said in ([(Turn.OVER, None)], [(Turn.MINE, 0)])


def test_warnings_are_logged_at_the_end_of_the_outermost_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def work() -> None:
        holding_warnings(lambda: warn_once("one"))
        warn_once("two")
        assert caplog.messages == []
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        holding_warnings(work)
    assert caplog.messages == ["one", "two"]
    warn_once("three")
    assert caplog.messages == ["one", "two", "three"]


def interrupted_at(step: int, work: Callable[[], object]) -> bool:
    """Work with a KeyboardInterrupt at one call of our code; whether there were so many calls."""
    steps, ours = 0, (turns.__file__, runtime.__file__)

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal steps
        if frame.f_code.co_filename in ours:
            steps += 1
            if steps == step:
                raise KeyboardInterrupt

    before = sys.getprofile()
    try:
        sys.setprofile(profile)
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(before)
    return False


def test_an_interrupt_at_any_step_leaves_no_turn_behind(caplog: pytest.LogCaptureFixture) -> None:
    one, step = Turns(), 1

    def work() -> None:
        holding_warnings(lambda: one.take("it", int))

    while interrupted_at(step, work):
        caplog.clear()
        warn_once(f"after the interrupt at step {step}")
        assert len(caplog.messages) == 1
        # A leftover gate is open, and is removed.
        assert one.take("it", int)[0] in (Turn.MINE, Turn.OVER)
        assert one.take("it", int)[0] is Turn.MINE
        step += 1
    assert step > 10
