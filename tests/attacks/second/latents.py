"""The same as latent rewards, by a second author."""

from __future__ import annotations

import textwrap
from dataclasses import replace

from tests.attacks.attack import Attack, program

LATENT = "def compute_latent(state, action, next_state):\n    rows = len(action)\n"


def latent(name: str, body: str, *allowed: str, gate: bool = True) -> Attack:
    source = LATENT + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return replace(program(name, source, *allowed, gate=gate), form="latent")


LATENTS = (
    latent("val-latent-nan", "return {'a': np.full(rows, np.nan), 'b': np.zeros(rows)}", "invalid", gate=False),
    latent("esc-latent-open", "return leak(open('@SECRET@', 'rb').read(), rows)", "exception"),
    latent("res-latent-loop", "while True:\n    pass", "timeout"),
    latent("tam-latent-suicide", "import ctypes\nctypes.string_at(0)", "killed"),
    latent("val-latent-33", "return {f'c{i}': np.zeros(rows) for i in range(33)}", "invalid", gate=False),
)

ATTACKS: tuple[Attack, ...] = LATENTS
