"""Trains by every recipe of a folder, one after the other; Lightning starts this script again for each further process.

Started once for many recipes: two interpreters that load everything take longer than what they then train.
"""

import sys
from pathlib import Path

from offstride.train import fit_stages
from offstride.train.reading import read_stages, split_settings

if __name__ == "__main__":
    for file in sorted(Path(sys.argv[1]).glob("*.yaml")):
        fit_stages(read_stages([file], dict(split_settings(sys.argv[2:])[0])), file.with_suffix(""))
