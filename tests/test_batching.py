"""Scoring together: order, isolation, bounds and deadlines of the queue in front of the model; and rates."""

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arxivcli.serving.batching import Batcher
from arxivcli.serving.rates import Rates, client
from arxivcli.serving.refusals import Refusal
from arxivcli.serving.settings import Batches, networks

AT_MOST = 8


class Scorer:
    """Answers n with n * n; fails at negative numbers; waits at a gate while that is closed."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, asked: Sequence[int]) -> list[int]:
        self.gate.wait(10)
        self.batches.append(list(asked))
        if min(asked) < 0:
            raise ValueError("negative")
        return [number * number for number in asked]


def late(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(-1, 9), min_size=1, max_size=20), max_size=12))
def test_everybody_gets_their_own_answers_in_order(requests: list[list[int]]) -> None:
    scorer = Scorer()

    async def run() -> list[list[int] | BaseException]:
        batcher = Batcher(scorer, Batches(papers=AT_MOST, wait=0.0))
        found = await asyncio.gather(*(batcher.ask(r, late()) for r in requests), return_exceptions=True)
        while batcher.waiting:  # parts of requests that have failed already
            await asyncio.sleep(0.001)
        await batcher.close()
        return found

    for request, answers in zip(requests, asyncio.run(run()), strict=True):
        if min(request) < 0:
            assert isinstance(answers, ValueError)
        else:
            assert answers == [number * number for number in request]
    assert all(len(batch) <= AT_MOST for batch in scorer.batches)


def test_what_waits_together_is_scored_together() -> None:
    scorer = Scorer()

    async def run() -> None:
        batcher = Batcher(scorer, Batches(papers=AT_MOST))
        scorer.gate.clear()
        asked = [asyncio.create_task(batcher.ask([number], late())) for number in range(20)]
        await asyncio.sleep(0.05)
        scorer.gate.set()
        assert await asyncio.gather(*asked) == [[number * number] for number in range(20)]
        await batcher.close()

    asyncio.run(run())
    assert [len(batch) for batch in scorer.batches] in ([1, 8, 8, 3], [8, 8, 4])
    assert [number for batch in scorer.batches for number in batch] == list(range(20))


def test_the_queue_has_an_end_and_those_who_left_no_place_in_a_batch() -> None:
    scorer = Scorer()

    async def run() -> None:
        batcher = Batcher(scorer, Batches(papers=4, queue=6))
        scorer.gate.clear()
        first = asyncio.create_task(batcher.ask([1], late()))
        await asyncio.sleep(0.05)
        gone = [asyncio.create_task(batcher.ask([2], late(), lambda: True)) for _ in range(2)]
        cancelled = asyncio.create_task(batcher.ask([3], late()))
        expired = asyncio.create_task(batcher.ask([4, 4], late(0.01)))
        await asyncio.sleep(0.05)
        cancelled.cancel()
        with pytest.raises(Refusal) as refused:
            await expired
        assert refused.value.status == 504
        began = time.monotonic()
        with pytest.raises(Refusal) as refused:
            await batcher.ask([5, 5], late())
        assert refused.value.status == 503
        assert refused.value.headers["retry-after"] in set("12345")
        assert time.monotonic() - began < 0.05
        patient = asyncio.create_task(batcher.ask([6, 6], late(), patient=True))
        await asyncio.sleep(0.02)
        scorer.gate.set()
        assert await first == [1]
        assert await patient == [36, 36]
        for task in gone:
            task.cancel()
        await batcher.close()

    asyncio.run(run())
    assert scorer.batches == [[1], [6, 6]]


def test_nobody_is_let_in_who_could_not_be_answered_in_time() -> None:
    def slow(asked: Sequence[int]) -> list[int]:
        time.sleep(0.02 * len(asked))
        return list(asked)

    async def run() -> list[list[int] | BaseException]:
        batcher = Batcher(slow, Batches(papers=4, queue=1000))
        await batcher.ask([1, 1, 1, 1], late())
        asked = []
        for number in range(200):  # twice as many as can be answered, each in a second
            asked.append(asyncio.create_task(batcher.ask([number], late(1.0))))
            await asyncio.sleep(0.01)
        found = await asyncio.gather(*asked, return_exceptions=True)
        await batcher.close()
        return found

    outcomes = asyncio.run(run())
    statuses = [outcome.status for outcome in outcomes if isinstance(outcome, Refusal)]
    assert statuses.count(503) > 20
    assert statuses.count(504) < 20
    assert len(outcomes) - len(statuses) > 60


def test_failures_in_a_row_are_counted_until_one_succeeds() -> None:
    failed: list[Exception] = []

    async def run() -> None:
        batcher = Batcher(Scorer(), Batches(), failed=failed.append)
        for number in range(5):
            assert not batcher.failing, number
            with pytest.raises(ValueError, match="negative"):
                await batcher.ask([-1], late())
        assert batcher.failing
        assert await batcher.ask([3], late()) == [9]
        assert not batcher.failing
        await batcher.close()

    asyncio.run(run())
    assert len(failed) == 5


def test_a_model_that_hangs_does_not_hold_up_the_end() -> None:
    scorer = Scorer()
    scorer.gate.clear()

    async def run() -> None:
        batcher = Batcher(scorer, Batches(hang=0.05))
        with pytest.raises(Refusal):
            await batcher.ask([1], late(0.1))
        assert batcher.hung
        began = time.monotonic()
        await batcher.close()
        assert time.monotonic() - began < 1

    asyncio.run(run())
    scorer.gate.set()


def test_a_rate_is_kept_over_time() -> None:
    now = [1000.0]
    rates = Rates(60, lambda: now[0])
    assert [rates.ask("a").granted for _ in range(11)] == [True] * 10 + [False]
    assert rates.ask("b").granted
    refused = rates.ask("a")
    assert 0 < refused.wait <= 1
    now[0] += refused.wait
    assert rates.ask("a").granted
    assert not rates.ask("a").granted
    now[0] += 3600
    assert [rates.ask("a").remaining for _ in range(3)] == [9, 8, 7]


@settings(max_examples=50)
@given(st.integers(1, 600), st.lists(st.floats(0, 20), min_size=1, max_size=200))
def test_no_pattern_of_asking_gets_more_than_the_rate(per_minute: int, pauses: list[float]) -> None:
    now = [0.0]
    rates = Rates(per_minute, lambda: now[0])
    granted = 0
    for pause in pauses:
        now[0] += pause
        granted += rates.ask("a").granted
    assert granted <= rates.burst + now[0] * per_minute / 60 + 1e-6


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "<script>, unknown", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "", "2001:db8:1:2::/64"),
        ("10.0.0.1", "[2001:db8:1:2::5]:443", "2001:db8:1:2::/64"),
    ],
)
def test_who_a_client_is(peer: str, forwarded: str, found: str) -> None:
    assert client(peer, forwarded, networks(["10.0.0.0/8"])) == found
