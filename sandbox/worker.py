"""The one file that executes generated code, in a forked and locked child of the zygote.

Standard library and numpy only; the host never imports it. The child answers one call on its own copies of the
arrays: named components, an optional potential of both states, and the memory of programs that have one. What it
says is checked here for the sake of early and plain messages, and again by the host, which believes nothing of it.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import random
import signal
import warnings
from typing import Any

import numpy as np

from sandbox.lock import ANSWER_FD, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, lock, prctl
from sandbox.wire import (
    DTYPES,
    MAX_COMPONENTS,
    MAX_DIMENSIONS,
    MAX_MAGNITUDE,
    MAX_MEMORY_ARRAYS,
    MAX_MEMORY_BYTES,
    MAX_MESSAGE,
    MAX_NAME,
    MEMORY_EXIT,
    write_frame,
)

PROGRAM_FILE = "<program>"

Arrays = dict[str, Any]


class Fault(Exception):
    """What is wrong with the program, in the words that the host hands to the designer."""

    def __init__(self, kind: str, rule: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.rule = kind, rule


def invalid(rule: str, message: str) -> Fault:
    """The fault of an answer that is not what the contract asks for."""
    return Fault("invalid", rule, message)


def column(label: str, value: Any, rows: int) -> Any:
    """``value`` as contiguous ``(rows,)`` float32. Raises Fault with what to mend."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise invalid("dtype", f"{label} has dtype {array.dtype}; it must hold real numbers")
    if array.shape != (rows,):
        raise invalid("shape", f"{label} has shape {array.shape}, expected ({rows},)" + shape_hint(label, array))
    low, high = float(array.min()), float(array.max())
    if not (low >= -MAX_MAGNITUDE and high <= MAX_MAGNITUDE):
        bad = np.flatnonzero(~np.isfinite(array))
        if len(bad):
            raise invalid("finite", f"{label} is not finite in {len(bad)} of {rows} rows")
        raise invalid("magnitude", f"{label} spans {low:g} to {high:g}; the bound is {MAX_MAGNITUDE:g}")
    return np.ascontiguousarray(array, np.float32)


def shape_hint(label: str, array: Any) -> str:
    """How to mend a shape. Never by the number of rows in this call, which a model would copy."""
    length = "len(action)" if label.startswith("component") else "len(state[...])"
    if array.ndim == 0:
        return f"; reduce with axis=-1, and write a constant as np.full({length}, value)"
    if array.ndim == 1:
        return f": one number for each row; the number of rows changes from call to call, take it from {length}"
    return ": one number for each row; reduce the other axes, as with .sum(axis=1) or [:, 0]"


def is_name(name: Any) -> bool:
    """Whether the host takes it for the name of a component or of an array of memory."""
    return type(name) is str and name.isidentifier() and name.isascii() and len(name) <= MAX_NAME


def columns(result: Any, entry: str, rows: int) -> Arrays:
    """A program's named components, checked and converted. Raises Fault."""
    if not isinstance(result, dict):
        kind = type(result).__name__
        raise invalid("components", f"{entry} must return a dict of name -> array, not {kind}")
    if not 1 <= len(result) <= MAX_COMPONENTS:
        raise invalid("components", f"{entry} returned {len(result)} components, not 1 to {MAX_COMPONENTS}")
    for name in result:
        if not is_name(name):
            raise invalid("components", f"component name {str(name)[:80]!r} is not a short identifier")
    return {name: column(f"component {name!r}", value, rows) for name, value in result.items()}


