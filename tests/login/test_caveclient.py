"""Our ``CAVEclient``: its session, which servers it trusts, and the datastack's own server."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from cave_auth_adapter import InvalidHostSpec, InvalidToken, PermissionMissing, TokenStore
from cave_auth_adapter.caveclient import CAVEclient
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.service import ServerUnreachable, UnexpectedAnswer

from ..support.answering import Answer, StubServer
from ..support.systems import needs_tools

pytestmark = needs_tools

TOKEN = "0123456789abcdef" * 2


def bearer(sandbox: Sandbox, server: str) -> list[str | None]:
    return [request.header("Authorization") for request in sandbox.requests(server)]


@pytest.fixture
def client(sandbox: Sandbox) -> CAVEclient:
    return CAVEclient(sandbox.datastack, sandbox.auth_server, auth_token=sandbox.token)


@pytest.fixture
def trusting(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVE_AUTH_HOSTS", f"{sandbox.data_server},{sandbox.other_data_server}")


class TestOffline:
    def test_it_can_be_made_without_arguments(self, secrets: Path) -> None:
        client = CAVEclient()
        assert client.auth.token is None
        assert (client.datastack_name, client.local_server) == (None, None)
        assert client.server_address == "https://global.daf-apis.com"
        assert isinstance(client.session, requests.Session)
        assert not secrets.parent.exists()

    def test_the_constructor_reads_and_opens_nothing(self) -> None:
        script = (
            "import sys\n"
            "from cave_auth_adapter.caveclient import CAVEclient\n"
            "def hook(event, arguments):\n"
            "    if event.startswith('socket') or event in ('open', 'os.listdir'):\n"
            "        sys.exit(f'{event} {arguments}')\n"
            "sys.addaudithook(hook)\n"
            "CAVEclient('any_datastack')\n"
            "CAVEclient(None, 'https://cave.example.org', '~/x.json', 'lab').auth\n"
        )
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, "")

    def test_repr_hides_the_token(self) -> None:
        client = CAVEclient("minnie65_public", auth_token=TOKEN)
        assert repr(client) == (
            "CAVEclient<datastack=minnie65_public, server_address=https://global.daf-apis.com>"
        )
        shown = f"{vars(client)} {client.auth} {client.session.adapters} {client!s}"
        assert TOKEN not in shown

    def test_a_token_may_be_neither_hex_nor_base64(self) -> None:
        client = CAVEclient("any", auth_token="another_fake_token_678")
        assert client.auth.token == "another_fake_token_678"

    def test_a_malformed_token_or_server_is_refused_at_once(self) -> None:
        with pytest.raises(InvalidToken):
            CAVEclient(auth_token="two words")
        with pytest.raises(InvalidHostSpec):
            CAVEclient(server_address="http://example.org")

    @pytest.mark.parametrize(
        "text", ['{"mine": "https://cave.example.org"}', "{", "[]", '{"mine": 1}', None]
    )
    def test_the_server_saved_by_caveclient_is_used(self, secrets: Path, text: str | None) -> None:
        if text is not None:
            secrets.mkdir(parents=True)
            (secrets / "cave_datastack_to_server_map.json").write_text(text)
        known = text is not None and "example" in text
        expected = "https://cave.example.org" if known else "https://global.daf-apis.com"
        assert CAVEclient("mine").server_address == expected
        assert CAVEclient("other").server_address == "https://global.daf-apis.com"
        assert CAVEclient("mine", "localhost:1").server_address == "https://localhost:1"


class TestSession:
    def test_the_server_is_signed(self, client: CAVEclient, sandbox: Sandbox) -> None:
        response = client.session.get(f"{client.server_address}/info/api/v2/datastacks", timeout=10)
        assert sandbox.datastack in response.json()
        assert sandbox.token not in repr(vars(response.request))
        assert bearer(sandbox, sandbox.data_server) == []

    @pytest.mark.usefixtures("trusting")
    def test_the_local_server_is_looked_up_when_needed(
        self, client: CAVEclient, sandbox: Sandbox
    ) -> None:
        session = client.session
        assert sandbox.requests(sandbox.auth_server) == []
        response = session.get(f"{sandbox.data_server}/echo", timeout=10)
        assert response.status_code == 200
        assert client.local_server == sandbox.data_server
        asked = [r.url for r in sandbox.requests(sandbox.auth_server) if "/info/" in r.url]
        assert asked == [f"{sandbox.auth_server}/info/api/v2/datastack/full/{sandbox.datastack}"]

    @pytest.mark.usefixtures("trusting")
    def test_a_trusted_server_of_another_datastack_gets_nothing(
        self, client: CAVEclient, sandbox: Sandbox
    ) -> None:
        response = client.session.get(f"{sandbox.other_data_server}/public", timeout=10)
        assert response.status_code == 200
        assert bearer(sandbox, sandbox.other_data_server) == [None]

    def test_a_server_cannot_make_a_host_trusted(
        self, client: CAVEclient, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = client.local_server
        assert server == sandbox.data_server
        client.session.get(f"{server}/public", timeout=10)
        assert bearer(sandbox, sandbox.data_server) == [None]
        name = sandbox.data_server.partition("//")[2]
        lines = [line for line in caplog.messages if "is not trusted" in line]
        assert len(lines) == 1
        assert f"TokenStore().save(token, {name!r})" in lines[0]

        exec(  # the next step, as it is named
            f"import cave_auth_adapter; cave_auth_adapter.TokenStore().save(token, {name!r})",
            {"token": sandbox.token},
        )
        response = client.session.get(f"{server}/echo", timeout=10)
        assert response.status_code == 200

    def test_a_foreign_host_gets_nothing_and_causes_no_lookup(
        self, client: CAVEclient, sandbox: Sandbox
    ) -> None:
        client.session.get(f"{sandbox.foreign_server}/x", timeout=10)
        (request,) = sandbox.requests(sandbox.foreign_server)
        assert sandbox.token not in repr(request)
        assert sandbox.requests(sandbox.auth_server) == []

    def test_a_redirect_to_a_foreign_host_leaks_nothing(
        self, client: CAVEclient, sandbox: Sandbox
    ) -> None:
        TokenStore().save(sandbox.token, sandbox.data_server)
        url, target = f"{sandbox.data_server}/auth-redirect", f"{sandbox.foreign_server}/x"
        client.session.get(url, params={"to": target}, timeout=10)
        (request,) = sandbox.requests(sandbox.foreign_server)
        assert sandbox.token not in repr(request)

    def test_without_a_datastack_only_the_server_is_signed(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CAVE_AUTH_HOSTS", sandbox.data_server)
        client = CAVEclient(None, sandbox.auth_server, auth_token=sandbox.token)
        client.session.get(f"{sandbox.data_server}/public", timeout=10)
        assert bearer(sandbox, sandbox.data_server) == [None]

    @pytest.mark.usefixtures("trusting")
    def test_a_session_in_use_follows_the_token(self, client: CAVEclient, sandbox: Sandbox) -> None:
        session, new = client.session, sandbox.create_token()
        client.auth.token = new
        assert session.get(f"{sandbox.data_server}/echo", timeout=10).status_code == 200
        assert bearer(sandbox, sandbox.data_server)[-1] == f"Bearer {new}"

    @pytest.mark.usefixtures("trusting")
    def test_the_local_server_gets_the_servers_token(self, sandbox: Sandbox) -> None:
        TokenStore().save(sandbox.token, sandbox.auth_server)
        TokenStore().save(TOKEN)  # of another deployment, say
        client = CAVEclient(sandbox.datastack, sandbox.auth_server)
        assert client.session.get(f"{sandbox.data_server}/echo", timeout=10).status_code == 200
        assert TOKEN not in repr(sandbox.requests())

    def test_the_local_servers_own_token_comes_first(self, sandbox: Sandbox) -> None:
        own = sandbox.create_token()
        TokenStore().save(sandbox.token, sandbox.auth_server)
        TokenStore().save(own, sandbox.data_server)
        client = CAVEclient(sandbox.datastack, sandbox.auth_server)
        assert client.session.get(f"{sandbox.data_server}/echo", timeout=10).status_code == 200
        assert bearer(sandbox, sandbox.data_server) == [f"Bearer {own}"]

    @pytest.mark.usefixtures("trusting")
    @pytest.mark.parametrize(
        "duplicate", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]
    )
    def test_copies_and_pickles_work(
        self,
        client: CAVEclient,
        sandbox: Sandbox,
        duplicate: Callable[[object], CAVEclient | requests.Session],
    ) -> None:
        session = client.session
        twin = duplicate(client)
        assert isinstance(twin, CAVEclient)
        for each in (twin.session, duplicate(session)):
            assert isinstance(each, requests.Session)
            assert each.get(f"{sandbox.data_server}/echo", timeout=10).status_code == 200


class TestLookup:
    @pytest.mark.usefixtures("trusting")
    def test_saving_updates_the_local_servers_file(self, sandbox: Sandbox) -> None:
        for server in (sandbox.auth_server, sandbox.data_server):
            TokenStore().save(TOKEN, server)
        client = CAVEclient(sandbox.datastack, sandbox.auth_server)
        client.auth.save_token(sandbox.token, overwrite=True)
        assert TokenStore().load(sandbox.data_server) == sandbox.token
        assert TokenStore().load() is None  # the default server's

    @pytest.mark.usefixtures("trusting")
    def test_a_local_server_keeps_a_token_of_another_server(
        self, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Only this server says that it is the datastack's server."""
        TokenStore().save(TOKEN, sandbox.data_server)
        CAVEclient(sandbox.datastack, sandbox.auth_server).auth.save_token(sandbox.token)
        assert TokenStore().load(sandbox.data_server) == TOKEN
        assert f"cave-auth trust {sandbox.data_server}" in caplog.text

    def test_saving_makes_no_host_trusted(self, sandbox: Sandbox, secrets: Path) -> None:
        client = CAVEclient(sandbox.datastack, sandbox.auth_server)
        client.auth.save_token(sandbox.token)
        assert not TokenStore().path_for(sandbox.data_server).exists()
        assert TokenStore().load(sandbox.auth_server) == sandbox.token

    def test_saving_works_while_the_server_is_down(self, caplog: pytest.LogCaptureFixture) -> None:
        client = CAVEclient("any", "https://localhost:9")
        client.auth.save_token(TOKEN)
        assert TokenStore().load("localhost:9") == TOKEN
        assert "connection refused" in caplog.text
        assert TOKEN not in caplog.text

    @pytest.mark.parametrize(
        "body", ["{}", "[]", "null", '{"local_server": null}', '{"local_server": "a b"}', "<html>"]
    )
    def test_a_malformed_answer_is_an_error(self, stub_server: StubServer, body: str) -> None:
        stub_server.answer = Answer(body=body.encode())
        client = CAVEclient("any", stub_server.address, auth_token=TOKEN)
        with pytest.raises(UnexpectedAnswer):
            print(client.local_server)

    @pytest.mark.parametrize("name", ["../../evil", "a?b#c", "a b", "ä"])
    def test_a_datastack_name_is_quoted_in_the_path(
        self, stub_server: StubServer, name: str
    ) -> None:
        stub_server.answer = Answer(body=b'{"local_server": "https://local.example.org"}')
        client = CAVEclient(name, stub_server.address, auth_token=TOKEN)
        assert client.local_server == "https://local.example.org"
        path = stub_server.requests[0][1]
        assert path.startswith("/info/api/v2/datastack/full/")
        assert path.count("/") == 6
        assert not set("?# ") & set(path)

    def test_a_server_that_is_down_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAVE_AUTH_HOSTS", "localhost:8")
        client = CAVEclient("any", "https://localhost:9", auth_token=TOKEN)
        with pytest.raises(ServerUnreachable, match="localhost:9"):
            print(client.local_server)
        with pytest.raises(ServerUnreachable, match="localhost:9"):
            client.session.get("https://localhost:8/", timeout=1)

    def test_a_datastack_without_permission_is_an_error(self, sandbox: Sandbox) -> None:
        token = sandbox.create_token(sandbox.create_user("A Stranger"))
        client = CAVEclient(sandbox.datastack, sandbox.auth_server, auth_token=token)
        with pytest.raises(PermissionMissing):
            print(client.local_server)


def test_logs_hold_no_token(
    client: CAVEclient, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    TokenStore().save(sandbox.token, sandbox.data_server)
    assert client.local_server
    client.session.get(f"{client.local_server}/echo", timeout=10)
    client.auth.get_tokens()
    assert caplog.records
    assert sandbox.token not in caplog.text
    assert sandbox.token not in json.dumps([str(vars(record)) for record in caplog.records])
