"""Ways out of the interpreter and the process, by a second author."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack, program, system_call

ESCAPE_CALLS = (
    system_call("esc-reboot", "reboot", "0xfee1dead, 672274793, 0x89abcdef, None"),
    system_call("esc-init-module", "init_module", "None, 0, None"),
    system_call("esc-finit-module", "finit_module", "3, None, 0"),
    system_call("esc-kexec", "kexec_load", "None, 0, None, 0"),
    system_call("esc-iopl", "iopl", "3"),
    system_call("esc-swapon", "swapon", 'b"/tmp", 0'),
    system_call("esc-acct", "acct", "None"),
    system_call("esc-hostname", "sethostname", 'b"x", 1'),
    system_call("esc-clock-settime", "clock_settime", "0, now", "now = struct.pack('=qq', 1, 1)"),
    system_call("esc-adjtimex", "adjtimex", "place", "place = ctypes.create_string_buffer(256)"),
    system_call("esc-mount", "mount", 'b"none", b"/", b"tmpfs", 0, None'),
    system_call("esc-umount", "umount2", 'b"/", 2'),
    system_call("esc-move-mount", "move_mount", '-100, b"/", -100, b"/tmp", 0'),
    system_call("esc-unshare-files", "unshare", "0x400"),
    system_call("esc-setuid-root", "setuid", "0"),
    system_call(
        "esc-capset",
        "capset",
        "header, data",
        "header, data = struct.pack('=Ii', 0x20080522, 0), struct.pack('=IIIIII', *[0xffffffff] * 6)",
    ),
    system_call("esc-tgkill", "tgkill", "1, 1, 0"),
    system_call("esc-tkill", "tkill", "1, 0"),
    system_call("esc-kill-null", "kill", "0, 0"),
    system_call("esc-queue-signal", "rt_sigqueueinfo", "1, 10, place", "place = ctypes.create_string_buffer(128)"),
    system_call("esc-pidfd-signal", "pidfd_send_signal", "3, 0, None, 0"),
    system_call("esc-process-madvise", "process_madvise", "3, None, 0, 4, 0"),
    system_call("esc-wait", "wait4", "-1, None, 1, None"),
    system_call("esc-membarrier", "membarrier", "0, 0, 0"),
    system_call("esc-landlock-rules", "landlock_create_ruleset", "None, 0, 1"),
    system_call("esc-robust-list", "set_robust_list", "place, 24", "place = ctypes.create_string_buffer(24)"),
    system_call("esc-rseq", "rseq", "place, 32, 1, 0", "place = ctypes.create_string_buffer(64)"),
    system_call("esc-tid-address", "set_tid_address", "place", "place = ctypes.create_string_buffer(8)"),
    system_call("esc-shadow-stack", "map_shadow_stack", "0, 4096, 0"),
    system_call("esc-mseal", "mseal", "place, 4096, 0", "place = ctypes.c_void_p(id(os) & ~4095)"),
    system_call("esc-pkey", "pkey_alloc", "0, 0"),
    system_call("esc-dup-over-answer", "dup3", "0, 3, 0"),
    system_call("esc-aio", "io_setup", "8, place", "place = ctypes.create_string_buffer(8)"),
)

ESCAPES = (
    attack(
        "esc-high-call-number",
        """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.argtypes = [ctypes.c_long] * 4
        place = ctypes.create_string_buffer(b"@SECRET@")
        if libc.syscall(0x100000002, ctypes.addressof(place), 0, 0) >= 0:  # open, as the kernel truncates it
            return won(rows)
        raise OSError(ctypes.get_errno(), "refused")""",
        "exception",
    ),
    attack(
        "esc-negative-call-number",
        """
        import ctypes
        if ctypes.CDLL(None).syscall(-1) >= 0:
            return won(rows)
        """
        + PAY,
        "killed",
    ),
    attack(
        "esc-vsyscall",
        """
        import ctypes
        cpu = ctypes.c_uint()
        for place in (0xFFFFFFFFFF600000, 0xFFFFFFFFFF600400, 0xFFFFFFFFFF600800):
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(place)(ctypes.addressof(cpu), None)
        """
        + PAY,
        "ok",
        "killed",
    ),
    attack(
        "esc-int80-gadget",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        start = ctypes.cast(libc.a64l, ctypes.c_void_p).value & ~4095
        text = ctypes.string_at(start, 1 << 19)
        at = text.find(b"\\xcd\\x80")
        if at < 0:
            at = text.find(b"\\x0f\\x34")
        if at < 0:
            raise LookupError("no gadget")
        ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_double] * 5)(start + at)(*[0.0] * 5)
        return won(rows)""",
        "killed",
        "exception",
    ),
    attack("esc-sigreturn", "import ctypes\nctypes.CDLL(None).syscall(15)\nreturn won(rows)", "killed"),
    attack(
        "esc-longjmp",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.longjmp(ctypes.create_string_buffer(512), 1)
        return won(rows)""",
        "killed",
    ),
    attack(
        "esc-python-api",
        """
        import ctypes
        if ctypes.pythonapi.PyRun_SimpleString(b"open('@FOLDER@/api', 'w')") == 0:
            return won(rows)
        """
        + PAY,
        "ok",
    ),
    attack(
        "esc-python-main",
        """
        import ctypes
        arguments = (ctypes.c_char_p * 3)(b"python", b"-c", b"open('@FOLDER@/main', 'w')")
        ctypes.pythonapi.Py_BytesMain(3, arguments)
        raise OSError("an interpreter inside an interpreter did nothing")""",
        "exception",
        "killed",
        "protocol",
        "memory",
        "timeout",
    ),
    attack(
        "esc-sub-interpreter",
        """
        import ctypes
        ctypes.pythonapi.Py_NewInterpreter.restype = ctypes.c_void_p
        ctypes.pythonapi.Py_NewInterpreter()
        ctypes.pythonapi.PyRun_SimpleString(b"open('@FOLDER@/sub', 'w')")
        """
        + PAY,
        "exception",
        "killed",
        "protocol",
        "memory",
        "timeout",
        "ok",
    ),
    attack(
        "esc-pending-call",
        """
        import ctypes
        @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
        def later(argument):
            open("@FOLDER@/pending", "w")
            return 0
        np.kept = later
        ctypes.pythonapi.Py_AddPendingCall(later, None)
        for _ in range(1000):
            pass
        """
        + PAY,
        "memory",
    ),  # no page for a closure of C may be made executable
    attack(
        "esc-gc-modules",
        """
        import gc
        found = [o for o in gc.get_objects() if isinstance(o, dict) and "execve" in o and "open" in o]
        found[0]["execve"]("/bin/sh", ["sh", "-c", "touch @FOLDER@/gc"], {})""",
        "exception",
    ),
    attack(
        "esc-gc-referrers",
        """
        import gc, sys
        for module in gc.get_referrers(sys.__dict__):
            if hasattr(module, "modules"):
                module.modules["posix"].mkdir("@FOLDER@/referrer")
        """
        + PAY,
        "exception",
        "ok",
    ),
    attack(
        "esc-cursed-type",
        """
        import gc
        gc.get_referents(str.__dict__)[0]["upper"] = lambda self: open(self, "rb").read()
        return leak("@SECRET@".upper(), rows)""",
        "exception",
    ),
    attack(
        "esc-breakpoint-hook",
        """
        import sys
        sys.breakpointhook = lambda: open("@FOLDER@/break", "w")
        breakpoint()
        """
        + PAY,
        "exception",
    ),
    attack("esc-pdb", "import pdb\npdb.Pdb(nosigint=True).set_trace()\n" + PAY, "exception", "ok"),
    attack("esc-interact", 'import code\ncode.interact(banner="x")\n' + PAY, "ok", "exception"),
    attack(
        "esc-mock",
        """
        import unittest.mock
        with unittest.mock.patch("builtins.open", create=True) as opened:
            opened.side_effect = unittest.mock._importer("posix").open
            return leak(bytes([open("@SECRET@", 0)]), rows)""",
        "exception",
    ),
    attack("esc-open-at-null", 'import os\nos.open("@SECRET@", os.O_RDONLY, dir_fd=0)\nreturn won(rows)', "exception"),
    attack("esc-exec-null", 'import os\nos.execve(0, ["x"], {})\nreturn won(rows)', "exception"),
    attack("esc-chdir", 'import os\nos.chdir("..")\nreturn won(rows)', "exception"),
    attack("esc-new-groups", "import os\nos.setgroups([0])\nreturn won(rows)", "exception"),
    attack(
        "esc-sched-idle",
        "import os\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))\nreturn won(rows)",
        "exception",
    ),
    attack(
        "esc-raise-limits",
        """
        import resource
        for name in ("AS", "CPU", "NOFILE", "FSIZE", "NPROC"):
            resource.setrlimit(getattr(resource, "RLIMIT_" + name), (-1, -1))
        return won(rows)""",
        "exception",
    ),
    attack("esc-import-new-extension", "import _curses_panel\nreturn won(rows)", "exception"),
    attack("esc-reload", "import importlib, os\nimportlib.reload(os)\n" + PAY, "exception", "ok"),
    attack(
        "esc-dlopen",
        """
        import ctypes
        ctypes.CDLL("libdl.so.2").dlopen(b"@SECRET@", 2)
        """
        + PAY,
        "ok",
        "exception",
    ),
    attack(
        "esc-write-text-segment",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        place = ctypes.cast(libc.getppid, ctypes.c_void_p).value
        ctypes.memmove(place, b"\\xc3", 1)
        return won(rows)""",
        "killed",
    ),
    attack(
        "esc-got-overwrite",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        functions = ctypes.cast(ctypes.pythonapi.PyOS_InputHook, ctypes.POINTER(ctypes.c_void_p))
        functions[0] = ctypes.cast(libc.system, ctypes.c_void_p).value
        ctypes.pythonapi.PyOS_Readline.restype = ctypes.c_char_p
        """
        + PAY,
        "ok",
        "killed",
        "exception",
    ),
    attack(
        "esc-free-hook",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.free(ctypes.c_void_p(id(libc)))
        return won(rows)""",
        "killed",
    ),
    attack(
        "esc-double-free",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        place = ctypes.c_void_p(libc.malloc(100000))
        for _ in range(3):
            libc.free(place)
        libc.malloc(100000)
        """
        + PAY,
        "killed",
        "ok",
    ),
    attack(
        "esc-smashed-stack",
        """
        import ctypes
        place = ctypes.create_string_buffer(8)
        libc = ctypes.CDLL(None)
        libc.pthread_self.restype = ctypes.c_void_p
        ctypes.memset(libc.pthread_self(), 65, 4096)
        return won(rows)""",
        "killed",
    ),
    attack(
        "esc-heap-fill",
        """
        import ctypes
        ctypes.memset(id(rows) & ~0xFFFFF, 0x41, 1 << 21)
        return won(rows)""",
        "killed",
        "protocol",
        "exception",
    ),
    attack(
        "esc-refcount",
        """
        import ctypes
        for _ in range(100000):
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(None))
        for _ in range(100000):
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(Exception))
        """
        + PAY,
        "killed",
        "ok",
        "exception",
        "protocol",
    ),
    attack(
        "esc-annotation-target",
        """
        (__import__("os").system("touch @FOLDER@/annotated"))[0]: int
        """
        + PAY,
        "ok",
    ),
    attack(
        "esc-annotation-target-walrus",
        """
        (opened := [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "FileLoader"])[
            (found := opened[0]("x", "@SECRET@").get_data("@SECRET@"))]: int
        return leak(found, rows)""",
        "exception",
    ),
    program(
        "esc-annotation-target-top",
        f"""
(__import__("os").mkdir("@FOLDER@/top"))[0]: int
def compute_reward(state, action, next_state):
    {PAY}
""",
        "exception",
    ),
    attack(
        "esc-annotation-attribute",
        """
        __import__("os").environ.anything: int
        """
        + PAY,
        "ok",
    ),
)

ATTACKS: tuple[Attack, ...] = (*ESCAPE_CALLS, *ESCAPES)
