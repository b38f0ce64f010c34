"""What must not get into a file, a message or a prompt: keys, and the credentials in an address."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

_SHORTEST = 8
"""Characters of a value that can be told from an ordinary word."""
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_PARAMETER = re.compile(r"([?&#])([^=?&#\s]*)=([^?&#\s]*)")


def without_keys() -> Callable[[str], str]:
    """A function that takes the values of the environment's secrets out of a text, and what UTF-8 cannot hold.

    The environment is read once, for many texts.
    """
    secrets = [
        (value, f"<{name}>")
        for name, value in os.environ.items()
        if len(value) >= _SHORTEST and any(word in name.upper() for word in _SECRET)
    ]

    def clean(text: str) -> str:
        for value, name in secrets:
            text = text.replace(value, name)
        return text.encode("utf-8", "replace").decode("utf-8")

    return clean


def redacted(text: str) -> str:
    """``text`` without keys, and without the credentials of the addresses in it."""
    return _PARAMETER.sub(_without_secret, _USER.sub("", without_keys()(text)))


def _without_secret(parameter: re.Match[str]) -> str:
    """A parameter of an address, its value left out where its name says that it is a secret."""
    mark, name, value = parameter.groups()
    secret = any(word in name.upper() for word in _SECRET)
    return f"{mark}{name}={'<secret>' if secret else value}"
