"""A signed repository like a user's machine sees it: throw-away keys, the product's own script, and
a server inside a container.

What may live here: making, spoiling and serving one.
"""

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.packages.container import Container

TOP = Path(__file__).parents[2]
PORT = 8080
URL = f"http://127.0.0.1:{PORT}"
KEYRING = "/usr/share/keyrings/ocpd-archive-keyring.gpg"


class Keys:
    """Signing keys in a folder of their own, which goes with the block."""

    def __init__(self) -> None:
        # Not below a test's folder: an agent's socket would get too long a path.
        self.home = Path(tempfile.mkdtemp(prefix="ocpd-keys-"))

    def __enter__(self) -> "Keys":
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.home)

    def make(self, name: str) -> str:
        """Make a key that signs for a day; returns its fingerprint."""
        person = f"{name} <{name}@example.org>"
        self._gpg("--passphrase", "", "--quick-generate-key", person, "ed25519", "sign", "1d")
        told = self._gpg("--with-colons", "--list-keys", person)
        (fingerprint,) = (line.split(":")[9] for line in told.splitlines() if line[:3] == "fpr")
        return fingerprint

    def environment(self) -> dict[str, str]:
        """What a program needs that signs with them."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "GNUPGHOME": str(self.home)}

    def rest(self) -> None:
        """End the agent that gpg has started."""
        subprocess.run(["gpgconf", "--kill", "all"], env=self.environment(), check=True)

    def _gpg(self, *arguments: str) -> str:
        try:
            return subprocess.run(
                ["gpg", "--batch", "--quiet", *arguments],
                env=self.environment(),
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        finally:
            self.rest()


class Repository:
    """What `make apt-repo` makes of the packages in ``debs``; made anew by each ``publish``."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self.site = folder / "apt"
        self._keys = keys
        self._keyring = 0

    def publish(self, debs: Path, sign: Sequence[str], trust: Sequence[str] = ()) -> None:
        """Sign ``debs`` with the keys ``sign``; clients are to trust ``trust``, else the same."""
        self._keyring += 1
        done = subprocess.run(
            ["make", "--silent", "apt-repo"],
            cwd=TOP,
            env={
                **self._keys.environment(),
                "APT_DEBS": str(debs),
                "APT_OUT": str(self.site),
                "APT_KEY": " ".join(sign),
                "APT_KEYS": " ".join(trust or sign),
                "APT_URL": URL,
                "APT_KEYRING_VERSION": str(self._keyring),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        self._keys.rest()
        assert done.returncode == 0, done.stderr

    def copy_to(self, folder: Path) -> "Repository":
        """The same once more, to be published over or spoiled."""
        other = Repository(folder, self._keys)
        other._keyring = self._keyring
        shutil.copytree(self.site, other.site)
        return other

    def package(self, name: str) -> Path:
        """The file of the package ``name`` in the pool."""
        found = sorted(self.site.glob(f"pool/main/o/*/{name}_*.deb"))
        assert found, name
        return found[0]

    @contextlib.contextmanager
    def served_in(self, container: Container) -> Iterator[None]:
        """Serve it on the loopback of ``container``. What is published later is served too."""
        handler = functools.partial(_Quiet, directory=str(self.site))
        with container.network():
            server = ThreadingHTTPServer(("127.0.0.1", PORT), handler)
        # The number is how long an end may take.
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="kit-repository")
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def send_head(self) -> Any:
        """As ever, but two publications within one second are two to us."""
        del self.headers["If-Modified-Since"]
        return super().send_head()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
