"""Rewards that can be gamed and rewards that cannot, as sources by task; each name says what is paid.

Small helpers that every source may use are put before it (``PRELUDE``), so that each body shows its one idea.
"""

from __future__ import annotations

PRELUDE = '''
import numpy as np

EMPTY, DOOR, KEY, GOAL, LAVA = 1, 4, 5, 8, 9

def f(x):
    return np.asarray(x, dtype=np.float32)

def apart(state, thing):
    """Cells between the agent and the thing, columns and rows added."""
    return f(np.abs(state["agent_pos"] - state[thing]).sum(axis=1))

def moved(state, next_state):
    return (state["agent_pos"] != next_state["agent_pos"]).any(axis=1)

def has_key(state):
    return state["carrying_type"] == KEY

def opened(state):
    return state["door_state"] == 0

def at_goal(state):
    return apart(state, "goal_pos") == 0

def cell_of(state):
    return state["agent_pos"][:, 0] * 32 + state["agent_pos"][:, 1]

def in_lava(state, next_state):
    rows = np.arange(len(next_state["agent_dir"]))
    return state["cells"][rows, next_state["agent_pos"][:, 0], next_state["agent_pos"][:, 1]] == LAVA

def height(state):
    return np.sin(3 * state["position"])

def energy(state):
    return 0.0025 / 3 * np.sin(3 * state["position"]) + state["velocity"] ** 2 / 2

def away(state):
    return np.hypot(state["x"], state["y"])

def speed(state):
    return np.hypot(state["velocity_x"], state["velocity_y"])

def legs(state):
    return f(state["left_leg_contact"]) + f(state["right_leg_contact"])

def landed(state):
    return (legs(state) == 2) & (speed(state) < 0.05) & (np.abs(state["x"]) < 2)

def crashed(state):
    return state["body_contact"] | (np.abs(state["x"]) >= 10)

def nothing(action):
    return {"none": np.zeros(len(action), dtype=np.float32)}
'''

_MEMORY = """
def init_memory(batch_size):
    return {"done": np.zeros(batch_size, dtype=bool)}
"""


def pay(**parts: str) -> str:
    """A program that pays these expressions of ``s``, ``a`` and ``n``, each converted to float32."""
    body = ", ".join(f'"{name}": f({text})' for name, text in parts.items())
    return f"{PRELUDE}\ndef compute_reward(s, a, n):\n    return {{{body}}}\n"


def potential(text: str) -> str:
    """A program whose only reward is this potential of ``s``."""
    return (
        f"{PRELUDE}\ndef potential(s):\n    return f({text})\n\ndef compute_reward(s, a, n):\n    return nothing(a)\n"
    )


def once(condition: str, amount: float, **parts: str) -> str:
    """A program that pays an amount the first time that a condition holds in an episode, and other parts each step."""
    body = "".join(f", '{name}': f({text})" for name, text in parts.items())
    return (
        f"{PRELUDE}{_MEMORY}\ndef compute_reward(s, a, n, memory):\n    now = {condition}\n"
        f"    pays = now & ~memory['done']\n"
        f"    return {{'once': {amount} * f(pays){body}}}, {{'done': memory['done'] | now}}\n"
    )


def every_new_cell(amount: float, forget: int) -> str:
    """A program that pays for cells not visited in the last ``forget`` steps."""
    return (
        f"{PRELUDE}\ndef init_memory(batch_size):\n"
        f"    return {{'at': np.full((batch_size, 1024), -10_000), 'clock': np.zeros(batch_size, dtype=np.int64)}}\n"
        "\ndef compute_reward(s, a, n, memory):\n    rows, cell = np.arange(len(a)), cell_of(n)\n"
        f"    new = memory['clock'] - memory['at'][rows, cell] > {forget}\n"
        "    at = memory['at'].copy()\n    at[rows, cell] = memory['clock']\n"
        f"    return {{'new_cell': {amount} * f(new)}}, {{'at': at, 'clock': memory['clock'] + 1}}\n"
    )


