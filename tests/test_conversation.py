"""The prompt of classify as somebody at a terminal meets it: commands, cancelling, history, hostile text, arXiv."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pexpect
import pytest
from classifying import PROGRAM
from double import Double
from handmade import save
from test_classify_ends import end, plain, terminal

if TYPE_CHECKING:
    from pathlib import Path


class Talk:
    """A session at the prompt."""

    def __init__(self, session: pexpect.spawn) -> None:
        self.session = session
        self.session.expect("Title: ")

    def say(self, line: str) -> str:
        """What comes between a command and the next title's prompt."""
        self.session.send(f"{line}\r")
        self.session.expect("Title: ")
        return plain(self.session.before)

    def paper(self, title: str, abstract: str = "") -> str:
        """The answer to a paper."""
        self.session.send(f"{title}\r")
        self.session.expect("Abstract: ")
        return self.say(f"{abstract}\r" if abstract else "")

    def leave(self) -> int | None:
        self.session.sendeof()
        return end(self.session)[1]


@pytest.fixture
def talk(handmade_model: Path) -> Talk:
    return Talk(terminal(handmade_model, NO_COLOR="1"))


def test_commands_change_the_answers(talk: Talk, tmp_path: Path) -> None:
    assert talk.paper("Galaxies of something").count("%") == 3
    talk.say(":top 1")
    answer = talk.paper("Galaxies of something")
    assert (answer.count("%"), "for:" in answer) == (1, False)
    again = talk.say(":explain")
    assert "Galaxies of something" in again
    assert "for: galaxies " in again
    assert "for: primes " in talk.paper("Prim numbers", "primes")
    assert "not explained any more" in talk.say(":explain")
    assert "for:" not in talk.paper("Galaxies")
    other = save(tmp_path / "other")
    assert "handmade: fast, " in talk.say(f":model {other}")
    assert talk.paper("Galaxies").count("%") == 1, "what was asked stays"
    assert talk.leave() == 0


