"""Proxies and authorities of the environment, whatever stands in the variables."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook.api.proxies import Proxies, is_excepted
from gradient_notebook.connect import discover
from gradient_notebook.simulator import Simulator

from .network import HOST, Authority, Proxy

KEY = "sk-do-for-these-tests-only"
_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _AUTHORITIES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def company(authority: Authority, service: Simulator) -> Iterator[tuple[int, Proxy]]:
    """The port of a service with a certificate of the company's, and a proxy that leads there."""
    with ExitStack() as stack:
        front = stack.enter_context(authority.front(int(service.url.rpartition(":")[2])))
        yield front.port, stack.enter_context(Proxy(front.port))


def make(endpoint: str) -> Any:
    settings = discover(endpoint=endpoint, key=KEY, max_retries=0, read_timeout_s=20)
    return gn.generate("a red otter", quality="low", settings=settings)


# Certificates.


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_file_of_authorities_is_trusted(
    company: tuple[int, Proxy], authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Each name under which tools look for it does; it holds from the moment when it is set."""
    endpoint = f"https://127.0.0.1:{company[0]}"
    with pytest.raises(gn.APIConnectionError, match=r"set SSL_CERT_FILE to the file") as caught:
        make(endpoint)
    assert caught.value.sent is False
    monkeypatch.setenv(variable, f" {authority.file} ")
    assert make(endpoint).size == (1024, 1024)


@pytest.mark.parametrize("variable", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_a_folder_of_authorities_is_trusted(
    company: tuple[int, Proxy], authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """As OpenSSL has it: named by their hashes. A folder that is missing beside one that is there does not matter."""
    hashed = ["openssl", "x509", "-subject_hash", "-noout", "-in", str(authority.file)]
    name = subprocess.run(hashed, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / f"{name}.0").write_bytes(authority.file.read_bytes())
    beside = f"/no/such{os.pathsep}" if variable == "SSL_CERT_DIR" else ""
    monkeypatch.setenv(variable, f"{beside}{tmp_path}")
    assert make(f"https://127.0.0.1:{company[0]}").size == (1024, 1024)


def test_ssl_cert_file_goes_first(
    company: tuple[int, Proxy], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the others name is not looked at, be it broken."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert make(f"https://127.0.0.1:{company[0]}").size == (1024, 1024)


@pytest.mark.parametrize("variable", _AUTHORITIES)
@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff\xfe\x00\x01"])
def test_what_cannot_be_trusted_is_named(
    company: tuple[int, Proxy], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, content: bytes | None
) -> None:
    """A file that is missing or holds no certificate: the variable and the file, before anything is sent."""
    place = tmp_path / "ca.pem"
    if content is not None:
        place.write_bytes(content)
    monkeypatch.setenv(variable, str(place))
    with pytest.raises(gn.InvalidSettingsError) as caught:
        make(f"https://127.0.0.1:{company[0]}")
    assert str(caught.value).startswith(f"{variable}={str(place)!r}: ")
    assert f"unset {variable}" in str(caught.value)


def test_a_certificate_of_nobody_named_says_who_is_trusted(
    company: tuple[int, Proxy], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file is set already, the message says which, and which is not looked at beside it."""
    import certifi

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    monkeypatch.setenv("CURL_CA_BUNDLE", str(authority.file))
    with pytest.raises(
        gn.APIConnectionError, match=r"Trusted is what REQUESTS_CA_BUNDLE=.* names, and not what CURL_CA_BUNDLE names:"
    ):
        make(f"https://127.0.0.1:{company[0]}")


# Proxies.


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("form", ["127.0.0.1:{}", " http://127.0.0.1:{}/ ", "HTTP://user:p%40ss@127.0.0.1:{}"])
@pytest.mark.parametrize("beside", ["localhost,127.0.0.1,[::1]", "fe80::/10, .other.example"])
def test_a_request_goes_by_the_proxy(  # noqa: PLR0917 - two fixtures and three tables
    company: tuple[int, Proxy],
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    form: str,
    beside: str,
) -> None:
    """With a scheme or without, whatever else NO_PROXY names."""
    _, proxy = company
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv(variable, form.format(proxy.port))
    monkeypatch.setenv("NO_PROXY", beside)
    assert make(f"https://{HOST}/v1").size == (1024, 1024)
    assert proxy.asked == [f"{HOST}:443"]


def test_a_variable_that_is_not_meant_cannot_stand_in_the_way(
    company: tuple[int, Proxy], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A desktop sets them all: one that is broken matters to its own addresses only."""
    _, proxy = company
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "nonsense://")
    assert make(f"https://{HOST}").size == (1024, 1024)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("socks://127.0.0.1:1080", "Write socks5://host:port"),
        ("socks5://127.0.0.1:1080", "needs the package socksio"),
        ("socks5h://me:secret@127.0.0.1:1080", "needs the package socksio"),
        ("nonsense://nowhere", "no proxy of the kind 'nonsense'"),
        ("http://", "expected the address of a proxy"),
        ("http://nowhere:port", "expected the address of a proxy"),
        ('"http://nowhere:1"', "expected the address of a proxy"),
        ("http://me:secret@no where:1", "expected the address of a proxy"),
        ("http://me:secret@[::1", "expected the address of a proxy"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    """By its variable, without its password."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(gn.InvalidSettingsError) as caught:
        make(f"https://{HOST}")
    assert str(caught.value).startswith(f"{variable}=")
    assert words in str(caught.value)
    assert "secret" not in f"{caught.value} {caught.value.__context__}"


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint may be fine."""
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@127.0.0.1:9")
    with pytest.raises(gn.APIConnectionError, match=r"HTTPS_PROXY='http://\*\*\*@127.0.0.1:9'") as caught:
        make(f"https://{HOST}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "exceptions",
    [
        *("*", "a.example, *", HOST, HOST.upper(), f"{HOST}.", f".{HOST}", "example", ".example", "*.example"),
        *(f"{HOST}:443", f"https://{HOST}", f"{HOST}/v1", "inf*", "localhost,127.0.0.1,[::1],.example"),
        *(f"localhost {HOST}", f" localhost ;{HOST} ", f'"localhost,{HOST}"', f"10.0.0.0/99,%,[,::,a:b:c,{HOST}"),
    ],
)
def test_no_proxy_names_a_host_in_many_ways(exceptions: str) -> None:
    """Each leads past the proxy, and what is no entry beside it changes nothing."""
    assert is_excepted(exceptions, HOST, 443)


@pytest.mark.parametrize(
    ("exceptions", "host"),
    [
        *((form, "10.1.2.3") for form in ("10.1.2.3", "10.0.0.0/8", "10.", "10.1.*", "10.1.2.3:443")),
        *((form, "::1") for form in ("::1", "[::1]", "[::1]:443", "0:0::1", "::/64", "[::]/64")),
        *((form, "fe80::1") for form in ("fe80::1%eth0", "[fe80::1%25eth0]", "fe80::/10")),
    ],
)
def test_no_proxy_names_an_address_in_many_ways(exceptions: str, host: str) -> None:
    """By itself, by its network, with brackets, a port and a zone."""
    assert is_excepted(exceptions, host, 443)


@pytest.mark.parametrize(
    "exceptions",
    ["", ",", ".", "/8", "other.example", "ference.example", f"{HOST}:80", "10.0.0.0/8", "[::1]", "::1", "sub." + HOST],
)
def test_no_proxy_does_not_name_another(exceptions: str) -> None:
    """A part of a name, another port and what says nothing except nothing."""
    assert not is_excepted(exceptions, HOST, 443)


def test_an_exception_leads_past_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY in either case of letters."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert Proxies.of_environment().for_address("https", HOST)
    monkeypatch.setenv("no_proxy", "[::1],.example")
    assert Proxies.of_environment().for_address("https", HOST) is None
