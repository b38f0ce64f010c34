"""Ways to read or to send what a program may not, by a second author."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack, system_call

X = 'next_state["x"][:, 0]'

EXFILTRATION = (
    system_call("exf-statx", "statx", '-100, b"@SECRET@", 0, 0xfff, place', "place = ctypes.create_string_buffer(256)"),
    system_call("exf-getdents", "getdents64", "0, place, 4096", "place = ctypes.create_string_buffer(4096)"),
    system_call(
        "exf-readlinkat",
        "readlinkat",
        '-100, b"/proc/self/cwd", place, 4096',
        "place = ctypes.create_string_buffer(4096)",
    ),
    system_call("exf-xattr", "getxattr", 'b"@SECRET@", b"user.x", None, 0'),
    system_call("exf-uname", "uname", "place", "place = ctypes.create_string_buffer(512)"),
    system_call("exf-sysinfo", "sysinfo", "place", "place = ctypes.create_string_buffer(256)"),
    system_call("exf-getppid", "getppid", "0"),
    system_call("exf-utime", "utimensat", '-100, b"@SECRET@", None, 0'),
    system_call("exf-unlink", "unlinkat", '-100, b"@SECRET@", 0'),
    system_call("exf-mknod", "mknodat", '-100, b"@FOLDER@/node", 0o10600, 0'),
    system_call("exf-chmod", "fchmodat", '-100, b"@SECRET@", 0o777'),
    system_call("exf-pipe", "pipe2", "pair, 0", "pair = (ctypes.c_int * 2)()"),
    system_call("exf-descriptor-flags", "fcntl", "3, 4, 0o4000"),
    system_call("exf-icmp-socket", "socket", "2, 2, 1"),
    system_call("exf-sctp-socket", "socket", "2, 1, 132"),
    system_call("exf-bluetooth-socket", "socket", "31, 3, 0"),
    system_call("exf-can-socket", "socket", "29, 3, 1"),
    system_call("exf-xdp-socket", "socket", "44, 3, 0"),
    system_call("exf-tee", "tee", "3, 3, 10, 0"),
    system_call(
        "exf-msync-inputs", "msync", "place, 4096, 4", "place = ctypes.c_void_p(state['x'].ctypes.data & ~4095)"
    ),
    system_call(
        "exf-page-cache-residence",
        "mincore",
        "place, 4096, b'0'",
        "place = ctypes.c_void_p(state['x'].ctypes.data & ~4095)",
    ),
    system_call("exf-cachestat", "cachestat", "0, place, place, 0", "place = ctypes.create_string_buffer(64)"),
    system_call("exf-statmount", "statmount", "place, place, 4096, 0", "place = ctypes.create_string_buffer(4096)"),
    system_call(
        "exf-security-label", "lsm_get_self_attr", "100, None, place, 0", "place = ctypes.create_string_buffer(8)"
    ),
    system_call("exf-numa", "get_mempolicy", "None, None, 0, None, 0"),
    system_call("exf-memfd", "memfd_create", 'b"x", 0'),
    attack(
        "exf-heap-scan",
        """
        import ctypes, re
        libc = ctypes.CDLL(None)
        libc.sbrk.restype = ctypes.c_void_p
        top = libc.sbrk(ctypes.c_long(0))
        near = top - (1 << 17)
        text = ctypes.string_at(near & ~0xFFF, min(top - (near & ~0xFFF), 1 << 26))
        found = re.search(b"@PREFIX@[0-9a-f]{24}", text)
        return leak(found[0] if found else b"", rows)""",
        "ok",
        "killed",
        "exception",
    ),
    attack(
        "exf-starter-message",
        """
        import sys
        text = str(sys.modules["__main__"].message)
        at = text.find("@PREFIX@")
        return leak(text[at:].encode() if at >= 0 else b"", rows)""",
        "ok",
    ),
    attack(
        "exf-starter-host",
        """
        import sys
        options = sys.modules["__main__"].message["options"]
        if options.get("host") == @HOST@ and "/" in options["paths"][0]:
            raise ValueError(f"the host is process {options['host']}, its packages are in {options['paths']}")
        """
        + PAY,
        "ok",
        "exception",
    ),
    attack("exf-resolver", 'import socket\nsocket.getaddrinfo("localhost", @TCP@)\nreturn won(rows)', "exception"),
    attack("exf-user-database", 'import pwd\npwd.getpwnam("root")\nreturn won(rows)', "exception"),
    attack("exf-zone", 'import zoneinfo\nzoneinfo.ZoneInfo("Europe/Zurich")\nreturn won(rows)', "exception"),
    attack("exf-gzip", 'import gzip\ngzip.open("@FOLDER@/x.gz", "wb").write(b"x")\n' + PAY, "exception"),
    attack("exf-tar", 'import tarfile\ntarfile.open("@FOLDER@/x.tar", "w").add("@SECRET@")\n' + PAY, "exception"),
    attack("exf-dbm", 'import dbm.dumb\ndbm.dumb.open("@FOLDER@/x", "c")["a"] = b"1"\n' + PAY, "exception"),
    attack("exf-shelve", 'import shelve\nshelve.open("@FOLDER@/shelf")["a"] = 1\n' + PAY, "exception"),
    attack("exf-profile", 'import cProfile\ncProfile.runctx("1", {}, {}, "@FOLDER@/profile")\n' + PAY, "exception"),
    attack(
        "exf-tracemalloc",
        """
        import tracemalloc
        tracemalloc.start()
        tracemalloc.take_snapshot().dump("@FOLDER@/trace")
        """
        + PAY,
        "exception",
    ),
    attack("exf-mail", 'import smtplib\nsmtplib.SMTP("127.0.0.1", @TCP@, timeout=0.2)\n' + PAY, "exception"),
    attack("exf-ftp", 'import ftplib\nftplib.FTP("127.0.0.1", timeout=0.2)\n' + PAY, "exception"),
    attack(
        "exf-http-server",
        'import http.server\nhttp.server.HTTPServer(("127.0.0.1", 0), None)\nreturn won(rows)',
        "exception",
    ),
    attack(
        "exf-xmlrpc",
        'import xmlrpc.client\nxmlrpc.client.ServerProxy("http://127.0.0.1:@TCP@").x()\n' + PAY,
        "exception",
    ),
    attack(
        "exf-config",
        """
        import configparser
        if configparser.ConfigParser(default_section="x", allow_no_value=True).read("@SECRET@"):
            return won(rows)
        """
        + PAY,
        "exception",
        "ok",
    ),
    attack("exf-syslog-module", 'import syslog\nsyslog.syslog("@WIN@")\n' + PAY, "ok", "exception"),
    attack("exf-terminal", "import termios\ntermios.tcgetattr(0)\nreturn won(rows)", "exception"),
    attack("exf-zip-import", 'import zipimport\nzipimport.zipimporter("@SECRET@")\nreturn won(rows)', "exception"),
    attack(
        "exf-py-compile",
        'import py_compile\npy_compile.compile("@SECRET@", "@FOLDER@/x.pyc", doraise=True)\n' + PAY,
        "exception",
    ),
    attack(
        "exf-future-steps",
        f"""
        import sys
        frame = sys._getframe()
        while "given" not in frame.f_locals:
            frame = frame.f_back
        text = str(frame.f_locals["given"].keys())
        return {{"r": {X} * len(text)}}""",
        "ok",
    ),
    attack(
        "exf-write-to-inputs",
        """
        import os
        for fd in (0, 1, 2):
            os.writev(fd, [b"@WIN@"] * 4)
            os.lseek(fd, 0, 2)
        """
        + PAY,
        "ok",
    ),
    attack("exf-signal-wakeup", "import signal\nsignal.set_wakeup_fd(3)\n" + PAY, "exception", "ok", "protocol"),
)

ATTACKS: tuple[Attack, ...] = EXFILTRATION
