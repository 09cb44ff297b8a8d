"""Where the web client goes and where not: redirects, names, certificates, proxies, and who hears a secret."""

from __future__ import annotations

import threading
import traceback
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from double import faults
from loopback import address, body, client, free_port, refused, self_signed, site

from arxivcli.errors import RemoteError, UsageError
from arxivcli.sources import trouble
from arxivcli.sources.trouble import BrokenAnswerError

if TYPE_CHECKING:
    from pathlib import Path

    from double.serving import Site


pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arxivcli.sources.web.PACE", 0.0)  # arXiv's names lead to this machine here


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("certificate"))


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://example.org/",
        "https://example.org/",
        "//example.org/",
        "http://[::1]/",
        "http://127.0.0.1/",
        "http://127.0.0.1.example.org/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
    ],
)
def test_nobody_leads_us_elsewhere(server: Site, target: str) -> None:
    server.faults.add(faults.redirect(target), times=None)
    error = refused(address(server))
    assert "where we do not go" in error.what
    assert len(server.log) == 1


@pytest.mark.parametrize("target", ["http://[::1", "http://127.0.0.1:notaport/", "javascript:alert(1)"])
def test_a_redirect_to_no_address_is_said(server: Site, target: str) -> None:
    server.faults.add(faults.redirect(target), times=None)
    assert "redirects to what is no address" in refused(address(server)).what
    assert len(server.log) == 1


def test_a_redirect_with_a_password_is_refused(server: Site) -> None:
    server.faults.add(faults.redirect(f"http://user:secret@127.0.0.1:{server.port}/"), times=None)
    assert "secret" not in str(refused(address(server)))


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_within_a_server_is_followed_at_our_pace(server: Site, code: int) -> None:
    server.faults.add(faults.redirect("/there?q=1", code))
    with client(address(server, "/here"), pace=0.1) as web:
        assert web.ask({"q": "1"}, body) == b"hello"
    assert [asked.target for asked in server.log] == ["/here?q=1", "/there?q=1"]
    assert min(server.log.gaps()) >= 0.09


def test_a_circle_is_left(server: Site) -> None:
    server.faults.add(faults.redirect_loop(), times=20)
    assert "in circles" in refused(address(server)).what
    assert len(server.log) == 6


def test_an_allowed_host_is_followed_without_the_secret(server: Site) -> None:
    with site(name="two") as other:
        server.faults.add(faults.redirect(address(other, "/signed?key=1")), times=None)
        assert "where we do not go" in refused(address(server)).what
        assert len(other.log) == 0
        place = f"127.0.0.1:{other.port}"
        for allowed in ({"allowed": (place.upper(),)}, {"hosts": (place,)}):
            with (
                client(address(server), **allowed) as web,
                web.opened(address(server), secret={"Authorization": "Bearer abc"}) as response,
            ):
                assert response.read() == b"hello"
        assert {asked.headers.get("authorization") for asked in other.log} == {None}
    assert [asked.headers.get("authorization") for asked in server.log][1:] == ["Bearer abc"] * 2


