"""What a child process appended is there after it was killed, and a second process is told who owns the file."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from turnlog.core.errors import StoreError
from turnlog.core.ports import Draft, SessionRow
from turnlog.store import open_store

__all__: list[str] = []

# Appends in eight sessions at once, and prints "session seq" for each append that was acknowledged.
CHILD = """
import asyncio, os, sys
from pathlib import Path
from turnlog.core.chain import digest
from turnlog.core.ports import Draft, Segment, SessionRow
from turnlog.store import open_store

async def call(store, name):
    try:
        head = await store.claim(name)
    except Exception:
        row = SessionRow(name, "", "t.s", "scripted", "in_process", "active", "3.11", "", 0, 0, 1, None)
        head = await store.create(row)
    while True:
        drafts = [Draft("TurnEnded", 1, 1, -1, os.urandom(300)) for _ in range(3)]
        audio = b"\\0" + os.urandom(1999)  # no reference to other segments
        drafts.append(Draft("MediaRecorded", 1, 1, -1, digest(audio)))
        seq = head.seq + 4
        head = await store.append(head, drafts, [Segment("p1.in", seq, seq, 0, 0, "tlm1", digest(audio), audio)])
        os.write(1, f"{name} {head.seq}\\n".encode())

async def main():
    store = open_store(Path(sys.argv[1]))
    await asyncio.gather(*(call(store, f"s{n}") for n in range(8)))

asyncio.run(main())
"""


def start(path: Path, program: str = CHILD) -> subprocess.Popen[bytes]:
    """The child, with this process's import path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, env=environment)


def killed(path: Path, lines: int) -> dict[str, int]:
    """Run the child until it has printed `lines` acknowledgements, kill it, and return the last seq of each session."""
    child = start(path)
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(lines)]
    child.send_signal(signal.SIGKILL)
    said += child.stdout.read().splitlines(keepends=True)
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    acknowledged: dict[str, int] = {}
    for line in said:
        if line.endswith(b"\n"):
            name, seq = line.decode().split()
            acknowledged[name] = max(int(seq), acknowledged.get(name, 0))
    return acknowledged


def test_every_acknowledged_append_survives_kill_9(path: Path) -> None:
    """Over several rounds on one file: what was acknowledged is there, every session verifies, and no append is there in part."""

    async def check(acknowledged: dict[str, int]) -> None:
        store = open_store(path)
        for name, seq in acknowledged.items():
            report = await store.verify(name)
            assert report.ok, report
            head = await store.head(name)
            assert head.seq >= seq and head.seq % 4 == 0
            assert report.segments == head.seq // 4
        await store.close()

    for lines in (8, 50, 51, 200):
        acknowledged = killed(path, lines)
        assert acknowledged
        asyncio.run(check(acknowledged))


OWNER = """
import sys
from pathlib import Path
from turnlog.store import open_store
store = open_store(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
"""


def test_a_second_process_is_told_the_owners_pid(path: Path) -> None:
    """Opening a file that another process owns raises TL401 with its pid; after its death the file opens at once."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == b"open\n"
        with pytest.raises(StoreError, match=f"process {owner.pid}") as refused:
            open_store(path)
        assert refused.value.code == "TL401"
        open_store(path, read_only=True)
        owner.kill()
    asyncio.run(open_store(path).close())


def test_a_store_that_was_not_closed_lets_the_program_end(path: Path) -> None:
    """A program that forgets close() ends by itself."""
    child = start(path, OWNER.replace("sys.stdin.readline()", ""))
    child.communicate(timeout=60)
    assert child.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 1 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted only by root on Linux")
    return folder


@pytest.fixture
def unmounted(small_disk: Path) -> object:
    """Takes the file system away again."""
    yield small_disk
    subprocess.run(["umount", "--lazy", str(small_disk)], check=True)


async def test_a_full_disk_loses_nothing(unmounted: Path, row: Callable[..., SessionRow], draft: Callable[..., Draft]) -> None:
    """Appends fail with TL406 while the disk is full, what was acknowledged stays, and with space the store goes on."""
    filler = unmounted / "filler"
    store = await asyncio.to_thread(open_store, unmounted / "log.db")
    head = await store.create(row())
    filler.write_bytes(b"x" * 200_000)
    with pytest.raises(StoreError) as refused:
        for _ in range(2_000):
            head = await store.append(head, [draft(data=os.urandom(2_000))])
    assert refused.value.code == "TL406" and refused.value.hint
    assert await store.head("s1") == head
    with pytest.raises(StoreError):
        await store.append(head, [draft(data=os.urandom(400_000))])
    filler.unlink()
    head = await store.append(head, [draft()])
    report = await store.verify("s1")
    assert report.ok and report.events == head.seq > 1
    await store.close()
