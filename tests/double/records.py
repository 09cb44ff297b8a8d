"""Records as the OAI-PMH server writes them, in each of its four formats."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

from . import sets
from .exchange import escaped
from .words import utf8

if TYPE_CHECKING:
    from .papers import Paper

_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="{0} {1}"'
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", *["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"])
FORMATS = {
    "oai_dc": ("http://www.openarchives.org/OAI/2.0/oai_dc.xsd", "http://www.openarchives.org/OAI/2.0/oai_dc/"),
    "arXiv": ("http://arxiv.org/OAI/arXiv.xsd", "http://arxiv.org/OAI/arXiv/"),
    "arXivOld": ("http://arxiv.org/OAI/arXivOld.xsd", "http://arxiv.org/OAI/arXivOld/"),
    "arXivRaw": ("http://arxiv.org/OAI/arXivRaw.xsd", "http://arxiv.org/OAI/arXivRaw/"),
}
"""metadataPrefix -> schema, namespace."""


@lru_cache(4096)
def day(moment: int) -> str:
    """2014-12-15."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def mail_date(moment: int, *, padded: bool = True) -> str:
    """Wed, 25 Jun 2008 15:29:38 GMT; the snapshot does not pad the day."""
    year, month, date, hour, minute, second, weekday, *_ = time.gmtime(moment)
    width = 2 if padded else 1
    return f"{_DAYS[weekday]}, {date:0{width}d} {_MONTHS[month]} {year} {hour:02d}:{minute:02d}:{second:02d} GMT"


def header(paper: str, modtime: int, specs: tuple[str, ...]) -> str:
    """The header of a record."""
    lines = "".join(f"      <setSpec>{spec}</setSpec>\n" for spec in specs)
    return (
        "    <header>\n"
        f"      <identifier>oai:arXiv.org:{paper}</identifier>\n"
        f"      <datestamp>{day(modtime)}</datestamp>\n{lines}"
        "    </header>\n"
    )


def record(paper: Paper, prefix: str) -> str:
    """A whole record."""
    return (
        f"   <record>\n{header(paper.id, paper.modtime, sets.of(paper.categories or ''))}"
        f"    <metadata>\n{_WRITERS[prefix](paper)}    </metadata>\n   </record>\n"
    )


_TAGS = {name: name.replace("_", "-") for name in ("report_no", "acm_class", "msc_class", "journal_ref")}


def _opening(prefix: str, name: str | None = None) -> str:
    schema, namespace = FORMATS[prefix]
    where = _XSI.format(namespace, schema)
    return f'    <{name or prefix} xmlns="{namespace}" {where}>\n'


_OPENINGS = {prefix: _opening(prefix) for prefix in ("arXiv", "arXivOld", "arXivRaw")}


def _optional(**values: str | None) -> str:
    """Elements in the order given; what is empty is left out."""
    found = ""
    for name, value in values.items():
        if value:
            tag = _TAGS.get(name, name)
            found += f"     <{tag}>{escaped(value)}</{tag}>\n"
    return found


def _raw(paper: Paper) -> str:
    versions = "".join(
        f'     <version version="v{version.number}">\n      <date>{mail_date(version.created)}</date>\n'
        f"      <size>{version.size_kb}kb</size>\n"
        + (f"      <source_type>{version.source}</source_type>\n" if version.source else "")
        + "     </version>\n"
        for version in paper.versions
    )
    return (
        f"{_OPENINGS['arXivRaw']}     <id>{paper.id}</id>\n"
        f"     <submitter>{escaped(str(paper.submitter))}</submitter>\n{versions}"
        f"     <title>{escaped(paper.title)}</title>\n     <authors>{escaped(paper.authors)}</authors>\n"
        f"     <categories>{paper.categories}</categories>\n"
        + _optional(comments=paper.comments, proxy=paper.proxy, report_no=paper.report_no)
        # The real template's slip: acm-class has what belongs into msc-class.
        + (_optional(acm_class=str(paper.msc_class)) if paper.acm_class else "")
        + _optional(
            msc_class=paper.msc_class,
            journal_ref=paper.journal_ref,
            doi=paper.doi,
            license=paper.license,
            abstract=paper.abstract,
        )
        + "    </arXivRaw>\n"
    )


