"""State of MiniGrid environments, any registered id: what stands where, what is carried, which doors are open.

Self-contained (numpy, gymnasium, minigrid): this very file travels with an exported reward. The state is a pure
function of the environment now. Fields, in this order (`fields` has their full description):

    agent_pos (2,)      x to the right, y downwards; the top left cell is (0, 0)
    agent_dir ()        0 right, 1 down, 2 left, 3 up
    carrying_type ()    0 nothing, 5 key, 6 ball, 7 box
    carrying_color ()   MiniGrid's colour code, -1 nothing
    ahead_type ()       type code of the cell in front (1 empty; 2 wall beyond the grid's edge)
    <kind>_pos, <kind>_color, door_state, for each kind among key, ball, box, door, goal that the environment has
    target_type, target_color, move_type, move_color (), where the mission names such a thing
    cells (W, H)        type code of each cell, indexed [x, y]

How many there are of a kind is fixed for an environment id and its arguments: the largest number in the first
layouts of seeds 0 to 15, things hidden in boxes counted in. One of a kind gives ``<kind>_pos (2,)`` and
``<kind>_color ()``; n > 1 gives ``<kind>_pos (n, 2)`` and ``<kind>_color (n,)``, ordered by (colour, y, x). What is
not on the grid (carried, hidden in a box, used up) is -1, last in its list. Goals have no colour field. Things
beyond n are not listed; `cells` shows them.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, DIR_TO_VEC, OBJECT_TO_IDX
from minigrid.minigrid_env import MiniGridEnv

KINDS = ("key", "ball", "box", "door", "goal")
LAYOUTS = 16
EMPTY, WALL = OBJECT_TO_IDX["empty"], OBJECT_TO_IDX["wall"]
NAMED = {
    "target_type": ("targetType", "target_type"),
    "target_color": ("targetColor", "target_color"),
    "move_type": ("moveType", "move_type"),
    "move_color": ("moveColor", "move_color"),
}
"""Facts that a mission names, and what the environments call the attribute."""

_TYPES = tuple((code, name) for name, code in OBJECT_TO_IDX.items() if name not in ("unseen", "agent"))
_COLORS = tuple((code, name) for name, code in COLOR_TO_IDX.items())
_NO_COLOR = (-1, "not on the grid")
_CARRIED = ((0, "nothing"), *((OBJECT_TO_IDX[kind], kind) for kind in ("key", "ball", "box")))
_DOOR = ((-1, "no such door"), (0, "open"), (1, "closed"), (2, "locked"))
ACTIONS = (
    "turn left",
    "turn right",
    "move forward",
    "pick up the object in front",
    "drop the carried object into the cell in front",
    "toggle the thing in front (open or close a door, unlock it with a carried key of its colour, open a box)",
    "done (does nothing in most environments)",
)


class Layout(NamedTuple):
    """What is fixed for an environment id and its arguments."""

    width: int
    height: int
    counts: dict[str, int]
    named: tuple[str, ...]
    actions: int


def handles(env_id: str) -> bool:
    """Whether this family reads that environment: a MiniGrid one, or a subclass that an imported module registers."""
    spec = gymnasium.registry.get(env_id.partition(":")[2] or env_id)
    entry: Any = spec.entry_point if spec is not None else None
    if isinstance(entry, str):
        module, _, name = entry.partition(":")
        entry = getattr(sys.modules.get(module), name, None)
    return isinstance(entry, type) and issubclass(entry, MiniGridEnv)


def read_state(env: gymnasium.Env[Any, Any], obs: Any, info: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The fields of the environment as it stands; ``obs`` and ``info`` are not read."""
    base: Any = env.unwrapped
    if base.spec is None:
        raise ValueError("make the environment with gymnasium.make: its id says which fields there are")
    layout = layout_of(base.spec.id, base.spec.kwargs)
    width, height, cells = base.grid.width, base.grid.height, base.grid.grid
    types = [EMPTY if thing is None else OBJECT_TO_IDX[thing.type] for thing in cells]
    x, y = int(base.agent_pos[0]), int(base.agent_pos[1])
    dx, dy = DIR_TO_VEC[base.agent_dir]
    ahead = (x + int(dx), y + int(dy))
    inside = 0 <= ahead[0] < width and 0 <= ahead[1] < height
    carried = base.carrying
    state = {
        "agent_pos": _int((x, y)),
        "agent_dir": _int(base.agent_dir),
        "carrying_type": _int(0 if carried is None else OBJECT_TO_IDX[carried.type]),
        "carrying_color": _int(-1 if carried is None else COLOR_TO_IDX[carried.color]),
        "ahead_type": _int(types[ahead[1] * width + ahead[0]] if inside else WALL),
    }
    for kind, count in layout.counts.items():
        code = OBJECT_TO_IDX[kind]
        places = [i for i, there in enumerate(types) if there == code]
        state |= _things(kind, count, [(COLOR_TO_IDX[cells[i].color], *divmod(i, width), cells[i]) for i in places])
    for name in layout.named:
        state[name] = _int(_named(base, name))
    state["cells"] = np.array(types, dtype=np.uint8).reshape(height, width).T.copy()
    return state


