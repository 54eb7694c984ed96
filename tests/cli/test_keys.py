"""`turnlog keys`, as a person runs it; what the keys open is asked in tests/server."""

import json

import pytest

from tests.cli.commands import Command

__all__: list[str] = []


def test_a_key_is_made_shown_once_listed_and_revoked(turnlog_in: Command) -> None:
    """On a file that was not there; neither list nor file shows the key."""
    made = turnlog_in.run("keys", "create", "--name", "desk", "--scope", "start", "--tenant", "acme", "--db", "calls.db")
    secret = made.stdout.strip()
    assert made.returncode == 0 and secret.startswith("tl_") and len(secret) == 46
    key_id = made.stderr.partition(":")[0]
    listed = turnlog_in.run("keys", "list", "--db", "calls.db").stdout
    assert f"{key_id}  desk  start of tenant acme" in listed and "stands" in listed and secret not in listed
    assert not any(secret.encode() in one.read_bytes() for one in turnlog_in.folder.iterdir())
    assert turnlog_in.run("keys", "revoke", key_id, "--db", "calls.db").stdout.startswith(f"{key_id}: revoked ")
    assert "revoked" in turnlog_in.run("keys", "list", "--db", "calls.db").stdout


def test_json_has_the_key_where_it_is_made_and_never_after(turnlog_in: Command) -> None:
    """One object a line; limits and expiry as they were given."""
    words = ("--json", "--db", "calls.db")
    made = json.loads(turnlog_in.run("keys", "create", "--expires", "12h", "--sessions", "2", *words).stdout)
    assert made.pop("key").startswith("tl_")
    assert made["scopes"] == ["start", "observe"] and made["limits"] == {"sessions": 2}
    assert made["expires_ns"] - made["created_ns"] == 12 * 3600 * 10**9
    assert json.loads(turnlog_in.run("keys", "list", *words).stdout) == made


WRONG = [
    (("create", "--scope", "root"), 2, "'root' is not one of"),
    (("create", "--expires", "soon"), 2, "'soon' is neither 30m, 12h or 90d nor a date"),
    (("create", "--expires", "2001-01-01"), 1, "error TL504: --expires 2001-01-01 is in the past"),
    (("create", "--expires", "99999d"), 1, "error TL504: --expires 99999d is too far away"),
    (("create", "--expires", "9999-12-31"), 1, "error TL504: --expires 9999-12-31 is too far away"),
    (("create", "--tenant", ""), 2, "--tenant: it is empty"),
    (("create", "--sessions", "0"), 1, "error TL201: sessions=0 is no limit"),
    (("create", "--db", "memory://"), 1, "error TL404: memory:// has no file"),
    (("list",), 1, "error TL404: turnlog.db is not there"),
    (("revoke", "key_1"), 1, "error TL404: turnlog.db is not there"),
]


@pytest.mark.parametrize(("words", "code", "said"), WRONG)
def test_what_cannot_be_is_said_in_a_line(turnlog_in: Command, words: tuple[str, ...], code: int, said: str) -> None:
    """With the exit code of usage or of an error, and no file is left behind."""
    done = turnlog_in.run("keys", *words)
    assert done.returncode == code and said in done.stderr, done.stderr
    assert list(turnlog_in.folder.iterdir()) == []


def test_an_unknown_id_is_named(turnlog_in: Command) -> None:
    """TL419; an empty store says that it has no keys."""
    assert turnlog_in.run("keys", "create", "--db", "calls.db").returncode == 0
    done = turnlog_in.run("keys", "revoke", "key_9", "--db", "calls.db")
    assert done.returncode == 1 and "error TL419: no key 'key_9' in this store" in done.stderr
