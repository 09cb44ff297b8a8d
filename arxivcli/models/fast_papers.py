"""What a fast model learns from: the bags of papers, and which member of several leaves out which of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from arxivcli import metrics, text
from arxivcli.models import vocabulary as vocabularies
from arxivcli.models.features import Bags, Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.models.base import LabelledTexts
    from arxivcli.models.fast_settings import FastSettings


@dataclass(frozen=True)
class Papers:
    """Bags of whole papers and of their titles alone, the true labels (n,), and all listed ones (n, most)."""

    whole: Bags
    titles: Bags
    truth: NDArray[np.int64]
    listed: NDArray[np.int64]

    @classmethod
    def of(cls, vocabulary: Vocabulary, papers: LabelledTexts) -> Self:
        """All of them, as a vocabulary knows them."""
        whole = vocabularies.all_bags(vocabulary, papers.texts())
        titles = vocabularies.all_bags(vocabulary, map(text.title_only, papers.texts()))
        listed = papers.truth[:, None] if papers.listed is None else papers.listed
        return cls(whole, titles, papers.truth, listed)

    def shares(self, rows: NDArray[np.int64], labels: int) -> NDArray[np.float32]:
        """All listed labels of some papers, alike: (n, labels), each row sums to one."""
        listed = self.listed[rows]
        shares = np.zeros((len(rows), labels), np.float32)
        row, column = np.nonzero(listed != metrics.NOT_LISTED)
        shares[row, listed[row, column]] = 1
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def taken(self, rows: NDArray[np.int64], from_title: NDArray[np.bool_]) -> Bags:
        """The bags of some papers, by title alone where marked (and where there is a title with known words)."""
        title_sizes = self.titles.offsets[rows + 1] - self.titles.offsets[rows]
        from_title = from_title & (title_sizes > 0)
        sizes = np.where(from_title, title_sizes, self.whole.offsets[rows + 1] - self.whole.offsets[rows])
        starts = np.where(from_title, self.titles.offsets[rows], self.whole.offsets[rows])
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        at = np.repeat(starts - offsets[:-1], sizes) + np.arange(offsets[-1])
        by_title = np.repeat(from_title, sizes)
        features, counts = np.empty(len(at), np.int32), np.empty(len(at), np.uint8)
        for chosen, source in ((by_title, self.titles), (~by_title, self.whole)):
            features[chosen], counts[chosen] = source.features[at[chosen]], source.counts[at[chosen]]
        return Bags(features, counts, offsets)


@dataclass(frozen=True)
class Unseen:
    """Which member leaves out which papers, and its answers to them: n of whole papers, then some to titles alone.

    Attributes:
        left_out: (n,) the member that does not see a paper.
        rows: (m,) the paper of each answer.
        titles: (m,) whether it is to the title alone.
        answers: (m, L) logits; half precision is finer than they are certain.
        most: most papers that a member leaves out.
    """

    left_out: NDArray[np.int64]
    rows: NDArray[np.int64]
    titles: NDArray[np.bool_]
    answers: NDArray[np.float16]
    most: int

    @classmethod
    def of(cls, training: Papers, labels: int, settings: FastSettings) -> Self:
        """Each paper is left out by one member, whom chance decides."""
        papers = len(training.truth)
        chance = np.random.default_rng([settings.seed, 3])
        left_out = chance.permutation(papers) % settings.members
        titled = np.flatnonzero(chance.random(papers) < settings.title_only)
        rows = np.concatenate([np.arange(papers), titled])
        titles = np.arange(len(rows)) >= papers
        answers = np.zeros((len(rows), labels), np.float16)
        return cls(left_out, rows, titles, answers, -(-papers // settings.members))

    def seen(self, member: int) -> NDArray[np.int64]:
        """Papers that a member learns from."""
        return np.flatnonzero(self.left_out != member)

    def of_member(self, member: int) -> NDArray[np.int64]:
        """Answers that are for a member to give."""
        return np.flatnonzero(self.left_out[self.rows] == member)