def _int(value: Any) -> np.ndarray[Any, Any]:
    return np.array(value, dtype=np.int64)


def _things(kind: str, count: int, found: list[tuple[int, int, int, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Fields of one kind from its (colour, y, x, thing) on the grid."""
    found = sorted(found, key=lambda item: item[:3])[:count]
    pos, color, door = (np.full(shape, -1, dtype=np.int64) for shape in ((count, 2), (count,), (count,)))
    for i, (code, y, x, thing) in enumerate(found):
        pos[i], color[i] = (x, y), code
        if kind == "door":
            door[i] = 0 if thing.is_open else 2 if thing.is_locked else 1
    out = {f"{kind}_pos": pos}
    if kind != "goal":
        out[f"{kind}_color"] = color
    if kind == "door":
        out["door_state"] = door
    return {name: np.array(values[0]) for name, values in out.items()} if count == 1 else out


def _attribute(base: Any, name: str) -> Any:
    return next((getattr(base, a) for a in NAMED[name] if isinstance(getattr(base, a, None), str)), None)


def _named(base: Any, name: str) -> int:
    codes: dict[str, int] = COLOR_TO_IDX if name.endswith("color") else OBJECT_TO_IDX
    return codes[_attribute(base, name)]


def layout_of(env_id: str, kwargs: dict[str, Any]) -> Layout:
    """Size, counts of each kind and named things, from 16 seeded layouts of a throw-away copy; remembered."""
    kwargs = {name: value for name, value in kwargs.items() if name != "render_mode"}
    key = (env_id, repr(sorted(kwargs.items())))
    if key not in _LAYOUTS:
        _LAYOUTS[key] = _survey(env_id, kwargs)
    return _LAYOUTS[key]


_LAYOUTS: dict[tuple[str, str], Layout] = {}


def _survey(env_id: str, kwargs: dict[str, Any]) -> Layout:
    env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    base: Any = env.unwrapped
    counts = dict.fromkeys(KINDS, 0)
    for seed in range(LAYOUTS):
        env.reset(seed=seed)
        there = [thing for thing in base.grid.grid if thing is not None]
        there += [box.contains for box in there if box.type == "box" and box.contains is not None]
        for kind in KINDS:
            counts[kind] = max(counts[kind], sum(thing.type == kind for thing in there))
    named = tuple(name for name in NAMED if _attribute(base, name) is not None)
    env.close()
    return Layout(
        base.width, base.height, {kind: n for kind, n in counts.items() if n}, named, int(base.action_space.n)
    )


def fields(env_id: str, kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """Each field as name, meaning, unit, dtype, shape, low, high, values: what the schema of the state says."""
    layout = layout_of(env_id, kwargs)
    last = max(layout.width, layout.height) - 1
    where = {"unit": "cell", "dtype": "int64", "low": -1, "high": last}
    out = [
        {**where, "name": "agent_pos", "shape": (2,), "low": 0,
         "meaning": "Cell of the agent: x to the right, y downwards, the top left cell is (0, 0)."},
        _code("agent_dir", "Direction that the agent faces.", ((0, "right"), (1, "down"), (2, "left"), (3, "up"))),
        _code("carrying_type", "Type of the object that the agent carries.", _CARRIED),
        _code("carrying_color", "Colour of the carried object.", ((-1, "nothing is carried"), *_COLORS)),
        _code("ahead_type", "Type of what is in the cell in front of the agent.", _TYPES),
    ]  # fmt: skip
    for kind, n in layout.counts.items():
        shape = () if n == 1 else (n,)
        which = f"the {kind}" if n == 1 else f"each of {n} {kind}s, ordered by (colour, y, x)"
        out.append({**where, "name": f"{kind}_pos", "shape": (*shape, 2),
                    "meaning": f"Cell (x, y) of {which}; (-1, -1) when it is not on the grid."})  # fmt: skip
        if kind != "goal":
            out.append(_code(f"{kind}_color", f"Colour of {which}.", (_NO_COLOR, *_COLORS), shape))
        if kind == "door":
            out.append(_code("door_state", f"Whether {which} is open, closed or locked.", _DOOR, shape))
    for name in layout.named:
        thing = "the mission's target" if name.startswith("target") else "the object that the mission says to move"
        what, values = ("Colour", _COLORS) if name.endswith("color") else ("Type", _TYPES)
        out.append(_code(name, f"{what} of {thing}.", values))
    cells = _code("cells", "Type of what is in each cell, indexed [x, y]; the agent is not shown.", _TYPES)
    out.append({**cells, "dtype": "uint8", "shape": (layout.width, layout.height)})
    return out


def _code(name: str, meaning: str, values: tuple[tuple[int, str], ...], shape: tuple[int, ...] = ()) -> dict[str, Any]:
    codes = [code for code, _ in values]
    return {"name": name, "meaning": meaning, "unit": "1", "dtype": "int64", "shape": shape,
            "low": min(codes), "high": max(codes), "values": values}  # fmt: skip


def actions(env_id: str) -> dict[str, Any]:
    """The action space: kind, size, what each code does."""
    size = layout_of(env_id, {}).actions
    return {"kind": "discrete", "size": size, "meanings": ACTIONS[:size]}
