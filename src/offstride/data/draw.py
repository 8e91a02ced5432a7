"""Random numbers whose sequence is the same everywhere."""

from random import Random


def below(stop: int, random: Random) -> int:
    """A uniform integer in 0 … stop - 1, from `random()`: the only method whose sequence Python promises to keep."""
    return int(random.random() * stop)
