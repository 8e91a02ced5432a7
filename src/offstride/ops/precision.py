"""Where low precision would not do."""

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device: str) -> AbstractContextManager:
    """No autocast in this block; kinds of device that have none at all (`meta`) do not take the question."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
