"""Out of the language, out of the process: to a file, a command, another process, the kernel."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack, system_call

CALLS: tuple[Attack, ...] = (
    system_call("esc-execveat", "execveat", '-100, b"/usr/bin/touch", argv, None, 0',
                'argv = (ctypes.c_char_p * 3)(b"touch", b"@FOLDER@/execveat", None)'),
    system_call("esc-clone3", "clone3", "arguments, 88", "arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)",
                "os._exit(0) if result == 0 else None; return won(rows)"),
    system_call("esc-clone", "clone", "17, None, None, None, None",
                then="os._exit(0) if result == 0 else None; return won(rows)"),
    system_call("esc-process-read", "process_vm_readv", "os.getpid(), here, 1, there, 1, 0", """
        place, source = ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)
        here, there = ((ctypes.c_size_t * 2)(ctypes.addressof(p), 8) for p in (place, source))"""),
    system_call("esc-process-write", "process_vm_writev", "os.getpid(), here, 1, there, 1, 0", """
        place, source = ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)
        here, there = ((ctypes.c_size_t * 2)(ctypes.addressof(p), 8) for p in (place, source))"""),
    system_call("esc-traceme", "ptrace", "0, 0, None, None"),
    system_call("esc-pidfd", "pidfd_open", "os.getpid(), 0"),
    system_call("esc-setns", "setns", "libc.syscall(@sys_pidfd_open@, os.getpid(), 0), 0x4000000"),
    system_call("esc-kcmp", "kcmp", "os.getpid(), os.getpid(), 0, 0, 0"),
    system_call("esc-userfaultfd", "userfaultfd", "1"),
    system_call("esc-perf-event", "perf_event_open", "wanted, 0, -1, -1, 0",
                'wanted = struct.pack("=IIQ", 1, 112, 0) + bytes(96)'),
    system_call("esc-bpf", "bpf", "0, wanted, 72", 'wanted = struct.pack("=IIII", 2, 4, 4, 1) + bytes(56)'),
    system_call("esc-io-uring", "io_uring_setup", "8, bytearray_of", "bytearray_of = (ctypes.c_char * 120)()"),
    system_call("esc-keyring", "keyctl", "0, -3, 1"),
    system_call("esc-add-key", "add_key", 'b"user", b"reward", b"x", 1, -2'),
    system_call("esc-new-mount", "fsopen", 'b"tmpfs", 1'),
    system_call("esc-open-tree", "open_tree", '-100, b"/", 0x80000'),
    system_call("esc-chroot", "chroot", 'b"/"'),
    system_call("esc-pivot-root", "pivot_root", 'b".", b"."', """
        if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, ctypes.c_ulong(0x44000), None):
            raise OSError(ctypes.get_errno(), "no mounts of its own")
        libc.mount(b"none", b"/tmp", b"tmpfs", ctypes.c_ulong(0), None)
        libc.chdir(b"/tmp")"""),
    system_call("esc-personality", "personality", "0x400000"),
    system_call("esc-ldt", "modify_ldt", "0, entries, 64", "entries = ctypes.create_string_buffer(64)"),
    system_call("esc-arch-prctl", "arch_prctl", "0x1003, base", "base = ctypes.create_string_buffer(8)"),
    system_call("esc-seccomp", "seccomp", "2, 0, action", "action = ctypes.byref(ctypes.c_uint32(0x7FFF0000))"),
    system_call("esc-ioctl", "ioctl", "0, 0x5451, None", 'libc.ioctl(0, 0x5412, b"x")'),
    system_call("esc-vmsplice", "vmsplice", "3, page, 1, 8", """
        data = ctypes.create_string_buffer(8)
        page = (ctypes.c_size_t * 2)(ctypes.addressof(data), 8)"""),
    system_call("esc-pkey-mprotect", "pkey_mprotect", "page, 4096, 4, -1", """
        import mmap
        memory = mmap.mmap(-1, 4096)
        page = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))"""),
)  # fmt: skip

ATTACKS: tuple[Attack, ...] = (
    *CALLS,
    attack("esc-subclasses", """
        found = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "Popen"][0]
        return leak(found(["cat", "@SECRET@"], stdout=-1).communicate()[0], rows)""", "exception"),
    attack("esc-dunder-import", 'return leak(__import__("os").popen("cat @SECRET@").read().encode(), rows)',
           "exception"),
    attack("esc-format", """
        text = "{0.__class__.__init__.__globals__}".format(__import__("os").environ)
        return leak(text[text.find("@PREFIX@"):].encode(), rows)""", "ok"),
    attack("esc-format-map", """
        import os
        text = "{x.__class__.__init__.__globals__[environ]}".format_map({"x": os.environ})
        return leak(text[text.find("@PREFIX@"):].encode(), rows)""", "ok"),
    attack("esc-tb-frame", """
        try:
            1 / 0
        except ZeroDivisionError as error:
            frame = error.__traceback__.tb_frame
            while frame.f_back is not None:
                frame = frame.f_back
            return leak(frame.f_globals["__builtins__"].open("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-gi-frame", """
        walker = (walker.gi_frame.f_back.f_back for _ in [1])
        frame = [*walker][0]
        return leak(frame.f_builtins["open"]("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-coroutine-frame", """
        async def wait():
            return 0
        waiting = wait()
        return leak(waiting.cr_frame.f_builtins["open"]("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-trainer-frame", """
        import sys
        frame, names = sys._getframe(), []
        while frame is not None:
            names += [str(v) for v in list(frame.f_locals.values())]
            frame = frame.f_back
        text = " ".join(names)
        return leak(text[text.find("@PREFIX@"):].encode() if "@PREFIX@" in text else b"", rows)""", "ok"),
    attack("esc-settrace", """
        import sys
        frames = []
        sys.settrace(lambda frame, event, argument: frames.append(frame))
        (lambda: 0)()
        sys.settrace(None)
        return leak(frames[0].f_builtins["open"]("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-attribute-error", """
        import string
        try:
            string.Formatter().get_field("x.missing", (), {"x": leak})
        except AttributeError as error:
            return leak(error.obj.__builtins__["open"]("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-except-star", """
        try:
            raise ExceptionGroup("group", [ValueError("one").with_traceback(None)])
        except* ValueError as group:
            frame = group.__traceback__.tb_frame
        return leak(frame.f_builtins["open"]("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-getattr-concat", """
        import builtins
        return leak(getattr(builtins, "op" + "en")("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-builtins", 'return leak(__builtins__["open"]("@SECRET@", "rb").read(), rows)', "exception"),
    attack("esc-unicode-name", 'return leak(ｏｐｅｎ("@SECRET@", "rb").read(), rows)', "exception"),
    attack("esc-map-eval", """return leak([*map(eval, ['open("@SECRET@", "rb").read()'])][0], rows)""", "exception"),
    attack("esc-decorator", """
        @eval
        @(lambda function: 'open("@SECRET@", "rb").read()')
        def data():
            return 0
        return leak(data, rows)""", "exception"),
    attack("esc-class-body", """
        class Base:
            def __init_subclass__(cls):
                cls.data = open("@SECRET@", "rb").read()
        class Found(Base):
            pass
        return leak(Found.data, rows)""", "exception"),
    attack("esc-metaclass", """
        class Reader(type):
            __getitem__ = lambda cls, path: open(path, "rb").read()
        class Found(metaclass=Reader):
            pass
        return leak(Found["@SECRET@"], rows)""", "exception"),
    attack("esc-match-class", """
        match leak:
            case object(__builtins__=names):
                return leak(names["open"]("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-annotation", """
        data = []
        def hidden(x: data.append(open("@SECRET@", "rb").read())):
            return x
        return leak(data[0], rows)""", "exception"),
    attack("esc-numpy-globals", """
        names = np.linalg.norm._implementation.__globals__
        return leak(names["__builtins__"]["open"]("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-loader", 'return leak(np.__spec__.loader.get_data("@SECRET@"), rows)', "exception"),
    attack("esc-reduce", """
        names = ().__reduce_ex__(2)[0].__globals__
        return leak(names["__builtins__"]["open"]("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-attrgetter", """
        import operator
        return leak(operator.attrgetter("__builtins__")(leak)["open"]("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("esc-modules", """
        import sys
        if sys.modules["posix"].system("touch @FOLDER@/modules"):
            raise OSError("system was refused")
        """ + PAY, "exception"),
    attack("esc-forged-bytecode", """
        import opcode
        code = [opcode.opmap[name] for name in ("RESUME", "EXTENDED_ARG", "LOAD_CONST", "RETURN_VALUE")]
        text = bytes([code[0], 0, code[1], 127, code[1], 255, code[1], 255, code[2], 255, code[3], 0])
        function = lambda: 0
        function.__code__ = function.__code__.replace(co_code=text)
        return leak(str(function()).encode(), rows)""", "killed"),
    attack("esc-np-ctypeslib", """
        libc = np.ctypeslib.ctypes.CDLL(None)
        if libc.system(b"touch @FOLDER@/system"):
            raise OSError("system was refused")
        """ + PAY, "exception"),
    attack("esc-exec-shell", """
        import os
        os.execv("/bin/sh", ["sh", "-c", "touch @FOLDER@/shell"])""", "exception"),
    attack("esc-spawn", """
        import os
        os.waitpid(os.posix_spawn("/usr/bin/touch", ["touch", "@FOLDER@/spawn"], {}), 0)
        """ + PAY, "exception"),
    attack("esc-pty", 'import pty\npty.spawn(["touch", "@FOLDER@/pty"])\n' + PAY, "exception"),
    attack("esc-fork-exec", """
        import os
        if os.fork() == 0:
            os.execv("/bin/sleep", ["sleep", "@SLEEP@"])
        """ + PAY, "exception"),
    attack("esc-proc-mem", """
        import os
        parent = f"/proc/{os.getppid()}"
        place = [line.split("-")[0] for line in open(f"{parent}/maps") if " rw-p " in line][-1]
        fd = os.open(f"{parent}/mem", os.O_RDWR)
        os.pwrite(fd, os.pread(fd, 1, int(place, 16)), int(place, 16))
        return won(rows)""", "exception"),
    attack("esc-ptrace", """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        for pid in (1, os.getpid() - 1, @HOST@):
            if libc.ptrace(16, pid, None, None) == 0:
                return won(rows)
        """ + PAY, "ok"),
    attack("esc-memfd-exec", """
        import os
        fd = os.memfd_create("x", 0)
        os.write(fd, b"#!/bin/sh\\ntouch @FOLDER@/memfd\\n")
        os.execve(fd, ["x"], {})""", "exception"),
    attack("esc-userns", """
        import ctypes, os
        if ctypes.CDLL(None).unshare(0x10000000) == 0:
            return won(rows)
        """ + PAY, "ok"),
    attack("esc-exec-page", """
        import mmap
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        return won(rows)""", "exception"),
    attack("esc-mprotect", """
        import ctypes, mmap
        memory = mmap.mmap(-1, 4096)
        page = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
        if ctypes.CDLL(None).mprotect(page, ctypes.c_size_t(4096), 5):
            raise OSError("mprotect was refused")
        return won(rows)""", "exception"),
    attack("esc-patched-libc", """
        import ctypes
        libc = ctypes.CDLL(None)
        place = ctypes.cast(libc.a64l, ctypes.c_void_p).value
        page, size = ctypes.c_void_p(place & ~4095), ctypes.c_size_t(8192)
        if libc.mprotect(page, size, 3):
            raise OSError("libc's code cannot be made writable")
        ctypes.memmove(place, bytes.fromhex("b87b000000c3"), 6)
        if libc.mprotect(page, size, 5):
            raise OSError("libc's code cannot be made executable again")
        if libc.a64l(b"x") == 123:
            return won(rows)""", "exception"),
    attack("esc-x32", """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        fd = libc.syscall(0x40000002, b"@SECRET@", 0)
        buffer = ctypes.create_string_buffer(64)
        if fd >= 0:
            libc.syscall(0x40000000, fd, buffer, 64)
        return leak(buffer.raw, rows)""", "killed"),
    attack("esc-int80", """
        import ctypes, mmap
        memory = mmap.mmap(-1, 4096)
        memory[:9] = bytes.fromhex("b814000000cd80c390")  # mov eax, 20 (getpid of 32 bit); int 0x80; ret
        page = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        if ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), ctypes.c_size_t(4096), 5):
            raise OSError("no code of its own")
        if ctypes.CFUNCTYPE(ctypes.c_int)(page)() > 0:
            return won(rows)""", "exception"),
)  # fmt: skip
