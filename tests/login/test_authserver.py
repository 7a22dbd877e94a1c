"""Every call of the auth service, against the sandbox and against servers that misbehave."""

from __future__ import annotations

import json
import logging
import pickle
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from cave_auth_adapter import (
    CaveAuth,
    CaveAuthError,
    InvalidHostSpec,
    PermissionMissing,
    TokenNotFound,
    TokenRefused,
)
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.service import AuthServer, ServerUnreachable, UnexpectedAnswer

from ..support.answering import Answer, StubServer

TOKEN = "0123456789abcdef0123456789abcdef"

BAD_CONTENTS: list[Any] = [None, 5, "", "two words", [1], [None], {}, [[[]]], {"id": [1]}]
Call = Callable[[AuthServer], object]
CALLS: dict[str, Call] = {
    "me": lambda server: server.me(),
    "permissions": lambda server: server.permissions(),
    "api_keys": lambda server: server.api_keys(),
    "create_key": lambda server: server.create_key("a test"),
    "revoke_key": lambda server: server.revoke_key(1),
    "time_to_live": lambda server: server.time_to_live(TOKEN),
    "log_out": lambda server: server.log_out(),
    "users": lambda server: server.users([1]),
    "usernames": lambda server: server.usernames([1]),
    "group_users": lambda server: server.group_users(1),
    "my_permissions": lambda server: server.permissions(fresh=True),
    "terms": lambda server: server.terms(),
    "missing_terms": lambda server: server.missing_terms(),
    "dataset_of": lambda server: server.dataset_of("pychunkedgraph", "minnie3_v1"),
    "has_public": lambda server: server.has_public("minnie3_v1"),
    "is_public_root": lambda server: server.is_public_root("minnie3_v1", 864691135000000000),
}
# Calls that only need success accept any JSON.
NEEDS_NO_CONTENT = ("revoke_key", "log_out")


def server_for(address: str, token: str | None = TOKEN, timeout: float = 10) -> AuthServer:
    return AuthServer(address, CaveAuth(token, hosts=[address]), timeout)


def all_of(error: BaseException) -> str:
    """The text and attributes of an error and of its causes."""
    seen = [*traceback.format_exception(error)]
    chain: BaseException | None = error
    while chain is not None:
        seen.append(repr(chain) + repr(vars(chain)))
        for part in (getattr(chain, "response", None), getattr(chain, "request", None)):
            if part is not None:
                seen.append(f"{part.url} {getattr(part, 'headers', '')}")
        inner = getattr(getattr(chain, "response", None), "request", None)
        if inner is not None:
            seen.append(f"{inner.url} {inner.headers}")
        chain = chain.__cause__ or chain.__context__
    return "\n".join(seen)


@pytest.fixture
def server(sandbox: Sandbox) -> AuthServer:
    return server_for(sandbox.auth_server, sandbox.token)


@pytest.fixture
def admin(sandbox: Sandbox) -> AuthServer:
    user = sandbox.create_user("An Admin", groups=["staff of the test"], admin=True)
    return server_for(sandbox.auth_server, sandbox.create_token(user))


