"""To which deployment the token in ``cave-secret.json`` belongs, judged by the files beside it."""

from __future__ import annotations

from typing import Any

import pytest

from cave_auth_adapter import TokenFileError, TokenStore
from cave_auth_adapter.origins import HostSpec
from cave_auth_adapter.store.ownership import Ownership, ownership_of_default_file

from ..support.stub import OTHER_TOKEN, TOKEN, Write

GLOBAL, MINNIE = "global.daf-apis.com", "minnie.microns-daf.com"
ZETTA, V1DD = "proofreading.zetta.ai", "global.em.brain.allentech.org"
LAB, NAMED = "cave.my-lab.org", "data.my-lab.org"  # of no known deployment
EVERYBODY = {GLOBAL, MINNIE, ZETTA, V1DD, LAB, NAMED}


def served(whose: Ownership | None, named: tuple[str, ...] = ()) -> set[str]:
    assert whose is not None
    return {
        host
        for host in EVERYBODY
        if whose.serves(HostSpec.parse(host).origin, is_named=host in named)
    }


def test_without_the_default_file_there_is_no_ownership(store: TokenStore) -> None:
    store.save(TOKEN, GLOBAL)
    assert ownership_of_default_file() is None


@pytest.mark.parametrize(
    ("same", "hosts"),
    [
        ([GLOBAL], {GLOBAL, MINNIE}),
        ([MINNIE], {GLOBAL, MINNIE}),
        ([ZETTA], {ZETTA}),
        ([LAB], {LAB}),
        ([GLOBAL, ZETTA], {GLOBAL, MINNIE, ZETTA}),
    ],
)
def test_the_default_token_serves_the_deployments_that_have_it(
    store: TokenStore, same: list[str], hosts: set[str]
) -> None:
    store.save(TOKEN)
    store.save(OTHER_TOKEN, V1DD)
    for server in same:
        store.save(TOKEN, server)
    assert served(ownership_of_default_file()) == hosts


@pytest.mark.parametrize("server", [GLOBAL, MINNIE])
def test_an_unmatched_default_token_serves_the_default_deployment(
    store: TokenStore, server: str
) -> None:
    store.save(TOKEN)
    store.save(OTHER_TOKEN, server)
    store.save(OTHER_TOKEN, ZETTA)
    whose = ownership_of_default_file()
    assert whose is not None
    assert not whose.owners
    assert served(whose) == {GLOBAL, MINNIE}


@pytest.mark.parametrize("own", [TOKEN, OTHER_TOKEN])
def test_a_named_host_without_a_deployment_is_served_too(store: TokenStore, own: str) -> None:
    store.save(TOKEN)
    store.save(own, GLOBAL)
    store.save(OTHER_TOKEN, LAB)  # it has a file of its own, so it is left out
    whose = ownership_of_default_file()
    assert served(whose, named=(NAMED, LAB, V1DD)) == {GLOBAL, MINNIE, NAMED}


@pytest.mark.parametrize("others", [[], [ZETTA, LAB]])
def test_a_default_token_of_unknown_origin_serves_every_host(
    store: TokenStore, others: list[str]
) -> None:
    store.save(TOKEN)
    for server in others:
        store.save(OTHER_TOKEN, server)
    assert served(ownership_of_default_file()) == EVERYBODY


def test_an_unreadable_file_counts_as_a_possible_owner(store: TokenStore, write: Write) -> None:
    store.save(TOKEN)
    write(f"{ZETTA}-cave-secret.json", "")  # as CAVEclient leaves it while it writes
    assert served(ownership_of_default_file()) == {GLOBAL, MINNIE}


def test_a_broken_default_file_is_an_error(write: Write) -> None:
    write("cave-secret.json", "{")
    with pytest.raises(TokenFileError):
        ownership_of_default_file()


def test_each_key_has_its_own_owners(write: Write) -> None:
    write("cave-secret.json", token=TOKEN, bot=OTHER_TOKEN)
    write(f"{GLOBAL}-cave-secret.json", token=TOKEN)
    write(f"{ZETTA}-cave-secret.json", bot=OTHER_TOKEN)
    assert served(ownership_of_default_file()) == {GLOBAL, MINNIE}
    assert served(ownership_of_default_file(key="bot")) == {ZETTA}


def test_a_server_owns_a_token_under_any_key_of_its_file(write: Write) -> None:
    write("cave-secret.json", token=TOKEN)
    write(f"{ZETTA}-cave-secret.json", token=OTHER_TOKEN, old=TOKEN)
    assert served(ownership_of_default_file()) == {ZETTA}


def test_an_account_is_not_served_beyond_the_default_deployment_that_has_a_file(
    write: Write,
) -> None:
    write("cave-secret.json", token=TOKEN, bot=OTHER_TOKEN)
    write(f"{GLOBAL}-cave-secret.json", token=TOKEN)
    assert served(ownership_of_default_file(key="bot")) == {GLOBAL, MINNIE}


@pytest.mark.parametrize("content", [{}, {"token": None}, {"token": ""}])
def test_a_file_without_a_token_owns_nothing(write: Write, content: dict[str, Any]) -> None:
    write("cave-secret.json", token=TOKEN)
    write(f"{GLOBAL}-cave-secret.json", **content)
    assert served(ownership_of_default_file()) == EVERYBODY


@pytest.mark.parametrize(
    ("same", "host", "may"),
    [
        ([GLOBAL], MINNIE, True),
        ([GLOBAL], ZETTA, False),
        ([ZETTA], MINNIE, False),
        ([], MINNIE, True),
        ([], ZETTA, False),
    ],
)
def test_after_a_refusal_it_is_tried_for_its_owners_or_the_default_deployment(
    store: TokenStore, same: list[str], host: str, may: bool
) -> None:
    store.save(TOKEN)
    for server in [MINNIE, ZETTA]:
        store.save(OTHER_TOKEN, server)
    for server in same:
        store.save(TOKEN, server, overwrite=True)
    whose = ownership_of_default_file()
    assert whose is not None
    assert whose.may_replace_a_refused_one(HostSpec.parse(host).origin) == may
