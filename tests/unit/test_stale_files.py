"""After a refusal, the next secret file of the same deployment is tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter import tokens_changed
from cave_auth_adapter.origins import Origin
from cave_auth_adapter.sources import Credentials
from cave_auth_adapter.watch import LOOK_INTERVAL

from ..support.credentials import AUTH, AUTH_SERVER, HOST, value
from ..support.stub import OTHER_TOKEN, TOKEN, Clock, Write
from ..support.threads import at_once


class TestStaleFile:
    """After a refused token from a file, the next file of its deployment is tried."""

    OWN, HOME = f"{HOST.host}-cave-secret.json", f"{AUTH_SERVER}-cave-secret.json"
    ZETTA = Origin("https", "data.proofreading.zetta.ai", 443)

    def refuse(self, credentials: Credentials, origin: Origin = HOST) -> str | None:
        token = credentials.after_refusal(origin, credentials.token_for(origin))
        return token.value if token else None

    def test_the_next_file_of_the_deployment_is_tried(
        self, write: Write, caplog: pytest.LogCaptureFixture, clock: Clock
    ) -> None:
        path = write(self.OWN, token=OTHER_TOKEN)
        write(self.HOME, token=TOKEN)
        credentials = Credentials()
        assert self.refuse(credentials) == TOKEN
        clock.advance(100)
        assert value(credentials) == TOKEN  # from now on
        assert value(Credentials()) == TOKEN  # for each object
        (warning,) = caplog.messages
        assert f"{HOST.host} refuses the token from the file {path}" in warning
        assert "cave-auth doctor" in warning
        assert TOKEN not in warning
        assert OTHER_TOKEN not in warning

    @pytest.mark.parametrize(
        ("files", "origin", "follows"),
        [
            ({OWN: OTHER_TOKEN, "cave-secret.json": TOKEN}, HOST, True),
            ({OWN: OTHER_TOKEN, HOME: TOKEN, "cave-secret.json": TOKEN}, HOST, True),
            ({HOME: OTHER_TOKEN, "chunkedgraph-secret.json": TOKEN}, HOST, True),
            # of another deployment, by the file that it has
            (
                {
                    OWN: OTHER_TOKEN,
                    "proofreading.zetta.ai-cave-secret.json": TOKEN,
                    "cave-secret.json": TOKEN,
                },
                HOST,
                False,
            ),
            # of unknown origin, and not for the default deployment
            (
                {"proofreading.zetta.ai-cave-secret.json": OTHER_TOKEN, "cave-secret.json": TOKEN},
                ZETTA,
                False,
            ),
            (
                {
                    "data.proofreading.zetta.ai-cave-secret.json": OTHER_TOKEN,
                    "proofreading.zetta.ai-cave-secret.json": TOKEN,
                    "cave-secret.json": TOKEN,
                },
                ZETTA,
                True,
            ),
        ],
    )
    def test_only_a_file_of_the_same_deployment_is_tried(
        self, write: Write, files: dict[str, str], origin: Origin, follows: bool
    ) -> None:
        for name, token in files.items():
            write(name, token=token)
        credentials = Credentials()
        assert value(credentials, origin) == OTHER_TOKEN
        assert self.refuse(credentials, origin) == (TOKEN if follows else None)

    @pytest.mark.parametrize("kind", ["CAVE_TOKEN", "CAVE_TOKEN_FILE", "token_file=", "key"])
    def test_an_explicit_choice_is_not_replaced(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
    ) -> None:
        write(self.OWN, token=TOKEN, key=OTHER_TOKEN)
        write(self.HOME, token=TOKEN, key=TOKEN)
        named = tmp_path / "named"
        named.write_text(OTHER_TOKEN)
        if kind.isupper():
            monkeypatch.setenv(kind, OTHER_TOKEN if kind == "CAVE_TOKEN" else str(named))
        given: Any = {"token_file=": {"token_file": named}, "key": {"token_key": "key"}}.get(
            kind, {}
        )
        credentials = Credentials(**given)
        assert value(credentials) == OTHER_TOKEN
        assert self.refuse(credentials) is None

    def test_if_all_are_refused_the_first_stays_in_use(self, write: Write, clock: Clock) -> None:
        write(self.OWN, token=OTHER_TOKEN)
        write(self.HOME, token=TOKEN)
        credentials = Credentials()
        assert [self.refuse(credentials) for _ in range(3)] == [TOKEN, None, None]
        assert value(credentials) == OTHER_TOKEN
        write(self.OWN, token="ab" * 16)
        clock.advance(LOOK_INTERVAL)
        assert value(credentials) == "ab" * 16

    def test_a_request_without_a_token_gets_the_refused_one(self, write: Write) -> None:
        write(self.OWN, token=TOKEN)
        credentials = Credentials()
        assert self.refuse(credentials) is None
        token = credentials.after_refusal(HOST, None)
        assert token is not None
        assert token.value == TOKEN

    def test_tokens_changed_brings_the_first_file_back(self, write: Write) -> None:
        write(self.OWN, token=OTHER_TOKEN)
        write(self.HOME, token=TOKEN)
        credentials = Credentials()
        assert self.refuse(credentials) == TOKEN
        tokens_changed()
        assert value(credentials) == OTHER_TOKEN

    def test_another_host_still_gets_the_refused_token(self, write: Write) -> None:
        write(self.HOME, token=OTHER_TOKEN)
        write("cave-secret.json", token=TOKEN)
        credentials = Credentials()
        assert self.refuse(credentials) == TOKEN
        assert value(credentials, AUTH) == OTHER_TOKEN

    def test_a_broken_file_is_not_tried(self, write: Write) -> None:
        write(self.OWN, token=OTHER_TOKEN)
        write(self.HOME, "{")
        credentials = Credentials()
        assert self.refuse(credentials) is None
        assert value(credentials) == OTHER_TOKEN

    def test_refusals_of_32_threads_give_one_warning(
        self, write: Write, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(self.OWN, token=OTHER_TOKEN)
        write(self.HOME, token=TOKEN)
        credentials = Credentials()
        refused = credentials.token_for(HOST)
        found = at_once([lambda: credentials.after_refusal(HOST, refused)] * 32)
        assert [token and token.value for token in found] == [TOKEN] * 32
        assert len(caplog.messages) == 1
