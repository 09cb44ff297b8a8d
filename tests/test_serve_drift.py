"""`GET /drift`: whether what is answered lately is still like what was answered before."""

import dataclasses
import signal
from collections.abc import Sequence
from pathlib import Path

import handmade
import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import Served, serving, until

from arxivcli.models import card
from arxivcli.serving.drifting import LEAST, Drifting

MATH, SKY, BRAIN = "Primes and zeta", "Galaxies and quasars", "Neurons and spikes"


def ask(served: Served, *titles: str) -> None:
    reply = served.ask("/predict/batch", [{"title": title, "abstract": "x"} for title in titles])
    assert reply.status == 200


def test_answers_that_change_are_seen(handmade_model: Path) -> None:
    with serving("--model", handmade_model, "--drift-window", 100) as served:
        ask(served, *[MATH, SKY] * 50, *[MATH] * 99)
        early = served.ask("/drift").json
        assert early == {
            "reference": {"source": "the first answers", "papers": 100}, "lately": {"papers": 99},
            "categories": None, "confidence": None, "moved": [],
        }  # fmt: skip
        ask(served, *[SKY, MATH] * 50)
        same = served.ask("/drift").json
        assert same["lately"] == {"papers": 100}
        assert same["categories"]["distance"] == 0 < same["categories"]["by_chance"]
        ask(served, *[BRAIN] * 100)
        other = served.ask("/drift").json
        assert other["categories"]["distance"] == pytest.approx(1)
        assert other["moved"][0] == {"category": "q-bio.NC", "reference": 0, "lately": 1}
        until(lambda: served.metric('arxivcli_drift_distance{of="categories"}') == pytest.approx(1))
        assert served.metric('arxivcli_drift_papers{side="lately"}') == 100
        assert 0 < served.metric('arxivcli_drift_chance_distance{of="categories"}') < 0.2


def test_a_log_of_a_good_time_is_the_reference(handmade_model: Path, tmp_path: Path) -> None:
    log = tmp_path / "october"
    with serving("--model", handmade_model, "--log-predictions", log) as served:
        ask(served, *[MATH] * 150)
        assert served.end() == 0
    with serving("--model", handmade_model, "--drift-reference", log, "--drift-window", 100) as served:
        assert served.ask("/drift").json["reference"] == {"source": "october", "papers": 150}
        ask(served, *[MATH] * 100)
        assert served.ask("/drift").json["categories"]["distance"] == 0
        ask(served, *[SKY] * 50)
        found = served.ask("/drift").json
        assert found["lately"] == {"papers": 100}
        assert found["categories"]["distance"] > 3 * found["categories"]["by_chance"]
        assert {one["category"]: one["lately"] for one in found["moved"]} == {"math.NT": 0.5, "astro-ph.GA": 0.5}


def test_another_model_has_first_answers_of_its_own(tmp_path: Path) -> None:
    model = handmade.save(tmp_path / "model")
    with serving("--model", model, "--drift-window", 100) as served:
        ask(served, *[MATH] * 250)
        served.process.send_signal(signal.SIGHUP)
        served.hears("reloaded")
        assert served.ask("/drift").json["lately"] == {"papers": 100}, "it is the same model"
        card.write(model, dataclasses.replace(card.read(model), name="another"))
        served.process.send_signal(signal.SIGHUP)
        served.hears("model=another")
        found = served.ask("/drift").json
        assert (found["reference"]["papers"], found["lately"]["papers"]) == (0, 0)


def test_a_log_without_answers_is_refused(handmade_model: Path, tmp_path: Path) -> None:
    papers = tmp_path / "papers.jsonl"
    papers.write_text('{"title": "Primes", "abstract": "x"}\n' * 200)
    with (
        pytest.raises(AssertionError, match="has 0 answers, too few to compare with"),
        serving("--model", handmade_model, "--drift-reference", papers),
    ):
        pass


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1)), max_size=700))
def test_what_is_counted_is_the_first_and_the_latest(answers: Sequence[tuple[str, float]]) -> None:
    drifting = Drifting(LEAST)
    for category, confidence in answers:
        drifting.add(category, confidence)
    first, latest = answers[:LEAST], answers[LEAST:][-LEAST:]
    for counts, expected in ((drifting.reference, first), (drifting.lately, latest)):
        assert counts.papers == len(expected)
        assert +counts.categories == {name: n for name in "abc" if (n := [one for one, _ in expected].count(name))}
    found = drifting.compared()
    assert (found is None) == (len(latest) < LEAST)
    if found is not None:
        assert 0 <= found.categories.distance <= 1
        assert 0 <= found.confidence.distance <= 1