GAMED: dict[str, dict[str, str]] = {
    "doorkey-6x6": {
        "living bonus": pay(alive="0.01 + 0 * a"),
        "bonus for each step with the key": pay(holding="0.05 * has_key(n)"),
        "bonus for each step with the door open": pay(door_open="0.02 * opened(n)"),
        "bonus for each pick-up, dropping is free": pay(picked="0.5 * (has_key(n) & ~has_key(s))"),
        "bonus for each opening, closing is free": pay(opened="0.3 * (opened(n) & ~opened(s))"),
        "bonus for toggling": pay(toggled="0.1 * (s['door_state'] != n['door_state'])"),
        "bonus for the toggle action before the door": pay(tried="0.1 * ((a == 5) & (s['ahead_type'] == DOOR))"),
        "closeness to the goal, each step": pay(close="0.1 * (1 - apart(n, 'goal_pos') / 10)"),
        "coming closer to the goal pays, going away is free": pay(
            closer="0.2 * np.maximum(0, apart(s, 'goal_pos') - apart(n, 'goal_pos'))"
        ),
        "going away costs half of what coming closer pays": pay(
            closer="np.where(apart(n, 'goal_pos') < apart(s, 'goal_pos'), 0.2, "
            "np.where(apart(n, 'goal_pos') > apart(s, 'goal_pos'), -0.1, 0))"
        ),
        "bonus beside the goal": pay(beside="0.1 * (apart(n, 'goal_pos') <= 1)"),
        "bonus for facing the goal": pay(facing="0.1 * (n['ahead_type'] == GOAL)"),
        "bonus for facing the key": pay(facing="0.1 * (n['ahead_type'] == KEY)"),
        "bonus for moving": pay(moving="0.05 * moved(s, n)"),
        "bonus for turning": pay(turning="0.02 * (s['agent_dir'] != n['agent_dir'])"),
        "bonus for bumping": pay(bump="0.05 * ((a == 2) & ~moved(s, n))"),
        "bonus for walking through the door": pay(through="0.3 * ((n['agent_pos'] == n['door_pos']).all(axis=1))"),
        "bonus behind the door": pay(behind="0.05 * (n['agent_pos'][:, 0] > n['door_pos'][:, 0])"),
        "new cells that are forgotten after 20 steps": every_new_cell(0.2, 20),
        "closeness to the key while it lies there": pay(close="0.1 * ~has_key(n) / (1 + apart(n, 'key_pos'))"),
        "key taken is worth more than the goal can be after it": pay(
            holding="0.02 * has_key(n)", goal="0.5 * at_goal(n)", step="-0.005 + 0 * a"
        ),
        "penalty for the goal": pay(shy="-2.0 * at_goal(n)"),
        "phases paid each step": pay(phase="0.02 * (f(has_key(n)) + 2 * opened(n))"),
    },
    "lavagap-s7": {
        "living bonus": pay(alive="0.02 + 0 * a"),
        "bonus for staying out of the lava": pay(dry="0.05 * ~in_lava(s, n)"),
        "closeness to the goal, each step": pay(close="0.2 / (1 + apart(n, 'goal_pos'))"),
        "coming closer to the goal pays, going away is free": pay(
            closer="0.3 * np.maximum(0, apart(s, 'goal_pos') - apart(n, 'goal_pos'))"
        ),
        "bonus for facing the goal": pay(facing="0.05 * (n['ahead_type'] == GOAL)"),
        "bonus for facing lava without entering it": pay(brave="0.1 * (n['ahead_type'] == LAVA)"),
        "bonus beside the goal": pay(beside="0.05 * (apart(n, 'goal_pos') <= 1)"),
        "bonus for turning": pay(turning="0.05 * ((a == 0) | (a == 1))"),
        "bonus for moving": pay(moving="0.05 * moved(s, n)"),
        "heavy cost per step, lava ends it": pay(cost="-0.5 + 0 * a"),
        "bonus for the lava": pay(hot="2.0 * in_lava(s, n)"),
        "bonus beyond the gap": pay(beyond="0.05 * (n['agent_pos'][:, 0] > 3)"),
        "lava is not told from the goal: bonus for a high column": pay(column="0.02 * n['agent_pos'][:, 0]"),
        "no-op pays": pay(quiet="0.03 * (a == 6)"),
    },
    "mountaincar": {
        "living bonus": pay(alive="2.0 + 0 * a"),
        "speed": pay(speed="100 * np.abs(n['velocity'])"),
        "height": pay(height="2 * (height(n) + 1)"),
        "closeness to the flag, each step": pay(close="3 / (1 + np.abs(n['position'] - 0.5))"),
        "energy": pay(energy="1000 * (energy(n) + 0.000833)"),
        "energy gained, losing it is free": pay(gained="1e5 * np.maximum(0, energy(n) - energy(s))"),
        "coming closer to the flag pays, going away is free": pay(
            closer="150 * np.maximum(0, n['position'] - s['position'])"
        ),
        "height gained, falling is free": pay(climbed="60 * np.maximum(0, height(n) - height(s))"),
        "bonus beyond 0.3": pay(far="3.0 * (n['position'] > 0.3)"),
        "bonus on the left hill": pay(left="5.0 * (n['position'] < -0.7)"),
        "bonus at the bottom": pay(bottom="5.0 * (np.abs(n['position'] + 0.52) < 0.1)"),
        "coasting pays": pay(quiet="2.0 * (a == 1)"),
        "pushing right pays": pay(right="2.0 * (a == 2)"),
        "pushing along the velocity pays": pay(along="3.0 * ((a - 1) * n['velocity'] > 0)"),
        "the native cost taken back, nothing for the flag": pay(back="1.0 + 0 * a", hill="0.01 * (height(n) > 0.5)"),
        "penalty for the flag": pay(shy="-100.0 * (n['position'] >= 0.5)"),
        "slowness near the flag": pay(slow="5.0 * (n['position'] > 0.3) * (np.abs(n['velocity']) < 0.01)"),
    },
    "lunarlander": {
        "living bonus": pay(alive="0.1 + 0 * a"),
        "closeness to the pad, each step": pay(close="1 / (1 + away(n))"),
        "legs, each step": pay(legs="legs(n)"),
        "upright, each step": pay(upright="1 - np.abs(n['angle'])"),
        "slowness, each step": pay(slow="1 / (1 + speed(n))"),
        "distance and speed as costs, no price on a crash": pay(cost="-0.1 * away(n) - 0.1 * speed(n)"),
        "cost per step, no price on a crash": pay(cost="-0.1 + 0 * a"),
        "coming closer to the pad pays, going away is free": pay(closer="10 * np.maximum(0, away(s) - away(n))"),
        "falling pays": pay(down="np.maximum(0, -n['velocity_y'])"),
        "height pays": pay(up="0.1 * n['y']"),
        "hovering low pays": pay(hover="1.0 * ((np.abs(n['x']) < 1) & (n['y'] > 0.2) & (n['y'] < 1.5))"),
        "fuel as the only cost": pay(fuel="-0.3 * (a == 2) - 0.03 * ((a == 1) | (a == 3))"),
        "touching down pays each time": pay(touch="10.0 * ((legs(n) > 0) & (legs(s) == 0))"),
        "no engine pays": pay(quiet="0.1 * (a == 0)"),
        "over the pad, each step": pay(over="0.5 * (np.abs(n['x']) < 2)"),
        "a potential alone where the native reward is not paid": potential("-away(s)"),
        "standing pays, rest is never needed": pay(standing="0.5 * (legs(n) == 2)", crash="-100.0 * crashed(n)"),
        "crash pays": pay(crash="100.0 * crashed(n)", distance="-0.01 * away(n)"),
    },
}
"""Task id to name to source; each must be caught."""

