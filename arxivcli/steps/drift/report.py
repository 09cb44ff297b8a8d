"""What a comparison of two sides found, as plain numbers: everything a table or a page shows of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["none", "some", "drift"]
Verdict = Literal["no drift", "some drift", "drift"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class SideReport:
    """One side: papers in all, papers whose text was looked at, papers with a label, papers of each month.

    `left_out` counts the records that are not among the papers, by reason.
    """

    name: str
    papers: int
    sampled: int
    labelled: int
    months: dict[str, int]
    left_out: dict[str, int]


@dataclass(frozen=True)
class LabelRow:
    """One label: papers and share on both sides, ratio of the shares, with 95 % intervals.

    Attributes:
        label: the label.
        reference: papers that have it.
        current: likewise on the other side.
        reference_share: of the papers that have a label.
        reference_interval: of that share (Wilson).
        current_share: likewise.
        current_interval: likewise.
        ratio: current share / reference share, a half added to each count.
        ratio_interval: of that ratio.
        divergence: what the label adds to the Jensen-Shannon divergence, in bits.
        psi: what it adds to the population stability index.
        p: that the shares are one, adjusted for the number of labels (false discovery rate).
    """

    label: str
    reference: int
    current: int
    reference_share: float
    reference_interval: Interval
    current_share: float
    current_interval: Interval
    ratio: float
    ratio_interval: Interval
    divergence: float
    psi: float
    p: float


@dataclass(frozen=True)
class LabelShift:
    """How the mix of labels changed.

    Attributes:
        reference: papers with a label.
        current: likewise.
        psi: population stability index.
        psi_by_chance: what it is on average between two samples of one population.
        distance: Jensen-Shannon distance, base 2, between 0 and 1.
        chi_square: Pearson's statistic.
        freedom: its degrees of freedom.
        p: its p-value.
        cramers_v: its effect size, between 0 and 1.
        rows: every label, the one that adds most to the divergence first.
        grew: labels whose share grew significantly, by what they add to the divergence.
        shrank: likewise.
        new: labels of the current side alone.
        vanished: labels of the reference alone.
    """

    reference: int
    current: int
    psi: float
    psi_by_chance: float
    distance: float
    chi_square: float
    freedom: int
    p: float
    cramers_v: float
    rows: tuple[LabelRow, ...]
    grew: tuple[str, ...]
    shrank: tuple[str, ...]
    new: tuple[str, ...]
    vanished: tuple[str, ...]


@dataclass(frozen=True)
class NumberShift:
    """How a number of each paper (a length, a confidence, a share) is distributed on both sides.

    Attributes:
        reference_mean: mean.
        current_mean: mean.
        effect: largest gap of the cumulative distributions (Kolmogorov-Smirnov), or the difference of the means.
        p: of that effect.
        edges: B + 1 edges of a histogram; what is beyond the last counts in the last bin.
        reference: papers in each of its B bins.
        current: likewise.
    """

    reference_mean: float
    current_mean: float
    effect: float
    p: float
    edges: tuple[float, ...]
    reference: tuple[int, ...]
    current: tuple[int, ...]


@dataclass(frozen=True)
class WordRow:
    """A word, or two in a row: in how many papers of each side, log-odds ratio and z-score (Monroe et al. 2008)."""

    words: str
    reference: int
    current: int
    reference_share: float
    current_share: float
    log_odds: float
    z: float


@dataclass(frozen=True)
class TextShift:
    """How the texts changed.

    Attributes:
        title_words: words a title; effect is of Kolmogorov-Smirnov, as with abstracts.
        abstract_words: words an abstract.
        without_abstract: share of papers with no abstract, reference and current.
        unknown_words: share of a paper's words that one half of the reference does not have, the other half of the
            reference beside the current side; effect is the difference of the means.
        unknown_to_model: likewise, of words the model does not have; None when its words are not a list.
        grown: words that became more frequent, the most certain first.
        shrunk: less frequent.
        grown_pairs: two words in a row that became more frequent.
        shrunk_pairs: less frequent.
    """

    title_words: NumberShift
    abstract_words: NumberShift
    without_abstract: tuple[float, float]
    unknown_words: NumberShift | None
    unknown_to_model: NumberShift | None
    grown: tuple[WordRow, ...]
    shrunk: tuple[WordRow, ...]
    grown_pairs: tuple[WordRow, ...]
    shrunk_pairs: tuple[WordRow, ...]


@dataclass(frozen=True)
class VectorShift:
    """Whether the texts as a model sees them changed.

    Attributes:
        of: what a text's vector is.
        papers: how many of each side a classifier was to tell apart.
        area: under its ROC curve, on vectors it did not learn from; 0.5 when it cannot.
        area_p: p-value.
        discrepancy: maximum mean discrepancy, the root of its square.
        discrepancy_papers: how many of each side it is of.
        discrepancy_p: p-value, by permutation.
    """

    of: str
    papers: tuple[int, int]
    area: float
    area_p: float
    discrepancy: float
    discrepancy_papers: tuple[int, int]
    discrepancy_p: float


@dataclass(frozen=True)
class PredictionShift:
    """How the answers changed: the mix of best labels, and the confidence in them."""

    labels: LabelShift
    confidence: NumberShift
    unanswered: tuple[int, int]


@dataclass(frozen=True)
class Top1:
    """Papers whose true label is known and may be answered, and the share of them whose best answer is right."""

    papers: int
    right: int
    share: float
    interval: Interval


@dataclass(frozen=True)
class SameMix:
    """The share of right answers when both sides have labels mixed as in the reference: what no other mix explains.

    Attributes:
        reference: share right in the reference, of the labels that both sides have.
        current: of the current side, its papers weighted so that its labels are mixed like that.
        change: their difference.
        interval: of that difference.
        p: that there is none.
        covered: share of the reference whose labels the current side has too.
    """

    reference: float
    current: float
    change: float
    interval: Interval
    p: float
    covered: float


@dataclass(frozen=True)
class Reach:
    """The share of papers with a known label whose label can be answered at all, and the p-value of its change."""

    reference: float
    current: float
    p: float


@dataclass(frozen=True)
class Accuracy:
    """How often the best answer is right.

    Attributes:
        reference: papers and share of right answers.
        current: likewise.
        change: current share - reference share.
        interval: of the change (Newcombe).
        p: that both are one (two proportions).
        same_mix: the same for one mix of labels.
    """

    reference: Top1
    current: Top1
    change: float
    interval: Interval
    p: float
    same_mix: SameMix


@dataclass(frozen=True)
class Estimate:
    """What the share of right answers probably is where nobody knows the labels.

    Attributes:
        method: `average thresholded confidence` (Garg et al. 2022) when the reference has labels, else `mean
            confidence`.
        reference: share right in the reference, known or by its confidence.
        current: the estimate.
        change: their difference.
        p: that there is none.
    """

    method: str
    reference: float
    current: float
    change: float
    p: float


@dataclass(frozen=True)
class Finding:
    """One figure against its thresholds.

    Attributes:
        figure: what was looked at.
        measure: by what it is judged: psi, ks, oov, auc, mmd or accuracy.
        reference: its value on one side; None when it is a comparison by nature.
        current: on the other.
        effect: how far apart they are, in the unit of the measure.
        p: p-value, adjusted for the number of findings (Holm).
        some: from this effect on it is some drift.
        drift: from this effect on it is drift.
        level: what it is, effect and significance taken together.
    """

    figure: str
    measure: str
    reference: float | None
    current: float | None
    effect: float
    p: float
    some: float
    drift: float
    level: Level


@dataclass(frozen=True)
class Drift:
    """All of it. A part that cannot be known is None, and `not_available` says why.

    Attributes:
        reference: the side everything is measured against.
        current: the other side.
        model: whose answers are looked at: a model's name, or `the logged predictions`.
        level: what labels are: categories, archives or groups.
        seed: of all sampling.
        labels: the true labels, of all papers; everything below is of the samples.
        text: words and lengths.
        vectors: the texts as a model sees them.
        predictions: the answers.
        reach: how often they can be right, whatever the paper says.
        accuracy: how often they are right, of those.
        estimate: how often they probably are.
        findings: each figure against its thresholds.
        significance: p-values above it are chance.
        verdict: the worst of them.
        not_available: why a part is None.
    """

    reference: SideReport
    current: SideReport
    model: str
    level: str
    seed: int
    labels: LabelShift | None
    text: TextShift
    vectors: VectorShift | None
    predictions: PredictionShift | None
    reach: Reach | None
    accuracy: Accuracy | None
    estimate: Estimate | None
    findings: tuple[Finding, ...]
    significance: float
    verdict: Verdict
    not_available: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return asdict(self)

    @property
    def crossed(self) -> tuple[Finding, ...]:
        """The findings that make the verdict what it is, the worst first."""
        found = [finding for finding in self.findings if finding.level != "none"]
        return tuple(sorted(found, key=lambda one: (one.level != "drift", -one.effect / max(one.drift, 1e-9))))
