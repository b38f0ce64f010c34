"""Frames, descriptors and memory of the service around a program, by a second author."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack
from tests.attacks.service import BODY, GOOD, ORIGINALS, forged


def error(name: str, fields: str, *allowed: str) -> Attack:
    return forged(name, f'{{"error": {fields}}}', *allowed)


SERVICE = (
    forged(
        "srv-forged-memory-unasked",
        f'{{**{GOOD}, "memory": [["m", "float64", [rows]]]}}, {BODY} + bytes(8 * rows)',
        "ok",
    ),
    forged(
        "srv-forged-memory-nan",
        f'{{**{GOOD}, "memory": [["m", "float64", [rows]]]}}, {BODY} + b"\\xff" * 8 * rows',
        "ok",
    ),
    forged(
        "srv-forged-memory-bool", f'{{**{GOOD}, "memory": [["m", "bool", [rows]]]}}, {BODY} + b"\\x07" * rows', "ok"
    ),
    forged(
        "srv-forged-memory-empty", f'{{**{GOOD}, "memory": [["m", "float64", [rows, 0]]]}}, {BODY}', "ok", "protocol"
    ),
    forged("srv-forged-memory-list", f'{{**{GOOD}, "memory": []}}, {BODY}', "ok"),
    forged("srv-forged-memory-dict", f'{{**{GOOD}, "memory": {{}}}}, {BODY}', "protocol"),
    forged(
        "srv-forged-memory-float-rows",
        f'{{**{GOOD}, "memory": [["m", "bool", [float(rows)]]]}}, {BODY} + bytes(rows)',
        "protocol",
    ),
    forged(
        "srv-forged-memory-bool-size",
        f'{{**{GOOD}, "memory": [["m", "bool", [rows, True]]]}}, {BODY} + bytes(rows)',
        "protocol",
    ),
    forged("srv-forged-memory-text-shape", f'{{**{GOOD}, "memory": [["m", "bool", "64"]]}}, {BODY}', "protocol"),
    forged("srv-forged-memory-dtype-list", f'{{**{GOOD}, "memory": [["m", ["bool"], [rows]]]}}, {BODY}', "protocol"),
    forged(
        "srv-forged-memory-alias-dtype",
        f'{{**{GOOD}, "memory": [["m", "<f8", [rows]]]}}, {BODY} + bytes(8 * rows)',
        "protocol",
    ),
    forged(
        "srv-forged-memory-null-name",
        f'{{**{GOOD}, "memory": [[None, "bool", [rows]]]}}, {BODY} + bytes(rows)',
        "protocol",
    ),
    forged(
        "srv-forged-memory-seventeen",
        f'{{**{GOOD}, "memory": [[f"m{{i}}", "bool", [rows]] for i in range(17)]}}, {BODY} + bytes(17 * rows)',
        "protocol",
    ),
    forged("srv-forged-memory-deep", f'{{**{GOOD}, "memory": [["m", "bool", [rows, [rows]]]]}}, {BODY}', "protocol"),
    forged("srv-forged-memory-beyond", f'{{**{GOOD}, "memory": [["m", "bool", [rows, 10**30]]]}}, {BODY}', "protocol"),
    forged("srv-forged-name-list", f'{{**{GOOD}, "components": [["r"]]}}, {BODY}', "protocol"),
    forged("srv-forged-name-null", f'{{**{GOOD}, "components": [None]}}, {BODY}', "protocol"),
    forged("srv-forged-name-unicode", f'{{**{GOOD}, "components": ["\\u0440"]}}, {BODY}', "protocol"),
    forged("srv-forged-name-newline", f'{{**{GOOD}, "components": ["r\\n"]}}, {BODY}', "protocol"),
    forged("srv-forged-name-kelvin", f'{{**{GOOD}, "components": ["\\u212a"]}}, {BODY}', "protocol"),
    forged("srv-forged-mutated-list", f'{{**{GOOD}, "mutated": [["action"]]}}, {BODY}', "protocol"),
    forged("srv-forged-mutated-many", f'{{**{GOOD}, "mutated": ["action"] * 5000}}, {BODY}', "ok"),
    forged("srv-forged-mutated-text", f'{{**{GOOD}, "mutated": "action"}}, {BODY}', "protocol"),
    forged("srv-forged-potential-unpaid", f'{{**{GOOD}, "potential": True}}, {BODY}', "protocol"),
    forged("srv-forged-potential-paid", f'{{**{GOOD}, "potential": True}}, {BODY} * 3', "ok"),
    forged("srv-forged-potential-nan", f'{{**{GOOD}, "potential": True}}, {BODY} * 2 + b"\\xff" * 4 * rows', "invalid"),
    forged("srv-forged-potential-one", f'{{**{GOOD}, "potential": 1}}, {BODY} * 3', "protocol"),
    forged("srv-forged-million-names", f'{{**{GOOD}, "components": ["r"] * 10**6}}, {BODY}', "protocol"),
    forged(
        "srv-forged-extra-fields",
        f'{{**{GOOD}, "end": "exit", "code": 0, "layers": [], "x": [[[[1e999]]]]}}, {BODY}',
        "protocol",
        "ok",
    ),
    forged("srv-forged-error-and-answer", f'{{**{GOOD}, "error": None}}, {BODY}', "protocol"),
    forged("srv-forged-outer-frame", "{'end': 'exit', 'code': 77}", "protocol"),
    forged("srv-forged-outer-deadline", "{'end': 'deadline', 'code': 0}", "protocol"),
    forged("srv-frame-in-frame", "{'end': 'exit', 'code': 0}, b'RSW1' + bytes(12)", "protocol"),
    error("srv-error-kind-list", "{'kind': ['setup'], 'message': 'x'}", "protocol"),
    error("srv-error-no-kind", "{'message': 'x'}", "protocol"),
    error("srv-error-no-message", "{'kind': 'setup'}", "protocol"),
    error("srv-error-message-list", "{'kind': 'setup', 'message': ['x']}", "protocol"),
    error("srv-error-message-empty", "{'kind': 'exception', 'message': ''}", "exception"),
    error("srv-error-line-true", "{'kind': 'exception', 'message': 'x', 'line': True}", "exception"),
    error("srv-error-line-float", "{'kind': 'exception', 'message': 'x', 'line': 1e308}", "exception"),
    error("srv-error-line-huge", "{'kind': 'exception', 'message': 'x', 'line': 10**4000}", "exception"),
    error("srv-error-rule-markup", "{'kind': 'exception', 'message': 'x', 'rule': '<b>'}", "exception"),
    error("srv-error-rule-list", "{'kind': 'exception', 'message': 'x', 'rule': [1]}", "exception"),
    error("srv-error-message-long", "{'kind': 'memory', 'message': 'x' * 65000}", "memory"),
    error(
        "srv-error-message-control",
        "{'kind': 'invalid', 'message': chr(27) + '[2J' + chr(0x202e) + chr(0) + chr(0x2028)}",
        "invalid",
    ),
    error("srv-error-timeout", "{'kind': 'timeout', 'message': 'x'}", "protocol"),
    error("srv-error-killed", "{'kind': 'killed', 'message': 'x'}", "protocol"),
    error("srv-error-protocol", "{'kind': 'protocol', 'message': 'x'}", "protocol"),
    error("srv-error-not-rowwise", "{'kind': 'not_rowwise', 'message': 'x'}", "protocol"),
    error("srv-error-as-list", "[1]", "protocol"),
    forged("srv-json-utf16", f"json.dumps({GOOD}).encode('utf-16'), {BODY}", "ok", "protocol"),
    forged("srv-json-utf32", f"json.dumps({GOOD}).encode('utf-32'), {BODY}", "ok", "protocol"),
    forged("srv-json-bom", f"b'\\xef\\xbb\\xbf' + json.dumps({GOOD}).encode(), {BODY}", "ok", "protocol"),
    forged(
        "srv-json-deep-field",
        f"json.dumps({GOOD}).encode()[:-1] + b', \"x\": ' + b'[' * 30000 + b']' * 30000 + b'}}', {BODY}",
        "protocol",
    ),
    forged("srv-json-twice", 'b\'{"components": ["r"], "components": [1]}\', b\'\'', "protocol"),
    forged("srv-json-infinity", "b'{\"x\": -Infinity}', b''", "protocol"),
    forged("srv-json-null", "b'null', b''", "protocol"),
    forged("srv-json-number", "b'1e400', b''", "protocol"),
    forged("srv-json-spaces", f"b' ' * 60000 + json.dumps({GOOD}).encode(), {BODY}", "ok"),
    attack("srv-partial-prefix", 'import os\nos.write(3, b"RSW1")\nos._exit(0)', "protocol"),
    attack("srv-partial-and-stay", 'import os, time\nos.write(3, b"RSW1")\ntime.sleep(1000)', "timeout"),
    attack("srv-partial-and-die", 'import os, ctypes\nos.write(3, b"RSW1")\nctypes.string_at(0)', "killed"),
    forged("srv-answer-and-die", f"{GOOD}, {BODY}", "ok", then="import ctypes\nctypes.string_at(0)"),
    forged("srv-answer-and-fail", f"{GOOD}, {BODY}", "ok", then="os._exit(9)"),
    forged("srv-answer-and-memory", f"{GOOD}, {BODY}", "ok", "memory", then="os._exit(77)"),
    forged("srv-answer-close-and-loop", f"{GOOD}, {BODY}", "ok", then="os.close(3)\nwhile True:\n    pass"),
    forged(
        "srv-many-answers",
        f"{GOOD}, {BODY}",
        "protocol",
        then=f"for _ in range(1000):\n    send({GOOD}, {BODY})\nos._exit(0)",
    ),
    attack(
        "srv-limit-exactly",
        """
        import os
        data = bytes(1 << 20)
        for _ in range(16):
            os.write(3, data)
        os._exit(0)""",
        "protocol",
        "output_limit",
    ),
    attack(
        "srv-flood-and-die",
        """
        import os, ctypes
        data = bytes(1 << 20)
        for _ in range(16):
            os.write(3, data)
        ctypes.string_at(0)""",
        "killed",
    ),
    attack("srv-nonblocking", "import os\nos.set_blocking(3, False)\nreturn won(rows)", "exception"),
    attack("srv-widened-pipe", "import fcntl\nfcntl.fcntl(3, 1031, 1 << 24)\nreturn won(rows)", "exception"),
    attack("srv-close-all", "import os\nos.closerange(0, 1 << 20)\n" + PAY, "protocol", "timeout"),
    attack(
        "srv-read-ahead-of-inputs",
        ORIGINALS
        + """grown = libc.mremap(ctypes.c_void_p(place), ctypes.c_size_t(4096), ctypes.c_size_t(1 << 16), 1)
