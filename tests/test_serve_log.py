"""`serve --log-predictions`: what is kept, what `arxivcli drift` makes of it, how much of it there may be."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import prepared
import pyarrow as pa
import pytest
from invented import batch, records
from served import LINES, PAPER, serving, until

from arxivcli.models import shelf
from arxivcli.serving.journal import Journal
from arxivcli.serving.settings import Keeping
from arxivcli.sources import prediction_log
from arxivcli.steps.classification import Question, answer


def kept(folder: Path) -> list[dict[str, object]]:
    """Every record, in order, as JSON."""
    found = []
    for file in sorted(folder.iterdir()):
        with pa.CompressedInputStream(pa.OSFile(str(file)), "zstd") as packed:
            found += [json.loads(line) for line in packed.read().splitlines()]
    return found


def test_drift_reads_what_was_kept(handmade_model: Path, tmp_path: Path) -> None:
    papers = [{"id": p["id"], "title": p["title"], "abstract": p["abstract"]} for p in records(120)]
    folder = tmp_path / "log"
    with serving("--model", handmade_model, "--log-predictions", folder) as served:
        replies = [served.ask("/predict", paper).json for paper in papers[:20]]
        replies += served.ask("/predict/batch", papers[20:60]).json
        body = "".join(json.dumps(paper) + "\n" for paper in [*papers[60:], {"title": "no abstract"}])
        answered = served.ask("/predict/batch", body=body.encode(), headers=LINES).body.splitlines()
        replies += [json.loads(line) for line in answered[:-1]]
        served.predict(headers={"x-request-id": "r-7"})
        assert served.ask("/predict", {"title": "t"}).status == 422
        until(lambda: served.metric('arxivcli_logged_predictions_total{state="written"}') == 121)
        assert len(kept(folder)) == 121, "a file can be read while it is written to"
        assert served.end() == 0
    log = kept(folder)
    assert [(r["id"], r["title"]) for r in log] == [*((p["id"], p["title"]) for p in papers), ("r-7", PAPER["title"])]
    assert [r["predictions"][0]["category"] for r in log[:-1]] == [r["top_category"] for r in replies]  # type: ignore[index]
    assert all(datetime.fromisoformat(str(r["time"])) > datetime.now(UTC) - timedelta(hours=1) for r in log)
    done = prepared.run([*prepared.PROGRAM, "drift", folder, folder, "--json"], capture_output=True, check=True)
    report = json.loads(done.stdout)
    assert report["verdict"] == "no drift"
    assert "log" in done.stdout.decode()


def test_without_texts_lengths_and_hashes_are_kept(handmade_model: Path, tmp_path: Path) -> None:
    with serving("--model", handmade_model, "--log-predictions", tmp_path / "log", "--log-redact") as served:
        reply = served.predict("Primes of a secret").json
        served.predict("Primes of a secret")
        assert served.end() == 0
    [first, again] = kept(tmp_path / "log")
    assert "secret" not in json.dumps([first, again])
    assert (first["title_characters"], first["abstract_characters"]) == (18, len(PAPER["abstract"]))
    assert first["sha256"] == again["sha256"]
    assert first["title"] == "x x x x"
    assert first["predictions"][0]["category"] == reply["top_category"]  # type: ignore[index]
    [file] = (tmp_path / "log").iterdir()
    [read] = prediction_log.read(file)
    assert read.categories.to_pylist() == [reply["top_category"]] * 2
    assert read.reading.errors.null_count == 2


def test_a_log_without_texts_is_compared_by_its_answers_and_lengths(
    answered: tuple[pa.RecordBatch, pa.RecordBatch], tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    for name, redact in (("plain", False), ("redacted", True)):
        journal = Journal(Keeping(tmp_path / name, redact=redact))
        journal.add(*answered, now)
        journal.close()
    plain, redacted = tmp_path / "plain", tmp_path / "redacted"
    done = prepared.run([*prepared.PROGRAM, "drift", plain, redacted, "--json"], capture_output=True, check=True)
    report = json.loads(done.stdout)
    assert report["verdict"] == "no drift"
    assert report["text"]["title_words"]["effect"] == report["text"]["abstract_words"]["effect"] == 0
    assert report["text"]["unknown_words"] is report["vectors"] is None
    assert report["not_available"]["vectors"] == f"{redacted} has no words (--log-redact)"
    papers = tmp_path / "papers.jsonl"
    papers.write_text("".join(json.dumps(paper) + "\n" for paper in records(20)))
    for others in ([papers], [plain, "--model", "builtin"]):
        done = prepared.run([*prepared.PROGRAM, "drift", redacted, *others], capture_output=True)
        assert done.returncode == 3
        assert b"has no words (--log-redact), so no model can read it; compare it with another log" in done.stderr


@pytest.fixture
def answered(handmade_model: Path) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    papers = batch(200)
    return papers, answer(shelf.load(str(handmade_model)), papers, Question(3))


def test_a_share_is_kept(answered: tuple[pa.RecordBatch, pa.RecordBatch], tmp_path: Path) -> None:
    journal = Journal(Keeping(tmp_path / "log", share=0.3))
    for _ in range(10):
        journal.add(*answered, datetime.now(UTC))
    journal.close()
    assert 450 < len(kept(tmp_path / "log")) < 750


def test_what_cannot_be_kept_is_counted_and_said_once(
    answered: tuple[pa.RecordBatch, pa.RecordBatch], tmp_path: Path
) -> None:
    counted: Counter[str] = Counter()
    said: list[OSError] = []
    journal = Journal(Keeping(tmp_path / "log"), lambda state, count: counted.update({state: count}), said.append)
    (tmp_path / "log").rmdir()
    for number in (1, 2):
        journal.add(*answered, datetime.now(UTC))
        until(lambda number=number: counted["lost"] == number * 200)
    (tmp_path / "log").mkdir()
    journal.add(*answered, datetime.now(UTC))
    journal.close()
    assert counted == {"lost": 400, "written": 200}
    assert [error.strerror for error in said] == ["No such file or directory"]
    [file] = (tmp_path / "log").iterdir()
    assert file.stat().st_mode & 0o077 == 0, "what people ask is for nobody else"


def test_the_oldest_files_go(
    answered: tuple[pa.RecordBatch, pa.RecordBatch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arxivcli.serving.journal._SECONDS", 0.001)
    size = 200_000
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "somebody-elses").write_bytes(b"x" * size)
    counted: list[tuple[str, int]] = []
    journal = Journal(Keeping(folder, size=size), lambda *event: counted.append(event))
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(40):
        journal.add(*answered, began + timedelta(seconds=number))
        until(lambda written=number + 1: len(counted) == written)  # type: ignore[misc]
    journal.close()
    files = sorted(folder.glob("predictions-*"))
    assert len(files) > 3
    assert sum(file.stat().st_size for file in files) <= size
    assert (folder / "somebody-elses").exists()
    readings = [reading for file in files for reading in prediction_log.read(file)]
    last = max(str(r["time"]) for r in kept_files(files))
    assert last.startswith("2026-01-01T00:00:39")
    assert sum(len(reading.categories) for reading in readings) % 200 == 0
    assert sum(count for state, count in counted if state == "written") == 40 * 200


def kept_files(files: list[Path]) -> list[dict[str, object]]:
    found = []
    for file in files:
        with pa.CompressedInputStream(pa.OSFile(str(file)), "zstd") as packed:
            found += [json.loads(line) for line in packed.read().splitlines()]
    return found


def test_a_folder_that_cannot_be_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = prepared.run(
        [*prepared.PROGRAM, "serve", "--port", "0", "--log-predictions", tmp_path / "file"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 5
    assert "a file stands where a folder should be" in done.stderr
