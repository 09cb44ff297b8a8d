"""What is in a corpus: mixes of its splits, years, lengths, what is missing; and the page that shows it."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import prepared
import pytest
from html_reading import read, table
from hypothesis import given
from hypothesis import strategies as st
from invented import records

from arxivcli import distributions, taxonomy
from arxivcli.errors import FolderError
from arxivcli.reporting import corpus
from arxivcli.shards import Shards
from arxivcli.steps.preprocessing import Recipe, preprocess
from arxivcli.steps.survey import Survey, survey

COUNTS = st.lists(st.integers(0, 1000), min_size=5, max_size=5)


@given(COUNTS, COUNTS)
def test_the_distance_is_that_of_jensen_and_shannon(first: list[int], second: list[int]) -> None:
    from scipy.spatial.distance import jensenshannon

    found = distributions.distance(first, second)
    assert found == distributions.distance(second, first)
    expected = jensenshannon(first, second, 2) if sum(first) and sum(second) else 0
    assert found == pytest.approx(expected, abs=1e-6)
    assert distributions.divergences(first, second).sum() == pytest.approx(found**2, abs=1e-12)


def test_the_distance_of_the_same_mix_is_0_and_of_nothing_in_common_1() -> None:
    assert distributions.distance([1, 2, 3], [10, 20, 30]) == pytest.approx(0, abs=1e-7)
    assert distributions.distance([5, 0, 1], [0, 7, 0]) == 1


def test_what_chance_alone_makes_is_what_draws_make() -> None:
    chance = np.random.default_rng(0)
    mix = chance.dirichlet(np.ones(30))
    drawn = [(chance.multinomial(4000, mix), chance.multinomial(1000, mix)) for _ in range(300)]
    seen = np.sqrt(np.mean([distributions.distance(*pair) ** 2 for pair in drawn]))
    expected = np.mean([distributions.chance_distance(*pair) for pair in drawn])
    assert expected == pytest.approx(seen, rel=0.1)
    assert distributions.chance_distance([0, 0], [1, 2]) == 0


def papers(count: int) -> list[dict[str, Any]]:
    """Papers of which some have no date, no abstract, or are twice there."""
    found: list[dict[str, Any]] = list(records(count))
    for paper in found[:: count // 10]:
        paper |= {"id": f"own-{paper['id']}", "created": None}
    for paper in found[5 :: count // 5]:
        paper["abstract"] = ""
    return [*found, found[0] | {"title": "A newer record of the same paper"}]


def write(path: Path, found: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(paper) + "\n" for paper in found))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("survey")
    preprocess([write(home / "papers.jsonl", papers(600))], home / "data", Recipe(shares=(0.7, 0.1, 0.1, 0.1)), 1)
    return home / "data"


@pytest.fixture(scope="module")
def found(folder: Path) -> Survey:
    return survey(Shards.open(folder), "data")


def kept(folder: Path) -> dict[str, list[dict[str, Any]]]:
    shards = Shards.open(folder)
    return {split: shards.table(split).to_pylist() for split in shards.splits}


def test_everything_is_counted_as_it_is(found: Survey, folder: Path) -> None:
    by_split = kept(folder)
    every = [paper for some in by_split.values() for paper in some]
    assert found.read == 601
    assert found.kept == len(every) == 600
    assert found.dropped == {"older record of the same paper": 1}
    for row, (split, some) in enumerate(by_split.items()):
        labels = Counter(paper["categories"][0] for paper in some)
        assert dict(zip(found.labels, found.counts[row].tolist(), strict=True)) == {
            label: labels[label] for label in found.labels
        }
        years = Counter(paper["created"].year for paper in some if paper["created"])
        assert found.splits[row] == split
        assert dict(zip(found.years.tolist(), found.yearly[row].tolist(), strict=True)) == {
            year: years[year] for year in found.years.tolist()
        }
    assert found.undated == sum(paper["created"] is None for paper in every) > 0
    for lengths, words in ((found.titles, "title"), (found.abstracts, "abstract")):
        assert {w: n for w, n in enumerate(lengths.papers.tolist()) if n} == Counter(
            len(p[words].split()) for p in every
        )
    assert found.abstracts.empty == 5
    assert dict(enumerate(found.listed.tolist())) == {
        n: Counter(len(p["categories"]) for p in every)[n] for n in range(3)
    }


def test_lengths_have_their_quantiles(found: Survey, folder: Path) -> None:
    words = [len(p["abstract"].split()) for some in kept(folder).values() for p in some if p["abstract"]]
    for share in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert found.abstracts.quantile(share) == np.quantile(words, share, method="inverted_cdf")


def test_labels_without_papers_are_known(found: Survey) -> None:
    assert len(found.unrepresented) == 149 - 6
    assert set(taxonomy.labels()) - set(found.unrepresented) == {str(r["categories"]).split()[0] for r in records(600)}
    assert found.absent("train") == ()


def test_no_number_is_missing(found: Survey) -> None:
    assert np.isfinite(found.distances).all()
    assert found.distances[0] == 0
    assert (found.by_chance[1:] > 0).all()


def test_the_page_says_what_is_in_the_corpus(found: Survey) -> None:
    page = read(corpus.page(found).html())
    splits = table(page, "split", "papers")
    assert [row[:2] for row in splits] == [
        [s, f"{n:,}"] for s, n in zip(found.splits, found.counts.sum(axis=1), strict=True)
    ]
    assert splits[0][3:5] == ["–", "–"]
    assert float(splits[3][3]) == pytest.approx(found.distances[3], abs=5e-4)
    labels = table(page, "category", "name", "papers")
    assert len(labels) == 6
    assert sum(int(papers) for _, _, papers in labels) == 600
    assert table(page, "reason") == [["older record of the same paper", "1"]]
    assert len(table(page, "category", "name", "has no paper in")) == 143
    years = table(page, "year")
    assert sum(int(number) for row in years for number in row[1:]) == 600 - found.undated
    text = " ".join("".join(page.texts).split())
    assert "143 of 149 categories have no paper" in text
    assert "No split differs from train by more than chance explains." in text
    assert not re.search(r"\bnan\b", text)


def test_a_split_of_another_mix_is_named(tmp_path: Path) -> None:
    """The newest papers are of one category: a split by date shows it."""
    some = records(800)
    for paper in some:
        if str(paper["created"]) >= "2024":
            paper["categories"] = "cs.CL"
    source = write(tmp_path / "a.jsonl", some)
    preprocess([source], tmp_path / "out", Recipe(split="time", test_from="2024-01"), 1)
    page = read(corpus.page(survey(Shards.open(tmp_path / "out"), "out")).html())
    assert "Test differs from train by more than chance explains." in " ".join(page.texts)
    [first, *_] = table(page, "category", "name", "in train", "in test")
    assert first[:2] == ["cs.CL", "Computation and Language"]
    assert first[3] == "100.00 %"
    assert first[4].startswith("+")


@pytest.mark.parametrize("level", ["archive", "group"])
def test_corpora_of_coarser_labels_have_their_page(tmp_path: Path, level: Any) -> None:
    preprocess([write(tmp_path / "a.jsonl", papers(60))], tmp_path / "out", Recipe(level=level), 1)
    page = read(corpus.page(survey(Shards.open(tmp_path / "out"), "out")).html())
    assert {row[0] for row in table(page, level, "name", "papers")} <= set(taxonomy.labels(level))


def test_a_single_paper_is_a_corpus_too(tmp_path: Path) -> None:
    """Without a date, without an abstract, with a hostile name of its file, and nothing in the other splits."""
    name = "<b>\x1b[31m\u202e.jsonl"
    paper = {"id": "x", "title": "One", "abstract": "", "categories": "cs.LG"}
    preprocess([write(tmp_path / name, [paper])], tmp_path / "out", Recipe(), 1)
    made = corpus.page(survey(Shards.open(tmp_path / "out"), "out")).html()
    page = read(made)
    assert "Made from <b>\\x1b[31m\\u202e.jsonl" in " ".join(page.texts)
    assert page.count("b") == 0
    assert not re.search(r"\b(nan|inf)\b", made.decode().lower())


def test_a_damaged_shard_is_no_report(tmp_path: Path) -> None:
    preprocess([write(tmp_path / "a.jsonl", papers(60))], tmp_path / "out", Recipe(), 1)
    shard = tmp_path / "out/train/00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-8] + bytes(8))
    with pytest.raises(FolderError, match="not what the manifest says"):
        survey(Shards.open(tmp_path / "out"), "out")


def run(where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return prepared.run(
        [*prepared.PROGRAM, "preprocess", *arguments], cwd=where, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_report_of_a_run_is_that_of_the_finished_folder(tmp_path: Path) -> None:
    write(tmp_path / "papers.jsonl", papers(60))
    first = run(tmp_path, "papers.jsonl", "-o", "data", "--workers", "1", "--report", "new/corpus.html")
    again = run(tmp_path, "papers.jsonl", "-o", "data", "--report", "again.html", "--json")
    alone = run(tmp_path, "--report", "alone.html", "-o", "data", "--json")
    assert [done.returncode for done in (first, again, alone)] == [0, 0, 0], first.stderr + again.stderr + alone.stderr
    assert "saved new/corpus.html" in first.stderr
    page = (tmp_path / "new/corpus.html").read_bytes()
    assert page == (tmp_path / "again.html").read_bytes() == (tmp_path / "alone.html").read_bytes()
    assert "Corpus data" in read(page).texts
    assert json.loads(alone.stdout)["kept"] == 60
    assert alone.stdout == again.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["papers.jsonl", "--report", "corpus.txt"], 2, "the report is a page; give it a name that ends in .html"),
        (["papers.html", "--report", "papers.html"], 2, "--report papers.html is an input"),
        (["--report", "corpus.html", "--seed", "1"], 2, "--seed needs papers to read"),
        (["--report", "corpus.html", "-o", "nowhere"], 6, "nowhere is no finished corpus"),
        (["-o", "data"], 2, "Missing argument 'INPUT...'"),
    ],
)
def test_what_cannot_be_reported_is_refused_before_anything_is_done(
    tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    for name in ("papers.jsonl", "papers.html"):
        write(tmp_path / name, papers(60))
    before = (tmp_path / "papers.html").read_bytes()
    done = run(tmp_path, *arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["papers.html", "papers.jsonl"]
    assert (tmp_path / "papers.html").read_bytes() == before
