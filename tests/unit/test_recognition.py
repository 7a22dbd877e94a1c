"""Which tokens the credentials recognise as their own."""

from __future__ import annotations

from cave_auth_adapter import TokenStore
from cave_auth_adapter.origins import parse_origin
from cave_auth_adapter.sources import Credentials

from ..support.credentials import HOST, value
from ..support.stub import OTHER_TOKEN, TOKEN, Write


class TestRecognition:
    def test_a_token_given_out_for_a_host_is_recognised(self, store: TokenStore) -> None:
        store.save(OTHER_TOKEN)
        credentials = Credentials()
        value(credentials)
        store.save(TOKEN, overwrite=True)
        value(credentials)
        assert credentials.recognise(HOST, TOKEN).value == TOKEN
        assert credentials.recognise(HOST, OTHER_TOKEN).value == OTHER_TOKEN

    def test_a_token_given_out_100_tokens_ago_is_recognised(self, store: TokenStore) -> None:
        """A volume that was made weeks ago has it in its header."""
        credentials = Credentials()
        tokens = [f"{number:032x}" for number in range(1, 101)]
        for token in tokens:
            store.save(token, overwrite=True)
            assert value(credentials) == token
        assert all(credentials.recognise(HOST, token) for token in tokens)
        assert credentials.known() == set(tokens)

    def test_a_token_of_another_host_is_not_recognised(self, write: Write) -> None:
        write("cave.example.org-cave-secret.json", token=TOKEN)
        credentials = Credentials()
        value(credentials, parse_origin("https://cave.example.org/"))
        assert credentials.recognise(HOST, TOKEN) is None

    def test_a_foreign_token_is_not_recognised(self, write: Write) -> None:
        write("cave-secret.json", token=TOKEN)
        credentials = Credentials()
        value(credentials)
        assert credentials.recognise(HOST, OTHER_TOKEN) is None

    def test_a_token_given_to_another_object_is_recognised(self, store: TokenStore) -> None:
        """After ``uninstall()`` and ``install()``, a volume made before still sends it."""
        store.save(OTHER_TOKEN)
        value(Credentials())
        store.save(TOKEN, overwrite=True)
        again = Credentials()
        value(again)
        assert again.recognise(HOST, OTHER_TOKEN) is not None
