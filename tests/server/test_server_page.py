"""The page's files and what it may ask, over HTTP; what a browser makes of them is tested in tests/browser."""

import re
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

import httpx
import pytest

import turnlog
from tests.server.hosting import hosted
from turnlog.engine.engine import Engine
from turnlog.server.app import create_app
from turnlog.server.page import HEADERS, TARGETS
from turnlog.server.settings import ServerSettings
from turnlog.transports.webrtc.ice import IceServer, IceSettings

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """One target."""


@app.session("bar", provider="local", transport="in_process")
async def bar(session: turnlog.RealtimeSession) -> None:
    """Another."""


FILES = [one.name for one in (resources.files("turnlog.server") / "static").iterdir()]


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server without keys."""
    async with hosted(app, tmp_path) as server, httpx.AsyncClient(base_url=server.url) as client:
        yield client


async def test_every_file_comes_with_its_type_and_the_strict_headers(http: httpx.AsyncClient) -> None:
    """The page at /, everything else under /static/; each says that nothing else may run, and what it is."""
    for path in ["/", *(f"/static/{name}" for name in FILES if name != "index.html")]:
        answer = await http.get(path)
        assert answer.status_code == 200, path
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        kind = {"/": "text/html", ".js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
        assert answer.headers["content-type"].split(";")[0] == kind.get(path[-3:], kind["/"]), path
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy


@pytest.mark.parametrize(
    "path",
    ["/static/", "/static/nosuch.js", "/static/../page.py", "/static/..%2fpage.py", "/static/%2e%2e/page.py",
     "/static/..%5cpage.py", "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/index.html%00.js", "/static/page.js/",
     "/static/index.html"],
)  # fmt: skip
async def test_no_path_leads_out_of_the_files(http: httpx.AsyncClient, path: str) -> None:
    """What is no file of the page is a 404 with a hint, however it is spelled."""
    url = httpx.URL(http.base_url).copy_with(raw_path=path.encode())
    answer = await http.get(url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "TL504")


def test_the_files_name_nothing_from_elsewhere() -> None:
    """No address with a host, no inline script or style, and every import is a file beside."""
    for one in (resources.files("turnlog.server") / "static").iterdir():
        text = one.read_text()
        addresses = set(re.findall(r"https?://[^\s\"'<>.]*", text)) - {"http://www", "https://"}  # XML's own name; words
        assert addresses == set(), one.name
        imported = set(re.findall(r"from \"(.*)\"", text))
        assert imported <= {f"./{name}" for name in FILES}, one.name
    page = (resources.files("turnlog.server") / "static" / "index.html").read_text()
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*src=)", page)


async def test_the_targets_are_told_to_those_who_may_call(tmp_path: Path, http: httpx.AsyncClient) -> None:
    """Names and ICE servers; where there are keys only with one, and without keys not to pages of elsewhere."""
    told = (await http.get(TARGETS)).json()
    assert told == {
        "targets": [{"target": "hotel.desk", "direct": False}, {"target": "hotel.bar", "direct": False}],
        "ice_servers": [],
    }
    assert (await http.get(TARGETS, headers={"Origin": "https://elsewhere.example"})).status_code == 401
    (tmp_path / "locked").mkdir()
    async with hosted(app, tmp_path / "locked", settings=ServerSettings(keys=("k",))) as locked, httpx.AsyncClient() as client:
        assert (await client.get(f"{locked.url}/")).status_code == 200
        assert (await client.get(f"{locked.url}{TARGETS}")).status_code == 401
        assert (await client.get(f"{locked.url}{TARGETS}", headers={"Authorization": "Bearer k"})).json() == told


async def test_the_page_is_told_of_ice_servers_and_direct_calls(tmp_path: Path) -> None:
    """As a browser's RTCPeerConnection takes them; a session whose provider holds the call itself is named."""
    proxied = turnlog.App("hotel")

    @proxied.session("direct", provider="openai", transport="webrtc")
    async def direct(session: turnlog.RealtimeSession) -> None:
        """Never called here."""

    servers = (IceServer(url="stun:127.0.0.1:3478"), IceServer(url="turn:127.0.0.1", username="ann", credential="secret"))
    async with Engine(proxied, store="memory://", ice=IceSettings(servers=servers)) as engine:
        transport = httpx.ASGITransport(create_app(engine), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            assert (await http.get(TARGETS)).json() == {
                "targets": [{"target": "hotel.direct", "direct": True}],
                "ice_servers": [
                    {"urls": "stun:127.0.0.1:3478"},
                    {"urls": "turn:127.0.0.1", "username": "ann", "credential": "secret"},
                ],
            }


async def test_the_page_may_be_mounted_anywhere(http: httpx.AsyncClient) -> None:
    """What it links and asks for is relative to itself, so that a path in front of it is no obstacle."""
    page = (await http.get("/")).text
    linked = set(re.findall(r'(?:src|href)="([^"]*)"', page))
    assert linked == {"static/icon.svg", "static/style.css", "static/page.js"}
    scripts = [(await http.get(f"/static/{name}")).text for name in FILES]
    asked = {address for script in scripts for address in re.findall(r'["`](/?v1/[^"`?$]*)', script)}
    assert asked == {"v1/turnlog/targets", "v1/realtime/calls", "v1/realtime/calls/"}
