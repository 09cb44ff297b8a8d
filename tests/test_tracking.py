"""W&B: it is told everything from a thread of its own, never asks, and never holds anything up."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from loopback import Noted, free_port, site

from arxivcli.calibration import Calibration
from arxivcli.errors import UsageError
from arxivcli.learning import logins, tracking
from arxivcli.learning.gauges import Reading
from arxivcli.learning.loop import Epoch
from arxivcli.models.card import Card

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEY = "0123456789abcdef" * 2 + "01234567"
LABELS = ("cs.CL", "cs.LG", "math.NT")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nobody is logged in, wandb writes below this test's folder, and remembers nothing afterwards."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    (tmp_path / "home").mkdir()
    monkeypatch.setattr(tracking, "_SHORT", 60.0)  # a machine with much to do is slow
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


def netrc(folder: Path, host: str = "api.wandb.ai") -> None:
    (folder / "home" / ".netrc").write_text(f"machine {host}\n  login user\n  password {KEY}\n")
    (folder / "home" / ".netrc").chmod(0o600)


@pytest.mark.parametrize(
    ("asked", "environment", "expected"),
    [
        (None, {}, "disabled"),
        (None, {"WANDB_API_KEY": KEY}, "online"),
        (None, {"WANDB_API_KEY": KEY, "WANDB_DISABLED": "true"}, "disabled"),
        (None, {"WANDB_MODE": "offline"}, "offline"),
        (None, {"WANDB_MODE": "dryrun"}, "offline"),
        (None, {"WANDB_MODE": "disabled", "WANDB_API_KEY": KEY}, "disabled"),
        ("offline", {"WANDB_MODE": "disabled"}, "offline"),
        ("disabled", {"WANDB_API_KEY": KEY}, "disabled"),
        ("online", {"WANDB_API_KEY": KEY}, "online"),
    ],
)
def test_how_to_track(
    monkeypatch: pytest.MonkeyPatch, asked: logins.Mode | None, environment: Mapping[str, str], expected: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert logins.mode(asked) == expected


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"WANDB_MODE": "onlin"}, "WANDB_MODE onlin.*online"),
        ({"WANDB_MODE": "online"}, "W&B has no key for https://api.wandb.ai; run `wandb login`"),
    ],
)
def test_what_cannot_be_tracked_is_said_before_any_work(
    monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], said: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=said):
        logins.mode(None)
    assert logins.login()[0] == "warning"


@pytest.mark.parametrize("host", ["api.wandb.ai", "api.forge.coreweave.com"])
def test_a_login_is_seen_and_its_key_is_not_shown(tmp_path: Path, host: str) -> None:
    assert logins.login() == ("note", "not logged in: trainings are not tracked", "wandb login")
    netrc(tmp_path, host)
    state, found, _ = logins.login()
    assert state == "ok"
    assert found.startswith(f"logged in to https://api.wandb.ai by {tmp_path}")
    assert KEY not in found


def test_a_server_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc(tmp_path, "wandb.example.org")
    assert logins.mode(None) == "disabled"
    folder = tmp_path / "home" / ".config" / "wandb"
    folder.mkdir(parents=True)
    (folder / "settings").write_text("[default]\nbase_url = https://me:secret@wandb.example.org/\n")
    assert logins.server() == "https://wandb.example.org"
    assert logins.mode(None) == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://other.example.org")
    assert logins.mode(None) == "disabled"
    (folder / "settings").write_bytes(b"\xff[")
    monkeypatch.delenv("WANDB_BASE_URL")
    assert logins.server() == "https://api.wandb.ai"


class Steady:
    """Gauges that always read the same."""

    def latest(self) -> tuple[Reading, ...]:
        return (Reading("GPU 0 NVIDIA H100", 97.0, temperature=61.0),)


def model_folder(folder: Path) -> Card:
    folder.mkdir(exist_ok=True)
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "model.json").write_text("{}")
    (folder / ".lock").write_text("mine")
    figures = {"ece_after": 0.01}
    files = {"weights.safetensors": "0"}
    return Card("fast", "mine", LABELS, "category", "1", {}, {}, {"calibration": figures}, Calibration(), files)


def tracked(folder: Path, tracker: tracking.Tracker, steps: int = 7, *, stop: bool = False) -> float:
    """A training that tells the tracker of itself; the seconds that it took from the training's thread."""
    card = model_folder(folder)
    answers = (np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 2]))
    tracker.began(
        {
            "step": 0,
            "history": (),
            "name": "mine",
            "folder": folder,
            "labels": LABELS,
            "settings": {"lr": 0.003},
            "corpus": "abc123",
            "device": "cuda:0",
            "answers": lambda: answers,
        }
    )
    spent = 0.0
    for step in range(1, steps + 1):
        began = time.monotonic()
        tracker.stepped(step, 1 / step, 0.5**step)
        spent += time.monotonic() - began
    tracker.epoch_ended(Epoch(1, 0.9, {"loss": 0.8, "top1": 0.7}, best=True))
    tracker.stopped() if stop else tracker.finished(folder, card)
    return spent


