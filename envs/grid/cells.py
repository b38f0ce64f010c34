"""One byte for everything a grid cell may hold, and tables that say what each byte means."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

COLORS = 6
UNSEEN, EMPTY, GOAL, LAVA = 0, 1, 2, 3
# Each of these bases stands for six codes, one a colour in MiniGrid's numbering.
FLOOR, DOOR_OPEN, KEY, BALL, BOX = 4, 10, 16, 22, 28
# The one object that the mission names is told apart from others of its type and colour by a code of its own.
TARGET_KEY, TARGET_BALL, TARGET_BOX = 34, 40, 46
BOX_WITH_KEY = 52
"""Base of 36 codes: six times the box's colour, plus the colour of the key in it."""
DIRECTION = 120
"""Base of four codes that are drawn as MiniGrid's direction; they stand at the end of an observation only."""
# Bit 7 marks what the agent cannot see through.
OPAQUE = 128
WALL, DOOR_CLOSED, DOOR_LOCKED = 128, 136, 144

TYPE_WALL, TYPE_FLOOR, TYPE_DOOR, TYPE_KEY, TYPE_BALL, TYPE_BOX, TYPE_GOAL, TYPE_LAVA = range(2, 10)
RED, GREEN, BLUE, GREY = 0, 1, 2, 5
OPEN, CLOSED, LOCKED = 0, 1, 2


class UnknownObject(ValueError):
    """A layout holds something that has no code, so the environment cannot be simulated here."""


def _appearances() -> NDArray[np.uint8]:
    """What MiniGrid's ``WorldObj.encode`` answers for each code: ``(256, 3)`` type, colour, state."""
    table = np.zeros((256, 3), dtype=np.uint8)
    table[EMPTY] = (1, 0, 0)
    table[GOAL] = (TYPE_GOAL, GREEN, 0)
    table[LAVA] = (TYPE_LAVA, RED, 0)
    plain = {
        FLOOR: TYPE_FLOOR, KEY: TYPE_KEY, BALL: TYPE_BALL, BOX: TYPE_BOX, WALL: TYPE_WALL,
        TARGET_KEY: TYPE_KEY, TARGET_BALL: TYPE_BALL, TARGET_BOX: TYPE_BOX,
    }  # fmt: skip
    for color in range(COLORS):
        for base, kind in plain.items():
            table[base + color] = (kind, color, 0)
        for base, state in ((DOOR_OPEN, OPEN), (DOOR_CLOSED, CLOSED), (DOOR_LOCKED, LOCKED)):
            table[base + color] = (TYPE_DOOR, color, state)
        table[BOX_WITH_KEY + COLORS * color : BOX_WITH_KEY + COLORS * (color + 1)] = (TYPE_BOX, color, 0)
    return table


def _looks() -> NDArray[np.uint8]:
    table = np.zeros((11, COLORS, 4), dtype=np.uint8)
    # Backwards, so that the plain codes come last and stay.
    for code in range(255, -1, -1):
        kind, color, state = APPEARANCE[code]
        if kind in (TYPE_WALL, TYPE_FLOOR, TYPE_KEY, TYPE_BALL, TYPE_BOX):
            table[kind, color] = code
        elif kind == TYPE_DOOR:
            table[kind, color, state] = code
        elif kind > 0:
            table[kind] = code
    return table


def drawn(observation: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """MiniGrid's image ``(M, 7, 7, 3)`` and direction ``(M,)`` for observations ``(M, 56)``."""
    codes = observation.reshape(-1, 7, 8)
    return APPEARANCE[codes[:, :, :7]], codes[:, 6, 7] - np.uint8(DIRECTION)


def observed(image: NDArray[np.uint8], direction: int) -> NDArray[np.uint8]:
    """The observation ``(56,)`` for MiniGrid's image ``(7, 7, 3)`` and direction; the reverse of ``drawn``."""
    codes = np.zeros((7, 8), dtype=np.uint8)
    codes[:, :7] = LOOKS[image[..., 0], image[..., 1], image[..., 2]]
    codes[6, 7] = DIRECTION + direction
    return codes.reshape(-1)


APPEARANCE = _appearances()
"""``(256, 3)`` uint8: MiniGrid's type, colour and state of each code; zeros for codes without a meaning."""
LOOKS = _looks()
"""``(11, 6, 4)`` uint8: a code for each type, colour and state; where MiniGrid has no such thing, one of that type."""
CARRIABLE = tuple(c for c in range(OPAQUE) if TYPE_KEY <= APPEARANCE[c, 0] <= TYPE_BOX)
"""Codes of everything that can be picked up."""
CODES = tuple(c for c in range(256) if APPEARANCE[c, 0] > 0)
"""Every code that a cell may hold."""


def box_content(code: int) -> int:
    """What takes a box's place once it is opened: the code of its key, or ``EMPTY``."""
    if BOX_WITH_KEY <= code < BOX_WITH_KEY + COLORS * COLORS:
        return KEY + (code - BOX_WITH_KEY) % COLORS
    return EMPTY


def encode(thing: Any, *, target: bool = False) -> int:
    """Code of a MiniGrid ``WorldObj`` or None; ``target`` says that the mission names this object.

    Raises ``UnknownObject`` for what no code stands for (a box in a box, a red goal).
    """
    if thing is None:
        return EMPTY
    kind, color, state = (int(v) for v in thing.encode())
    if kind == TYPE_DOOR:
        return (DOOR_OPEN, DOOR_CLOSED, DOOR_LOCKED)[state] + color
    if kind == TYPE_BOX and thing.contains is not None:
        inner = encode(thing.contains)
        if target or not KEY <= inner < KEY + COLORS:
            raise UnknownObject(f"a box that holds {thing.contains.type}")
        return BOX_WITH_KEY + COLORS * color + (inner - KEY)
    bases = {TYPE_WALL: WALL, TYPE_FLOOR: FLOOR, TYPE_KEY: KEY, TYPE_BALL: BALL, TYPE_BOX: BOX}
    marked = {TYPE_KEY: TARGET_KEY, TYPE_BALL: TARGET_BALL, TYPE_BOX: TARGET_BOX}
    if kind == TYPE_GOAL and color == GREEN:
        return GOAL
    if kind == TYPE_LAVA and color == RED:
        return LAVA
    if kind not in bases:
        raise UnknownObject(f"a {thing.color} {thing.type}")
    return (marked if target and kind in marked else bases)[kind] + color