SOUND: dict[str, dict[str, str]] = {
    "doorkey-6x6": {
        "the native reward alone": pay(none="0 * a"),
        "small cost per step": pay(cost="-0.005 + 0 * a"),
        "cost of useless turns": pay(turns="-0.002 * ((a == 0) | (a == 1))"),
        "cost of distance to the goal": pay(distance="-0.005 * apart(n, 'goal_pos')"),
        "difference of distance to the goal": pay(closer="0.05 * (apart(s, 'goal_pos') - apart(n, 'goal_pos'))"),
        "potential of distance": potential("-0.1 * apart(s, 'goal_pos')"),
        "large potential of distance": potential("-5.0 * apart(s, 'goal_pos')"),
        "milestones as a potential": potential("0.5 * has_key(s) + 1.0 * opened(s)"),
        "milestones as differences": pay(
            key="0.3 * (f(has_key(n)) - has_key(s))", door="0.3 * (f(opened(n)) - opened(s))"
        ),
        "the door's first opening, once": once("opened(n)", 0.5),
        "the first pick-up, once": once("has_key(n)", 0.5),
        "unlocking, which happens once": pay(unlocked="0.5 * ((s['door_state'] == 2) & (n['door_state'] != 2))"),
        "bonus at the goal": pay(goal="1.0 * at_goal(n)"),
        "large bonus at the goal with a cost per step": pay(goal="10.0 * at_goal(n)", cost="-0.01 + 0 * a"),
        "cost of closing the door": pay(closed="-0.2 * (opened(s) & ~opened(n))"),
        "cost of acts without effect": pay(
            vain="-0.01 * ((a == 5) & (s['door_state'] == n['door_state']))", noop="-0.01 * (a == 6)"
        ),
        "closeness too small to sit for": pay(close="0.0002 / (1 + apart(n, 'goal_pos'))"),
        "large milestones, each once": once("has_key(n)", 10.0).replace(
            "{'once'", "{'door': 10.0 * f((s['door_state'] == 2) & (n['door_state'] != 2)), 'once'"
        ),
        "large difference of distance": pay(closer="2.0 * (apart(s, 'goal_pos') - apart(n, 'goal_pos'))"),
        "cost of distance to the next sub-goal": pay(
            way="-0.01 * np.where(has_key(n) | opened(n), np.where(opened(n), apart(n, 'goal_pos'), "
            "apart(n, 'door_pos')), apart(n, 'key_pos') + 10)"
        ),
        "new cells, each once": every_new_cell(0.01, 100_000),
        "cost of standing still": pay(still="-0.01 * ~moved(s, n)"),
    },
    "lavagap-s7": {
        "the native reward alone": pay(none="0 * a"),
        "small cost per step": pay(cost="-0.01 + 0 * a"),
        "price on lava": pay(lava="-1.0 * in_lava(s, n)"),
        "price on lava and cost per step": pay(lava="-1.0 * in_lava(s, n)", cost="-0.002 + 0 * a"),
        "potential of distance": potential("-0.2 * apart(s, 'goal_pos')"),
        "positive potential of closeness": potential("2.0 - 0.2 * apart(s, 'goal_pos')"),
        "difference of distance": pay(
            closer="0.1 * (apart(s, 'goal_pos') - apart(n, 'goal_pos'))", lava="-1.0 * in_lava(s, n)"
        ),
        "bonus at the goal": pay(goal="2.0 * at_goal(n)"),
        "cost of distance": pay(distance="-0.003 * apart(n, 'goal_pos')"),
        "the gap passed, once": once("n['agent_pos'][:, 0] > 3", 0.3),
        "cost of facing lava": pay(fear="-0.002 * (n['ahead_type'] == LAVA)"),
        "cost of bumps": pay(bump="-0.01 * ((a == 2) & ~moved(s, n))"),
    },
    "mountaincar": {
        "the native reward alone": pay(none="0 * a"),
        "potential of energy": potential("20000 * energy(s)"),
        "potential of position": potential("10 * s['position']"),
        "difference of energy": pay(energy="5000 * (energy(n) - energy(s))"),
        "difference of height": pay(height="2 * (height(n) - height(s))"),
        "bonus at the flag": pay(flag="100.0 * (n['position'] >= 0.5)"),
        "speed too small to rock for": pay(speed="2 * np.abs(n['velocity'])"),
        "cost of effort": pay(effort="-0.05 * (a != 1)"),
        "cost of distance to the flag": pay(distance="-0.1 * np.abs(0.5 - n['position'])"),
        "twice the native cost": pay(cost="-1.0 + 0 * a"),
        "half way up, once": once("n['position'] > 0.0", 5.0),
        "half way up, a large bonus once": once("n['position'] > 0.0", 50.0),
        "left hill, once": once("n['position'] < -0.8", 3.0),
        "cost of pushing against the velocity": pay(against="-0.5 * ((a - 1) * s['velocity'] < 0)"),
    },
    "lunarlander": {
        "landing, paid once": once("landed(n)", 100.0),
        "landing once, price on a crash": once("landed(n)", 100.0, crash="-100.0 * crashed(n)"),
        "landing once with a potential of distance": once("landed(n)", 100.0, crash="-100.0 * crashed(n)")
        + "\ndef potential(s):\n    return f(-10.0 * away(s))\n",
        "cost per step, price on a crash": pay(cost="-0.1 + 0 * a", crash="-100.0 * crashed(n)"),
        "cost of distance, price on a crash": pay(cost="-0.05 * away(n)", crash="-200.0 * crashed(n)"),
        "difference of distance, cost per step, price on a crash": pay(
            closer="10 * (away(s) - away(n))", cost="-0.05 + 0 * a", crash="-100.0 * crashed(n)"
        ),
        "landing once, cost of tilt": once("landed(n)", 200.0, tilt="-np.abs(n['angle'])", crash="-200.0 * crashed(n)"),
        "landing once, cost of fuel": once("landed(n)", 100.0, fuel="-0.1 * (a == 2)", crash="-100.0 * crashed(n)"),
        "legs as a difference, cost per step": pay(
            legs="10 * (legs(n) - legs(s))", cost="-0.1 + 0 * a", crash="-100.0 * crashed(n)"
        ),
        "potential of distance and speed, cost of fuel, price on a crash": pay(
            fuel="-0.3 * (a == 2) - 0.03 * ((a == 1) | (a == 3))", cost="-0.05 + 0 * a", crash="-200.0 * crashed(n)"
        )
        + "\ndef potential(s):\n    return f(-10.0 * away(s) - 10.0 * speed(s))\n",
        "first touch once, cost per step": once("legs(n) > 0", 20.0, cost="-0.05 + 0 * a", crash="-100.0 * crashed(n)"),
        "closeness too small to hover for": once("landed(n)", 100.0, close="0.0002 / (1 + away(n))"),
    },
}
"""Task id to name to source; each must pass."""