def test_labels_and_help(talk: Talk) -> None:
    shown = talk.say(":labels theory")
    assert "math.NT" in shown
    assert "hep-ph" not in shown
    for command in (":paste", ":id", ":top", ":explain", ":model", ":labels", ":quit"):
        assert command in talk.say(":help")
    talk.session.send(":quit\r")
    assert end(talk.session)[1] == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (":tpo 3", "error: there is no command :tpo; did you mean :top?"),
        (":top none", "error: :top none is no number of categories; say :top 5"),
        (":top 0", "error: :top 0 is no number of categories"),
        (":model", "error: which model?"),
        (":model nowhere", "error: there is no model nowhere"),
        (":labels xyz", "error: no label of the model has xyz in its name"),
        (":id", "error: which paper?; say :id 2401.01234"),
        (":id what", "error: what is no arXiv id; give one like 2401.01234"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_talk_goes_on(talk: Talk, line: str, says: str) -> None:
    assert says in talk.say(line)
    assert "astro-ph.GA" in talk.paper("Galaxies")
    assert talk.leave() == 0


def test_control_c_cancels_what_is_typed_and_leaves_where_nothing_is(talk: Talk) -> None:
    talk.session.send("Half a ti")
    talk.session.expect("Half a ti")
    talk.session.sendintr()
    talk.session.expect("Title: ")
    talk.session.send("Galaxies\r")
    talk.session.expect("Abstract: ")
    talk.session.send("and\r")
    talk.session.expect(r"\.\.\. ")
    talk.session.sendintr()
    talk.session.expect("Title: ")
    assert "%" not in talk.session.before
    talk.session.send(":paste\r")
    talk.session.expect(r"\.\.\. ")
    talk.session.sendintr()
    talk.session.expect("Title: ")
    assert "math.NT" in talk.paper("Primes")
    talk.session.sendintr()
    shown, code = end(talk.session)
    assert (code, "error" in shown, "Traceback" in shown) == (0, False, False)


def test_an_abstract_ends_at_the_end_of_input_too(talk: Talk) -> None:
    talk.session.send("Something\r")
    talk.session.expect("Abstract: ")
    talk.session.send("of primes\r")
    talk.session.expect(r"\.\.\. ")
    talk.session.sendeof()
    talk.session.expect("math.NT")
    talk.session.expect("Title: ")
    assert talk.leave() == 0


def test_a_paste_with_empty_lines(talk: Talk) -> None:
    talk.session.send(":paste\rStudies of something\r\rof primes\r\rand zeta\r.\r")
    talk.session.expect("math.NT")
    talk.session.expect("Title: ")
    talk.session.send("\x1b[200~Pasted as one\rof quarks\rand gluons\x1b[201~\r")
    talk.session.expect("hep-ph")
    talk.session.expect("Title: ")
    assert talk.leave() == 0


def test_nothing_pasted_acts_on_the_terminal(handmade_model: Path) -> None:
    session = terminal(handmade_model, "--explain", TERM="dumb", NO_COLOR="1")
    session.expect("Title: ")
    session.sendline(":paste")
    session.expect(r"\.\.\. ")
    session.setecho(False)
    session.sendline("Galaxies [red]and[/red] \u202edust\u202c")
    session.expect(r"\.\.\. ")
    session.sendline("primes [bold]\u2066halo")
    session.expect(r"\.\.\. ")
    session.sendline(".")
    session.expect("against: ")
    answer = session.before.partition("Galaxies [red]and[/red] dust")[2]
    assert "primes [bold]halo" in answer, "markup is text, and what turns the line is gone"
    assert not set("\u202e\u202c\u2066\x1b") & set(answer)
    session.expect("Title: ")
    session.sendeof()
    assert end(session)[1] == 0


# -- history ----------------------------------------------------------------------------------------------------------


def test_titles_and_commands_are_remembered_for_the_user_alone(handmade_model: Path, tmp_path: Path) -> None:
    kept = tmp_path / "state" / "arxivcli" / "history"
    first = Talk(terminal(handmade_model, XDG_STATE_HOME=str(tmp_path / "state"), ARXIVCLI_HISTORY=str(kept)))
    first.paper("Galaxies and dust", "An abstract nobody needs again")
    first.say(":top 2")
    assert first.leave() == 0
    assert kept.read_text().splitlines() == ["Galaxies and dust", ":top 2"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    again = Talk(terminal(handmade_model, ARXIVCLI_HISTORY=str(kept)))
    again.session.send("\x1b[A\x1b[A")
    again.session.expect("Galaxies and dust")
    again.session.sendintr()
    again.session.expect("Title: ")
    assert again.leave() == 0


def test_the_history_is_in_the_state_folder_unless_nobody_wants_it(handmade_model: Path, tmp_path: Path) -> None:
    unset = ["-u", "ARXIVCLI_HISTORY", f"XDG_STATE_HOME={tmp_path / 'mine'}", *PROGRAM, "-m", str(handmade_model)]
    session = pexpect.spawn("env", unset, encoding="utf-8", timeout=30)
    first = Talk(session)
    first.say(":help")
    assert first.leave() == 0
    assert (tmp_path / "mine" / "arxivcli" / "history").read_text() == ":help\n"
    none = Talk(terminal(handmade_model, XDG_STATE_HOME=str(tmp_path / "none"), ARXIVCLI_HISTORY=""))
    none.say(":help")
    assert none.leave() == 0
    assert not (tmp_path / "none").exists()


def test_a_long_history_is_cut_back_and_one_that_cannot_be_written_is_none(
    handmade_model: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "history"
    kept.write_text("".join(f"title {number}\n" for number in range(2_500)))
    talk = Talk(terminal(handmade_model, ARXIVCLI_HISTORY=str(kept)))
    assert talk.leave() == 0
    assert kept.read_text().splitlines() == [f"title {number}" for number in range(1_500, 2_500)]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    odd = Talk(terminal(handmade_model, ARXIVCLI_HISTORY=str(tmp_path / "history" / "below")))
    assert "astro-ph.GA" in odd.paper("Galaxies")
    assert odd.leave() == 0


# -- arXiv ------------------------------------------------------------------------------------------------------------


def test_a_paper_by_its_id(handmade_model: Path) -> None:
    with Double(20) as double:
        known = double.catalogue.ids[3]
        title = double.catalogue.paper(known).title
        talk = Talk(terminal(handmade_model, NO_COLOR="1", ARXIVCLI_API_URL=double.query_url, ARXIVCLI_PACE="0"))
        answer = talk.say(f":id https://arxiv.org/abs/{known}v1")
        assert " ".join(title.split()) in " ".join(answer.split())
        assert "%" in answer
        assert "error: 9912.99999: arXiv has no paper of this id" in talk.say(":id 9912.99999")
        assert "error: papers/0000001 is no arXiv id" in talk.say(":id papers/0000001"), "no archive has that name"
        assert talk.leave() == 0
