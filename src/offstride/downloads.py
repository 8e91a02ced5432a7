"""Downloads by other libraries, which retry for minutes where there is no network: here the network is tried first."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

SECONDS = 5.0
"""How long a server may take to answer at all."""


def reachable(url: str, seconds: float = SECONDS) -> bool:
    """Whether a server answers, through the proxies that the environment names, whatever it answers."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            urlopen(Request(url, method="HEAD"), timeout=seconds).close()
        except HTTPError:
            answers.append(True)
        except (OSError, ValueError, HTTPException):
            answers.append(False)
        else:
            answers.append(True)

    thread = Thread(target=ask, daemon=True)  # the look-up of a name knows no time limit
    thread.start()
    thread.join(seconds)
    return bool(answers and answers[0])


@contextmanager
def hub_or_cache() -> Iterator[None]:
    """Let libraries download from the Hugging Face Hub; without a network they find what is in their cache, or fail at
    once.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its class if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