def runs(folder: Path) -> list[Path]:
    """The run files, whole: wandb's service writes the last of them when it is told to end."""
    sys.modules["wandb"].teardown()
    return sorted(folder.glob("wandb/*run-*/*.wandb"))


def records(path: Path) -> Iterator[Any]:
    """The records of a run file: LevelDB's log format, a protobuf in each."""
    from wandb.proto import wandb_internal_pb2

    content = path.read_bytes()
    place, whole = 7, b""  # after the file's own head
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:  # full, last
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def told(path: Path) -> dict[str, Any]:
    """What a run file holds: config, rows of history, summary, artifacts, exit code."""
    found: dict[str, Any] = {"config": {}, "history": [], "summary": {}, "artifacts": [], "exit": None}

    def key(update: Any) -> str:
        return update.key or "/".join(update.nested_key)

    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found["id"], found["name"] = record.run.run_id, record.run.display_name
            found["config"] |= {key(u): json.loads(u.value_json) for u in record.run.config.update}
        elif kind == "config":
            found["config"] |= {key(u): json.loads(u.value_json) for u in record.config.update}
        elif kind == "history":
            found["history"].append({key(u): json.loads(u.value_json) for u in record.history.item})
        elif kind == "summary":
            found["summary"] |= {key(u): json.loads(u.value_json) for u in record.summary.update}
        elif kind == "artifact":
            names = [entry.path for entry in record.artifact.manifest.contents]
            found["artifacts"].append((record.artifact.type, names))
        elif kind == "request" and record.request.HasField("log_artifact"):
            artifact = record.request.log_artifact.artifact
            found["artifacts"].append((artifact.type, [entry.path for entry in artifact.manifest.contents]))
        elif kind == "exit":
            found["exit"] = record.exit.exit_code
    return found


def test_an_offline_run_file_holds_the_training(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    noted = Noted()
    tracked(tmp_path / "model", tracking.Tracker("offline", noted, Steady()))  # type: ignore[arg-type]
    (path,) = runs(tmp_path)
    found = told(path)
    assert found["name"] == "mine"
    assert found["config"]["lr"] == 0.003
    assert (found["config"]["corpus"], found["config"]["device"]) == ("abc123", "cuda:0")
    steps = [row for row in found["history"] if "train/loss" in row]
    assert [(row["step"], row["train/loss"], row["train/rate"]) for row in steps] == [
        (step, 1 / step, 0.5**step) for step in range(1, 8)
    ]
    (readings,) = (row for row in found["history"] if "device/0/busy" in row)
    assert (readings["device/0/busy"], readings["device/0/temperature"]) == (97.0, 61.0)
    (epoch,) = (row for row in found["history"] if "epoch" in row)
    assert (epoch["epoch"], epoch["epoch/train_loss"], epoch["validation/top1"]) == (1, 0.9, 0.7)
    assert found["summary"]["best/validation/top1"] == 0.7
    assert found["summary"]["calibration/ece_after"] == 0.01
    assert ("model", ["model.json", "weights.safetensors"]) in [(k, sorted(names)) for k, names in found["artifacts"]]
    assert found["exit"] == 0
    assert noted.notes == [f"W&B offline; kept on disk, `wandb sync {path.parent}` sends it"]
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "model" / tracking.RUN).exists()


