"""The one recipe: what readers cannot see makes no difference, and cleaning twice is cleaning once."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arxivcli import papers, text

awkward = st.text(
    st.one_of(
        st.sampled_from("\\'\"`^~=.{}uvHcijoaseOLAE \n\t\u2028\u00a0\u200b\u0301é\ufeff\x00\x1f\u212a\u1fef"),
        st.characters(codec="utf-8"),
    )
)


@given(st.lists(awkward, max_size=8))
def test_the_vectorised_road_agrees_with_the_definition_and_is_idempotent(texts: list[str]) -> None:
    once = text.clean(pa.array(texts, pa.string()))
    assert once.to_pylist() == [text.clean_one(t) for t in texts]
    assert text.clean(once).equals(once)


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ('Schr\\"odinger', "Schrödinger"),
        ("Erd\\H{o}s and R\\'{e}nyi", "Erdős and Rényi"),
        ("Poincar\\'e", "Poincaré"),
        ('na\\"{\\i}ve', "naïve"),
        ('K{\\"a}hler', "Kähler"),
        ('Stra{\\ss}e, {\\O}rsted, \\AA ngstr\\"om', "Straße, Ørsted, Å ngström"),
        ("  Two\n  lines\tand  gaps ", "Two lines and gaps"),
        ("zero\u200bwidth and\u00a0nbsp", "zerowidth and nbsp"),
        ("e\u0301", "é"),
        ("$\\alpha$ and \\omega stay", "$\\alpha$ and \\omega stay"),
        ("nul\x00byte", "nul byte"),
    ],
)
def test_what_people_write(raw: str, seen: str) -> None:
    assert text.clean(pa.array([raw])).to_pylist() == [seen]


def test_model_input_keeps_title_and_abstract_apart() -> None:
    batch = papers.one_paper("A\n title", "Some\n  words.")
    assert text.model_input(batch).to_pylist() == ["A title\nSome words."]
    assert text.model_input(papers.one_paper("Only a title")).to_pylist() == ["Only a title\n"]
    assert text.model_input(papers.one_paper("", "Only an abstract")).to_pylist() == ["\nOnly an abstract"]


def test_nothing_in_nothing_out() -> None:
    assert len(text.clean(pa.array([], pa.string()))) == 0
    assert text.clean(pa.array([None, "a"])).to_pylist() == ["", "a"]
