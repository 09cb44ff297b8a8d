"""The model inside the package: what somebody finds who has just installed it."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest
from test_startup import cpu_seconds, imported

from arxivcli import calibration, papers, taxonomy, text
from arxivcli.errors import FolderError
from arxivcli.models import card as cards
from arxivcli.models import shelf

EXAMPLES = Path(__file__).parents[1] / "examples"
FOLDER = Path(str(files("arxivcli.models") / "builtin"))


@pytest.fixture(scope="module")
def builtin() -> shelf.Model:
    return shelf.load("builtin")


def test_it_knows_every_category_arxiv_uses(builtin: shelf.Model) -> None:
    assert builtin.card.labels == taxonomy.labels()
    assert len(builtin.card.labels) == 149


def test_it_is_small_and_only_data() -> None:
    with zipfile.ZipFile(io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in FOLDER.iterdir():
            wheel.write(path)
        assert sum(packed.compress_size for packed in wheel.infolist()) <= 20_000_000
    assert {path.suffix for path in FOLDER.iterdir()} == {".json", ".md", ".safetensors", ".toml"}


def test_its_card_says_how_good_it_is(builtin: shelf.Model) -> None:
    measured = builtin.card.metrics["test"]["arxiv"]["whole"]
    assert measured["papers"] > 10_000
    assert measured["top1"] >= 0.675
    assert measured["top3"] >= 0.905
    assert measured["top5"] >= 0.953
    assert measured["any_listed"] >= 0.815
    assert measured["ece"] <= 0.017
    titles = builtin.card.metrics["test"]["arxiv"]["title_only"]
    assert titles["top1"] >= 0.565
    assert titles["ece"] <= 0.02
    told = (FOLDER / "README.md").read_text("utf-8")
    for heading in ("By archive", "By year", "By length", "title only", "no papers", "Where it is bad"):
        assert heading in told
    assert f"{100 * measured['top1']:.1f} %" in told


@pytest.mark.parametrize(
    ("title", "abstract", "category"),
    [
        ("Rational points on elliptic curves and Iwasawa theory", "We study Selmer groups.", "math.NT"),
        ("A survey of dwarf galaxies around a nearby spiral", "Stellar halo, dust and metallicity.", "astro-ph.GA"),
        ("Surface codes with fewer qubits", "Quantum error correction on superconducting qubits.", "quant-ph"),
        ("Machine translation of low-resource languages", "We train a multilingual language model.", "cs.CL"),
        ("Semantic segmentation of street scenes", "A convolutional network labels pixels of images.", "cs.CV"),
        ("Higgs boson decays into bottom quarks at next-to-leading order", "QCD corrections at the LHC.", "hep-ph"),
        ("Black hole ringdown beyond general relativity", "Quasinormal modes of rotating black holes.", "gr-qc"),
        ("Option pricing with rough volatility", "Implied volatility of European options.", "q-fin"),
        ("Spike timing in the hippocampus of the mouse", "Place cells fire in theta sequences.", "q-bio.NC"),
        ("Grasping unknown objects with a robot hand", "A robot arm learns grasping policies.", "cs.RO"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_plain_cases_are_plain(builtin: shelf.Model, title: str, abstract: str, category: str, whole: bool) -> None:
    texts = text.model_input(papers.one_paper(title, abstract if whole else ""))
    best = builtin.card.labels[int(builtin.classifier.scores(texts)[0].argmax())]
    assert best.startswith(category)


def test_what_says_nothing_is_answered_without_confidence(builtin: shelf.Model) -> None:
    texts = text.model_input(papers.one_paper("Xyzzy plugh qwertz"))
    probs = calibration.calibrated(builtin.classifier.scores(texts), builtin.card.calibration)
    assert probs.max() < 0.2


def test_an_answer_costs_at_most_0_8_s_of_cpu_and_imports_no_torch() -> None:
    paper = str(EXAMPLES / "paper.json")
    assert cpu_seconds("classify", paper) <= 0.80
    assert not imported("classify", paper) & {"torch", "transformers", "scipy", "sklearn", "pandas", "wandb"}


def test_the_readmes_paper_is_answered_from_a_pipe() -> None:
    with (EXAMPLES / "paper.json").open() as file:
        ran = subprocess.run(
            [sys.executable, "-m", "arxivcli", "classify"], stdin=file, capture_output=True, check=True
        )
    answer = json.loads(ran.stdout)
    assert set(answer) == {"id", "top_category", "predictions"}
    assert answer["predictions"][0]["category"] == answer["top_category"]
    confidences = [each["confidence"] for each in answer["predictions"]]
    assert confidences == sorted(confidences, reverse=True)
    assert len(confidences) == 3


def test_a_card_that_was_changed_is_refused(tmp_path: Path) -> None:
    for name in ("temperature", "slope", "0.90"):
        folder = Path(shutil.copytree(FOLDER, tmp_path / name))
        card = folder / "model.json"
        changed, changes = re.subn(rf'("{name}": )\d', r"\g<1>7", card.read_text())
        assert changes
        card.write_text(changed)
        with pytest.raises(FolderError, match="not as it was saved"):
            cards.read(folder)