def test_the_confusions_are_in_it(tmp_path: Path) -> None:
    tracked(tmp_path / "model", tracking.Tracker("offline"))
    (table,) = tmp_path.glob("wandb/*run-*/files/media/table/*confusions*.json")
    content = json.loads(table.read_text())
    assert content["columns"] == ["Actual", "Predicted", "nPredictions"]
    assert content["data"] == [
        ["math.NT", "math.NT", 2],
        ["cs.CL", "cs.CL", 1],
        ["cs.CL", "cs.LG", 1],
        ["cs.LG", "cs.LG", 1],
    ]


def test_no_secret_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    tracked(tmp_path / "model", tracking.Tracker("offline"))
    files = [path for path in (tmp_path / "wandb").rglob("*") if path.is_file()]
    assert len(files) > 2
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_of_many_steps_a_few_are_told_with_the_mean_loss(tmp_path: Path) -> None:
    tracked(tmp_path / "model", tracking.Tracker("offline"), steps=5000)
    (path,) = runs(tmp_path)
    steps = [row for row in told(path)["history"] if "train/loss" in row]
    assert 1 < len(steps) <= 300
    assert steps[-1]["step"] == 5000
    assert steps[0]["train/loss"] > 1 / steps[0]["step"]  # the mean of losses that fall


def test_a_training_that_goes_on_is_the_same_run(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tracked(folder, tracking.Tracker("offline"), stop=True)
    first = told(runs(tmp_path)[0])
    assert first["exit"] == 1
    assert (folder / tracking.RUN).read_text() == first["id"]
    assert tracking._identity(folder / tracking.RUN, goes_on=True) == first["id"]
    assert tracking._identity(folder / tracking.RUN, goes_on=False) != first["id"]


def test_a_server_that_is_not_there_costs_the_training_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    noted = Noted()
    spent = tracked(tmp_path / "model", tracking.Tracker("online", noted), steps=1000)
    assert spent < 1
    (note,) = noted.notes
    assert note.startswith(f"W&B at {url}: ")
    assert ": Connection refused; kept on disk" in note
    assert f"`wandb sync {tmp_path}/wandb/offline-run-" in note
    assert told(runs(tmp_path)[0])["exit"] == 0
    assert capfd.readouterr() == ("", "")


def test_a_server_that_refuses_costs_the_training_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It answers every question wrongly, as something else on that port would."""
    monkeypatch.setattr(tracking, "_INIT", 2.0)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    noted = Noted()
    with site() as served:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{served.port}")
        spent = tracked(tmp_path / "model", tracking.Tracker("online", noted), steps=1000)
    assert spent < 1
    assert len(noted.notes) == 1
    assert "kept on disk" in noted.notes[0]
    assert KEY not in noted.notes[0]
    assert capfd.readouterr() == ("", "")


def test_a_disk_that_cannot_be_written_costs_the_training_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    import wandb

    monkeypatch.setattr(wandb, "init", full)
    noted = Noted()
    began = time.monotonic()
    tracked(tmp_path / "model", tracking.Tracker("offline", noted))
    assert time.monotonic() - began < 10
    assert noted.notes == ["W&B hears no more of this training: No space left on device"]


def test_a_service_that_hangs_is_not_waited_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    import wandb

    hanging = threading.Event()
    monkeypatch.setattr(wandb, "init", lambda **_: hanging.wait(60))
    monkeypatch.setattr(tracking, "_SHORT", 0.1)
    monkeypatch.setattr(tracking, "_FINISH", 0.5)
    noted = Noted()
    began = time.monotonic()
    tracked(tmp_path / "model", tracking.Tracker("offline", noted))
    hanging.set()
    assert time.monotonic() - began < 5
    assert noted.notes == [
        "sending the run to W&B, for 0 s at most",
        "W&B has not got everything; `wandb sync` sends the rest",
    ]


def test_nothing_is_imported_until_a_run_begins() -> None:
    ask = "import sys; from arxivcli.learning import logins, tracking; print('wandb' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
