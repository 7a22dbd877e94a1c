"""Why a server gave no answer: each cause, made on loopback, is named with its next step."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from cave_auth_adapter.service.unreachable import describe_failure
from cave_auth_adapter.shells import unset

URL = "https://cave.example.org/info"


@pytest.fixture
def failure() -> Callable[..., str]:
    """What is said about a request that fails."""

    def ask(url: str = URL, **options: Any) -> str:
        with pytest.raises((requests.RequestException, OSError)) as caught:
            requests.get(url, timeout=2, **options)
        return describe_failure(caught.value, 2, url)

    return ask


@pytest.fixture
def listener() -> Iterator[Callable[[bytes], int]]:
    """A port on loopback that gives one answer to every request."""
    sockets = []

    def listen(answer: bytes) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        sockets.append(server)

        def serve() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    connection.recv(65536)
                    connection.sendall(answer)
                    connection.close()
            except OSError:  # the test is over
                pass

        threading.Thread(target=serve, daemon=True).start()
        return int(server.getsockname()[1])

    yield listen
    for server in sockets:
        server.close()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections. It is bound, so that no other test opens it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_missing_ca_bundle_is_named(
    failure: Callable[..., str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/old/env/cacert.pem")
    said = failure()
    assert f"the variable {name} names /old/env/cacert.pem, which does not exist" in said
    assert said.endswith(f"or {unset(name)}.")


def test_a_proxy_that_wants_a_password_is_named(
    failure: Callable[..., str],
    listener: Callable[[bytes], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = listener(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
    said = failure()
    assert "the proxy that https_proxy names wants a user name and a password" in said
    assert "http://USER:PASSWORD@PROXY:PORT" in said


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_an_unreachable_proxy_is_named(
    failure: Callable[..., str], closed_port: int, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    if scheme == "socks5h":
        pytest.importorskip("socks", reason="PySocks is not installed")
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{closed_port}")
    said = failure()
    said = said.replace("all_proxy", "ALL_PROXY")  # Windows doesn't tell one from the other
    assert said.startswith("can't be reached through the proxy that ALL_PROXY names: ")
    assert "unset it if you need no proxy" in said


def test_a_missing_socks_package_is_named(
    failure: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any, **__: Any) -> None:  # what requests puts there without PySocks
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", missing)
    monkeypatch.setenv("HTTPS_PROXY", "socks5h://127.0.0.1:9")
    assert failure().endswith('pip install "requests[socks]"')


def test_an_unresolved_name_is_explained(
    failure: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    said = failure()
    assert said.startswith("can't be found: its name does not resolve.")
    assert "VPN" in said


def test_a_closed_port_is_explained(failure: Callable[..., str], closed_port: int) -> None:
    said = failure(f"https://127.0.0.1:{closed_port}/")
    assert said.startswith("can't be reached: ")
    assert "refused" in said


def test_a_port_without_tls_is_explained(
    failure: Callable[..., str], listener: Callable[[bytes], int]
) -> None:
    port = listener(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert failure(f"https://127.0.0.1:{port}/").startswith("does not speak TLS on that port.")


def test_a_silent_server_is_a_timeout(failure: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(requests.Timeout) as caught:
            requests.get(url, timeout=0.1)
    assert describe_failure(caught.value, 0.1, url).startswith("did not answer within 0.1 seconds.")


def test_a_certificate_of_another_authority_is_explained(
    failure: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl

    import trustme

    authority, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "other.pem"
    other.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=serve)
        thread.start()
        said = failure(f"https://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()
    assert "its certificate is not valid" in said
    assert "the CA bundle that REQUESTS_CA_BUNDLE names" in said
    assert "as in hotels, open any page in a browser first" in said
