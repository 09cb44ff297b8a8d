"""arXiv's categories: the numbers arXiv has, and folding that never moves twice."""

from typing import get_args

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arxivcli import taxonomy
from arxivcli.cli.options import Level

KNOWN = sorted(taxonomy.categories())
identifiers = st.one_of(st.sampled_from(KNOWN), st.sampled_from(KNOWN).map(str.upper), st.text(max_size=12))
lines = st.lists(st.one_of(st.sampled_from(KNOWN), st.sampled_from(["cs", "cs.XX", "LG", "CS.LG"])), max_size=6)
levels = st.sampled_from(get_args(taxonomy.Level))


def test_as_many_as_arxiv_has() -> None:
    categories = taxonomy.categories().values()
    assert len(categories) == 185
    assert sum(c.active for c in categories) == 155
    assert [len(taxonomy.labels(level)) for level in get_args(taxonomy.Level)] == [149, 20, 8]


def test_the_command_line_knows_the_same_levels() -> None:
    assert get_args(Level) == get_args(taxonomy.Level)


@pytest.mark.parametrize(
    ("alias", "target"),
    [
        ("math.MP", "math-ph"),
        ("math.IT", "cs.IT"),
        ("stat.TH", "math.ST"),
        ("q-fin.EC", "econ.GN"),
        ("cs.SY", "eess.SY"),
        ("cs.NA", "math.NA"),
    ],
)
def test_six_aliases(alias: str, target: str) -> None:
    assert taxonomy.canonical(alias) == target
    assert alias not in taxonomy.labels()
    assert target in taxonomy.labels()


def test_retired_archives_have_successors_that_can_be_answered() -> None:
    successors = {c.id: c.successor for c in taxonomy.categories().values() if c.successor}
    assert len(successors) == 18
    assert successors["cmp-lg"] == "cs.CL"
    assert set(successors.values()) <= set(taxonomy.labels())


@pytest.mark.parametrize("bare", ["astro-ph", "cond-mat", "q-bio", "test", "test.dis-nn", "bad-arch.bad-cat"])
def test_never_an_answer(bare: str) -> None:
    assert bare not in taxonomy.labels()


@given(identifiers)
def test_canonical_is_idempotent(identifier: str) -> None:
    once = taxonomy.canonical(identifier)
    assert once is None or taxonomy.canonical(once) == once


@pytest.mark.parametrize(
    ("written", "level", "folded"),
    [
        ("cs.LG stat.ML", "category", ("cs.LG", "stat.ML")),
        ("math.MP math-ph", "category", ("math-ph",)),
        ("cmp-lg cs.CL cs.AI", "category", ("cs.CL", "cs.AI")),
        ("astro-ph gr-qc", "category", ("astro-ph", "gr-qc")),
        ("astro-ph gr-qc astro-ph.GA", "archive", ("astro-ph", "gr-qc")),
        ("astro-ph gr-qc cs.LG", "group", ("physics", "cs")),
        ("cs.XX test nothing", "category", ()),
        ("CS.lg", "category", ("cs.LG",)),
        ("", "category", ()),
    ],
)
def test_what_authors_wrote(written: str, level: taxonomy.Level, folded: tuple[str, ...]) -> None:
    assert taxonomy.fold_ids(written, level) == folded


@given(lines, levels)
def test_folding_again_changes_nothing(ids: list[str], level: taxonomy.Level) -> None:
    once = taxonomy.fold_ids(" ".join(ids), "category")
    assert taxonomy.fold_ids(" ".join(once), "category") == once
    assert taxonomy.fold_ids(" ".join(once), level) == taxonomy.fold_ids(" ".join(ids), level)


@given(st.lists(st.none() | lines, max_size=8), levels)
def test_folding_lists_is_folding_one_by_one(papers: list[list[str] | None], level: taxonomy.Level) -> None:
    folded = taxonomy.fold(pa.array(papers, pa.list_(pa.string())), level).to_pylist()
    assert folded == [list(taxonomy.fold_ids(" ".join(ids or []), level)) for ids in papers]


@pytest.mark.parametrize("level", get_args(taxonomy.Level))
def test_every_paper_is_counted_once_at_every_level(level: taxonomy.Level) -> None:
    assert set(taxonomy.papers_per_label(level)) == set(taxonomy.labels(level))
    named = sum(c.papers for c in taxonomy.categories().values() if taxonomy.parent(c.id, level))
    assert sum(taxonomy.papers_per_label(level).values()) == named


def test_everything_has_a_name() -> None:
    assert taxonomy.name("cs.LG") == "Machine Learning"
    assert taxonomy.name("q-bio") == "Quantitative Biology"
    assert taxonomy.name("physics") == "Physics"
    assert taxonomy.name("nothing") == "nothing"
    for level in get_args(taxonomy.Level):
        assert all(taxonomy.name(label) for label in taxonomy.labels(level))