def test_arxivs_machines_send_to_each_other_at_one_pace(server: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen from a proxy, which is where all of arXiv is in a test."""
    monkeypatch.setenv("HTTP_PROXY", address(server))
    server.faults.add(faults.redirect("http://oaipmh.arxiv.org/oai"), number=1)
    server.faults.add(faults.redirect("http://arxiv.org.example.com/oai"), number=3)
    with client("http://export.arxiv.org/oai2", pace=0.1) as web:
        assert web.ask({}, body) == b"hello"
        with pytest.raises(RemoteError, match=r"redirects to http://arxiv.org.example.com, where we do not go"):
            web.ask({}, body)
    assert [asked.headers["host"] for asked in server.log] == [
        "export.arxiv.org",
        "oaipmh.arxiv.org",
        "export.arxiv.org",
    ]
    assert min(server.log.gaps()) >= 0.09


def test_a_name_that_nobody_knows() -> None:
    error = refused("http://no-such-host.invalid/")
    assert error.what.startswith("cannot connect to no-such-host.invalid: ")
    assert "Errno" not in error.what
    assert not isinstance(error, BrokenAnswerError)


def test_a_refused_connection() -> None:
    port = free_port()
    error = refused(f"http://127.0.0.1:{port}/")
    assert error.what == f"cannot connect to 127.0.0.1:{port}: Connection refused, 3 times"
    assert not isinstance(error, BrokenAnswerError)


def test_a_server_that_was_there_is_waited_for() -> None:
    again: list[Site] = []
    with site() as first, client(address(first)) as web:
        web.ask({}, body)
        first.end()
        timer = threading.Timer(0.4, lambda: again.append(stack.enter_context(site(port=first.port))))
        with ExitStack() as stack:
            timer.start()
            assert web.ask({}, body) == b"hello"
            timer.join()
            assert len(again[0].log) == 1


def test_a_server_that_nobody_vouches_for_is_not_asked(certificate: Path) -> None:
    with site(certificate=certificate) as served:
        error = refused(address(served, scheme="https"))
        assert len(served.log) == 0
    assert error.what.endswith("cannot be trusted: certificate verify failed: self-signed certificate")
    assert "clock" in error.hint


def test_own_certificates_count_and_encryption_is_not_given_up(
    certificate: Path, server: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with site(certificate=certificate) as served:
        url = address(served, scheme="https")
        with client(url) as web:
            assert web.ask({}, body) == b"hello"
        served.faults.add(faults.redirect(address(server)), times=None)
        error = refused(url, allowed=(f"127.0.0.1:{server.port}",))
    assert "where we do not go" in error.what
    assert len(server.log) == 0


def test_plain_http_where_encryption_was_expected(server: Site) -> None:
    assert "cannot connect" in refused(address(server, scheme="https")).what


def test_a_dead_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{free_port()}")
    error = refused("http://oaipmh.arxiv.org/oai")
    assert error.what.startswith("cannot connect to oaipmh.arxiv.org through the proxy that the environment names: ")
    assert "secret" not in "".join(traceback.format_exception(error))


def test_a_proxy_that_does_not_want_to(server: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    server.faults.add(faults.status(407), times=None)
    monkeypatch.setenv("HTTPS_PROXY", address(server))
    monkeypatch.setattr("double.serving._Handler.do_CONNECT", _connect, raising=False)
    error = refused("https://oaipmh.arxiv.org/oai")
    assert "through the proxy that the environment names: 407" in error.what


def _connect(handler: object) -> None:
    handler.do_GET()  # type: ignore[attr-defined]


def test_no_proxy_is_kept(server: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with client(address(server)) as web:
        assert web.ask({}, body) == b"hello"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "foo://me:secret@host"),
        ("ALL_PROXY", "http://[::1"),
        ("HTTPS_PROXY", "socks5://me:secret@host:1"),
        ("SSL_CERT_FILE", "/nowhere/secret.pem"),
        ("SSL_CERT_FILE", "/etc/passwd"),
    ],
)
def test_an_impossible_environment_is_said(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as caught, client("http://127.0.0.1/"):
        pass
    assert "secret" not in str(caught.value)
    assert name.rpartition("_")[2].lower() in str(caught.value).lower()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "arxiv.org",
        "ftp://arxiv.org",
        "http://",
        "http://me:secret@arxiv.org/",
        "http://me:secret@[::1",
        "http://[::1",
        "http://a..b",
        "h\n",
    ],
)
def test_what_is_no_address_is_said_before_anything_is_asked(url: str) -> None:
    with pytest.raises(UsageError) as caught, client(url):
        pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "action",
    [
        faults.reset(),
        faults.reset(after=2),
        faults.status(403),
        faults.status(503),
        faults.headers(Content_Encoding="br"),
        faults.redirect("http://elsewhere.example/?key=SIGNATURE"),
        faults.redirect("http://[::SIGNATURE/?key=SIGNATURE"),
    ],
    ids=["reset", "cut", "refused", "busy", "odd", "elsewhere", "nowhere"],
)
def test_no_secret_is_in_any_error_or_its_traceback(server: Site, action: faults.Action) -> None:
    server.faults.add(action, times=None)
    url, secret = address(server, "/file?key=SIGNATURE"), {"Authorization": "Bearer SECRET"}

    def attempt() -> bytes:
        with web.opened(url, secret=secret) as response:
            if response.status_code != 200:
                raise trouble.told(response)
            return web._body(response)

    with client(url, max_wait=0.05) as web, pytest.raises(RemoteError) as caught:
        web.patiently(attempt)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "SECRET" not in told
    assert "SIGNATURE" not in told
    assert server.log[0].headers["authorization"] == "Bearer SECRET"
