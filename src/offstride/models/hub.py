"""Models on the Hugging Face Hub, or in a folder of the same layout.

A repository holds `model.safetensors` (weights, configuration and classes: all that loading needs), `config.json` (the
configuration and the classes again, for readers and for search) and `README.md` (the model card).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub

from offstride import __version__
from offstride.data.catalog import ClassSet
from offstride.downloads import first_line, hub_or_cache
from offstride.models.card import model_card
from offstride.models.config import ModelConfig

WEIGHTS = "model.safetensors"
_LIBRARY: dict[str, Any] = {"library_name": "offstride", "library_version": __version__}


def write_folder(
    folder: Path, config: ModelConfig, classes: ClassSet | None, name: str, scores: Mapping[str, Any] | None
) -> None:
    """Write `config.json` and `README.md` beside the weights.

    Raises:
        ValueError: If the scores are not those of an evaluation.
    """
    card = model_card(config, classes, name, scores)
    described = {"library": f"offstride {__version__}", **config.to_dict(), "class_set": classes and classes.to_dict()}
    (folder / "config.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card, encoding="utf-8")


def read_scores(scores: Mapping[str, Any] | str | Path | None) -> Mapping[str, Any] | None:
    """Scores as they are, or from the file that `offstride evaluate --json` wrote.

    Raises:
        ValueError: Naming the path, if it cannot be read.
    """
    if scores is None or isinstance(scores, Mapping):
        return scores
    try:
        return json.loads(Path(scores).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"scores: {scores} cannot be read ({error})") from error


def upload(folder: Path, repo_id: str, *, private: bool, token: str | None, message: str) -> str:
    """Upload a folder to a repository, created if needed; returns its address.

    Raises:
        ValueError: If the Hub cannot be reached or refuses.
    """
    try:
        interface = huggingface_hub.HfApi(token=token, **_LIBRARY)
        address = interface.create_repo(repo_id, private=private, exist_ok=True)
        interface.upload_folder(repo_id=address.repo_id, folder_path=folder, commit_message=message)
    except Exception as error:  # of the network, of the server, of the name
        raise ValueError(f"hub: {repo_id} was not uploaded ({first_line(error)})") from error
    return str(address)


def find_weights(name: str | Path, *, revision: str | None, token: str | None, cache_dir: str | Path | None) -> Path:
    """The file of a model: in a local folder, or downloaded from the Hub and cached.

    Raises:
        ValueError: If the folder has no such file, or the Hub cannot be reached or has no such model.
    """
    if Path(name).is_dir():
        path = Path(name) / WEIGHTS
        if not path.is_file():
            raise ValueError(f"model {name}: expected a folder with {WEIGHTS}")
        return path
    source = {"revision": revision, "token": token, "cache_dir": cache_dir, **_LIBRARY}
    try:
        with hub_or_cache():
            return Path(huggingface_hub.hf_hub_download(str(name), WEIGHTS, **source))
    except Exception as error:
        raise ValueError(
            f"model {name}: neither a folder nor available from the Hub: it cannot be downloaded (no network?); give a "
            f"local file or folder ({first_line(error)})"
        ) from error
