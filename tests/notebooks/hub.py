"""The configuration of a JupyterHub for one test: anybody may log in, each with a JupyterLab.

Its proxy runs in the process of the hub. The usual one is a program for Node.js.
https://jupyterhub.readthedocs.io/en/stable/howto/proxy.html
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import aiohttp
from aiohttp import web
from jupyterhub.proxy import Proxy

_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade"}
# What the sandbox and the tests set. A hub keeps little of its own environment for a JupyterLab.
_KEPT = ("REQUESTS_CA_BUNDLE", "CAVE_AUTH_HOSTS", "PYTHONDONTWRITEBYTECODE")


class InProcess(Proxy):
    """Sends each request to the server with the longest prefix of its path."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self._routes: dict[str, dict[str, Any]] = {}

    async def start(self) -> None:
        application = web.Application(client_max_size=1 << 28)
        application.router.add_route("*", "/{path:.*}", self._forward)
        self._client = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", int(os.environ["PROXY_PORT"])).start()

    async def stop(self) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def add_route(self, routespec: str, target: str, data: dict[str, Any]) -> None:
        self._routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        self._routes.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, dict[str, Any]]:
        return dict(self._routes)

    def _target(self, request: web.Request) -> str:
        path = f"{request.path}/"
        longest = max((spec for spec in self._routes if path.startswith(spec)), key=len)
        server = self._routes[longest]["target"].split("://", 1)[1].split("/", 1)[0]
        return f"http://{server}{request.raw_path}"

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _NOT_PASSED_ON}
        target = self._target(request)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._forward_websocket(request, target, headers)
        body = await request.read()
        async with self._client.request(
            request.method, target, headers=headers, data=body, allow_redirects=False
        ) as answer:
            kept = [(k, v) for k, v in answer.headers.items() if k.lower() not in _NOT_PASSED_ON]
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for part in answer.content.iter_any():
                await response.write(part)
            await response.write_eof()
        return response

    async def _forward_websocket(
        self, request: web.Request, target: str, headers: dict[str, str]
    ) -> web.WebSocketResponse:
        headers = {k: v for k, v in headers.items() if not k.lower().startswith("sec-websocket")}
        protocols = request.headers.get("Sec-WebSocket-Protocol", "").split(", ")
        async with self._client.ws_connect(
            target, headers=headers, protocols=protocols, max_msg_size=0
        ) as inner:
            outer = web.WebSocketResponse(
                protocols=[inner.protocol] if inner.protocol else [], max_msg_size=0
            )
            await outer.prepare(request)
            pumps = [asyncio.create_task(_pump(*pair)) for pair in ((inner, outer), (outer, inner))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
        return outer


async def _pump(source: Any, sink: Any) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await sink.send_bytes(message.data)


def _configure(c: Any) -> None:
    c.JupyterHub.proxy_class = InProcess
    c.JupyterHub.bind_url = f"http://127.0.0.1:{os.environ['PROXY_PORT']}"
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{os.environ['HUB_PORT']}"
    c.JupyterHub.db_url = "sqlite://"
    c.JupyterHub.authenticator_class = "dummy"
    c.Authenticator.allow_all = True
    c.JupyterHub.spawner_class = "simple"
    c.SimpleLocalProcessSpawner.home_dir_template = os.getcwd()
    c.Spawner.args = ["--allow-root", "--LabApp.expose_app_in_browser=True"]
    c.Spawner.http_timeout = 60
    c.Spawner.environment = {name: os.environ[name] for name in _KEPT if name in os.environ}


if "get_config" in globals():  # given by JupyterHub to its configuration alone
    _configure(globals()["get_config"]())
