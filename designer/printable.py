"""Text from models, tasks and runs as a terminal may show it: characters that command a terminal are spelt out."""


def printable(text: str) -> str:
    r"""``text`` with every character that shows nothing of itself spelt out, as in ``\x1b`` and ``\u202e``.

    Those are control characters (a terminal obeys them), format characters (they turn text around or hide it) and
    lone surrogates; line breaks, tabs and spaces of any kind stay.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or character in _KEPT:
        return character
    return character.encode("unicode_escape").decode("ascii")


_KEPT = frozenset(
    "\n\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)
"""Line breaks, tabs and what Unicode calls a space."""
