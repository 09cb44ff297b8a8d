"""From files to a corpus folder: what is kept, what is dropped, which split, and always the same bytes."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented import records

from arxivcli.errors import FolderError, InputError, StorageError, UsageError
from arxivcli.shards import Shards
from arxivcli.splits import SPLITS
from arxivcli.steps.preprocessing import Recipe, Report, names, preprocess, shelving, units
from arxivcli.storage import owned


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many units and shards out of few papers."""
    make_small(monkeypatch)


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "UNIT_BYTES", 20_000)
    monkeypatch.setattr(units, "_CHUNK", 3_000)
    monkeypatch.setattr(units, "_BATCH", 20)
    monkeypatch.setattr(shelving, "ENOUGH", 20)


def lines(papers: list[dict[str, object]]) -> str:
    return "".join(json.dumps(paper) + "\n" for paper in papers)


def write(path: Path, papers: list[dict[str, object]]) -> Path:
    path.write_text(lines(papers))
    return path


def make(folder: Path, *sources: Any, workers: int = 1, **choices: Any) -> Report:
    options = {name: choices.pop(name) for name in ("max_bad", "restart") if name in choices}
    return preprocess(sources, folder, Recipe(**choices), workers, **options)


def papers_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    corpus = Shards.open(folder)
    return {split: corpus.table(split).to_pylist() for split in SPLITS}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def balanced(report: Report) -> bool:
    manifest = report.manifest
    rows = sum(split.rows for split in manifest.splits.values())
    labelled = sum(sum(split.labels.values()) for split in manifest.splits.values())
    return manifest.read == manifest.kept + sum(manifest.dropped.values()) and manifest.kept == rows == labelled


def test_every_paper_is_in_one_split_or_counted(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", records(500))
    report = make(tmp_path / "out", source)
    found = papers_of(tmp_path / "out")
    assert sorted(paper["id"] for some in found.values() for paper in some) == sorted(
        str(r["id"]) for r in records(500)
    )
    assert balanced(report)
    assert report.manifest.sources[0].name == "a.jsonl"
    assert all(len(found[split]) > 0 for split in SPLITS)
    assert not (tmp_path / "out/.staging").exists()
    assert not (tmp_path / "out/.lock").exists()


def test_texts_and_categories_are_made_clean(tmp_path: Path) -> None:
    paper = {"id": "0704.0001", "title": " Schr\\\"odinger's\n cat ", "abstract": "  It is\n" + "dead or alive. " * 9}
    source = write(tmp_path / "a.jsonl", [paper | {"categories": "math.MP quant-ph"}])
    make(tmp_path / "out", source)
    (found,) = (paper for some in papers_of(tmp_path / "out").values() for paper in some)
    assert found["title"] == "Schrödinger's cat"
    assert found["abstract"].startswith("It is dead")
    assert found["categories"] == ["math-ph", "quant-ph"]


@pytest.mark.parametrize("level", ["category", "archive", "group"])
def test_the_labels_are_those_of_the_level(tmp_path: Path, level: str) -> None:
    report = make(tmp_path / "out", write(tmp_path / "a.jsonl", records(60)), level=level)
    found = {paper["categories"][0] for some in papers_of(tmp_path / "out").values() for paper in some}
    assert found <= set(report.manifest.labels)
    assert {"category": "cs.CL", "archive": "cs", "group": "cs"}[level] in found


def kinds(tmp_path: Path) -> dict[str, Path]:
    """The same papers in every form."""
    import gzip
    import zipfile

    import pyarrow as pa
    import pyarrow.parquet as pq
    from invented import batch

    text = lines(records(300)).encode()
    (tmp_path / "a.jsonl").write_bytes(text)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text, mtime=0))
    (tmp_path / "a.jsonl.zst").write_bytes(pa.compress(text, "zstd", asbytes=True))
    (tmp_path / "a.json").write_text(json.dumps(records(300)))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.json", text)
    pq.write_table(pa.Table.from_batches([batch(300)]), tmp_path / "a.parquet")
    return {path.name: path for path in tmp_path.glob("a.*")}


def test_the_form_of_the_input_makes_no_difference(tmp_path: Path) -> None:
    found = []
    for name, path in kinds(tmp_path).items():
        make(tmp_path / "out" / name, path)
        found.append({s: sorted(p["id"] for p in some) for s, some in papers_of(tmp_path / "out" / name).items()})
    assert len(found) == 6
    assert all(some == found[0] for some in found)


