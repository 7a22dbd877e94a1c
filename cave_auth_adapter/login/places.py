"""Find out where the user is: at this computer, at another one, or in a notebook."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import CaveAuthError

#: Variables that tell that the user's browser runs on another computer -> how the user connects to
#: this one. The first that is set counts; a comment names the program that sets it.
_ELSEWHERE = {
    # BinderHub, which is a JupyterHub, too: binderhub/launcher.py and its extraConfig for a spawner
    "BINDER_LAUNCH_HOST": "through Binder",
    # jupyterhub/spawner.py, Spawner.get_env
    "JUPYTERHUB_API_URL": "through JupyterHub",
    # the images in which Colab runs notebooks
    "COLAB_RELEASE_TAG": "through Google Colab",
    # docs.github.com, "Default environment variables for your codespace"
    "CODESPACES": "through Codespaces",
    # the Dev Containers extension of VS Code, in each container that it opens
    "REMOTE_CONTAINERS": "through a dev container",
    # VS Code, src/vs/server/node/remoteTerminalChannel.ts: terminals on a remote computer
    "VSCODE_IPC_HOOK_CLI": "through VS Code",
    # sshd: ssh(1), section ENVIRONMENT
    "SSH_CONNECTION": "over SSH",
    "SSH_TTY": "over SSH",
}


def elsewhere() -> str | None:
    """How the user connects from another computer; None if there is no sign that they do."""
    return next((how for name, how in _ELSEWHERE.items() if os.environ.get(name)), None)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    try:
        shell = sys.modules["IPython"].get_ipython()
    except (KeyError, AttributeError):
        return False
    return hasattr(shell, "kernel")


def below_notebook() -> bool:
    """Whether a kernel started this process, as ``!command`` does in a cell.

    Its stdin may be a terminal that nobody can type at.
    """
    if in_notebook():
        return False
    # jupyter_client/launcher.py sets the first for each kernel, ipykernel/kernelapp.py the second
    # in each kernel where it is not set. VS Code starts kernels without jupyter_client.
    return bool(
        os.environ.get("JPY_PARENT_PID")
        or "matplotlib_inline" in os.environ.get("MPLBACKEND", "")
        or re.search(_KERNEL, _opener_of_terminal())
    )


# The module or script in the command line of a kernel; a directory of that name is none.
_KERNEL = (
    r"(?:^|[\0 /])(?:ipykernel|ipykernel_launcher|colab_kernel_launcher|spyder_kernels\.console)"
    r"(?:\.py)?(?:[\0 \n]|$)"
)


def _opener_of_terminal() -> str:
    """The command line of the process that has opened our terminal; empty if that is unknown.

    It is the parent of the first process of our session: IPython starts a command with pexpect,
    which makes a new session with a terminal for it.
    """
    if os.name != "posix":  # there, IPython gives a command no terminal
        return ""
    from subprocess import SubprocessError  # takes 2 ms

    try:
        return _about(int(_about(os.getsid(0), "ppid")), "command")
    except (OSError, ValueError, SubprocessError):
        return ""


def _about(pid: int, what: str) -> str:
    """The command line or the parent of a process.

    :param what: ``command`` or ``ppid``, as ps(1) names them.
    """
    if sys.platform == "linux":  # proc(5); many containers have no ps
        name = "cmdline" if what == "command" else "stat"
        told = Path("/proc", str(pid), name).read_bytes().decode("utf-8", "replace")
        return told if what == "command" else told.rpartition(")")[2].split()[1]
    from subprocess import run

    ps = ["ps", "-o", f"{what}=", "-p", str(pid)]
    done = run(ps, capture_output=True, timeout=5)  # noqa: S603 - a fixed command and a number
    return done.stdout.decode("utf-8", "replace")


def has_browser() -> bool:
    """Whether the user would see a browser that is started here."""
    if elsewhere() or in_notebook() or below_notebook():
        return False
    if os.environ.get("BROWSER") or sys.platform in ("win32", "darwin", "cygwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextlib.contextmanager
def shown_in_one_line() -> Iterator[None]:
    """Let a notebook show an error in one line: a wrong paste needs no traceback.

    IPython calls the method ``_render_traceback_`` of an exception. Nothing else is changed.
    """
    try:
        yield
    except (CaveAuthError, KeyboardInterrupt) as error:
        if in_notebook():
            line = f"{type(error).__name__}: {error}".removesuffix(": ")
            error._render_traceback_ = functools.partial(list, [line])  # type: ignore[union-attr]
        raise
