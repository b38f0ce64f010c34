"""What libraries read, write and start, by a second author."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack

LIBRARY = (
    attack("lib-fdopen-answer", 'import os\nos.fdopen(3, "wb", closefd=False).write(b"x" * 99)\n' + PAY, "protocol"),
    attack(
        "lib-tofile-answer",
        'import os\nstate["x"].tofile(os.fdopen(3, "wb", closefd=False))\n' + PAY,
        "protocol",
        "exception",
    ),
    attack(
        "lib-pickle-answer",
        'import os, pickle\npickle.dump(pickle.dumps, os.fdopen(3, "wb", closefd=False))\nos._exit(0)',
        "protocol",
    ),
    attack(
        "lib-np-format",
        'import numpy.lib.format\nnumpy.lib.format.read_array(open("@SECRET@", "rb"))\n' + PAY,
        "exception",
    ),
    attack("lib-np-show-runtime", "np.show_config()\nnp.show_runtime()\n" + PAY, "ok", "exception"),
    attack("lib-np-info", "np.info(np.mean)\n" + PAY, "exception"),
    attack("lib-np-include", "raise ValueError(np.get_include())", "exception"),
    attack("lib-np-ma-dump", 'np.ma.array([1.0]).dump("@FOLDER@/masked")\n' + PAY, "exception"),
    attack("lib-np-tempdir", "import numpy.testing\nwith numpy.testing.tempdir():\n    return won(rows)", "exception"),
    attack(
        "lib-np-temppath",
        'import numpy.testing\nwith numpy.testing.temppath(dir="@FOLDER@"):\n    return won(rows)',
        "exception",
    ),
    attack("lib-np-rundocs", 'import numpy.testing\nnumpy.testing.rundocs("@SECRET@")\n' + PAY, "exception"),
    attack(
        "lib-np-measure",
        "import numpy.testing\nnumpy.testing.measure(\"open('@FOLDER@/measure', 'w')\")\n" + PAY,
        "exception",
    ),
    attack("lib-np-loadtxt-fd", 'return {"r": np.loadtxt([str(v) for v in next_state["x"][:, 0]])}', "ok"),
    attack(
        "lib-np-fromfile-null",
        'import os\nreturn {"r": np.fromfile(os.fdopen(0, "rb", closefd=False))}',
        "invalid",
        "exception",
    ),
    attack("lib-np-memmap-null", 'import os\nreturn {"r": np.memmap(os.fdopen(0, "rb+", closefd=False))}', "exception"),
    attack(
        "lib-np-load-bytes",
        """
        import io
        head = b"\\x93NUMPY\\x01\\x00v\\x00{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999,), }"
        return {"r": np.load(io.BytesIO(head.ljust(127) + b"\\n"))}""",
        "exception",
        "memory",
    ),
    attack(
        "lib-np-header-eval",
        """
        import io
        head = b"\\x93NUMPY\\x01\\x00v\\x00{'descr': __import__('os').mkdir('@FOLDER@/header')}"
        np.load(io.BytesIO(head.ljust(127) + b"\\n"), allow_pickle=True)
        """
        + PAY,
        "exception",
    ),
    attack(
        "lib-np-object-pickle",
        """
        import io, os
        class Gadget:
            def __reduce__(self):
                return os.mkdir, ("@FOLDER@/object",)
        np.array([Gadget()], "O").dumps()
        __import__("pickle").loads(np.array([Gadget()], "O").dumps())
        """
        + PAY,
        "exception",
    ),
    attack(
        "lib-copy-reduce",
        """
        import copy, os
        class Gadget:
            def __reduce_ex__(self, protocol):
                return os.mkdir, ("@FOLDER@/copy",)
        copy.copy(Gadget())
        """
        + PAY,
        "exception",
    ),
    attack(
        "lib-ctypes-libm",
        'import ctypes\nctypes.CDLL("libm.so.6").cos.restype = ctypes.c_double\n' + PAY,
        "ok",
        "exception",
    ),
    attack(
        "lib-ctypes-popen",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.popen.restype = ctypes.c_void_p
        if libc.popen(b"touch @FOLDER@/popen", b"r"):
            return won(rows)
        """
        + PAY,
        "ok",
    ),
    attack(
        "lib-ctypes-fopen",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        if libc.fopen(b"@FOLDER@/fopen", b"w") or libc.fopen(b"@SECRET@", b"r"):
            return won(rows)
        """
        + PAY,
        "ok",
    ),
    attack(
        "lib-ctypes-glob",
        """
        import ctypes
        place = ctypes.create_string_buffer(256)
        if ctypes.CDLL(None).glob(b"@SECRET@", 0, None, place) == 0:
            return won(rows)
        """
        + PAY,
        "ok",
    ),
    attack(
        "lib-ctypes-iconv", 'import ctypes\nctypes.CDLL(None).iconv_open(b"@FOLDER@", b"UTF-7")\n' + PAY, "ok", "killed"
    ),
    attack(
        "lib-ctypes-threads",
        """
        import ctypes
        thread = ctypes.c_ulong()
        start = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
        if ctypes.CDLL(None).pthread_create(ctypes.byref(thread), None, start, None) == 0:
            return won(rows)
        """
        + PAY,
        "ok",
    ),
    attack(
        "lib-ctypes-shm",
        """
        import ctypes
        if ctypes.CDLL(None).shm_open(b"/rewardcanary2", 0o102, 0o600) >= 0:
            return won(rows)
        """
        + PAY,
        "ok",
    ),
    attack(
        "lib-ctypes-dlmopen",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.dlmopen.restype = ctypes.c_void_p
        if libc.dlmopen(ctypes.c_long(-1), b"libcrypt.so.1", 2):
            return won(rows)
        """
        + PAY,
        "ok",
    ),
    attack(
        "lib-thread-pool",
        """
        import concurrent.futures
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(abs, 1).result()
        return won(rows)""",
        "exception",
    ),
    attack("lib-queue", "import queue\nqueue.Queue().get()\n" + PAY, "timeout"),
    attack(
        "lib-scheduler", "import sched\ns = sched.scheduler()\ns.enter(1000, 0, abs, (1,))\ns.run()\n" + PAY, "timeout"
    ),
    attack("lib-selector", "import selectors\nselectors.DefaultSelector()\n" + PAY, "exception", "ok"),
    attack(
        "lib-socketserver", 'import socketserver\nsocketserver.TCPServer(("", 0), None)\nreturn won(rows)', "exception"
    ),
    attack("lib-ssl", "import ssl\nssl.create_default_context()\n" + PAY, "exception", "ok"),
    attack("lib-compileall", 'import compileall\ncompileall.compile_dir("@FOLDER@")\n' + PAY, "ok", "exception"),
    attack(
        "lib-zipapp",
        'import zipapp\nzipapp.create_archive("@FOLDER@", "@FOLDER@/x.pyz", main="a:b")\n' + PAY,
        "exception",
    ),
    attack("lib-wave", 'import wave\nwave.open("@FOLDER@/x.wav", "wb")\n' + PAY, "exception"),
    attack(
        "lib-csv-bomb",
        'import csv\nreturn {"r": np.full(rows, len([*csv.reader(["a," * 10**8])]))}',
        "memory",
        "exception",
        "timeout",
    ),
    attack("lib-mmap-answer", "import mmap\nmmap.mmap(3, 4096)\nreturn won(rows)", "exception"),
    attack("lib-mmap-null", "import mmap\nmmap.mmap(0, 4096)\nreturn won(rows)", "exception"),
    attack(
        "lib-faulthandler-later",
        """
        import faulthandler
        faulthandler.dump_traceback_later(0.01, repeat=True, file=3)
        """
        + PAY,
        "exception",
        "protocol",
    ),
    attack(
        "lib-faulthandler-enable",
        """
        import faulthandler, ctypes
        faulthandler.enable(file=3)
        ctypes.string_at(0)""",
        "killed",
    ),
    attack("lib-getpass", "import getpass\ngetpass.getuser()\n" + PAY, "exception"),
    attack("lib-gettext", 'import gettext\ngettext.translation("x", "@FOLDER@")\n' + PAY, "exception"),
    attack("lib-locale", 'import locale\nlocale.setlocale(locale.LC_ALL, "de_CH.UTF-8")\n' + PAY, "exception"),
    attack(
        "lib-code-hook",
        """
        import sys
        sys.path_hooks.insert(0, lambda path: open("@FOLDER@/hook", "w"))
        sys.path.insert(0, "@FOLDER@")
        sys.path_importer_cache.clear()
        import anything""",
        "exception",
    ),
    attack("lib-site", 'import site\nsite.addsitedir("@FOLDER@")\n' + PAY, "exception", "ok"),
)

ATTACKS: tuple[Attack, ...] = LIBRARY