@pytest.mark.parametrize("name", ["a.jsonl", "a.zip", "a.parquet"])
def test_any_number_of_workers_makes_the_same_bytes(tmp_path: Path, name: str) -> None:
    source = kinds(tmp_path)[name]
    for workers in (1, 3):
        make(tmp_path / str(workers), source, workers=workers)
    assert everything(tmp_path / "1") == everything(tmp_path / "3")
    assert len(everything(tmp_path / "1")) > 6


def test_standard_input_is_a_source_like_others(tmp_path: Path) -> None:
    make(tmp_path / "file", write(tmp_path / "a.jsonl", records(200)))
    report = make(tmp_path / "stdin", io.BytesIO(lines(records(200)).encode()))
    assert papers_of(tmp_path / "file") == papers_of(tmp_path / "stdin")
    assert report.manifest.sources[0].bytes == (tmp_path / "a.jsonl").stat().st_size
    assert report.manifest.sources[0].sha256 == Shards.open(tmp_path / "file").manifest.sources[0].sha256


# -- duplicates -------------------------------------------------------------------------------------------------------


def test_the_newest_record_of_a_paper_stays(tmp_path: Path) -> None:
    paper = records(1)[0]
    spellings = ["0704.0001", "704.0001", "arXiv:0704.0001v2", "http://arxiv.org/abs/0704.0001v3"]
    dates = ["2008-01-01", "2010-01-01", "2009-01-01", None]
    rows = [
        paper | {"id": spelling, "title": f"From {date}", "update_date": date, "created": None}
        for spelling, date in zip(spellings, dates, strict=True)
    ]
    for name, order in (("forth", rows), ("back", rows[::-1])):
        report = make(tmp_path / name, write(tmp_path / f"{name}.jsonl", order))
        (found,) = (paper for some in papers_of(tmp_path / name).values() for paper in some)
        assert (found["id"], found["title"]) == ("0704.0001", "From 2010-01-01")
        assert report.manifest.dropped == {"older record of the same paper": 3}