def remembered(value: Any, rows: int, like: Arrays | None) -> Arrays:
    """Memory as fresh arrays ``(rows, ...)``, of ``like``'s names, shapes and dtypes. Raises Fault."""
    if not isinstance(value, dict) or not all(is_name(name) for name in value):
        raise invalid("memory", "memory must be a dict of short identifier -> array (B, ...)")
    if len(value) > MAX_MEMORY_ARRAYS:
        raise invalid("memory", f"memory has {len(value)} arrays; at most {MAX_MEMORY_ARRAYS} are kept")
    if like is not None and set(value) != set(like):
        raise invalid("memory", f"memory must keep the names {sorted(like)}; it has {sorted(value)[:20]}")
    arrays: Arrays = {}
    for name in value if like is None else like:
        array = np.array(value[name])
        if array.dtype.name not in DTYPES or not array.dtype.isnative or array.shape[:1] != (rows,):
            raise invalid("memory", f"memory {name!r} has dtype {array.dtype} and shape {array.shape}")
        if like is not None:
            if array.shape != like[name].shape or not np.can_cast(array.dtype, like[name].dtype, "same_kind"):
                was = f"{like[name].dtype} {like[name].shape}"
                raise invalid("memory", f"memory {name!r} changed from {was} to {array.dtype} {array.shape}")
            array = array.astype(like[name].dtype, copy=False)
        if array.ndim > MAX_DIMENSIONS:
            raise invalid("memory", f"memory {name!r} has {array.ndim} dimensions; at most {MAX_DIMENSIONS} are kept")
        arrays[name] = array
    # A size of zero counts as one, as on the host: it must not hide sizes that no array can have.
    if sum(a.itemsize * math.prod(max(size, 1) for size in a.shape) for a in arrays.values()) > MAX_MEMORY_BYTES:
        raise invalid("memory", f"memory is larger than {MAX_MEMORY_BYTES} bytes")
    return arrays


def group(given: Arrays, prefix: str) -> Arrays:
    """The arrays whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): array for name, array in given.items() if name.startswith(prefix)}


def walk(names: Arrays, entry: str, given: Arrays, steps: int, rows: int) -> tuple[Arrays, Arrays]:
    """Run a program with memory in time order: components each ``(steps * rows,)``, and the memory left."""
    fresh = remembered(names["init_memory"](rows), rows, None)
    memory = remembered(group(given, "memory/") or fresh, rows, fresh)
    states, nexts, seen = group(given, "state/"), group(given, "next_state/"), []
    for step in range(steps):
        at, then = ({name: array[step] for name, array in arrays.items()} for arrays in (states, nexts))
        result = names[entry](at, given["action"][step], then, memory)
        if not isinstance(result, tuple) or len(result) != 2:
            raise invalid("memory", f"with init_memory, {entry} must return (components, memory)")
        seen.append(columns(result[0], entry, rows))
        if set(seen[step]) != set(seen[0]):
            raise invalid("components", f"component names differ between steps 0 and {step}")
        memory = remembered(result[1], rows, fresh)
        ended = given["ended"][step]
        for name, array in memory.items():
            array[ended] = fresh[name][ended]
    return {name: np.concatenate([part[name] for part in seen]) for name in seen[0]}, memory


def evaluate(names: Arrays, request: dict[str, Any], given: Arrays) -> tuple[dict[str, Any], list[Any]]:
    """Components, potentials and memory of one call: a frame's header and body.

    Raises Fault, and what the program raises.
    """
    entry, steps, rows = request["entry"], request["steps"], request["rows"]
    batch = steps * rows

    def flat(arrays: Arrays) -> Arrays:
        return {name: array.reshape(batch, *array.shape[2:]) for name, array in arrays.items()}

    memory: Arrays | None = None
    if callable(names.get("init_memory")):
        components, memory = walk(names, entry, given, steps, rows)
    else:
        action = flat({"action": given["action"]})["action"]
        result = names[entry](flat(group(given, "state/")), action, flat(group(given, "next_state/")))
        components = columns(result, entry, batch)
    potentials = []
    if callable(names.get("potential")):
        for prefix, label in (("state/", "potential(state)"), ("next_state/", "potential(next_state)")):
            potentials.append(column(label, names["potential"](flat(group(given, prefix))), batch))
    header = {
        "components": list(components),
        "potential": bool(potentials),
        "memory": None if memory is None else [[n, a.dtype.name, list(a.shape)] for n, a in memory.items()],
    }
    left = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (memory or {}).values()]
    return header, [*components.values(), *potentials, *left]


def load(source: str, entry: str) -> Arrays:
    """Compile and execute the program. Returns its names.

    Raises Fault (``setup``), or what the program's top level raises.
    """
    try:
        code = compile(source, PROGRAM_FILE, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, OverflowError, MemoryError) as error:
        raise Fault("setup", "compile", f"{type(error).__name__}: {error}") from error
    names: Arrays = {"__name__": "reward_program", "__builtins__": __builtins__}
    exec(code, names)
    if not callable(names.get(entry)):
        raise Fault("setup", "entry_point", f"the program must define {entry}(state, action, next_state)")
    return names


def program_line(error: BaseException) -> int | None:
    """The program's line nearest to where ``error`` was raised."""
    if isinstance(error.__cause__, SyntaxError):
        return error.__cause__.lineno
    line, at = None, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == PROGRAM_FILE:
            line = at.tb_lineno
        at = at.tb_next
    return line


