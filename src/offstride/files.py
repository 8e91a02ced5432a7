"""Files that are written atomically."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def write_whole(path: str | Path, *, sync: bool = True) -> Iterator[Path]:
    """Write a file atomically: under a temporary name in the same folder, then rename it.

    Readers see the old file or the new one. Processes may write the same path at the same time; the last one to finish
    wins. A symbolic link stays, the file that it points to is replaced. A process that is killed may leave its
    temporary file behind, which is hidden and ends in `.partial`: datasets in the same folder ignore it.

    Args:
        path: The file; missing folders are made.
        sync: Wait until the content is on the disk, so that not even a power cut leaves half a file. False saves some
            milliseconds per file, for very many small files that can be made again.

    Yields:
        The temporary path: the block must create this file and close it. Its suffix is always `.partial`. If the block
        raises, the file is removed.

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