def test_of_records_of_one_age_the_later_stays(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", [record | {"title": "Before"} for record in records(80)])
    second = write(tmp_path / "b.jsonl", [record | {"title": "After"} for record in records(80)])
    report = make(tmp_path / "out", first, second)
    assert {paper["title"] for some in papers_of(tmp_path / "out").values() for paper in some} == {"After"}
    assert (report.manifest.kept, balanced(report)) == (80, True)


def test_rows_without_ids_are_known_by_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("title,category\nA new method,cs.LG\nAnother method,cs.LG\nA new method,cs.LG\n")
    report = make(tmp_path / "out", tmp_path / "a.csv")
    assert report.manifest.dropped == {"older record of the same paper": 1}
    assert all(p["id"].startswith("text:") for some in papers_of(tmp_path / "out").values() for p in some)


words = st.sampled_from(["alpha", "beta", "gamma", "delta", "epsilon", "zeta"])
paper = st.fixed_dictionaries(
    {
        "id": st.sampled_from([f"{month}.{n:05d}" for month in (2512, 2601) for n in range(6)])
        | st.none()
        | st.just(1.5),
        "title": st.lists(words, max_size=3).map(" ".join),
        "abstract": st.lists(words, max_size=12).map(" ".join),
        "categories": st.sampled_from(["cs.LG", "cs.CV cs.LG", "astro-ph", "", "nonsense", "hep-th"]),
        "update_date": st.sampled_from(["2025-12-01", "2026-01-03", None]),
    }
)
choices = st.fixed_dictionaries(
    {},
    optional={
        "sample": st.sampled_from([0.5, 1.0]),
        "limit": st.integers(1, 9),
        "max_per_category": st.integers(1, 5),
        "labels": st.just(("cs.LG", "hep-th")),
        "seed": st.integers(0, 3),
        "split": st.just("time"),
    },
)


@settings(max_examples=40)
@given(st.lists(paper, min_size=1, max_size=30), choices)
def test_counts_add_up_and_no_paper_is_in_two_splits(
    tmp_path_factory: pytest.TempPathFactory, papers: list[dict[str, object]], chosen: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    chosen |= {"test_from": "2026-01"} if chosen.get("split") == "time" else {}
    try:
        report = make(folder / "out", write(folder / "a.jsonl", papers), max_bad=1, **chosen)
    except InputError as error:
        assert "no paper is left" in error.what  # noqa: PT017
        return
    assert balanced(report)
    found = papers_of(folder / "out")
    identifiers = [paper["id"] for some in found.values() for paper in some]
    assert len(set(identifiers)) == len(identifiers)
    abstracts = [(split, p["abstract"]) for split, some in found.items() for p in some if len(p["abstract"]) > 60]
    assert len({abstract for _, abstract in abstracts}) == len(set(abstracts))
    assert len(identifiers) <= chosen.get("limit", 99)


# -- choices ----------------------------------------------------------------------------------------------------------


def test_a_split_by_date(tmp_path: Path) -> None:
    papers = records(300)
    copied = papers[0] | {"id": "2601.99999", "created": "2026-01-05"}
    source = write(tmp_path / "a.jsonl", [*papers, copied, records(1, seed=1)[0] | {"id": "undated", "created": None}])
    report = make(tmp_path / "out", source, split="time", test_from="2022-07")
    for split, some in papers_of(tmp_path / "out").items():
        assert {(str(p["created"]) >= "2022-07") for p in some} == {split == "test"}
    assert report.manifest.dropped["no date"] == 1
    dropped = report.manifest.dropped.get("same abstract in an earlier split", 0)
    assert dropped == (1 if str(papers[0]["created"]) < "2022-07" else 0)
    assert balanced(report)


def test_a_sample_a_limit_and_a_cap(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", records(400))
    every = {p["id"] for some in papers_of_made(tmp_path / "all", source).values() for p in some}
    half = {p["id"] for some in papers_of_made(tmp_path / "half", source, sample=0.5).values() for p in some}
    quarter = {p["id"] for some in papers_of_made(tmp_path / "quarter", source, sample=0.25).values() for p in some}
    assert quarter < half < every
    assert len(half) == pytest.approx(200, abs=40)
    backwards = write(tmp_path / "b.jsonl", records(400)[::-1])
    ten = {p["id"] for some in papers_of_made(tmp_path / "ten", source, limit=10).values() for p in some}
    same = {p["id"] for some in papers_of_made(tmp_path / "same", backwards, limit=10).values() for p in some}
    assert len(ten) == 10
    assert ten == same
    report = make(tmp_path / "cap", source, max_per_category=7)
    per_label = [split.labels for split in report.manifest.splits.values()]
    assert {sum(some.get(label, 0) for some in per_label) for label in ("cs.CL", "cs.CV", "hep-ph")} == {7}
    assert report.manifest.dropped["beyond the cap"] == 400 - report.manifest.kept


def papers_of_made(folder: Path, source: Path, **chosen: Any) -> dict[str, list[dict[str, Any]]]:
    make(folder, source, **chosen)
    return papers_of(folder)


def test_only_some_labels(tmp_path: Path) -> None:
    report = make(tmp_path / "out", write(tmp_path / "a.jsonl", records(100)), labels=("cs.cl", "hep-ph", "cmp-lg"))
    assert report.manifest.labels == ("cs.CL", "hep-ph")
    assert report.manifest.dropped["not among the labels"] == 100 - report.manifest.kept


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"split": "time"}, "--split time needs --test-from"),
        ({"test_from": "2026-01"}, "--test-from belongs to --split time"),
        ({"split": "time", "test_from": "January"}, "--test-from January: not a month; write YYYY-MM"),
        ({"shares": (0.5, 0.5)}, "four numbers that sum to 1"),
        ({"shares": (1.1, -0.1, 0.0, 0.0)}, "four numbers that sum to 1"),
        ({"sample": 0.0}, "--sample 0.0"),
        ({"limit": 0}, "--limit 0"),
        ({"max_per_category": -1}, "--max-per-category -1"),
        ({"labels": ("cs.XX",)}, "no category cs.XX; did you mean"),
        ({"labels": ("astro-ph",)}, "no category astro-ph; did you mean"),
    ],
)
def test_choices_that_cannot_be(chosen: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        Recipe(**chosen)
    assert says in str(raised.value)


# -- bad input --------------------------------------------------------------------------------------------------------


def test_a_few_bad_lines_are_counted_and_shown(tmp_path: Path) -> None:
    content = lines(records(200)).splitlines(keepends=True)
    content[0:0] = ["\n", "{broken\n"]
    content.insert(150, '{"title": 5e999}\n')
    content.append('{"title": "cut off')
    (tmp_path / "a.jsonl").write_text("".join(content))
    report = make(tmp_path / "out", tmp_path / "a.jsonl", max_bad=0.02)
    assert report.manifest.dropped == {"not JSON": 3, "empty line": 1}
    assert [(bad.line, bad.reason) for bad in report.first_bad] == [
        (2, "not JSON"),
        (151, "not JSON"),
        (204, "not JSON"),
    ]
    assert (report.bad, balanced(report)) == (3, True)


def test_empty_lines_are_counted_but_are_no_bad_records(tmp_path: Path) -> None:
    text = lines(records(50)).replace("\n", "\n\n") + "\r\n" * 950
    (tmp_path / "a.jsonl").write_text(text)
    report = make(tmp_path / "out", tmp_path / "a.jsonl")
    assert report.manifest.dropped == {"empty line": 1000}
    assert (report.manifest.read, report.manifest.kept, report.bad) == (1050, 50, 0)
    assert (balanced(report), report.first_bad) == (True, ())
    (tmp_path / "a.jsonl").write_text(text + "{broken\n")
    with pytest.raises(InputError, match="1 of 51 records are no papers"):
        make(tmp_path / "bad", tmp_path / "a.jsonl", max_bad=0.002)


def test_too_many_bad_lines_end_it_and_nothing_is_final(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines(records(50)) + "{broken\n")
    with pytest.raises(InputError, match=r"1 of 51 records are no papers: .*a.jsonl:51: not JSON; .*--max-bad 0.02"):
        make(tmp_path / "out", tmp_path / "a.jsonl")
    assert not (tmp_path / "out/manifest.json").exists()
    with pytest.raises(FolderError, match="no finished corpus"):
        Shards.open(tmp_path / "out")
    assert make(tmp_path / "out", tmp_path / "a.jsonl", max_bad=0.02).manifest.kept == 50


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no record in"),
        ("\n\n", "no record in"),
        ('{"title": "x"}\n', "no paper is left of 1 read: no category 1"),
        ('{"title": " ", "categories": "cs.LG"}\n', "no title"),
    ],
)
def test_input_without_papers(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(InputError) as raised:
        make(tmp_path / "out", tmp_path / "a.jsonl")
    assert says in str(raised.value)
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_folder_or_nothing_as_input(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError):
            make(tmp_path / "out", path)
    assert not (tmp_path / "out").exists()


# -- the folder -------------------------------------------------------------------------------------------------------


def test_a_finished_folder_is_left_alone(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", records(50))
    make(tmp_path / "out", source)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert make(tmp_path / "out", source).already
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_other_choices_or_inputs_are_refused_until_restarted(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", records(50))
    make(tmp_path / "out", source)
    with pytest.raises(UsageError, match=r"other options: --limit was None, is 9, --seed was 0, is 1; .*--restart"):
        make(tmp_path / "out", source, seed=1, limit=9)
    with pytest.raises(UsageError, match="is a finished corpus"):
        make(tmp_path / "out", io.BytesIO(lines(records(50)).encode()))
    write(source, records(50)[::-1])
    with pytest.raises(FolderError, match=r"was made from a.jsonl as it was then, a.jsonl differs"):
        make(tmp_path / "out", source)
    write(source, records(49))
    with pytest.raises(FolderError, match="was made from other inputs"):
        make(tmp_path / "out", source)
    assert make(tmp_path / "out", source, seed=1, restart=True).manifest.kept == 49
    make(tmp_path / "fresh", source, seed=1)
    assert everything(tmp_path / "fresh") == everything(tmp_path / "out")


def test_restart_removes_nothing_of_others(tmp_path: Path) -> None:
    mine = tmp_path / "out/train/notes.txt"
    source = write(tmp_path / "a.jsonl", records(30))
    make(tmp_path / "out", source)
    mine.write_text("mine")
    make(tmp_path / "out", source, restart=True)
    assert mine.read_text() == "mine"


def test_shards_without_a_manifest_are_not_overwritten(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", records(30))
    make(tmp_path / "out", source)
    (tmp_path / "out/manifest.json").unlink()
    with pytest.raises(UsageError, match="holds shards without a manifest"):
        make(tmp_path / "out", source)


@pytest.mark.parametrize("name", ["notes.txt", "train/cat.jpg", "test/00000.png", ".git/config"])
def test_a_folder_of_other_people_is_refused(tmp_path: Path, name: str) -> None:
    source = write(tmp_path / "a.jsonl", records(30))
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    for restart in (False, True):
        with pytest.raises(
            UsageError, match=f"out is no corpus and holds {name.split('/', maxsplit=1)[0]}; choose a new"
        ):
            make(tmp_path / "out", source, restart=restart)
    assert everything(tmp_path / "out") == {name: b"mine"}
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty", source)


def test_a_finished_corpus_reads_the_same_twice(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", [*records(60), {"title": "No category"}, {"title": "B", "id": {}}, {}])
    first, second = (make(tmp_path / "out", source, max_bad=1).figures() for _ in range(2))
    assert second.pop("already")
    assert not first.pop("already")
    del first["first_bad"], second["first_bad"]
    assert json.dumps(first) == json.dumps(second)
    assert list(second["splits"]) == list(SPLITS)


def test_no_labels_are_no_labels() -> None:
    assert names(" cs.LG, cs.CV ", "--labels") == ("cs.LG", "cs.CV")
    for written in ("", " , "):
        with pytest.raises(UsageError, match="--labels names nothing; leave it out"):
            names(written, "--labels")


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", records(30))
    with owned(tmp_path / "out"), pytest.raises(StorageError, match=r"in use by process \d+"):
        make(tmp_path / "out", source)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes the n-th unit fail, as if the process had been stopped there."""

    def stop_at(number: int) -> None:
        original = units.Readings.__iter__

        def stopping(readings: units.Readings) -> Any:
            if readings._unit.number == number:
                raise KeyboardInterrupt
            return original(readings)

        monkeypatch.setattr(units.Readings, "__iter__", stopping)

    return stop_at


def test_an_interrupted_run_is_taken_up_only_as_it_was(
    tmp_path: Path, stopped: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "a.jsonl", records(300))
    make(tmp_path / "golden", source)
    stopped(3)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", source)
    monkeypatch.undo()
    make_small(monkeypatch)
    with pytest.raises(UsageError, match="--seed was 0, is 1"):
        make(tmp_path / "out", source, seed=1)
    with pytest.raises(FolderError, match="was begun with 1 inputs, now there are 2"):
        make(tmp_path / "out", source, source)
    make(tmp_path / "out", source)
    assert everything(tmp_path / "out") == everything(tmp_path / "golden")


def test_an_input_that_changed_meanwhile_is_noticed(tmp_path: Path, stopped: Callable[[int], None]) -> None:
    source = write(tmp_path / "a.jsonl", records(300))
    stopped(3)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", source)
    write(source, records(301))
    with pytest.raises(FolderError, match=r"is not the input .* was begun with: bytes was \d+, is \d+"):
        make(tmp_path / "out", source)


@pytest.mark.parametrize("number", [0, 3])
def test_an_input_that_goes_away_meanwhile_is_named(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [write(tmp_path / name, records(300)) for name in ("a.jsonl", "b.jsonl")]
    original = units.Readings.__iter__

    def removing(readings: units.Readings) -> Any:
        if readings._unit.number == number:
            for source in sources:
                source.unlink(missing_ok=True)
        return original(readings)

    monkeypatch.setattr(units.Readings, "__iter__", removing)
    with pytest.raises(InputError, match=r"[ab].jsonl was removed while it was read; .* --restart"):
        make(tmp_path / "out", *sources)


def test_after_a_rejection_the_mended_input_is_taken(tmp_path: Path) -> None:
    source, folder = tmp_path / "papers.jsonl", tmp_path / "out"
    good = "".join(json.dumps(paper) + "\n" for paper in records(30))
    source.write_text(good + "no paper\n")
    with pytest.raises(InputError, match="--max-bad"):
        preprocess([source], folder, Recipe(), workers=1)
    source.write_text(good)
    assert preprocess([source], folder, Recipe(), workers=1).manifest.read == 30
