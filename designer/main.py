"""The console script: finds our own packages first, runs the command, and turns every end into an exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from designer.exits import DEFECT, DONE, INFRA, INTERRUPTED, REFUSED, USER

_OURS = ("designer", "envs", "prompts", "sandbox", "training")
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})


def _own_packages_first() -> None:
    """Put our root first on the path and the user's folder last, so that neither hides the other's modules."""
    root = str(Path(__file__).resolve().parent.parent)
    here = str(Path.cwd())
    sys.path[:] = [
        root,
        *(p for p in sys.path if p not in ("", root, here)),
        *([here] if here != root else []),
    ]


def main() -> None:
    """Run the command line and exit."""
    _own_packages_first()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = run(sys.argv[1:])
    sys.stdout.flush()
    # Threads of an interrupted run may still wait for a model; nothing of theirs is worth waiting for.
    if code == INTERRUPTED:
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command; its exit code as the README lists them."""
    from envs.errors import UserError
    from sandbox.errors import CandidateError, InfraError

    if not all(map(_is_text, arguments)):
        return _end("the arguments must be UTF-8 text.", USER)
    try:
        from designer import cli

        return cli.run(arguments)
    except UserError as error:
        return _end(str(error), USER)
    except CandidateError as error:
        return _end(f"refused: {error}", REFUSED)
    except InfraError as error:
        return _end(str(error), INFRA)
    except KeyboardInterrupt as stop:
        # One with words was told when the signal came.
        return INTERRUPTED if stop.args else _end("interrupted.", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:  # whatever is left is a defect of ours: exit 70 with a report, never 1 with a traceback
        if disk := _disk_trouble(error):
            return _end(f"{disk}. Free some space; what a run has kept goes on with `rewardsmith resume`.", INFRA)
        return _defect(arguments)


def _is_text(argument: str) -> bool:
    """Whether an argument is UTF-8; bytes that are not reach Python as lone surrogates, which no file can hold."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _disk_trouble(error: Exception) -> str | None:
    """What the disk refused, where that is what ended the command."""
    if isinstance(error, OSError) and error.errno in _DISK:
        return f"cannot write {error.filename or 'to the disk'}: {error.strerror}"
    return None


def _end(message: str, code: int) -> int:
    print(f"rewardsmith: {message}", file=sys.stderr)
    return code


def _defect(arguments: list[str]) -> int:
    name = f"rewardsmith-defect-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    text = f"rewardsmith {' '.join(arguments)}\n\n{traceback.format_exc()}"
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        try:
            (folder / name).write_text(text, encoding="utf-8", errors="replace")
        except OSError:
            continue
        return _end(f"a defect of rewardsmith itself. The report is in {folder / name}; please send it.", DEFECT)
    print(text, file=sys.stderr)
    return _end("a defect of rewardsmith itself; the report could not be written and stands above.", DEFECT)


if __name__ == "__main__":
    main()