def _old(paper: Paper) -> str:
    return (
        f"{_OPENINGS['arXivOld']}     <id>{paper.id}</id>\n     <title>{escaped(paper.title)}</title>\n"
        f"     <authors>{escaped(paper.authors)}</authors>\n     <categories>{paper.categories}</categories>\n"
        + _optional(
            comments=paper.comments,
            proxy=paper.proxy,
            report_no=paper.report_no,
            msc_class=paper.msc_class,
            acm_class=paper.acm_class,
            journal_ref=paper.journal_ref,
            doi=paper.doi,
            abstract=paper.abstract,
            license=paper.license,
        )
        + "    </arXivOld>\n"
    )


def _arxiv(paper: Paper) -> str:
    # Only the current version is loaded: `created` is its date, whatever the schema says.
    current = paper.versions[-1]
    people = "".join(
        f"      <author>\n       <keyname>{escaped(utf8(keyname))}</keyname>\n"
        + (f"       <forenames>{escaped(utf8(forenames))}</forenames>\n" if forenames else "")
        + (f"       <suffix>{suffix}</suffix>\n" if suffix else "")
        + "      </author>\n"
        for keyname, forenames, suffix in paper.people
    )
    updated = f"     <updated>{day(current.created)}</updated>\n" if len(paper.versions) > 1 else ""
    return (
        f"{_OPENINGS['arXiv']}     <id>{paper.id}</id>\n     <created>{day(current.created)}</created>\n{updated}"
        f"     <authors>\n{people}     </authors>\n     <title>{escaped(utf8(paper.title))}</title>\n"
        + _optional(
            categories=paper.categories,
            comments=utf8(paper.comments or ""),
            proxy=paper.proxy,
            report_no=paper.report_no,
            msc_class=paper.msc_class,
        )
        + (_optional(acm_class=str(paper.msc_class)) if paper.acm_class else "")
        + _optional(
            journal_ref=paper.journal_ref, doi=paper.doi, license=paper.license, abstract=utf8(paper.abstract or "")
        )
        + "    </arXiv>\n"
    )


def _dublin_core(paper: Paper) -> str:
    schema, namespace = FORMATS["oai_dc"]
    names = {sets.taxonomy()["categories"][name]["name"]: None for name in (paper.categories or "").split()}
    subjects = [*names, paper.msc_class, paper.acm_class]
    dates = dict.fromkeys(day(version.created) for version in (paper.versions[0], paper.versions[-1]))
    people = [
        f"{utf8(keyname)}{suffix and ' '}{suffix}, {utf8(forenames)}" for keyname, forenames, suffix in paper.people
    ]
    values: list[tuple[str, str | None]] = [
        ("title", utf8(paper.title)),
        *(("creator", person) for person in people),
        *(("subject", subject) for subject in subjects),
        ("description", paper.abstract and f"{utf8(paper.abstract)} "),
        ("description", paper.comments and utf8(paper.comments)),
        *(("date", date) for date in dates),
        ("type", "text"),
        ("identifier", f"http://arxiv.org/abs/{paper.id}"),
        ("identifier", paper.journal_ref),
        ("identifier", paper.doi and f"doi:{paper.doi}"),
    ]
    elements = "".join(f"     <dc:{name}>{escaped(value)}</dc:{name}>\n" for name, value in values if value)
    where = _XSI.format(namespace, schema)
    spaces = f'xmlns:oai_dc="{namespace}" xmlns:dc="http://purl.org/dc/elements/1.1/" {where}'
    return f"    <oai_dc:dc {spaces}>\n{elements}    </oai_dc:dc>\n"


_WRITERS = {"arXivRaw": _raw, "arXivOld": _old, "arXiv": _arxiv, "oai_dc": _dublin_core}
