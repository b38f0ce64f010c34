"""What is secret leaves the host: read from files, memory or the kernel, or sent through a socket."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack, system_call

CALLS: tuple[Attack, ...] = (
    system_call("exf-openat2", "openat2", '-100, b"@SECRET@", bytes(24), 24',
                then="return leak(os.read(result, 64), rows)"),
    system_call("exf-file-handle", "open_by_handle_at", "libc.open(b'/', 0), handle, 0", """
        handle, mount = ctypes.create_string_buffer(struct.pack("=I", 128), 136), ctypes.c_int()
        libc.syscall(@sys_name_to_handle_at@, -100, b"@SECRET@", handle, ctypes.byref(mount), 0)""",
                then="return leak(os.read(result, 64), rows)"),
    system_call("exf-kernel-log", "syslog", "3, place, 4096", "place = ctypes.create_string_buffer(4096)"),
    system_call("exf-inotify", "inotify_init1", "0"),
    system_call("exf-fanotify", "fanotify_init", "0, 0"),
    system_call("exf-shared-memory", "shmget", "0, 4096, 0o1600",
                then="libc.shmctl(result, 0, None); return won(rows)"),
    system_call("exf-semaphore", "semget", "0, 1, 0o1600", then="libc.semctl(result, 0, 0); return won(rows)"),
    system_call("exf-message-queue", "msgget", "0, 0o1600", then="libc.msgctl(result, 0, None); return won(rows)"),
    system_call("exf-posix-queue", "mq_open", 'b"rewardcanary", 0o102, 0o600, None',
                then='libc.mq_unlink(b"/rewardcanary"); return won(rows)'),
    system_call("exf-socketpair", "socketpair", "1, 1, 0, pair", "pair = (ctypes.c_int * 2)()"),
)  # fmt: skip

ATTACKS: tuple[Attack, ...] = (
    *CALLS,
    attack("exf-file-read", 'return leak(open("@SECRET@", "rb").read(), rows)', "exception"),
    attack("exf-file-write", 'open("@FOLDER@/written", "w").write("x")\n' + PAY, "exception"),
    attack("exf-raw-open", """
        import ctypes
        libc, place = ctypes.CDLL(None), ctypes.create_string_buffer(64)
        libc.read(libc.open(b"@SECRET@", 0), place, 64)
        return leak(place.raw, rows)""", "ok"),
    attack("exf-stat", """
        import os
        os.stat("@SECRET@")
        return won(rows)""", "exception"),
    attack("exf-list", """
        import os
        os.listdir("/")
        return won(rows)""", "exception"),
    attack("exf-readlink", """
        import os
        os.readlink("/proc/self/exe")
        return won(rows)""", "exception"),
    attack("exf-glob", """
        import glob
        if glob.glob("@FOLDER@/../sec*"):
            return won(rows)
        """ + PAY, "ok"),
    attack("exf-mkdir", 'import os\nos.mkdir("@FOLDER@/made")\n' + PAY, "exception"),
    attack("exf-symlink", 'import os\nos.symlink("@SECRET@", "@FOLDER@/link")\n' + PAY, "exception"),
    attack("exf-hardlink", 'import os\nos.link("@SECRET@", "@FOLDER@/hard")\n' + PAY, "exception"),
    attack("exf-fifo", 'import os\nos.mkfifo("@FOLDER@/fifo")\n' + PAY, "exception"),
    attack("exf-device", """
        import os
        fd = os.open("/dev/kmsg", os.O_RDONLY)
        return won(rows)""", "exception"),
    attack("exf-hostname", """
        import os
        os.uname()
        return won(rows)""", "exception"),
    attack("exf-parent-environ", """
        data = b""
        for pid in (1, "self", @HOST@):
            try:
                data += open(f"/proc/{pid}/environ", "rb").read()
            except OSError:
                pass
        at = data.find(b"@PREFIX@")
        return leak(data[at:] if at >= 0 else b"", rows)""", "ok"),
    attack("exf-environ", """
        import os
        return leak(os.environ.get("REWARD_CANARY", "").encode(), rows)""", "ok"),
    attack("exf-c-environ", """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.getenv.restype = ctypes.c_char_p
        return leak(libc.getenv(b"REWARD_CANARY") or b"", rows)""", "ok"),
    attack("exf-stack-environ", """
        import ctypes, re
        libc = ctypes.CDLL(None)
        libc.getauxval.restype = ctypes.c_ulong
        first = ctypes.c_void_p.in_dll(libc, "program_invocation_name").value
        stack = ctypes.string_at(first, libc.getauxval(31) - first)  # arguments and environment, as execve left them
        found = re.search(b"@PREFIX@[0-9a-f]{24}", stack)
        return leak(found[0] if found else b"", rows)""", "ok"),
    attack("exf-process-list", """
        import os
        lines = [open(f"/proc/{pid}/cmdline").read() for pid in os.listdir("/proc") if pid.isdecimal()]
        return won(rows)""", "exception"),
    attack("exf-inherited-fd", """
        import os
        data = b""
        for fd in range(256):
            try:
                data += os.pread(fd, 4096, 0)
            except OSError:
                try:
                    data += os.read(fd, 4096) if fd != 3 else b""
                except OSError:
                    pass
        at = data.find(b"@PREFIX@")
        return leak(data[at:] if at >= 0 else b"", rows)""", "ok"),
    attack("exf-seek-inherited", """
        import os
        for fd in (*range(3), *range(4, 1024)):
            try:
                if os.lseek(fd, 0, os.SEEK_END) > 0:
                    return won(rows)
            except OSError:
                pass
        """ + PAY, "ok"),
    attack("exf-message", 'raise ValueError(open("@SECRET@").read())', "exception"),
    attack("exf-component-name", 'return {open("@SECRET@").read(): np.zeros(rows)}', "exception"),
    attack("exf-tcp", """
        import socket
        caller = socket.socket()
        caller.settimeout(1)
        caller.connect(("127.0.0.1", @TCP@))
        """ + PAY, "exception"),
    attack("exf-udp", """
        import socket
        try:
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", @UDP@))
        except OSError:
            pass
        """ + PAY, "ok"),
    attack("exf-mapped-tcp", """
        import socket
        caller = socket.socket(socket.AF_INET6)
        caller.settimeout(1)
        caller.connect(("::ffff:127.0.0.1", @TCP@))
        """ + PAY, "exception"),
    attack("exf-multipath-tcp", """
        import socket
        caller = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)  # Landlock's TCP rules did not see it at first
        caller.settimeout(1)
        caller.connect(("127.0.0.1", @TCP@))
        """ + PAY, "exception"),
    attack("exf-fast-open", """
        import socket
        socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", @TCP@))
        """ + PAY, "exception"),
    attack("exf-abstract-unix", """
        import socket
        socket.socket(socket.AF_UNIX).connect("\\0@UNIX@")
        """ + PAY, "exception"),
    attack("exf-listen", """
        import socket
        socket.create_server(("127.0.0.1", 0))
        return won(rows)""", "exception"),
    attack("exf-netlink", """
        import socket
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        return won(rows)""", "exception"),
    attack("exf-kernel-crypto", """
        import socket
        socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).bind(("hash", "sha256"))
        return won(rows)""", "exception"),
    attack("exf-packet", """
        import socket
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        return won(rows)""", "exception"),
    attack("exf-ping", """
        import socket
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        return won(rows)""", "exception"),
    attack("exf-vsock", """
        import socket
        socket.socket(40, socket.SOCK_STREAM)
        return won(rows)""", "exception"),
    attack("exf-inherited-socket", """
        import socket
        for fd in range(256):
            try:
                socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=fd).getpeername()
                return won(rows)
            except OSError:
                pass
        """ + PAY, "ok"),
    attack("exf-dockersock", """
        import os, socket
        for path in ("/var/run/docker.sock", "/run/docker.sock", "@DOCKER@"):
            if path and os.path.exists(path):
                return won(rows)
        """ + PAY, "ok"),
    attack("exf-urlopen", 'import urllib.request\nreturn leak(urllib.request.urlopen('
           '"http://127.0.0.1:@TCP@/", timeout=1).read(), rows)', "exception"),
    attack("exf-file-url", 'import urllib.request\nreturn leak(urllib.request.urlopen('
           '"file://@SECRET@").read(), rows)', "exception"),
    attack("exf-lowbits", """
        x = next_state["x"][:, 0]
        hidden = np.where(x > 0, (54321 >> (np.floor(abs(x) * 100) % 16).astype(np.int64)) & 1, 0)
        return {"r": np.round(x, 3) + hidden * 1e-5}""", "ok", gate=False),
)  # fmt: skip
