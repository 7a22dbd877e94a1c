"""How long a refused token is not looked up again; the clock stands still until a test moves it."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from cave_auth_adapter import (
    TokenStore,
    tokens_changed,
)
from cave_auth_adapter.bridges import keyring
from cave_auth_adapter.sources import Credentials, memory

from ..support.credentials import AUTH, HOST, value
from ..support.stub import OTHER_TOKEN, TOKEN, Clock, Write


class TestQuietTime:
    """After a lookup without a new token, the sources are not asked for a while."""

    @pytest.fixture
    def credentials(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Credentials:
        """Credentials with a source whose changes can't be watched."""
        monkeypatch.setenv("CAVE_AUTH_KEYRING", "1")
        monkeypatch.setattr(keyring, "_call", self.call)
        self.asked: list[float] = []
        self.present, self.clock = OTHER_TOKEN, clock
        return Credentials()

    def call(self, function: str, server: str) -> str | None:
        if server != keyring.ANY_SERVER:
            return None
        self.asked.append(self.clock.now)
        return self.present

    def refused_for(self, credentials: Credentials, seconds: int) -> list[float]:
        """When the sources are asked while a refused request is repeated each second."""
        start, token = self.clock.now, credentials.token_for(HOST)
        self.asked.clear()
        for _ in range(seconds):
            credentials.after_refusal(HOST, token)
            self.clock.advance(1)
        return [at - start for at in self.asked]

    def test_the_pause_grows_from_about_10_to_about_60_seconds(
        self, credentials: Credentials
    ) -> None:
        asked = self.refused_for(credentials, 600)
        spans = [after - before for before, after in pairwise(asked)]
        assert 4 <= spans[0] <= 17
        assert 8 <= spans[1] <= 33
        assert all(span <= 61 for span in spans)
        assert 10 <= len(asked) <= 25

    def test_the_pause_is_randomised(
        self, credentials: Credentials, clock: Clock, write: Write
    ) -> None:
        ends = set()
        for _ in range(20):
            memory._forget()
            others = Credentials()
            others.after_refusal(HOST, others.token_for(HOST))
            ends.add(others._memory._rests[HOST].quiet_until)
        assert max(ends) - min(ends) > 2

    def test_the_programs_random_numbers_are_not_used(self, credentials: Credentials) -> None:
        random.seed(1)
        before = random.getstate()
        self.refused_for(credentials, 100)
        assert random.getstate() == before

    def test_tokens_changed_ends_the_pause(self, credentials: Credentials) -> None:
        refused = credentials.token_for(HOST)
        assert credentials.after_refusal(HOST, refused) is None
        tokens_changed()
        self.asked.clear()
        assert credentials.after_refusal(HOST, refused) is None
        assert len(self.asked) == 2  # after tokens_changed(), and after the refusal
        self.present = TOKEN
        self.clock.advance(2)
        assert credentials.after_refusal(HOST, refused) is None
        tokens_changed()
        token = credentials.after_refusal(HOST, refused)
        assert token is not None
        assert token.value == TOKEN

    def test_the_pause_is_for_one_host_and_one_token(
        self, credentials: Credentials, write: Write, store: TokenStore
    ) -> None:
        self.refused_for(credentials, 3)
        assert len(self.asked) == 1
        credentials.after_refusal(AUTH, credentials.token_for(AUTH))
        assert len(self.asked) == 3  # at first need, and after the refusal
        self.present = TOKEN
        tokens_changed()
        assert value(credentials) == TOKEN
        assert self.refused_for(credentials, 1) == [0]  # this one was not refused before

    def test_refusals_after_an_hour_start_at_10_seconds_again(
        self, credentials: Credentials
    ) -> None:
        self.refused_for(credentials, 300)
        self.clock.advance(3600)
        asked = self.refused_for(credentials, 40)
        assert asked[0] == 0
        assert 4 <= asked[1] <= 17
