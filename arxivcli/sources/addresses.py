"""Where things are on the network: addresses that can be, and who is behind them."""

from __future__ import annotations

import httpx

from arxivcli.errors import UsageError


def checked_url(url: str) -> httpx.URL:
    """An http(s) address with a host and no credentials in it. Raises UsageError."""
    shown = "the address" if "@" in url else repr(url)  # before the @ there may be a password
    try:
        found = httpx.URL(url)
        found.host.encode("idna")  # what cannot be cannot be looked up either
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UsageError(f"{shown} is none that can be", "give one like https://host/path") from error
    if found.userinfo:
        raise UsageError("the address holds a password, which would be seen by everybody", "leave it out")
    if found.scheme not in {"http", "https"} or not found.host:
        raise UsageError(f"{shown} is no http address", "give one like https://host/path")
    return found


def place(url: httpx.URL) -> str:
    """`host`, or `host:port` where the port is not the scheme's own."""
    return url.host if url.port is None else f"{url.host}:{url.port}"


def keeper(url: httpx.URL) -> str:
    """Whose pace is kept: all of arXiv's machines are one."""
    return "arxiv" if is_arxivs(url.host) else place(url)


def is_arxivs(host: str) -> bool:
    """Whether a machine is one of arXiv's."""
    return host == "arxiv.org" or host.endswith(".arxiv.org")