if grown in (None, ctypes.c_void_p(-1).value):
    raise OSError("no longer mapping")
raise OSError(len(ctypes.string_at(grown + 4096 * 15, 4096)))""",
        "killed",
        "exception",
    ),
    attack(
        "srv-tail-of-page",
        """
        import ctypes, sys
        frame = sys._getframe()
        while "kept" not in frame.f_locals:
            frame = frame.f_back
        kept = np.frombuffer(frame.f_locals["kept"], np.uint8)
        tail = ctypes.string_at(kept.ctypes.data + len(kept), -len(kept) % 4096)
        return {"tail": np.full(rows, float(any(tail)))}""",
        "ok",
    ),
    attack(
        "srv-futex-on-inputs",
        """
        import ctypes, sys
        frame = sys._getframe()
        while "kept" not in frame.f_locals:
            frame = frame.f_back
        place = np.frombuffer(frame.f_locals["kept"], np.uint8).ctypes.data
        ctypes.CDLL(None).syscall(202, ctypes.c_void_p(place), 1, 1 << 30, None, None, 0)
        """
        + PAY,
        "ok",
    ),
    attack(
        "srv-advise-inputs",
        """
        import ctypes, sys
        frame = sys._getframe()
        while "kept" not in frame.f_locals:
            frame = frame.f_back
        place = np.frombuffer(frame.f_locals["kept"], np.uint8).ctypes.data
        libc = ctypes.CDLL(None)
        for advice in range(0, 130):
            libc.madvise(ctypes.c_void_p(place), ctypes.c_size_t(4096), advice)
            libc.madvise(ctypes.c_void_p(state["x"].ctypes.data & ~4095), ctypes.c_size_t(4096), advice)
        """
        + PAY,
        "ok",
    ),
    attack(
        "srv-write-private-then-drop",
        """
        import ctypes
        ctypes.memset(state["x"].ctypes.data, 7, 16)
        ctypes.CDLL(None).madvise(ctypes.c_void_p(state["x"].ctypes.data & ~4095), ctypes.c_size_t(4096), 4)
        """
        + PAY,
        "ok",
    ),
    attack(
        "srv-remap-code-as-inputs",
        """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        for fd in range(4):
            for flags in (1, 2, 3):
                place = libc.mmap(None, ctypes.c_size_t(4096), 1, flags, fd, ctypes.c_long(0))
                if place not in (None, ctypes.c_void_p(-1).value):
                    return won(rows)
        """
        + PAY,
        "ok",
    ),
    attack(
        "srv-parent-affinity",
        """
        import os
        for pid in range(1, 1000):
            try:
                os.sched_getaffinity(pid)
            except OSError:
                continue
        """
        + PAY,
        "ok",
    ),
)

ATTACKS: tuple[Attack, ...] = SERVICE
