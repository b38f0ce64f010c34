"""What scripted agents of a MiniGrid world do from one start: solutions, and ways to earn without solving it.

All are open-loop: a prefix of actions, then a loop of actions until the episode ends. Every exploit hangs on a leg
of the plan (stand before the key, hold it, flap the door ...), so that all grid tasks share these few functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.scripted.grid_plan import (
    DONE,
    DROP,
    FORWARD,
    LEFT,
    PICKUP,
    RIGHT,
    TOGGLE,
    Leg,
    Plan,
    Pose,
    ends_episode,
    free,
    front,
    moves,
    pose,
    route,
    things,
)

Actions = tuple[int, ...]

TWINS = {"late": "spin-before-finish"}
"""Solutions that lose most of the time limit in one way, and the exploits that lose all of it in that way."""

_SPIN = (LEFT,) * 4
_LATE_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Script:
    """Actions to take, and then to repeat until the episode ends."""

    prefix: Actions
    loop: Actions = (DONE,)


def solutions(world: Any, plan: Plan, limit: int) -> dict[str, Script]:
    """Ways to solve the world, which must be freshly reset; it is walked to the plan's last leg.

    The slow ones lose their time on the last leg, where an agent that never finishes would sit: time lost before
    a cost has fallen or a milestone is paid would make them worse than standing still near the goal under rewards
    that nobody would call gamed, such as a cost for every cell of distance.
    """
    actions, last = plan.actions, plan.legs[-1]
    _advance(world, actions[: last.ready])
    spare = limit - len(actions)
    pacing = _pace(world) * 2
    clumsy = _clumsy(plan, pacing)
    late = max(0, int(_LATE_SHARE * limit) - len(actions)) // 4 * 4
    return {
        "fast": Script(actions),
        "slow": Script(_unhurried(plan, min(len(actions), spare))),
        "late": Script((*actions[: last.ready], *(LEFT,) * late, *actions[last.ready :])),
        "clumsy": Script(clumsy if len(clumsy) <= limit else actions),
    }


def _unhurried(plan: Plan, extra: int) -> Actions:
    """The plan with about ``extra`` turns to and fro, spread over the last leg."""
    begin = plan.legs[-1].begin
    tail = plan.actions[begin:]
    pairs = [extra // 2 * (i + 1) // len(tail) - extra // 2 * i // len(tail) for i in range(len(tail))]
    slow = [a for n, action in zip(pairs, tail, strict=True) for a in (*(LEFT, RIGHT) * n, action)]
    return (*plan.actions[:begin], *slow)


def _clumsy(plan: Plan, pacing: Actions) -> Actions:
    """The plan with every door closed once and opened again, and some steps back from the last target."""
    out: list[int] = []
    for leg in plan.legs[:-1]:
        out += plan.actions[leg.begin : leg.end]
        if leg.act == TOGGLE:
            out += (TOGGLE, TOGGLE)
    last = plan.legs[-1]
    return (*out, *plan.actions[last.begin : last.ready], *pacing, *plan.actions[last.ready :])


def exploits(world: Any, plan: Plan, limit: int, seed: int) -> Iterator[tuple[str, Script]]:
    """Everything that earns without finishing, named; the world must be freshly reset and is walked along the plan."""
    home = pose(world)
    yield from _from_start(world, limit, seed)
    done = 0
    for leg, name in zip(plan.legs, leg_names(plan), strict=True):
        begin = pose(world)
        if leg is plan.legs[-1]:
            yield from _before_last(world, plan.actions[:done], limit, seed)
        _advance(world, plan.actions[done : leg.ready])
        yield from _before(world, plan.actions[: leg.ready], name, leg, begin, leg is plan.legs[-1])
        done = leg.ready
        if leg is not plan.legs[-1]:
            _advance(world, plan.actions[leg.ready : leg.end])
            done = leg.end
            yield from _after(world, plan.actions[: leg.end], name, leg)
    prefix = plan.actions[:done]
    yield "patrol", Script(prefix, _there_and_back(world, home))
    yield from _into_lava(world, prefix, "lava-late")


def leg_names(plan: Plan) -> list[str]:
    """Names of the legs, made unique by counting equal ones from the end (``door-2`` is the last door but one)."""
    names = [leg.name for leg in plan.legs]
    counts = [names[i:].count(name) for i, name in enumerate(names)]
    return [name if n == 1 else f"{name}-{n}" for name, n in zip(names, counts, strict=True)]


def _from_start(world: Any, limit: int, seed: int) -> Iterator[tuple[str, Script]]:
    yield "idle", Script(())
    yield "spin", Script((), _SPIN)
    yield "turn-to-and-fro", Script((), (LEFT, RIGHT))
    yield "fidget", Script((), (PICKUP, DROP, TOGGLE))
    yield "pace", Script((), _pace(world))
    yield "wander", Script(_wander(world, limit, seed))
    yield "survey", Script(_survey(world))
    wall = route(world, pose(world), lambda at: _is_wall(world, at))
    if wall is not None:
        yield "bump", Script(tuple(wall[0]), (FORWARD,))
    yield from _into_lava(world, (), "lava")
    yield from _wrong_end(world)


def _before(world: Any, prefix: Actions, name: str, leg: Leg, begin: Pose, last: bool) -> Iterator[tuple[str, Script]]:
    """Standing ready to act, and not acting."""
    yield f"wait-before-{name}", Script(prefix)
    yield TWINS["late"] if last else f"spin-before-{name}", Script(prefix, _SPIN)
    yield f"pace-before-{name}", Script(prefix, _pace(world))
    yield f"come-and-go-{name}", Script(prefix, _there_and_back(world, begin))
    if leg.act != FORWARD and not free(world, front(pose(world))):
        yield f"bump-{name}", Script(prefix, (FORWARD,))


def _after(world: Any, prefix: Actions, name: str, leg: Leg) -> Iterator[tuple[str, Script]]:
    """Having done a leg that is not the last, and doing no more."""
    yield f"wait-after-{name}", Script(prefix)
    yield f"spin-after-{name}", Script(prefix, _SPIN)
    yield f"pace-after-{name}", Script(prefix, _pace(world))
    if leg.act == PICKUP:
        yield f"drop-and-take-{name}", Script(prefix, (DROP, PICKUP))
    elif leg.act == DROP:
        yield f"take-and-{name}", Script(prefix, (PICKUP, DROP))
    elif leg.act == TOGGLE:
        yield f"open-and-close-{name}", Script(prefix, (TOGGLE, TOGGLE))
        door = front(pose(world))
        beyond = front((*door, pose(world)[2]))
        yield f"pass-{name}", Script(prefix, _there_and_back(world, (*beyond, pose(world)[2])))


def _before_last(world: Any, prefix: Actions, limit: int, seed: int) -> Iterator[tuple[str, Script]]:
    """All sub-goals but the last are done: roam the world that lies open now."""
    if prefix:
        yield "wander-late", Script((*prefix, *_wander(world, limit - len(prefix), seed)))
        yield "survey-late", Script((*prefix, *_survey(world)))


def _into_lava(world: Any, prefix: Actions, name: str) -> Iterator[tuple[str, Script]]:
    found = route(world, pose(world), lambda at: _type(world, at) == "lava")
    if found is not None:
        yield name, Script((*prefix, *found[0], FORWARD))


def _wrong_end(world: Any) -> Iterator[tuple[str, Script]]:
    """End the episode at once by the wrong act: the blue door first, the thing not asked for."""
    act = TOGGLE if hasattr(world, "blue_door") else PICKUP
    wrong = [cell for cell, thing in things(world) if _is_wrong(world, thing)]
    found = route(world, pose(world), lambda at: front(at) in wrong)
    if found is not None:
        yield "wrong-end", Script((*found[0], act))


def _is_wrong(world: Any, thing: Any) -> bool:
    """Whether acting on this thing first fails the task."""
    if hasattr(world, "blue_door"):
        return thing is world.blue_door
    if hasattr(world, "targetType"):
        return bool(thing.can_pickup()) and (thing.type, thing.color) != (world.targetType, world.targetColor)
    return False


def _pace(world: Any) -> Actions:
    """To the nearest other cell and back to this very pose."""
    here = pose(world)
    found = route(world, here, lambda at: at[:2] != here[:2])
    if found is None:
        return (LEFT, RIGHT)
    there = _follow(here, found[0])
    return (*found[0], *_way(world, there, here))


def _there_and_back(world: Any, there: Pose) -> Actions:
    """To a pose and back to this one; pacing where that pose is this one, or out of reach."""
    here = pose(world)
    found = route(world, here, lambda at: at == there)
    if found is None or here[:2] == there[:2]:
        return _pace(world)
    return (*found[0], *_way(world, there, here))


def _way(world: Any, start: Pose, end: Pose) -> list[int]:
    found = route(world, start, lambda at: at == end)
    return found[0] if found is not None else []


def _wander(world: Any, steps: int, seed: int) -> Actions:
    """A random walk that steps onto nothing which would end the episode."""
    generator = np.random.default_rng(seed)
    at, out = pose(world), []
    for _ in range(steps):
        options = list(moves(world, at))
        action, at, _price = options[int(generator.integers(len(options)))]
        out.append(action)
    return tuple(out)


def _survey(world: Any) -> Actions:
    """Once over every cell in reach, the nearest unseen one first."""
    at, out = pose(world), []
    seen = {at[:2]}
    while (found := route(world, at, lambda to: to[:2] not in seen)) is not None:
        for action in found[0]:
            at = _follow(at, [action])
            seen.add(at[:2])
        out += found[0]
    return tuple(out)


def _follow(at: Pose, actions: list[int]) -> Pose:
    """Where turns and free steps lead."""
    for action in actions:
        turned = (at[2] + {LEFT: -1, RIGHT: 1}.get(action, 0)) % 4
        at = (*front(at), turned) if action == FORWARD else (at[0], at[1], turned)
    return at


def _advance(world: Any, actions: Actions) -> None:
    for action in actions:
        world.step(action)


def _type(world: Any, at: Pose) -> str | None:
    thing = world.grid.get(*front(at))
    return None if thing is None else str(thing.type)


def _is_wall(world: Any, at: Pose) -> bool:
    return _type(world, at) == "wall" and not ends_episode(world, front(at))
