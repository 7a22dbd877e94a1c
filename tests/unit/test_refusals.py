"""Who refused a request, why, and what is advised."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from cave_auth_adapter import (
    PermissionMissing,
    TermsNotAccepted,
    TokenNotFound,
    explain,
    raise_for_auth,
)
from cave_auth_adapter.refusals import remember_token
from cave_auth_adapter.shells import unset
from cave_auth_adapter.tokens import Kind

from ..support.refusals import GLOBAL, GOOGLE, LAB, LOGIN_PAGE, MINNIE, answer, followed, refused


@pytest.mark.parametrize(
    ("first", "command"),
    [
        (MINNIE, "cave-auth login global.daf-apis.com"),
        (LAB, "cave-auth trust cave.my-lab.example --server global.daf-apis.com"),
    ],
)
def test_the_service_that_redirects_to_the_login_is_named(first: str, command: str) -> None:
    response = followed("https://short.example/x", f"{first}/x", LOGIN_PAGE, GOOGLE)
    sentence = explain(response)
    assert sentence is not None
    assert sentence.startswith(first.partition("//")[2])
    assert sentence.endswith(command)
    assert "google" not in sentence
    with pytest.raises(TokenNotFound) as caught:
        raise_for_auth(response)
    assert caught.value.host == first.partition("//")[2]


@pytest.mark.parametrize(
    ("url", "page", "command"),
    [
        (LAB, f"{LAB}/sticky_auth/api/v1/authorize", "cave-auth login cave.my-lab.example"),
        (LAB, "https://auth.lab.example/sticky_auth/api/v1/authorize",
         "cave-auth login auth.lab.example, then "
         "cave-auth trust cave.my-lab.example --server auth.lab.example"),
    ],
)  # fmt: skip
def test_the_advice_names_the_servers_of_the_deployment(url: str, page: str, command: str) -> None:
    response = answer(401, url, WWW_Authenticate=f'Bearer realm="{page}"')
    remember_token(response, None)  # a door trusts it
    assert (explain(response) or "").endswith(f"Log in: {command}")


def test_after_a_redirect_the_advice_is_a_direct_request() -> None:
    response = answer(401, f"{MINNIE}/x?token=1", WWW_Authenticate=f'Bearer realm="{LOGIN_PAGE}"')
    remember_token(response, None, led=True)
    assert "It followed a redirect from another site" in (explain(response) or "")
    response.history = [answer(302, "https://short.example/x", Location=response.url)]
    sentence = explain(response)
    assert sentence is not None
    assert "It followed a redirect from short.example" in sentence
    assert sentence.endswith(f"Request the address directly: {MINNIE}/x")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("file", "Log in again: cave-auth login global.daf-apis.com"),
        ("keyring", "Log in again: cave-auth login"),
        ("token=", "give a new one there, or leave token= out and log in: cave-auth login"),
        ("token_file=", "save a new one there, or leave token_file= out and log in: "),
        ("source=", "let source= return a new one, or leave it out and log in: "),
        ("CAVE_TOKEN", f"set a new one, or {unset('CAVE_TOKEN')} and log in: "),
        ("CAVE_TOKEN_FILE", f"save a new one there, or {unset('CAVE_TOKEN_FILE')} and log in: "),
        ("CAVE_TOKEN_COMMAND", f"let it print a new one, or {unset('CAVE_TOKEN_COMMAND')} and"),
    ],
)
def test_the_remedy_fits_the_token_source(kind: Kind, said: str) -> None:
    sentence = explain(refused(kind, path="/secrets/file"))
    assert sentence is not None
    assert said in sentence
    assert ("A login does not replace it" in sentence) == (kind not in ("file", "keyring"))


def test_for_a_new_token_the_advice_is_to_wait(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.touch()
    assert "wait up to five minutes" in (explain(refused(path=path)) or "")
    assert "wait up to five minutes" in (explain(refused("CAVE_TOKEN")) or "")
    assert "five minutes" not in (explain(refused(path=path, url=GLOBAL)) or "")
    os.utime(path, (0, time.time() - 400))
    assert "five minutes" not in (explain(refused(path=path)) or "")


@pytest.mark.parametrize("privilege", ["superadmin", "admin", "dataset admin", "group admin"])
def test_a_missing_privilege_is_named(privilege: str) -> None:
    response = answer(403, body=f"Requires {privilege} privilege.".encode())
    with pytest.raises(PermissionMissing, match=f"only an? {privilege} may do this") as caught:
        raise_for_auth(response)
    assert caught.value.privilege == privilege


def test_a_missing_role_is_named() -> None:
    data = {"required_role": "dataset_admin", "auth_dataset": "fish"}
    response = answer(403, body={"error": "missing_role", "data": data})
    with pytest.raises(
        PermissionMissing, match="the role 'dataset_admin' on the dataset"
    ) as caught:
        raise_for_auth(response)
    assert (caught.value.role, caught.value.dataset) == ("dataset_admin", "fish")
    assert caught.value.permission is None


@pytest.mark.parametrize("error", ["invalid_table_id", "missing_table_id"])
def test_a_bad_table_id_is_explained(error: str) -> None:
    response = answer(400, body={"error": error})
    with pytest.raises(requests.HTTPError, match="table") as caught:
        raise_for_auth(response)
    assert "check the address" in str(caught.value)


def test_a_redirect_to_the_terms_form_raises_terms_not_accepted() -> None:
    form = f"{GLOBAL}/sticky_auth/api/v1/tos/3/accept"
    response = followed(f"{MINNIE}/x", f"{form}?redirect={quote(MINNIE)}/x", GOOGLE)
    with pytest.raises(TermsNotAccepted) as caught:
        raise_for_auth(response)
    assert caught.value.form_url == f"{form}?redirect={GLOBAL}/sticky_auth/settings/tokens"
    assert "server's word" not in str(caught.value)


def test_a_form_on_another_host_comes_with_a_caution() -> None:
    data = {"tos_name": "T", "tos_form_url": "https://evil.example/api/v1/tos/1/accept"}
    sentence = explain(answer(403, body={"error": "missing_tos", "data": data}))
    assert sentence is not None
    assert sentence.endswith("before you open it): https://evil.example/api/v1/tos/1/accept")


def test_a_password_in_place_of_a_token_is_explained() -> None:
    response = answer(400, body={"error": "bad_auth_header"})
    request = requests.Request("GET", MINNIE, auth=("me", "secret"))
    response.request = request.prepare()
    assert "It held a password, from auth=, the URL or netrc" in (explain(response) or "")


@pytest.mark.parametrize("body", ['{"error": "missing_role"}', b'{"error": "missing_role"}'])
def test_explain_accepts_parts_of_an_answer(body: Any) -> None:
    sentence = explain(status=403, headers={"x-y": "z"}, body=body, url=f"{MINNIE}/x")
    assert (sentence or "").startswith("minnie.microns-daf.com: your account lacks the role")
    assert explain(status=200, url=MINNIE) is None
    refusal = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    assert (explain(status=401, headers=refusal) or "").endswith("cave-auth login SERVER")
    challenge = {"www-authenticate": f'Bearer realm="{LOGIN_PAGE}"', "content-encoding": "gzip"}
    assert "wants a token" in (explain(status=401, headers=challenge, url=MINNIE) or "")
