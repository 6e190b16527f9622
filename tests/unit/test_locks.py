"""Lock files name no host but the public default, and hash every package."""

import re

import pytest

from deploy.check import HOSTS, LOCKS, ROOT, check_locks, foreign_hosts


def test_our_lock_files_name_the_public_default_only():
    assert check_locks() == ""


@pytest.mark.parametrize(
    "line",
    [
        'url = "https://mirror.example/simple/django.whl"',
        "--index-url https://mirror.example/simple",
        "-i http://10.0.0.1/",
        "--find-links ./wheels",
    ],
)
def test_another_host_is_found(line):
    assert foreign_hosts(line)


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_the_public_default_is_not(host):
    assert foreign_hosts(f'url = "https://{host}/packages/x.whl"') == set()


@pytest.mark.parametrize("name", [lock for lock in LOCKS if lock.endswith(".txt")])
def test_every_requirement_is_pinned_and_hashed(name):
    blocks = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())

    loose = [b.split()[0] for b in blocks if not b.startswith("#") and ("==" not in b or "--hash=sha256:" not in b)]

    assert loose == []