def complaint(error: BaseException) -> dict[str, Any]:
    """The header of a frame that tells what is wrong."""
    if isinstance(error, Fault):
        kind, rule, text = error.kind, error.rule, str(error)
    elif isinstance(error, MemoryError):
        kind, rule, text = "memory", "memory", "the program needs more memory than it may have"
    else:
        kind, rule, text = "exception", type(error).__name__, f"{type(error).__name__}: {words(error)}"
    clean = "".join(letter if letter.isprintable() else " " for letter in text[:MAX_MESSAGE])
    line = program_line(error)
    line = line if type(line) is int and 0 < line < 1 << 20 else None
    return {"error": {"kind": kind, "rule": rule[:MAX_NAME], "message": clean, "line": line}}


def words(error: BaseException) -> str:
    """What an error says of itself, if it can."""
    try:
        # By the method of ``str`` itself: what an error answers may be a subclass with a mind of its own.
        return str.__getitem__(str(error), slice(MAX_MESSAGE))
    except MemoryError:
        raise
    except BaseException as another:  # whatever a program's error does when it is asked
        return f"(it cannot be told: {type(another).__name__})"


def arrays_in(request: dict[str, Any], buffer: Any) -> Arrays:
    """The request's arrays by name, views of ``buffer``."""
    return {
        name: np.frombuffer(buffer, dtype, math.prod(shape), offset).reshape(shape)
        for name, dtype, shape, offset in request["arrays"]
    }


def written(request: dict[str, Any], mine: Any, kept: Any) -> list[str]:
    """Names of the input arrays whose bytes the program changed."""
    if len(mine) == 0 or bool((np.frombuffer(mine, np.uint64) == np.frombuffer(kept, np.uint64)).all()):
        return []
    before = arrays_in(request, kept)
    return [name for name, now in arrays_in(request, mine).items() if now.tobytes() != before[name].tobytes()]


def respond(request: dict[str, Any], body: bytearray, inputs: int | None) -> tuple[dict[str, Any], list[Any]]:
    """Map the inputs, lock this process, run the program. Returns its answer's header and body."""
    size = request["bytes"]
    # The program writes into private pages; the original beside them tells afterwards what it wrote into.
    mine: Any = body
    kept: Any = bytes(body)
    if inputs is not None and request["shared"] and size > 0:
        mine = mmap.mmap(inputs, size, mmap.MAP_PRIVATE)
        kept = mmap.mmap(inputs, size, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ)
    os.closerange(ANSWER_FD + 1, 1 << 16)
    random.seed(request["salt"])
    np.random.seed(request["salt"] % 2**32)
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    lock(request["memory"] + 3 * size, request["seconds"])
    names = load(request["source"], request["entry"])
    if request["op"] == "check":
        return {"checked": True}, []
    header, parts = evaluate(names, request, arrays_in(request, mine))
    return {**header, "mutated": written(request, mine, kept)}, parts


def be_first_to_go() -> None:
    """Where a container's memory runs out, the kernel shall end this process and not the one that serves."""
    with contextlib.suppress(OSError):  # the embedded jail has no such file, and no limit that all share
        prctl(PR_SET_DUMPABLE, 1)  # else the file is root's; the lock takes it back
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")


def child(request: dict[str, Any], body: bytearray, inputs: int | None, answer: int, null: int) -> None:
    """The forked process of one call. Never returns."""
    status = 1
    try:
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.dup2(answer, ANSWER_FD)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        be_first_to_go()
        header, parts = respond(request, body, inputs)
        write_frame(ANSWER_FD, header, parts)
        status = 0
        os.close(ANSWER_FD)
    except BaseException as error:  # whatever a program raises is its answer: the worker's one boundary
        try:
            write_frame(ANSWER_FD, complaint(error), [])
            status = 0
        except MemoryError:
            status = MEMORY_EXIT
    finally:
        os._exit(status)
