"""Whose token is in cave-secret.json, as the files beside it tell."""

from __future__ import annotations

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


def test_without_the_file_there_is_nothing_to_own(store: TokenStore) -> None:
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
def test_it_serves_its_owners(store: TokenStore, same: list[str], hosts: set[str]) -> None:
    store.save(TOKEN)
    store.save(OTHER_TOKEN, V1DD)
    for server in same:
        store.save(TOKEN, server)
    assert served(ownership_of_default_file()) == hosts


@pytest.mark.parametrize("server", [GLOBAL, MINNIE])
def test_without_an_owner_it_is_an_older_key_of_the_default_deployment(
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
def test_a_named_host_of_no_known_deployment_is_served_as_well(store: TokenStore, own: str) -> None:
    store.save(TOKEN)
    store.save(own, GLOBAL)
    store.save(OTHER_TOKEN, LAB)  # it has a file of its own, so it is left out
    whose = ownership_of_default_file()
    assert served(whose, named=(NAMED, LAB, V1DD)) == {GLOBAL, MINNIE, NAMED}


@pytest.mark.parametrize("others", [[], [ZETTA, LAB]])
def test_if_nobody_knows_it_serves_everybody(store: TokenStore, others: list[str]) -> None:
    store.save(TOKEN)
    for server in others:
        store.save(OTHER_TOKEN, server)
    assert served(ownership_of_default_file()) == EVERYBODY


def test_a_file_that_can_not_be_read_may_be_an_owners(store: TokenStore, write: Write) -> None:
    store.save(TOKEN)
    write(f"{ZETTA}-cave-secret.json", "")  # as CAVEclient leaves it while it writes
    assert served(ownership_of_default_file()) == {GLOBAL, MINNIE}


def test_a_broken_default_file_is_an_error(write: Write) -> None:
    write("cave-secret.json", "{")
    with pytest.raises(TokenFileError):
        ownership_of_default_file()


def test_each_key_has_owners_of_its_own(write: Write) -> None:
    write("cave-secret.json", token=TOKEN, bot=OTHER_TOKEN)
    write(f"{GLOBAL}-cave-secret.json", token=TOKEN)
    write(f"{ZETTA}-cave-secret.json", bot=OTHER_TOKEN)
    assert served(ownership_of_default_file()) == {GLOBAL, MINNIE}
    assert served(ownership_of_default_file(key="bot")) == {ZETTA}


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
def test_after_a_refusal_it_follows_for_an_owner_or_the_default_deployment(
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
