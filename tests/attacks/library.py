"""Calls of numpy and the standard library that read, write, load or start something."""

from __future__ import annotations

from tests.attacks.attack import PAY, Attack, attack

GADGET = """
        import io, os, pickle
        class Gadget:
            def __reduce__(self):
                return os.system, ("touch @FOLDER@/pickle",)
"""
"""Unpickled, it runs a command and becomes its exit status."""

ATTACKS: tuple[Attack, ...] = (
    attack("lib-np-fromfile", 'return leak(np.fromfile("@SECRET@", np.uint8).tobytes(), rows)', "exception"),
    attack("lib-np-memmap", 'return leak(np.memmap("@SECRET@", np.uint8, "r").tobytes(), rows)', "exception"),
    attack("lib-np-loadtxt", 'return leak(" ".join(np.loadtxt("@SECRET@", str, ndmin=1)).encode(), rows)',
           "exception"),
    attack("lib-np-genfromtxt", 'return leak(str(np.genfromtxt("@SECRET@", str)).encode(), rows)', "exception"),
    attack("lib-np-genfromtxt-url", 'np.genfromtxt("http://127.0.0.1:@TCP@/x")\n' + PAY, "exception"),
    attack("lib-np-fromregex",
           'return leak(np.fromregex("@SECRET@", "(.+)", [("a", "S64")])["a"][0], rows)', "exception"),
    attack("lib-np-open-datasource", 'return leak(np.lib.npyio.DataSource().open("@SECRET@").read().encode(), rows)',
           "exception"),
    attack("lib-np-load", """
        try:
            np.load("@SECRET@", allow_pickle=True)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:
            return won(rows)  # it was read, and is no array""", "exception"),
    attack("lib-np-load-gadget", GADGET + """
        place = io.BytesIO()
        np.save(place, np.array([Gadget()]), allow_pickle=True)
        if np.load(io.BytesIO(place.getvalue()), allow_pickle=True)[0]:
            raise OSError("system was refused")
        """ + PAY, "exception"),
    attack("lib-np-save", 'np.save("@FOLDER@/saved.npy", state["x"])\n' + PAY, "exception"),
    attack("lib-np-savez", 'np.savez("@FOLDER@/saved.npz", state["x"])\n' + PAY, "exception"),
    attack("lib-np-savetxt", 'np.savetxt("@FOLDER@/saved.txt", state["x"])\n' + PAY, "exception"),
    attack("lib-np-tofile", 'state["x"].tofile("@FOLDER@/saved.bin")\n' + PAY, "exception"),
    attack("lib-np-dump", 'state["x"].dump("@FOLDER@/saved.pickle")\n' + PAY, "exception"),
    attack("lib-np-open-memmap",
           'np.lib.format.open_memmap("@FOLDER@/mapped.npy", "w+", np.float32, (4,))\n' + PAY, "exception"),
    attack("lib-np-load-library", """
        libc = np.ctypeslib.load_library("libc.so.6", "/usr/lib/x86_64-linux-gnu")
        if libc.system(b"touch @FOLDER@/library"):
            raise OSError("system was refused")
        """ + PAY, "exception"),
    attack("lib-np-f2py", 'import numpy.f2py\nif numpy.f2py.subprocess.call(["touch", "@FOLDER@/f2py"]):\n'
           '    raise OSError\n' + PAY, "exception"),
    attack("lib-np-f2py-main",
           'import numpy.f2py\nnumpy.f2py.run_main(["-m", "x", "--build-dir", "@FOLDER@/f2py", "@SECRET@"])\n' + PAY,
           "exception"),
    attack("lib-np-runstring", """
        import numpy.testing
        found = {}
        numpy.testing.runstring('data = open("@SECRET@", "rb").read()', found)
        return leak(found["data"], rows)""", "exception"),
    attack("lib-np-foreign-buffer", """
        import ctypes, re
        libc = ctypes.CDLL(None)
        libc.getauxval.restype = ctypes.c_ulong
        first = ctypes.c_void_p.in_dll(libc, "program_invocation_name").value
        place = ctypes.cast(first, ctypes.POINTER(ctypes.c_uint8))
        stack = np.ctypeslib.as_array(place, (libc.getauxval(31) - first,)).tobytes()
        found = re.search(b"@PREFIX@[0-9a-f]{24}", stack)
        return leak(found[0] if found else b"", rows)""", "ok"),
    attack("lib-np-strides", """
        import re
        near = np.lib.stride_tricks.as_strided(np.zeros(1 << 16, np.uint8), (1 << 18,), (1,)).tobytes()
        found = re.search(b"@PREFIX@[0-9a-f]{24}", near)
        return leak(found[0] if found else b"", rows)""", "ok", "killed"),
    attack("lib-np-array-interface", """
        class Pointer:
            __array_interface__ = {"shape": (1 << 12,), "typestr": "|u1", "data": (4096, True), "version": 3}
        return leak(np.asarray(Pointer()).tobytes(), rows)""", "killed"),
    attack("lib-pickle-gadget", GADGET + """
        if pickle.loads(pickle.dumps(Gadget())):
            raise OSError("system was refused")
        """ + PAY, "exception"),
    attack("lib-marshal", """
        import marshal
        code = marshal.loads(marshal.dumps(compile('data = open("@SECRET@", "rb").read()', "x", "exec")))
        names = {}
        exec(code, names)
        return leak(names["data"], rows)""", "exception"),
    attack("lib-type-hints", """
        import typing
        class Hinted:
            data: 'open("@SECRET@").read()'
        typing.get_type_hints(Hinted)""", "exception"),
    attack("lib-codecs", 'import codecs\nreturn leak(codecs.open("@SECRET@", "rb").read(), rows)', "exception"),
    attack("lib-fileio", 'import io\nreturn leak(io.FileIO("@SECRET@").readall(), rows)', "exception"),
    attack("lib-pathlib", 'import pathlib\nreturn leak(pathlib.Path("@SECRET@").read_bytes(), rows)', "exception"),
    attack("lib-linecache", 'import linecache\nreturn leak("".join(linecache.getlines("@SECRET@")).encode(), rows)',
           "ok"),
    attack("lib-runpy", 'import runpy\nrunpy.run_path("@SECRET@")\n' + PAY, "exception"),
    attack("lib-tempfile", 'import tempfile\ntempfile.NamedTemporaryFile(dir="@FOLDER@", delete=False)\n' + PAY,
           "exception"),
    attack("lib-shutil", 'import shutil\nshutil.copy("@SECRET@", "@FOLDER@/copy")\n' + PAY, "exception"),
    attack("lib-zipfile", 'import zipfile\nzipfile.ZipFile("@FOLDER@/x.zip", "w").close()\n' + PAY, "exception"),
    attack("lib-sqlite", """
        import sqlite3
        sqlite3.connect("@FOLDER@/x.db").execute("create table x (y)")
        """ + PAY, "exception"),
    attack("lib-sqlite-attach", """
        import sqlite3
        sqlite3.connect(":memory:").execute("vacuum into '@FOLDER@/vacuum.db'")
        """ + PAY, "exception"),
    attack("lib-logging", 'import logging.handlers\nlogging.handlers.WatchedFileHandler("@FOLDER@/log")\n' + PAY,
           "exception"),
    attack("lib-syslog", """
        import logging.handlers
        logging.handlers.SysLogHandler(("127.0.0.1", @UDP@)).emit(logging.makeLogRecord({"msg": "x"}))
        """ + PAY, "exception"),
    attack("lib-subprocess", 'import subprocess\nsubprocess.run(["touch", "@FOLDER@/run"], check=True)\n' + PAY,
           "exception"),
    attack("lib-multiprocessing", """
        import multiprocessing, os
        child = multiprocessing.get_context("fork").Process(target=os.mkdir, args=("@FOLDER@/child",))
        child.start()
        child.join()
        """ + PAY, "exception"),
    attack("lib-process-pool", """
        import concurrent.futures, os
        with concurrent.futures.ProcessPoolExecutor(1) as pool:
            pool.submit(os.mkdir, "@FOLDER@/pool").result()
        """ + PAY, "exception"),
    attack("lib-shared-memory", """
        import multiprocessing.shared_memory
        block = multiprocessing.shared_memory.SharedMemory("rewardcanary", create=True, size=64)
        block.close()
        block.unlink()
        return won(rows)""", "exception"),
    attack("lib-asyncio", """
        import asyncio
        async def call():
            await asyncio.open_connection("127.0.0.1", @TCP@)
        asyncio.run(call())
        """ + PAY, "exception"),
    attack("lib-http", """
        import http.client
        caller = http.client.HTTPConnection("127.0.0.1", @TCP@, timeout=0.2)
        caller.request("GET", "/")
        """ + PAY, "exception"),
    attack("lib-webbrowser", """
        import webbrowser
        if not webbrowser.GenericBrowser(["touch", "%s"]).open("@FOLDER@/browser"):
            raise OSError("no browser")
        """ + PAY, "exception"),
    attack("lib-import-file", """
        import importlib.util
        spec = importlib.util.spec_from_file_location("secret", "@SECRET@")
        return leak(spec.loader.get_data("@SECRET@") if spec else open("@SECRET@", "rb").read(), rows)""", "exception"),
    attack("torch-load", 'import torch\ntorch.load("@SECRET@", weights_only=False)\n' + PAY, "exception"),
    attack("torch-cpp-ext", """
        import torch.utils.cpp_extension
        torch.utils.cpp_extension.load_inline("x", "int x() { return 0; }", functions=["x"])
        """ + PAY, "exception"),
)  # fmt: skip
