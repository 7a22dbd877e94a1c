"""Where the person sits: at this computer, at another one, or at a notebook."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator

from ..errors import CaveAuthError

#: The variables of places where the person's browser runs on another computer, who sets each, and
#: how the person uses this computer then. The first that is set counts.
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
    """How the person uses this computer from another one; None: as far as we know, they do not."""
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

    Its stdin may be a terminal, but one at which nobody can type.
    """
    if in_notebook():
        return False
    # jupyter_client/launcher.py sets the first for each kernel, ipykernel/kernelapp.py the second
    # in each kernel. VS Code starts kernels without jupyter_client.
    return bool(
        os.environ.get("JPY_PARENT_PID") or "matplotlib_inline" in os.environ.get("MPLBACKEND", "")
    )


def has_browser() -> bool:
    """Whether a browser that is started here would be in front of the person."""
    if elsewhere() or in_notebook() or below_notebook():
        return False
    if os.environ.get("BROWSER") or sys.platform in ("win32", "darwin", "cygwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextlib.contextmanager
def shown_in_one_line() -> Iterator[None]:
    """Let a notebook show an error in one line: a wrong paste is no fault in anybody's code.

    IPython asks an exception for its method ``_render_traceback_``; anything else that shows or
    handles the exception finds it as it is.
    """
    try:
        yield
    except (CaveAuthError, KeyboardInterrupt) as error:
        if in_notebook():
            line = f"{type(error).__name__}: {error}".removesuffix(": ")
            error._render_traceback_ = functools.partial(list, [line])  # type: ignore[union-attr]
        raise
