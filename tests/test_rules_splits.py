"""Which papers a corpus leaves out, and that a paper's split depends on nothing but the paper."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arxivcli import rules, splits, taxonomy
from arxivcli.papers import PAPERS

ABSTRACT = "We show that things are as they are, and that they could not be otherwise."


def papers(*rows: tuple[object, ...]) -> pa.RecordBatch:
    """Papers from (title, abstract, categories) and, where given, id and date."""
    filled = [(*row, *("x", None)[len(row) - 3 :]) for row in rows]
    columns = {"title": 0, "abstract": 1, "categories": 2, "id": 3, "created": 4}
    return pa.RecordBatch.from_arrays(
        [pa.array([row[columns[field.name]] for row in filled], field.type) for field in PAPERS], schema=PAPERS
    )


def reasons(batch: pa.RecordBatch, labels: tuple[str, ...] = taxonomy.labels()) -> list[str]:
    return [rules.REASONS[verdict] for verdict in rules.verdicts(batch, "category", labels)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("A title", ABSTRACT, ["cs.LG"]), ""),
        (("A title", "", ["cs.LG", "stat.ML"]), ""),
        (("", ABSTRACT, ["cs.LG"]), ""),
        (("", "", ["cs.LG"]), "no title"),
        (("A title", "TBA", ["cs.LG"]), "stub abstract"),
        (("A title", ABSTRACT, []), "no category"),
        (("A title", ABSTRACT, ["astro-ph"]), "primary is no label"),
        (("A title", ABSTRACT, ["astro-ph", "hep-ph"]), "primary is no label"),
        (("A title", "This paper has been withdrawn by the author.", ["cs.LG"]), "withdrawn"),
        (("A title", "Withdrawn due to an error in Lemma 2, which we could not mend.", ["cs.LG"]), "withdrawn"),
        (("A title", "This submission has been withdrawn by arXiv administrators.", ["cs.LG"]), "withdrawn"),
        (("A title", "Admin note: withdrawn by arXiv admin because of the use of a pseudonym", ["cs.LG"]), "withdrawn"),
        (("A title", "We study how a fluid is withdrawn through a tube from a tank of oil.", ["cs.LG"]), ""),
        (("A title", (ABSTRACT + " ") * 9 + "An earlier version of the paper was withdrawn.", ["cs.LG"]), ""),
    ],
)
def test_what_is_left_out_and_why(row: tuple[object, ...], reason: str) -> None:
    assert reasons(papers(row)) == [reason]


def test_labels_that_were_not_asked_for() -> None:
    batch = papers(("t", ABSTRACT, ["cs.LG"]), ("t", ABSTRACT, ["cs.CV", "cs.LG"]))
    assert reasons(batch, ("cs.LG",)) == ["", "not among the labels"]
    assert rules.label_indices(batch["categories"], ("cs.AI", "cs.LG")).tolist() == [1, -1]
    assert rules.label_indices(batch.slice(1)["categories"], ("cs.CV",)).tolist() == [0]


def test_nothing_is_left_of_nothing() -> None:
    assert reasons(papers()) == []
    assert len(splits.group_keys(papers()["title"], papers()["abstract"])) == 0


texts = st.lists(st.text(max_size=60), min_size=1, max_size=8)


@given(texts, st.integers(0, 2**32))
def test_a_split_depends_on_the_paper_alone(abstracts: list[str], seed: int) -> None:
    def split(some: list[str]) -> list[int]:
        titles = pa.array(["A title"] * len(some), pa.string())
        return splits.random_split(splits.group_keys(titles, pa.array(some, pa.string())), seed).tolist()

    together = split(abstracts)
    assert together == [split([abstract])[0] for abstract in abstracts]
    assert together[::-1] == split(abstracts[::-1])


def test_what_says_the_same_is_one_group() -> None:
    same = [ABSTRACT, ABSTRACT.upper(), ABSTRACT.replace(",", " --"), ABSTRACT.replace(" ", "\n")]
    titles = pa.array([str(number) for number in range(len(same))])
    assert len(set(splits.group_keys(titles, pa.array(same)).tolist())) == 1
    long = "Word number one, " * 30
    assert len(set(splits.group_keys(pa.array(["a", "b"]), pa.array([long + "End.", long + "Fin."])).tolist())) == 1
    assert len(set(splits.group_keys(pa.array(["a", "b"]), pa.array(["", ""])).tolist())) == 2
    assert len(set(splits.group_keys(pa.array(["a", "a"]), pa.array(["Short.", "Brief."])).tolist())) == 2


def test_hashes_are_the_same_everywhere_and_for_ever() -> None:
    keys = splits.id_keys(pa.array(["0704.0001", "hep-th/9901001"]))
    assert [f"{key:016x}" for key in keys] == ["8123044fd9a721f0", "e8466eb7bf957280"]
    assert [f"{key:016x}" for key in splits.mixed(keys, 7, "split")] == ["d98826eaf715d0cd", "a75d71e3cfd2bac9"]


@pytest.mark.parametrize("shares", [splits.SHARES, (0.5, 0.1, 0.2, 0.2), (1.0, 0.0, 0.0, 0.0)])
def test_the_shares_come_out(shares: tuple[float, ...]) -> None:
    keys = np.arange(100_000, dtype=np.uint64)
    counts = np.bincount(splits.random_split(keys, 1, shares), minlength=4) / len(keys)
    assert counts == pytest.approx(shares, abs=0.005)
    assert (splits.random_split(keys, 1, shares) != splits.random_split(keys, 2, shares)).any() == (max(shares) < 1)


def test_by_date_the_future_is_the_test() -> None:
    keys = np.arange(10_000, dtype=np.uint64)
    months = np.where(keys < 1000, splits.month("2026-01"), splits.month("2025-12")).astype(np.int32)
    found = splits.time_split(keys, months, splits.month("2026-01"), 0)
    assert (found[:1000] == splits.TEST).all()
    assert (found[1000:] != splits.TEST).all()
    assert np.bincount(found[1000:])[0] / 9000 == pytest.approx(0.8 / 0.9, abs=0.02)


@pytest.mark.parametrize(
    ("identifier", "created", "month"),
    [
        ("2401.00001", dt.date(2023, 12, 31), "2023-12"),
        ("2401.00001", None, "2024-01"),
        ("hep-th/9108001", None, "1991-08"),
        ("math.GT/0309136", None, "2003-09"),
        ("2413.00001", None, None),
        ("mine", None, None),
        ("old", dt.date(1969, 12, 31), "1969-12"),
    ],
)
def test_the_month_of_a_paper(identifier: str, created: dt.date | None, month: str | None) -> None:
    found = splits.months(papers(("t", ABSTRACT, ["cs.LG"], identifier, created)))
    assert found.tolist() == [splits.month(month) if month else splits.NO_MONTH]


@pytest.mark.parametrize("wrong", ["2026", "2026-13", "2026-1", "26-01", "soon"])
def test_what_is_no_month(wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        splits.month(wrong)