class TestAnswers:
    def test_me_returns_the_account(self, server: AuthServer, sandbox: Sandbox) -> None:
        me = server.me()
        assert (me["id"], me["admin"]) == (sandbox.user, False)
        assert me["email"].endswith("@sandbox.example")

    def test_permissions_are_returned(self, sandbox: Sandbox) -> None:
        user = sandbox.create_user(
            "A Reader", groups=["readers"], permissions={"sandbox": ["view"], "sandbox_terms": []}
        )
        said = server_for(sandbox.auth_server, sandbox.create_token(user)).permissions()
        assert said["groups"] == ["readers"]
        assert said["permissions_v2"] == {"sandbox": ["view"]}
        assert [terms["tos_id"] for terms in said["missing_tos"]] == [1]
        assert said["datasets_admin"] == []

    def test_terms_are_listed_missed_and_accepted(self, sandbox: Sandbox) -> None:
        user = sandbox.create_user("A Reader", permissions={"sandbox_terms": ["view"]})
        server = server_for(sandbox.auth_server, sandbox.create_token(user))
        (terms,) = [each for each in server.terms() if each["id"] == 1]
        assert terms["name"] == "Sandbox Terms of Service"
        assert terms["text"]
        missing = server.missing_terms()
        assert [each["tos_id"] for each in missing] == [1]
        assert server.permissions(fresh=True)["missing_tos"] == missing

        server.accept_terms(1)
        assert server.missing_terms() == []

    def test_the_dataset_of_a_table_is_returned(self, server: AuthServer, sandbox: Sandbox) -> None:
        assert server.dataset_of("pychunkedgraph", "sandbox_public") is not None
        assert server.dataset_of("pychunkedgraph", "unknown") is None
        public, hidden = sandbox.roots[:2]
        assert server.has_public("sandbox_public") is True
        assert server.is_public_root("sandbox_public", public) is True
        assert server.is_public_root("sandbox_public", hidden) is False

    def test_a_key_is_made_listed_used_and_revoked(
        self, server: AuthServer, sandbox: Sandbox
    ) -> None:
        token = server.create_key("for this test")
        key = next(key for key in server.api_keys() if key.token == token)
        assert (key.description, key.user_id) == ("for this test", sandbox.user)
        assert token not in repr(key)
        with_the_new = server_for(sandbox.auth_server, token)
        assert with_the_new.me()["id"] == sandbox.user

        server.revoke_key(key.id)
        assert key.id not in {key.id for key in server.api_keys()}
        with pytest.raises(TokenRefused):
            server_for(sandbox.auth_server, token).api_keys()

    def test_the_time_to_live_of_a_token_is_returned(
        self, server: AuthServer, sandbox: Sandbox
    ) -> None:
        login = sandbox.create_token(ttl=1000)
        assert server.time_to_live() is None
        assert 990 <= (server.time_to_live(login) or 0) <= 1000

    def test_logging_out_ends_a_login_token(self, sandbox: Sandbox) -> None:
        login = server_for(sandbox.auth_server, sandbox.create_token(ttl=1000))
        login.log_out()
        with pytest.raises(TokenRefused):
            login.me()

    def test_an_api_key_does_not_log_out(self, server: AuthServer) -> None:
        with pytest.raises(UnexpectedAnswer, match=r"status 422: .Can't logout an API Key") as said:
            server.log_out()
        assert said.value.response.status_code == 422

    def test_users_are_found(self, admin: AuthServer, server: AuthServer, sandbox: Sandbox) -> None:
        assert [user["id"] for user in admin.users([sandbox.user, 10**6])] == [sandbox.user]
        name = server.me()["name"]
        assert server.usernames(iter([sandbox.user, 10**6])) == {sandbox.user: name}

    def test_the_users_of_a_group_are_returned(self, admin: AuthServer, sandbox: Sandbox) -> None:
        found = [admin.group_users(group) for group in range(1, 20)]
        assert any("An Admin" in {user["name"] for user in users} for users in found)
        assert admin.group_users(10**6) == []

    def test_the_token_comes_from_the_file_of_the_server(self, sandbox: Sandbox) -> None:
        from cave_auth_adapter import TokenStore

        TokenStore().save(sandbox.token, sandbox.auth_server)
        assert AuthServer(sandbox.auth_server).me()["id"] == sandbox.user

    def test_a_password_in_netrc_does_not_replace_the_token(
        self, server: AuthServer, tmp_path: Path
    ) -> None:
        (tmp_path / ".netrc").write_text("machine localhost login me password mine\n")
        (tmp_path / ".netrc").chmod(0o600)
        assert server.me()["id"]

    def test_a_token_in_a_path_is_not_logged(
        self, server: AuthServer, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        login = sandbox.create_token(ttl=1000)
        with caplog.at_level(logging.DEBUG):
            server.time_to_live(login)
        assert "/ttl" in caplog.text  # urllib3 tells the path, and that is what is looked at
        assert login not in caplog.text
        assert sandbox.token not in caplog.text
        assert logging.getLogger("urllib3.connectionpool").filters == []


class TestRefusals:
    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    def test_a_bad_token_is_refused(self, sandbox: Sandbox, call: Call) -> None:
        with pytest.raises(TokenRefused) as caught:
            call(server_for(sandbox.auth_server))
        assert TOKEN not in all_of(caught.value)
        assert isinstance(caught.value, requests.HTTPError)

    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    def test_without_a_token_the_call_fails(self, sandbox: Sandbox, call: Call) -> None:
        with pytest.raises(TokenNotFound):
            call(server_for(sandbox.auth_server, None))

    def test_without_a_token_its_time_to_live_cannot_be_asked(self, sandbox: Sandbox) -> None:
        with pytest.raises(TokenNotFound, match="cave-auth login"):
            server_for(sandbox.auth_server, None).time_to_live()

    @pytest.mark.parametrize("name", ["users", "group_users"])
    def test_a_call_for_administrators_is_refused(self, server: AuthServer, name: str) -> None:
        with pytest.raises(PermissionMissing, match="only an admin may do this") as caught:
            CALLS[name](server)
        assert caught.value.response.status_code == 403
        assert caught.value.host in server.server_address

    def test_another_users_key_cannot_be_deleted(
        self, server: AuthServer, sandbox: Sandbox
    ) -> None:
        other = sandbox.create_token(sandbox.create_user("Another"))
        with pytest.raises(TokenRefused, match="another user") as caught:
            server.time_to_live(other)
        assert other not in all_of(caught.value)

    def test_a_missing_key_is_an_error(self, server: AuthServer) -> None:
        with pytest.raises(UnexpectedAnswer, match=r"status 404: .Token doesn't exist"):
            server.revoke_key(10**9)

    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    @pytest.mark.parametrize("status", [401, 403])
    def test_the_servers_own_message_is_shown(
        self, stub_server: StubServer, call: Call, status: int
    ) -> None:
        stub_server.answer = Answer(status, f"<p>no {TOKEN}".encode(), "text/html")
        with pytest.raises(TokenRefused if status == 401 else PermissionMissing) as caught:
            call(server_for(stub_server.address))
        assert TOKEN not in all_of(caught.value)
        assert stub_server.address.partition("//")[2] in str(caught.value)

    def test_a_refusal_without_a_reason_is_explained(self, stub_server: StubServer) -> None:
        stub_server.answer = Answer(401, b"", "text/plain")
        with pytest.raises(TokenNotFound, match="no message"):
            server_for(stub_server.address, None).me()


class TestMisbehaviour:
    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    def test_a_server_that_is_down_is_an_error(self, call: Call) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(ServerUnreachable, match="connection refused") as caught:
            call(server_for(f"https://localhost:{port}"))
        assert f"https://localhost:{port}" in str(caught.value)
        assert "try again" in str(caught.value)
        assert isinstance(caught.value, requests.ConnectionError)
        assert TOKEN not in all_of(caught.value)

    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    def test_a_server_that_takes_too_long_is_an_error(
        self, stub_server: StubServer, call: Call
    ) -> None:
        stub_server.answer = Answer(delay=0.5)
        with pytest.raises(ServerUnreachable, match=r"did not answer within 0\.1 sec") as caught:
            call(server_for(stub_server.address, timeout=0.1))
        assert TOKEN not in all_of(caught.value)

    def test_a_server_that_does_not_finish_the_handshake_is_an_error(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = server_for(f"https://localhost:{listener.getsockname()[1]}", timeout=0.1)
            with pytest.raises(ServerUnreachable, match="did not answer"):
                server.time_to_live(TOKEN)

    def test_an_untrusted_certificate_is_an_error(
        self, stub_server: StubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
        with pytest.raises(ServerUnreachable, match="REQUESTS_CA_BUNDLE") as caught:
            server_for(stub_server.address).time_to_live(TOKEN)
        assert TOKEN not in all_of(caught.value)
        assert stub_server.requests == []

    def test_an_unreachable_proxy_is_an_error(
        self, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(ServerUnreachable, match=r"(?i)https_proxy"):
            server_for(stub_server.address).me()

    def test_a_truncated_answer_is_an_error(self, stub_server: StubServer) -> None:
        stub_server.answer = Answer(body=b'{"id": ', length=1000)
        with pytest.raises(ServerUnreachable) as caught:
            server_for(stub_server.address, timeout=0.5).time_to_live(TOKEN)
        assert TOKEN not in all_of(caught.value)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>Sign in",
            b"{",
            b"\xff\xfe\x00",
            b"[" * 100_000,
            TOKEN.encode(),
            f'{{"token": "{TOKEN}"'.encode(),
        ],
        ids=range(7),
    )
    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    def test_an_answer_that_is_not_json_is_an_error(
        self, stub_server: StubServer, call: Call, body: bytes
    ) -> None:
        stub_server.answer = Answer(body=body, content_type="text/html")
        with pytest.raises(UnexpectedAnswer, match="not JSON") as caught:
            call(server_for(stub_server.address))
        assert stub_server.address in str(caught.value)
        assert TOKEN not in all_of(caught.value)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            (name, content)
            for name in CALLS
            if name not in NEEDS_NO_CONTENT
            for content in BAD_CONTENTS
            if not isinstance(content, {"time_to_live": int, "dataset_of": str}.get(name, ()))
        ],
        ids=repr,
    )
    def test_json_of_another_shape_is_an_error(
        self, stub_server: StubServer, name: str, content: object
    ) -> None:
        stub_server.answer = Answer(body=json.dumps(content).encode())
        with pytest.raises(UnexpectedAnswer) as caught:
            CALLS[name](server_for(stub_server.address))
        assert stub_server.address in str(caught.value)

    @pytest.mark.parametrize("name", ["api_keys", "usernames"])
    @pytest.mark.parametrize(
        "content", [{"id": TOKEN}, {"token": TOKEN}, {"id": 1, "token": [TOKEN]}]
    )
    def test_the_content_of_a_bad_answer_is_not_shown(
        self, stub_server: StubServer, name: str, content: object
    ) -> None:
        stub_server.answer = Answer(body=json.dumps([content]).encode())
        with pytest.raises(UnexpectedAnswer) as caught:
            CALLS[name](server_for(stub_server.address))
        assert TOKEN not in all_of(caught.value)

    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    def test_a_server_error_is_reported(self, stub_server: StubServer, call: Call) -> None:
        stub_server.answer = Answer(502, f"Bad\n gateway {TOKEN}".encode(), "text/plain")
        with pytest.raises(
            UnexpectedAnswer, match=r"status 502: .Bad gateway <token>.\. Try again"
        ):
            call(server_for(stub_server.address))

    def test_a_shortened_message_does_not_show_half_a_token(self, stub_server: StubServer) -> None:
        stub_server.answer = Answer(500, b"x" * 190 + TOKEN.encode(), "text/plain")
        with pytest.raises(UnexpectedAnswer) as caught:
            server_for(stub_server.address).me()
        assert TOKEN[:4] not in str(caught.value)

    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    def test_a_redirect_is_not_followed(
        self, stub_server: StubServer, sandbox: Sandbox, call: Call
    ) -> None:
        # The sandbox's certificates are trusted here, so the stub speaks plain http.
        plain = StubServer(None)
        target = f"{sandbox.foreign_server}/{TOKEN}/x"
        plain.answer = Answer(307, headers=(("Location", target),))
        with pytest.raises(UnexpectedAnswer, match="redirect") as caught:
            call(server_for(plain.address))
        plain.close()
        assert sandbox.requests(sandbox.foreign_server) == []
        assert TOKEN not in str(caught.value)

    def test_a_redirect_to_the_login_page_is_a_refused_token(self, stub_server: StubServer) -> None:
        page = f"{stub_server.address}/sticky_auth/api/v1/authorize?redirect=x"
        stub_server.answer = Answer(302, headers=(("Location", page),))
        with pytest.raises(TokenRefused):
            server_for(stub_server.address).me()


