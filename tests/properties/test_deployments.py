"""Two deployments on one machine: no action on one, in any order, loses a key of the other.

Logins, saves, logouts and rotations, as they are and killed at any write of a secret file.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from cave_auth_adapter import AuthClient, TokenStore
from cave_auth_adapter.cli import main
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.store import content

from ..support.deployments import NAMES, two_deployments
from ..support.sandbox import is_alive
from .budget import examples

GLOBAL, ZETTA = NAMES
DEFAULT = "cave-secret.json"
BOTH = st.sampled_from([GLOBAL, ZETTA])
#: The write at which the process is killed, and whether before or after it; None: not killed.
Kill = tuple[int, bool] | None
KILLS = st.none() | st.none() | st.tuples(st.integers(0, 3), st.booleans())

happened: Counter[str] = Counter()

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


class Person(RuleBasedStateMachine):
    """A person with an account at each of two deployments."""

    deployments: ClassVar[dict[str, Sandbox]]

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        os.environ["HOME"] = str(self.home)
        self.secrets = self.home / ".cloudvolume" / "secrets"

    def teardown(self) -> None:
        shutil.rmtree(self.home)

    @initialize(default=st.sampled_from([None, GLOBAL, ZETTA]))
    def pasted_by_hand(self, default: str | None) -> None:
        """As in the tutorial, put a token in the default file without a note of its owner."""
        if default:
            TokenStore().save(self.deployments[default].create_token())

    @rule(at=BOTH, overwrite=st.booleans(), default=st.booleans(), kill=KILLS)
    def login(self, at: str, overwrite: bool, default: bool, kill: Kill) -> None:
        token = self.deployments[at].create_token()
        flags = ["--overwrite"] * overwrite + ["--default"] * default
        self.do(at, kill, overwrite, "login", at, "--token-stdin", *flags, stdin=token)

    @rule(at=BOTH, revoke=st.booleans(), kill=KILLS)
    def logout(self, at: str, revoke: bool, kill: Kill) -> None:
        self.do(at, kill, False, "logout", at, *["--revoke"] * revoke)

    @rule(at=BOTH, kill=KILLS)
    def rotate(self, at: str, kill: Kill) -> None:
        before = self.working()
        self.do(at, kill, False, "keys", "rotate", "--server", at, "--yes")
        # At no instant is there a file whose key was ended; but in the default file it may be
        # another's, and is left.
        assert before.keys() - self.working().keys() <= {DEFAULT}

    @rule(at=BOTH, overwrite=st.booleans(), kill=KILLS)
    def save(self, at: str, overwrite: bool, kill: Kill) -> None:
        token = self.deployments[at].create_token()

        def run() -> None:
            AuthClient(server_address=at).save_token(token, overwrite=overwrite)

        self.watch(at, kill, overwrite, "save", run)

    def do(
        self,
        at: str,
        kill: Kill,
        overwrite: bool,
        *command: str,
        stdin: str = "",
    ) -> None:
        def run() -> None:
            result = CliRunner().invoke(main, list(command), input=stdin)
            if result.exception and not isinstance(result.exception, SystemExit):
                raise result.exception
            happened[f"{command[0]}: exit code {result.exit_code}"] += 1

        self.watch(at, kill, overwrite, command[0], run)

    def watch(
        self,
        at: str,
        kill: Kill,
        overwrite: bool,
        what: str,
        run: Callable[[], None],
    ) -> None:
        """Do something to one deployment, and compare the files before and after."""
        before = tokens_in(self.secrets)
        if kill is None:
            run_as_it_is(run)
        elif killed(run, *kill):
            happened[f"{what}: killed"] += 1
        after = tokens_in(self.secrets)
        others = {server for server in NAMES if server != at}
        for server in others:
            for name in files_of(server):
                assert after.get(name) == before.get(name), f"{what} at {at} touched {name}"
        for server in NAMES:
            theirs = self.deployments[server].issued_tokens()
            assert all(after[name] in theirs for name in files_of(server) if name in after)
        if before.get(DEFAULT) != after.get(DEFAULT):
            self.check_default(at, before.get(DEFAULT), after.get(DEFAULT), overwrite)

    def check_default(
        self, at: str, before: str | None, after: str | None, overwrite: bool
    ) -> None:
        """The default file may change from nothing, from one's own, or where it is to be."""
        ours = self.deployments[at].issued_tokens()
        assert after is None or after in ours
        if before is not None and not (at == GLOBAL and overwrite):
            assert before in ours, f"{at} replaced or deleted another's token"
        happened["the default file changed"] += 1

    def working(self) -> dict[str, str]:
        """The files whose token works, and whose it is."""
        alive = {}
        for name, token in tokens_in(self.secrets).items():
            for server, sandbox in self.deployments.items():
                if is_alive(sandbox, token):
                    alive[name] = server
        return alive


def run_as_it_is(run: Callable[[], None]) -> None:
    try:
        run()
    except ValueError:  # TokenExists: no overwrite
        happened["save: refused"] += 1


def killed(run: Callable[[], None], at: int, after: bool) -> bool:
    """Run something in a child that is killed at one of its writes; whether it was."""
    child = os.fork()
    if not child:
        _die_at(at, after)
        try:
            run_as_it_is(run)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _die_at(at: int, after: bool) -> None:
    real, left = content._write, [at]

    def write(*args: Any, **kwargs: Any) -> None:
        dies = left[0] == 0
        left[0] -= 1
        if dies and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*args, **kwargs)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    content._write = write


def tokens_in(secrets: Path) -> dict[str, str]:
    """The tokens by the name of their file. One whose deletion was killed may have none."""
    found = {path.name: json.loads(path.read_text()) for path in secrets.glob("*.json")}
    return {name: each["token"] for name, each in found.items() if each}


def files_of(server: str) -> Iterator[str]:
    for name in NAMES[server].values():
        yield f"{name}-cave-secret.json"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_no_deployment_costs_another_its_key(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", os.environ["HOME"])
    with two_deployments(tmp_path_factory.mktemp("deployments")) as found:
        Person.deployments = found
        # A failing example is not shrunk: each try asks servers, and the steps are few.
        few = settings(examples(12, stateful_step_count=10), phases=[Phase.reuse, Phase.generate])
        run_state_machine_as_test(Person, settings=few)
    print(json.dumps(happened, indent=1))
    assert happened["the default file changed"]
