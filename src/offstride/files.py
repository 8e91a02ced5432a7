"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def write_whole(path: str | Path, *, sync: bool = True) -> Iterator[Path]:
    """Write a file under a temporary name in the same folder, then rename it: readers see the old file or the new one.

    Processes that write the same path at the same time do not disturb each other; the last one to finish wins. A
    symbolic link stays, the file that it points to is replaced. A process that is killed may leave its temporary file
    behind; it is hidden and ends in `.partial`, so that no folder of images or shards takes it for one of its own.

    Args:
        path: The file; missing folders are made.
        sync: Wait until the content is on the disk, so that not even a power cut leaves half a file. False saves some
            milliseconds for each of very many small files that can be made again.

    Yields:
        The temporary path, where the block creates the file and closes it. Its suffix says nothing of the format. If
        the block raises, it is removed.

    Raises:
        OSError: If the file cannot be written; an old one is still there.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name[:40]}.{uuid4().hex}.partial")
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes with `write_whole`."""
    with write_whole(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text with `write_whole`."""
    write_bytes(path, text.encode())