class TestConstruction:
    @pytest.mark.parametrize(
        ("given", "address"),
        [
            ("global.daf-apis.com", "https://global.daf-apis.com"),
            ("https://Global.daf-apis.com/", "https://global.daf-apis.com"),
            ("localhost:8443", "https://localhost:8443"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ],
    )
    def test_an_address_may_be_written_in_several_ways(self, given: str, address: str) -> None:
        assert AuthServer(given).server_address == address

    @pytest.mark.parametrize(
        "given",
        ["http://example.org", "*.example.org", "https://a.org/path", "", "a b", "u:p@a.org", None],
    )
    def test_a_malformed_address_is_refused(self, given: str) -> None:
        with pytest.raises(InvalidHostSpec):
            AuthServer(given)

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ("https://cave.my-lab.org/sticky_auth", "name only the server, cave.my-lab.org."),
            ("https://a.org:8443/info/?x=1", "name only the server, a.org:8443."),
            ("*.my-lab.org", "matches many servers. Name one"),
        ],
    )
    def test_the_error_names_the_right_address(self, given: str, told: str) -> None:
        with pytest.raises(InvalidHostSpec) as raised:
            AuthServer(given)
        assert told in str(raised.value)

    def test_repr_and_pickle_show_no_token(self) -> None:
        server = AuthServer("example.org")
        assert repr(server) == "AuthServer('https://example.org')"
        assert TOKEN not in repr(server_for("https://example.org"))
        assert pickle.loads(pickle.dumps(server)).server_address == server.server_address

    def test_another_server_is_not_trusted(self) -> None:
        auth = AuthServer("example.org")._auth
        assert auth.trusts("https://example.org/auth")
        assert not auth.trusts("https://global.daf-apis.com/")

    def test_every_error_is_a_cave_auth_error(self) -> None:
        assert issubclass(ServerUnreachable, CaveAuthError)
        assert issubclass(UnexpectedAnswer, CaveAuthError)
