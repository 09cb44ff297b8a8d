"""Work over processes: in order, whatever sizes and moments, and never waiting for the dead."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from multiprocessing import active_children

import pytest

from arxivcli import parallel
from arxivcli.errors import ArxivcliError, InputError

MANY_BYTES = 3 << 20


def large(task: bytes) -> bytes:
    """As much as no pipe holds at once."""
    return task[:1] * MANY_BYTES


def test_results_come_in_order_whatever_goes_through_the_pipes() -> None:
    tasks = [bytes([number]) * MANY_BYTES for number in range(20)]
    found = parallel.in_order(large, tasks, 3)
    assert [(result[0], len(result)) for result in found] == [(number, MANY_BYTES) for number in range(20)]
    assert not active_children()


def uneven(task: int) -> int:
    time.sleep(0.002 * (task % 7))
    return task


def test_only_some_tasks_are_under_way() -> None:
    taken = []
    results = parallel.in_order(uneven, (taken.append(number) or number for number in range(200)), 2)  # type: ignore[func-returns-value]
    for number, result in enumerate(results):
        assert result == number
        assert len(taken) <= number + 6


def spoiled(task: int) -> int:
    if task == 5:
        raise InputError("the fifth is bad", "leave it out")
    return task


def test_an_error_of_the_work_is_raised_in_its_place_with_its_own_traceback() -> None:
    results = parallel.in_order(spoiled, range(50), 2)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(InputError, match="the fifth is bad") as caught:
        next(results)
    assert "in spoiled" in "".join(caught.value.__notes__)
    assert not active_children()


@pytest.mark.parametrize("seed", range(12))
def test_a_worker_killed_at_any_moment_is_said(seed: int) -> None:
    """Also in the middle of a large answer, of which the rest will never come."""
    chance = random.Random(seed)

    def kill() -> None:
        time.sleep(0.05 + 0.1 * chance.random())
        os.kill(chance.choice(active_children()).pid or 0, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    results = parallel.in_order(large, (b"x" for _ in range(100_000)), 2)
    next(results)
    killer.start()
    with pytest.raises(ArxivcliError, match="a worker process was killed"):
        list(zip(results, range(10_000), strict=False))
    killer.join()
    assert not active_children()
