"""Which secret files a save and a logout of one deployment change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.saving import DeploymentFiles

GLOBAL, MINNIE, ZETTA = "global.daf-apis.com", "minnie.microns-daf.com", "proofreading.zetta.ai"
LAB, LAB_DATA = "cave.my-lab.org", "data.my-lab.org"
OLD, NEW, OTHER = (each * 32 for each in "abc")
Files = dict[str | None, str]


def put(files: Files) -> None:
    for server, token in files.items():
        TokenStore().save(token, server)


def there(secrets: Path) -> Files:
    store = TokenStore()
    found = {server: store.load(server) for server in [None, *store.servers()]}
    return {server: token for server, token in found.items() if token}


# before, what is saved for which server, options, after
SAVES: dict[str, tuple[Files, str, dict[str, Any], Files]] = {
    "the first of all": ({}, GLOBAL, {}, {None: NEW, GLOBAL: NEW}),
    "the first of another deployment": ({}, ZETTA, {}, {ZETTA: NEW}),
    "the same, as the default": ({}, ZETTA, {"default": True}, {None: NEW, ZETTA: NEW}),
    "--default where there is one": (
        {None: OLD},
        ZETTA,
        {"default": True, "overwrite": True},
        {None: OLD, ZETTA: NEW},
    ),
    "a second deployment": (
        {None: OLD, GLOBAL: OLD},
        ZETTA,
        {"replaced": OLD, "overwrite": True},
        {None: OLD, GLOBAL: OLD, ZETTA: NEW},
    ),
    "own files with the old token": (
        {GLOBAL: OLD, MINNIE: OLD, ZETTA: OLD},
        GLOBAL,
        {"replaced": OLD},
        {None: NEW, GLOBAL: NEW, MINNIE: NEW, ZETTA: OLD},
    ),
    "own files with another token": (
        {GLOBAL: OLD, MINNIE: OTHER},
        GLOBAL,
        {"replaced": OLD, "overwrite": True},
        {None: NEW, GLOBAL: NEW, MINNIE: OTHER},
    ),
    "a lab and its data server": (
        {LAB: OLD, LAB_DATA: OLD, "elsewhere.example.org": OTHER},
        LAB,
        {"replaced": OLD},
        {LAB: NEW, LAB_DATA: NEW, "elsewhere.example.org": OTHER},
    ),
    "the default file is ours": (
        {None: OLD, GLOBAL: OLD},
        GLOBAL,
        {"replaced": OLD},
        {None: NEW, GLOBAL: NEW},
    ),
    "the default file is a lab's": (
        {None: OLD, LAB: OLD},
        LAB,
        {"replaced": OLD},
        {None: NEW, LAB: NEW},
    ),
    "the default file may be another's": (
        {None: OLD},
        GLOBAL,
        {"replaced": OLD},
        {None: OLD, GLOBAL: NEW},
    ),
    "the server knows it": (
        {None: OLD},
        GLOBAL,
        {"replaced": OLD, "same_account": True},
        {None: NEW, GLOBAL: NEW},
    ),
    "another server's word for it": (
        {None: OLD},
        LAB,
        {"replaced": OLD, "same_account": True},
        {None: OLD, LAB: NEW},
    ),
    "the default file differs": (
        {None: OTHER, GLOBAL: OLD},
        GLOBAL,
        {},
        {None: OTHER, GLOBAL: NEW},
    ),
    "the same, to be replaced": (
        {None: OTHER, GLOBAL: OLD},
        GLOBAL,
        {"overwrite": True},
        {None: NEW, GLOBAL: NEW},
    ),
    "the token of two deployments": (
        {None: OLD, GLOBAL: OLD, LAB: OLD, ZETTA: OLD},
        ZETTA,
        {"replaced": OLD},
        {None: OLD, GLOBAL: OLD, LAB: NEW, ZETTA: NEW},
    ),
}


@pytest.mark.parametrize("title", SAVES)
def test_a_save_changes_the_files_of_its_deployment_only(title: str, secrets: Path) -> None:
    before, server, options, after = SAVES[title]
    put(before)
    paths = DeploymentFiles(server).save(NEW, **options)
    assert there(secrets) == after
    changed = {server for server, token in after.items() if token == NEW}
    assert set(paths) == {TokenStore().path_for(each) for each in changed}


def test_other_keys_are_replaced_where_the_account_is_the_same(secrets: Path) -> None:
    for same, expected in ((False, OLD), (True, NEW)):
        for key in ("token", "work"):
            TokenStore().save(OLD, GLOBAL, key, overwrite=True)
        DeploymentFiles(GLOBAL).save(NEW, replaced=OLD, same_account=same)
        assert TokenStore().load(GLOBAL, "work") == expected


def test_a_broken_file_does_not_stop_the_others(secrets: Path) -> None:
    put({GLOBAL: OLD})
    for name in ("cave-secret.json", f"{MINNIE}-cave-secret.json"):
        (secrets / name).write_text("{")
    assert DeploymentFiles(GLOBAL).save(NEW, replaced=OLD) == [TokenStore().path_for(GLOBAL)]


FORGETS: dict[str, tuple[Files, str, bool, Files]] = {
    "all files of a deployment": ({None: OLD, GLOBAL: OLD, MINNIE: OLD}, GLOBAL, False, {}),
    "another token": ({GLOBAL: OLD, MINNIE: OTHER}, GLOBAL, False, {MINNIE: OTHER}),
    "another deployment": ({None: OLD, GLOBAL: OLD}, ZETTA, True, {None: OLD, GLOBAL: OLD}),
    "the same token elsewhere": (
        {None: OLD, GLOBAL: OLD, ZETTA: OLD},
        ZETTA,
        False,
        {None: OLD, GLOBAL: OLD},
    ),
    "a lab": ({None: OLD, LAB: OLD, LAB_DATA: OLD}, LAB, False, {}),
    "nobody knows whose it is": ({None: OLD}, GLOBAL, False, {None: OLD}),
    "the server knows": ({None: OLD}, GLOBAL, True, {}),
    "another server's word": ({None: OLD}, LAB, True, {None: OLD}),
}


@pytest.mark.parametrize("title", FORGETS)
def test_a_logout_changes_the_files_of_its_deployment_only(title: str, secrets: Path) -> None:
    before, server, accepted, after = FORGETS[title]
    put(before)
    paths = DeploymentFiles(server).forget(OLD, accepted=accepted)
    assert there(secrets) == after
    assert {path.name for path in paths} == {
        TokenStore().path_for(each).name for each in before.keys() - after.keys()
    }


@pytest.mark.parametrize(
    ("files", "server", "in_use"),
    [
        ({}, GLOBAL, None),
        ({None: OLD}, GLOBAL, OLD),
        ({None: OLD, GLOBAL: NEW}, GLOBAL, NEW),
        ({None: OLD, ZETTA: OLD}, GLOBAL, None),  # it is the other deployment's
        ({None: OLD}, ZETTA, None),
        ({None: OLD}, LAB, None),
    ],
)
def test_the_token_in_use(files: Files, server: str, in_use: str | None) -> None:
    put(files)
    assert DeploymentFiles(server).in_use == in_use


def test_a_broken_default_file_keeps_nobody_from_a_switch(secrets: Path) -> None:
    put({None: OLD})
    (secrets / "cave-secret.json").write_text("{")
    assert DeploymentFiles(GLOBAL).in_use is None
    TokenStore().save(NEW, GLOBAL, "bob")
    DeploymentFiles(GLOBAL).switch(NEW, None)
    assert TokenStore().load(GLOBAL) == NEW
    assert (secrets / "cave-secret.json").read_text() == "{"
