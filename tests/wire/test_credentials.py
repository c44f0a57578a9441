"""A service with systemd's credentials: they open its doors, reach the CLI, and are in no log."""

from pathlib import Path

import msgspec

from tests.kit.fake_script import Answer, make_fake_cli
from tests.wire.process import Ocpd, environ_of
from tests.wire.stage import body_of, family_of, fetch

TOKEN = "sk-ant-oat01-qx7-not-a-real-token"
SHARED, ADMIN = "qx7-shared-key", "qx7-admin-key"


def test_files_of_the_credentials_directory_count(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    for name, text in (
        ("claude-oauth-token", TOKEN),
        ("api-keys", SHARED),
        ("admin-key", ADMIN),
        ("anything", "qx7-else"),
    ):
        (folder / f"ocpd_{name}").write_text(text + "\n")
        (folder / f"ocpd_{name}").chmod(0o400)
    surroundings = environ_of(
        tmp_path / "home",
        make_fake_cli(tmp_path / "bin", Answer(("one", "two"), delay_s=0.2)),
        CREDENTIALS_DIRECTORY=str(folder),
        OCPD_LOG_LEVEL="debug",
    )
    with Ocpd(surroundings) as ocpd:
        body = body_of("hello")
        assert fetch(ocpd.port, "POST", "/v1/chat/completions", body).status == 401
        bearer = {"authorization": f"Bearer {SHARED}"}
        assert fetch(ocpd.port, "POST", "/v1/chat/completions", body, bearer).status == 200
        (child, *_) = family_of(ocpd.process.pid)
        environ = Path(f"/proc/{child}/environ").read_bytes()
        assert f"CLAUDE_CODE_OAUTH_TOKEN={TOKEN}".encode() in environ
        for hidden in (SHARED, ADMIN, "CREDENTIALS_DIRECTORY"):
            assert hidden.encode() not in environ
        patch = msgspec.json.encode({"maxQueue": 3})
        for key, status in ((SHARED, 401), (ADMIN, 200)):
            admin = {"authorization": f"Bearer {key}"}
            page = fetch(ocpd.port, "PATCH", "/settings", patch, admin)
            assert (page.status == 200) == (status == 200), page
        told = ocpd.wait_logged("setting_has_no_effect")["note"]
        assert told.startswith("the credential ocpd_anything has no effect")
        ocpd.process.terminate()
        ended = ocpd.wait_end()
    for secret in (TOKEN, SHARED, ADMIN, "qx7-else"):
        assert secret not in ended.stdout + ended.stderr
