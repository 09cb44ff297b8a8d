"""What can go wrong on the network, sorted: trouble that passes, questions that a server cannot answer, refusals.

TransientError          worth another try
RemoteError             final
└── BrokenAnswerError   final for this question alone
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

import httpx

from arxivcli.errors import RemoteError
from arxivcli.sources import retry_after as waits
from arxivcli.sources.addresses import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NUMBERS = re.compile(r"^\[Errno -?\d+\] |^\[SSL: \w+\] | \(_ssl\.c:\d+\)$")
_REFUSALS = {401, 403, 406, 451}
_BROKEN = 500
_PASSING = {408, 425, 429, *range(_BROKEN, 600)}
_BUSY = {429, 503}

TRIES = 3
"""How often an answer that is likely to stay bad is asked for."""


class TransientError(Exception):
    """Trouble that may pass: worth another try.

    Attributes:
        retry_after: Seconds the server asked us to wait; None when it did not.
        busy: Whether the server has too much to do.
        tries: After so many of the kind it will not pass; None when it always may.
        moved: Whether this try got further than the one before.
        answered: Whether the server said anything.
    """

    def __init__(
        self,
        what: str,
        *,
        retry_after: float | None = None,
        busy: bool = False,
        tries: int | None = None,
        moved: bool = False,
        answered: bool = True,
    ) -> None:
        super().__init__(what)
        self.retry_after = retry_after
        self.busy = busy
        self.tries = tries
        self.moved = moved
        self.answered = answered


class BrokenAnswerError(RemoteError):
    """The server fails on this very question, however often it is asked."""


def told(response: httpx.Response) -> TransientError | RemoteError:
    """What an answer means that is none."""
    status, server = response.status_code, place(response.url)
    said = f"{server} says {status} {response.reason_phrase}".rstrip()
    if status in _REFUSALS:
        return RemoteError(
            f"{said}: it refuses to serve us",
            "do not try again from here; ask its people, or take the snapshot file (arxivcli fetch)",
        )
    if status not in _PASSING:
        return RemoteError(said, "check the URL and the options")
    return TransientError(
        said,
        retry_after=waits.seconds(response.headers),
        busy=status in _BUSY,
        tries=TRIES if status == _BROKEN else None,
    )


@contextmanager
def translated(url: httpx.URL, timeout: float, tries: int | None, slow: Callable[[], bool]) -> Iterator[None]:
    """Inside, what the HTTP library raises becomes ours; no query of an address is told, as it may be a secret.

    Args:
        url: Who is asked.
        timeout: How long it may be silent.
        tries: How often to try while it does not answer at all.
        slow: Whether we ended the connection ourselves.
    """
    server = place(url)
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise _unreachable(url, "it does not answer", tries) from error
    except httpx.TimeoutException as error:
        raise TransientError(f"{server} was silent for {timeout:g} s", tries=tries, answered=False) from error
    except (httpx.ConnectError, httpx.ProxyError) as error:
        if "CERTIFICATE" in str(error):
            raise RemoteError(
                f"{server} cannot be trusted: {reason(error)}",
                "check this machine's clock and certificates (SSL_CERT_FILE names your own)",
            ) from error
        raise _unreachable(url, reason(error), tries) from error
    except (httpx.TransportError, httpx.DecodingError, httpx.StreamError) as error:
        if "location header" in str(error):
            raise _astray(server) from None  # the cause would quote it
        why = "it came too slowly" if slow() else reason(error)
        raise TransientError(f"the answer of {server} broke off: {why}") from error
    except httpx.InvalidURL:
        raise _astray(server) from None


def _unreachable(url: httpx.URL, why: str, tries: int | None) -> TransientError:
    proxy = url.scheme in getproxies() and not proxy_bypass(url.host)
    way = " through the proxy that the environment names" if proxy else ""
    return TransientError(f"cannot connect to {place(url)}{way}: {why}", tries=tries, answered=False)


def _astray(server: str) -> RemoteError:
    return RemoteError(f"{server} redirects to what is no address", "try again later")


def reason(error: Exception) -> str:
    """What the system says, without numbers of errors."""
    return _NUMBERS.sub("", " ".join(str(error).split())) or type(error).__name__
