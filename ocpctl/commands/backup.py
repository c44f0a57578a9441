"""``ocpctl backup`` and ``ocpctl restore``: the whole store as one file.

The file is opened here, with the rights of the caller; only bytes go over the socket.
"""

from __future__ import annotations

import contextlib
import os
import stat

from ocpctl.failures import OK, Failure
from ocpctl.grammar import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable

    from ocpctl.desk import Desk
    from ocpctl.fields import Fields
    from ocpctl.output import Output

_MODE = 0o600


def backup_store(args: Namespace, desk: Desk) -> int:
    """Write a consistent copy of the store to a new file that only its owner may read."""
    if os.path.lexists(args.file) and not args.force:
        raise Failure(f"{args.file} exists", ("--force replaces it",))
    # Beside it, then renamed: neither a half copy nor an old file's loose mode is ever there.
    part = f"{args.file}.{os.getpid()}.part"
    try:
        with desk.client.stream("admin", "backup") as stream:
            size = _write(part, stream)
        _put_in_place(part, args.file, may_replace=args.force)
    except OSError as error:
        raise _unwritable(args.file, error) from error
    finally:
        _remove(part)
    if desk.out.is_json:
        desk.out.show_json({"file": args.file, "bytes": size})
    else:
        desk.out.tick(f"{args.file}: {size} bytes")
    return OK


def restore_store(args: Namespace, desk: Desk) -> int:
    """Replace the store by a file that backup wrote."""
    try:
        with open(args.file, "rb") as content:
            about = os.fstat(content.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise Failure(f"{args.file} is no file")
            desk.confirm(
                f"Replace all keys, usage and settings of ocpd by {args.file}?", is_sure=args.yes
            )
            told = desk.client.upload("admin", "restore", content=content, size=about.st_size)
    except OSError as error:
        raise Failure(f"{args.file}: {(error.strerror or str(error)).lower()}") from error
    return desk.answer(told, _show_restored)


def _show_restored(body: Fields, out: Output) -> None:
    out.tick(
        f"Restored: {body.count('keys')} keys, {body.count('usage')} usage rows,"
        f" {body.count('settings')} settings"
    )


def _write(path: str, pieces: Iterable[bytes]) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    size = 0
    with os.fdopen(os.open(path, flags, _MODE), "wb") as file:
        for piece in pieces:
            file.write(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return size


def _put_in_place(part: str, path: str, *, may_replace: bool) -> None:
    if may_replace:
        os.replace(part, path)
        return
    try:
        # Fails if the name was taken meanwhile; a rename would not.
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links.
        os.rename(part, path)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _unwritable(path: str, error: OSError) -> Failure:
    advice = ("--force replaces it",) if isinstance(error, FileExistsError) else ()
    return Failure(f"{path}: {(error.strerror or str(error)).lower()}", advice)


def _declare_backup(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="where to write to; only you can read it")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")


def _declare_restore(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="what ocpctl backup wrote")
    parser.add_argument("--yes", action="store_true", help="do not ask")


COMMANDS = {
    "backup": {
        "": Verb(
            "write the store to a file",
            backup_store,
            _declare_backup,
            detail="It is consistent while ocpd runs. It holds the hashes of keys, not the keys.",
        )
    },
    "restore": {
        "": Verb("replace the store by a file that backup wrote", restore_store, _declare_restore)
    },
}
