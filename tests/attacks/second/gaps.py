"""What passed the gate or its neighbours at a second look."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack
from tests.attacks.second.tampering import mutation
from tests.attacks.service import ORIGINALS
from tests.attacks.values import X

MORE = (
    mutation("tam-starred-out", 'np.add(*[state["x"], 1, state["x"]])'),
    mutation("tam-function-alias-out", 'plus = np.add\nplus(state["x"], 1, state["x"])', gate=False),
    mutation("tam-mapped-out", '[*map(np.add, [state["x"]], [1], [state["x"]])]', gate=False),
    mutation("tam-keywords-by-alias", 'plus = np.add\nplus(state["x"], 1, **{"out": state["x"]})', gate=False),
    mutation("tam-nanmax-out", 'np.nanmax(state["x"] + 1, 0, next_state["x"][0])'),
    mutation("tam-maximum-accumulate-out", 'np.maximum.accumulate(state["x"] + 1, 0, None, next_state["x"])'),
    mutation("tam-annotated-mutation", '(state["x"].sort(axis=0))[0]: int', "ok", "exception"),
    attack("res-text-by-name", 'text = "a"\nreturn {"r": np.full(rows, len(text * 10**11))}', "memory", gate=False),
    attack(
        "res-percent-by-name",
        'text = "%099999999999d"\nreturn {"r": np.full(rows, len(text % 1))}',
        "memory",
        "exception",
        gate=False,
    ),
    attack("res-list-by-name", 'seen = [0]\nreturn {"r": np.full(rows, len(seen * 10**10))}', "memory", gate=False),
    attack(
        "res-size-of-infinity",
        """
        big = 10**9 * 10**9 * 10**9 * 10**9 * 10**9 * 10**9 * 10**9 * 10**9 * 10**9 * 10**9 * 10**9 * 10**9 * 10**9
        big = big * big * big * big
        return {"r": np.zeros(big - big + 10**12)[:rows]}""",
        "memory",
    ),
    attack("res-power-by-name", 'raised = pow\nreturn {"r": np.full(rows, raised(7, 10**9) % 5)}', "timeout"),
    attack("res-annotated-loop", "(sum(iter(int, 1)))[0]: int\n" + PAY, "timeout"),
    attack(
        "det-annotated-random",
        f'(drawn := __import__("random").random())[0:0]: int\nreturn {{"r": {X} + drawn}}',
        "ok",
        probe="determinism",
    ),
    attack(
        "det-annotated-clock",
        f'(now := __import__("time").time())[0:0]: int\nreturn {{"r": {X} + (now > 4e9)}}',
        "ok",
    ),
    attack(
        "srv-second-view-of-inputs",
        ORIGINALS
        + """second = libc.mremap(ctypes.c_void_p(place), ctypes.c_size_t(0), ctypes.c_size_t(1 << 16), 1)
if second in (None, ctypes.c_void_p(-1).value):
    raise OSError("no second view")
ctypes.memset(second, 7, 1)
return won(rows)""",
        "killed",
        "exception",
    ),
    attack(
        "srv-hidden-memory-many-files",
        """
        import mmap
        kept = []
        try:
            while True:  # a page each, and an inode of the kernel's for it
                kept.append(mmap.mmap(-1, 4096))
                kept[-1][0] = 1
                kept[-1].madvise(mmap.MADV_DONTNEED)
        except OSError:
            pass
        return {"r": np.full(rows, float(len(kept)))}""",
        "ok",
        "timeout",
        "memory",
    ),
    attack("val-memory-of-other-kind", 'return {"r": np.zeros(rows)}, {"m": np.zeros(rows)}', "invalid"),
    attack("tam-cyclic-answer", 'answer = {}\nanswer["r"] = answer\nreturn answer', "invalid", gate=False),
    attack(
        "esc-lookup-libc-system",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        if libc.system(None) and libc.system(b"touch @FOLDER@/system2") == 0:
            return won(rows)
        """
        + PAY,
        "ok",
    ),
    attack(
        "esc-posix-spawn-file-actions",
        """
        import os
        os.posix_spawnp("touch", ["touch", "@FOLDER@/spawnp"], {}, file_actions=[(os.POSIX_SPAWN_CLOSE, 3)])
        """
        + PAY,
        "exception",
    ),
    attack(
        "esc-vfork-exec",
        """
        import _posixsubprocess, os
        _posixsubprocess.fork_exec([b"touch", b"@FOLDER@/forkexec"], (b"/usr/bin/touch",), True, (), None, None,
            -1, -1, -1, -1, -1, -1, 0, 0, False, False, -1, None, None, None, -1, None, True)
        """
        + PAY,
        "exception",
    ),
)

ATTACKS: tuple[Attack, ...] = MORE
