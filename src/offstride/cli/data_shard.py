"""`offstride data shard`: write a data set as a few large tar files, for network storage."""

from pathlib import Path

from jsonargparse import ArgumentParser

from offstride.cli.console import command_parser, progress_bar
from offstride.data import build_dataset, write_shards


def main(program: str, arguments: list[str]) -> int:
    """Write splits as shards, or resume writing them."""
    values = _parser(program).parse_args(arguments)
    for split in (values.split or "").split("+"):  # joined splits are joined again when they are read
        dataset = build_dataset(values.name, split or None, root=values.root)
        with progress_bar(f"writing {split or 'shards'}") as progress:
            size = values.megabytes * 10**6
            index = write_shards(dataset, values.to, split or None, shard_bytes=size, progress=progress)
        print(f"{len(dataset)} samples: {index}")
    print(f"train on them with: --data.name=shards --data.root={values.to}")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Write splits of a data set as tar files with an index. Where opening many small files is slow, training reads "
        "these faster, in the same order. Can be stopped and run again.",
    )
    result.add_argument("name", type=str, help="data set, as in recipes")
    result.add_argument("--root", type=Path | None, help="folder of the data set")
    result.add_argument("--split", type=str | None, help="split, or several joined by +")
    result.add_argument("--to", type=Path, required=True, help="folder for the shards of all splits")
    result.add_argument("--megabytes", type=int, default=1000, help="size of a shard")
    return result
