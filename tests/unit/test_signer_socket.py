"""Who may ask the signer: its own user, and one group when it is named."""

import grp
import os
import stat

import pytest

from broker.audit.signer import Server, Signing
from tests.logs import ORIGIN


@pytest.mark.parametrize(("group", "mode"), [("", 0o600), (grp.getgrgid(os.getgid()).gr_name, 0o660)])
def test_the_socket_is_open_to_its_user_and_to_the_named_group(tmp_path, group, mode):
    path = tmp_path / "signer.sock"

    with Server(str(path), Signing(tmp_path / "signer", ORIGIN), group=group):
        seen = path.stat()

    assert stat.S_IMODE(seen.st_mode) == mode
    assert seen.st_gid == os.getgid()
