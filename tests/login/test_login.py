"""What a login does with the token it received: the key, the files, the data servers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from cave_auth_adapter import CaveAuth, TokenStore
from cave_auth_adapter.errors import InvalidToken, LoginFailed, TokenFileError, TokenRefused
from cave_auth_adapter.login import around, login
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.service import AuthServer, ServerUnreachable
from cave_auth_adapter.service.keynames import key_name
from cave_auth_adapter.shells import unset
from cave_auth_adapter.sources.endings import end_of

from ..support.sandbox import is_alive, keys_of, saved
from .conftest import Answers, Login, consent, token_of


def name(server: str) -> str:
    return TokenStore().path_for(server).name


@pytest.fixture
def log_in(start_login: Callable[..., Login], sandbox: Sandbox) -> Callable[..., Login]:
    """A whole login through the browser, as the ordinary user."""

    def run(user: int | None = None, **options: object) -> Login:
        login = start_login(timeout=20, **options)
        requests.get(consent(login.address, sandbox, user), timeout=20)
        login.finish()
        if login.error:
            raise login.error
        return login

    return run


def test_the_first_login_saves_a_key(
    log_in: Callable[..., Login], sandbox: Sandbox, secrets: Path
) -> None:
    done = log_in()
    client = done.result
    assert client is not None
    assert set(saved(secrets)) == {name(sandbox.auth_server)}
    assert set(saved(secrets).values()) == {client.token}
    assert client.token is not None
    made = keys_of(sandbox, client.token)[client.token]
    assert re.fullmatch(r"cave-auth on .+, \d{4}-\d\d-\d\d \d\d:\d\d \([0-9a-f]{6}\)", made)
    assert made in "".join(done.talk.told)
    told = "\n".join(done.talk.told)
    assert "Sandbox User <sandbox.user@sandbox.example>" in told
    assert f"{sandbox.datastack}, {sandbox.datastack_middleauth}" in told


def test_an_existing_default_file_is_left_alone(
    log_in: Callable[..., Login], sandbox: Sandbox, secrets: Path
) -> None:
    TokenStore().save("0123456789abcdef")
    log_in()
    assert saved(secrets)["cave-secret.json"] == "0123456789abcdef"
    assert name(sandbox.auth_server) in saved(secrets)


def test_other_keys_in_the_files_are_kept(
    log_in: Callable[..., Login], sandbox: Sandbox, secrets: Path
) -> None:
    TokenStore().save("0123456789abcdef", sandbox.auth_server, key="my_datastack")
    log_in()
    content = json.loads((secrets / name(sandbox.auth_server)).read_text())
    assert content["my_datastack"] == "0123456789abcdef"
    assert set(content) == {"my_datastack", "token"}


def test_a_token_that_works_is_kept(sandbox: Sandbox, secrets: Path) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    talk = Answers()
    client = login(sandbox.auth_server, dialogue=talk)
    assert client.token == sandbox.token
    assert "already" in talk.told[0]
    assert "--overwrite" in talk.told[1]


def test_a_dead_token_is_replaced_in_every_file(
    log_in: Callable[..., Login], sandbox: Sandbox, secrets: Path
) -> None:
    dead = sandbox.create_token()
    sandbox.revoke(dead)
    for server in (None, sandbox.auth_server, sandbox.data_server):
        TokenStore().save(dead, server)
    TokenStore().save("0123456789abcdef", "elsewhere.example.org")
    client = log_in().result
    assert client is not None
    assert saved(secrets) == {
        "cave-secret.json": client.token,
        name(sandbox.auth_server): client.token,
        name(sandbox.data_server): client.token,
        "elsewhere.example.org-cave-secret.json": "0123456789abcdef",
    }


def test_overwrite_replaces_a_token_that_works(
    log_in: Callable[..., Login], sandbox: Sandbox, secrets: Path
) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    client = log_in(overwrite=True).result
    assert client is not None
    assert client.token != sandbox.token
    assert is_alive(sandbox, sandbox.token)  # it may be in use elsewhere


def test_a_token_deleted_by_hand_is_saved_by_the_next_login(
    sandbox: Sandbox, secrets: Path
) -> None:
    for _ in range(2):
        login(sandbox.auth_server, token=sandbox.token, dialogue=Answers())
        assert saved(secrets) == {name(sandbox.auth_server): sandbox.token}
        TokenStore().path_for(sandbox.auth_server).unlink()
        assert CaveAuth(hosts=[sandbox.auth_server]).token_for(sandbox.auth_server) is None


@pytest.mark.parametrize("yes", [True, False])
def test_the_replaced_key_is_revoked_if_the_person_agrees(
    log_in: Callable[..., Login], sandbox: Sandbox, yes: bool
) -> None:
    old = sandbox.create_token()
    TokenStore().save(old, sandbox.auth_server)
    done = log_in(overwrite=True, dialogue=Answers(yes=yes))
    assert "still works. Revoke it" in done.talk.asked[-1]  # other files may hold it until then
    assert is_alive(sandbox, old) is not yes
    assert ("cave-auth keys revoke" in "".join(done.talk.told)) is not yes


def test_a_key_in_another_file_is_not_revoked(
    log_in: Callable[..., Login], sandbox: Sandbox
) -> None:
    old = sandbox.create_token()
    for server in (None, sandbox.auth_server, "proofreading.zetta.ai"):
        TokenStore().save(old, server)
    done = log_in(overwrite=True, dialogue=Answers(yes=True))
    assert not any("End it" in question for question in done.talk.asked)
    told = "".join(done.talk.told)
    assert "still works, and is in use in" in told
    assert "proofreading.zetta.ai-cave-secret.json" in told
    assert "cave-auth keys revoke" in told
    assert is_alive(sandbox, old)


def test_the_login_token_can_be_kept(
    log_in: Callable[..., Login], sandbox: Sandbox, secrets: Path
) -> None:
    keys = keys_of(sandbox, sandbox.token)
    client = log_in(store_key=False).result
    assert client is not None
    assert client.token is not None
    assert is_alive(sandbox, client.token)
    assert keys_of(sandbox, sandbox.token) == keys
    left = end_of(client.token, secrets) - time.time()
    assert 604700 < left <= 604800  # so that a program can warn on the last day


def test_the_login_token_is_revoked(
    start_login: Callable[..., Login], sandbox: Sandbox, secrets: Path
) -> None:
    under_way = start_login(timeout=20)
    callback = consent(under_way.address, sandbox)
    assert is_alive(sandbox, token_of(callback))
    requests.get(callback, timeout=20)
    under_way.finish()
    assert not is_alive(sandbox, token_of(callback))


def test_ctrl_c_while_the_key_is_made_leaves_no_key(
    start_login: Callable[..., Login],
    sandbox: Sandbox,
    secrets: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = keys_of(sandbox, sandbox.token)
    create_key = AuthServer.create_key

    def interrupted(server: AuthServer, name: str) -> str:
        create_key(server, name)
        raise KeyboardInterrupt

    monkeypatch.setattr(AuthServer, "create_key", interrupted)
    under_way = start_login(timeout=20)
    callback = consent(under_way.address, sandbox)
    answer = requests.get(callback, timeout=20)
    under_way.finish()
    assert isinstance(under_way.error, KeyboardInterrupt)
    assert "was cancelled" in answer.text
    assert keys_of(sandbox, sandbox.token) == keys
    assert not is_alive(sandbox, token_of(callback))
    assert not secrets.exists()


def test_a_failed_login_revokes_only_its_own_key(
    start_login: Callable[..., Login],
    sandbox: Sandbox,
    secrets: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = keys_of(sandbox, sandbox.token)
    create_key = AuthServer.create_key
    others: list[str] = []

    def overloaded(server: AuthServer, name: str) -> str:
        others.append(create_key(server, key_name()))  # another terminal, at the same time
        create_key(server, name)
        raise ServerUnreachable("The server is overloaded.")

    monkeypatch.setattr(AuthServer, "create_key", overloaded)
    under_way = start_login(timeout=20)
    requests.get(consent(under_way.address, sandbox), timeout=20)
    under_way.finish()
    assert isinstance(under_way.error, ServerUnreachable)
    assert keys_of(sandbox, sandbox.token).keys() - keys.keys() == set(others)


def test_a_dead_token_in_a_variable_is_reported_before_a_browser_opens(
    sandbox: Sandbox, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    monkeypatch.setenv("CAVE_TOKEN", "0" * 32)
    with pytest.raises(LoginFailed, match=unset("CAVE_TOKEN")):
        login(sandbox.auth_server, dialogue=Answers())
    assert saved(secrets) == {name(sandbox.auth_server): sandbox.token}


def test_the_account_of_the_replaced_token_is_compared(
    log_in: Callable[..., Login], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = sandbox.create_token(sandbox.create_user("Bob"))
    TokenStore().save(bob, sandbox.auth_server)
    monkeypatch.setenv("CAVE_TOKEN", sandbox.token)
    talk = Answers(yes=False)
    with pytest.raises(LoginFailed):
        log_in(overwrite=True, dialogue=talk)
    assert "Bob" in talk.asked[0]


def test_ctrl_c_at_the_last_question_tells_where_the_old_key_is_listed(sandbox: Sandbox) -> None:
    class Stops(Answers):
        def confirm(self, question: str) -> bool:
            if "Revoke it" in question:
                raise KeyboardInterrupt
            return super().confirm(question)

    old, new = sandbox.create_token(), sandbox.create_token()
    TokenStore().save(old, sandbox.auth_server)
    talk = Stops()
    with pytest.raises(KeyboardInterrupt):
        login(sandbox.auth_server, token=new, overwrite=True, dialogue=talk)
    server = sandbox.auth_server.removeprefix("https://")
    assert talk.told[-1].endswith(
        f"may still work. To see it: cave-auth keys list --server {server}"
    )
    assert is_alive(sandbox, old)
    assert TokenStore().load(sandbox.auth_server) == new


# --- Data servers --------------------------------------------------------------------------


@pytest.mark.parametrize("yes", [True, False])
def test_a_data_server_named_by_the_info_service_needs_a_confirmation(
    log_in: Callable[..., Login], sandbox: Sandbox, secrets: Path, yes: bool
) -> None:
    talk = Answers(yes=yes)
    log_in(dialogue=talk)
    assert len(talk.asked) == 1
    assert sandbox.data_server.removeprefix("https://") in talk.asked[0]
    assert ("Saved the token for the data server in\n" in "\n".join(talk.told)) is yes
    assert (name(sandbox.data_server) in saved(secrets)) is yes
    assert CaveAuth().trusts(sandbox.data_server) is yes
    if not yes:
        assert "says that it is a data server. If you know it: cave-auth" in talk.told[-1]
        assert talk.told[-1].endswith("--trust-data-servers")


def test_data_servers_are_trusted_on_request(
    log_in: Callable[..., Login], sandbox: Sandbox, secrets: Path
) -> None:
    done = log_in(trust_data_servers=True)
    assert done.talk.asked == []
    assert len(set(saved(secrets).values())) == 1
    assert name(sandbox.data_server) in saved(secrets)
    response = requests.get(f"{sandbox.data_server}/echo", auth=CaveAuth())
    assert response.json()["user_id"] == sandbox.user


def test_data_servers_can_be_trusted_later(sandbox: Sandbox, secrets: Path) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    login(sandbox.auth_server, trust_data_servers=True, dialogue=Answers())
    assert saved(secrets)[name(sandbox.data_server)] == sandbox.token


def test_several_data_servers_are_spoken_of_as_several() -> None:
    talk = Answers(yes=False)
    assert not around._may_trust(["a.example.org", "b.example.org"], "cave.example.org", talk)
    assert "they are data servers. If you know them: cave-auth" in talk.told[-1]


def test_a_server_cannot_make_a_host_trusted(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, secrets: Path
) -> None:
    words = {
        "good": "https://minnie.microns-daf.com",
        "evil": "https://evil.example",
        "alike": "https://global.daf-apis.com.evil.example",
        "user": "https://global.daf-apis.com@evil.example",
        "plain": "http://local.daf-apis.com",
        "none": "",
        "self": "https://global.daf-apis.com/",
    }
    own, others = around._data_servers("https://global.daf-apis.com", words)
    assert own == ["minnie.microns-daf.com"]
    assert others == ["evil.example", "global.daf-apis.com.evil.example"]
    # Of another known deployment, which has tokens of its own.
    own, others = around._data_servers("https://cave.example.org", words)
    assert own == []
    assert "minnie.microns-daf.com" in others


def test_datastacks_with_missing_terms_are_named(
    log_in: Callable[..., Login], sandbox: Sandbox, secrets: Path
) -> None:
    user = sandbox.create_user("Newcomer", permissions={"sandbox_terms": ["view"]})
    told = "\n".join(log_in(user).talk.told)
    assert f"  {sandbox.datastack_terms}\n" in told
    (address,) = re.findall(r"https://\S+/tos/1/accept\S+", told)
    token = TokenStore().load(sandbox.auth_server)
    answer = requests.post(
        address,
        headers={"Authorization": f"Bearer {token}"},
        verify=sandbox.ca_bundle,
        allow_redirects=False,
        timeout=20,
    )
    # It ends on a page of the auth server, and not in its error 500.
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{sandbox.auth_server}/sticky_auth/settings/")
    assert AuthServer(sandbox.auth_server).missing_terms() == []


def test_a_failing_info_service_gives_a_warning(
    log_in: Callable[..., Login], monkeypatch: pytest.MonkeyPatch, secrets: Path
) -> None:
    def fail(api: object) -> dict[str, str]:
        raise TokenRefused("The info service is ill.")

    monkeypatch.setattr(around, "_datastacks", fail)
    done = log_in()
    assert "The info service is ill." in done.talk.told[-1]
    assert saved(secrets)


def test_a_variable_that_outranks_the_new_token_is_reported(
    log_in: Callable[..., Login], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVE_TOKEN", sandbox.token)
    done = log_in(overwrite=True)
    assert "CAVE_TOKEN outranks the new one" in done.talk.told[-1]


# --- Tokens that are given -----------------------------------------------------------------


def test_a_given_api_key_is_saved(sandbox: Sandbox, secrets: Path) -> None:
    keys = keys_of(sandbox, sandbox.token)
    login(sandbox.auth_server, token=sandbox.token, dialogue=Answers())
    assert set(saved(secrets).values()) == {sandbox.token}
    assert keys_of(sandbox, sandbox.token) == keys


def test_a_given_login_token_is_exchanged_for_a_key(sandbox: Sandbox, secrets: Path) -> None:
    given = sandbox.create_token(ttl=60)
    login(sandbox.auth_server, token=given, dialogue=Answers())
    (key,) = set(saved(secrets).values())
    assert key in keys_of(sandbox, sandbox.token)
    assert not is_alive(sandbox, given)


def test_a_given_token_does_not_replace_another_without_overwrite(
    sandbox: Sandbox, secrets: Path
) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    with pytest.raises(LoginFailed, match="--overwrite"):
        login(sandbox.auth_server, token=sandbox.create_token(), dialogue=Answers())
    assert set(saved(secrets).values()) == {sandbox.token}


@pytest.mark.parametrize("token", ["", "with space", "a\nb", "„quoted“"])
def test_a_malformed_token_is_refused(sandbox: Sandbox, secrets: Path, token: str) -> None:
    with pytest.raises(InvalidToken):
        login(sandbox.auth_server, token=token, dialogue=Answers())
    assert not secrets.exists()


def test_a_malformed_file_is_reported_before_a_browser_opens(
    sandbox: Sandbox, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda *_: pytest.fail("it opened"))
    secrets.mkdir(parents=True)
    (secrets / name(sandbox.auth_server)).write_text("{")
    with pytest.raises(TokenFileError, match="is not JSON"):
        login(sandbox.auth_server, dialogue=Answers())
