"""Feeds and entries as the query API writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import words
from .records import day, mail_date

if TYPE_CHECKING:
    import datetime as dt

    from .papers import Paper

KIND = "application/atom+xml; charset=utf-8"
_SCHEME = "http://arxiv.org/schemas/atom"
_HEAD = (
    "<?xml version='1.0' encoding='UTF-8'?>\n"
    '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom" '
    'xmlns="http://www.w3.org/2005/Atom">\n'
)


def feed(
    entries: str,
    now: dt.datetime,
    *,
    counts: tuple[int, int, int],
    ident: str = "https://arxiv.org/",
    title: str = "arXiv Search Results",
    link: str = "",
) -> str:
    """A feed; `counts` are itemsPerPage, totalResults and startIndex."""
    linked = f'  <link href="{xml(link)}" type="application/atom+xml"/>\n' if link else ""
    return (
        f"{_HEAD}  <id>{ident}</id>\n  <title>{xml(title)}</title>\n  <updated>{now:%Y-%m-%dT%H:%M:%SZ}</updated>\n"
        f"{linked}  <opensearch:itemsPerPage>{counts[0]}</opensearch:itemsPerPage>\n"
        f"  <opensearch:totalResults>{counts[1]}</opensearch:totalResults>\n"
        f"  <opensearch:startIndex>{counts[2]}</opensearch:startIndex>\n{entries}</feed>\n"
    )


def entry(paper: Paper, version: int | None = None, *, legacy: bool = False) -> str:
    """An entry of the newest or of an older version, the elements in the order of the real server."""
    shown = paper.versions[(version or len(paper.versions)) - 1]
    where = f"{paper.id}v{shown.number}"
    # Some abstracts still have the two spaces that the submission system put before them.
    abstract = paper.abstract or ""
    summary = abstract if paper.versions[0].size_kb % 2 else " ".join(abstract.split())
    names = (paper.categories or "").split()
    terms = [*names, *(term for term in (paper.msc_class, paper.acm_class) if term and legacy)]
    more = (("comment", paper.comments), ("journal_ref", paper.journal_ref), ("doi", paper.doi))
    lines = [
        f"<id>http://arxiv.org/abs/{where}</id>",
        f"<title>{xml(' '.join(paper.title.split()))}</title>",
        f"<updated>{_iso(shown.created)}</updated>",
        f'<link href="https://arxiv.org/abs/{where}" rel="alternate" type="text/html"/>',
        f'<link href="https://arxiv.org/pdf/{where}" rel="related" type="application/pdf" title="pdf"/>',
        f"<summary>{xml(summary)}</summary>",
        *(f'<category term="{xml(term)}" scheme="{_SCHEME}"/>' for term in terms),
        f"<published>{_iso(paper.versions[0].created)}</published>",
        *(f"<arxiv:{name}>{xml(value)}</arxiv:{name}>" for name, value in more if value),
        *(f'<arxiv:primary_category term="{name}"/>' for name in names[:1]),
        *(_author(person) for person in paper.people),
    ]
    return "  <entry>\n" + "".join(f"    {line}\n" for line in lines) + "  </entry>\n"


def failure(says: str, link: str, now: dt.datetime) -> str:
    """A feed whose one entry is an error."""
    when = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    text = (
        f"  <entry>\n    <id>{xml(link)}</id>\n    <title>Error</title>\n    <updated>{when}</updated>\n"
        f'    <link href="{xml(link)}" rel="alternate" type="text/html"/>\n    <summary>{xml(says)}</summary>\n'
        "    <author>\n      <name>arXiv api core</name>\n    </author>\n  </entry>\n"
    )
    return feed(text, now, counts=(1, 1, 0))


def xml(text: str) -> str:
    """Text as the feed generator escapes it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _author(person: words.Author) -> str:
    name = " ".join(part for part in (person.forenames, person.keyname, person.suffix) if part)
    place = "\n      <arxiv:affiliation>University of Nowhere</arxiv:affiliation>" if person.suffix else ""
    return f"<author>\n      <name>{xml(words.utf8(name))}</name>{place}\n    </author>"


def _iso(moment: int) -> str:
    return f"{day(moment)}T{mail_date(moment)[-12:-4]}Z"
