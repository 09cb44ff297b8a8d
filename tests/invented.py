"""Papers nobody wrote: sentences from a few topics' words, as many as a test wants, the same for the same seed."""

from __future__ import annotations

import datetime as dt
import random

import pyarrow as pa

from arxivcli.papers import PAPERS

TOPICS = {
    "cs.CL": "language translation tokens corpus grammar sentences parsing dialogue speech annotation multilingual",
    "cs.CV": "images segmentation pixels camera detection video depth scenes recognition textures rendering",
    "math.NT": "primes integers modular elliptic curves zeta divisors congruence rational Diophantine residues",
    "astro-ph.GA": "galaxies stellar halo redshift dust spiral bulge metallicity quasars clusters luminosity",
    "hep-ph": "quarks Higgs collider decay couplings neutrino supersymmetry amplitudes leptons flavour branching",
    "q-bio.NC": "neurons cortex spikes synaptic brain firing plasticity stimuli dendrites memory oscillations",
}
_COMMON = "we study the of a new method for and show that results in with on model which data from"


def records(count: int, seed: int = 0) -> list[dict[str, object]]:
    """JSON-like papers: id, title, abstract, categories (space-separated, primary first), created (ISO date)."""
    chance = random.Random(seed)
    found: list[dict[str, object]] = []
    for number in range(count):
        primary, other = chance.sample(sorted(TOPICS), 2)
        cross = chance.random() < 0.3
        day = dt.date(2015, 1, 1) + dt.timedelta(days=chance.randrange(4000))
        found.append(
            {
                "id": f"{day:%y%m}.{seed * 10_000 + number:05d}"[:10],
                "title": " ".join(_words(primary, other, 7, chance)).capitalize(),
                "abstract": " ".join(_words(primary, other if cross else primary, 60, chance)).capitalize() + ".",
                "categories": f"{primary} {other}" if cross else primary,
                "created": day.isoformat(),
            }
        )
    return found


def _words(topic: str, second: str, count: int, chance: random.Random) -> list[str]:
    own, foreign = TOPICS[topic].split(), TOPICS[second].split()
    return [
        chance.choice(_COMMON.split() if (draw := chance.random()) < 0.55 else own if draw < 0.9 else foreign)
        for _ in range(count)
    ]


def batch(count: int, seed: int = 0) -> pa.RecordBatch:
    """The same papers as a record batch."""
    found = records(count, seed)
    columns = {name: [paper[name] for paper in found] for name in ("id", "title", "abstract")}
    categories = [str(paper["categories"]).split() for paper in found]
    created = [dt.date.fromisoformat(str(paper["created"])) for paper in found]
    arrays = [*columns.values(), categories, created]
    return pa.RecordBatch.from_arrays(
        [pa.array(values, field.type) for values, field in zip(arrays, PAPERS, strict=True)], schema=PAPERS
    )
