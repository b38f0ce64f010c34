"""The console script: finds our own packages first, runs the command, and turns every end into an exit code.

At its top it imports nothing but what Python itself has loaded by then: a current folder that somebody sent may be on
the path until ``own_packages_first`` has taken it off.
"""

import os
import sys

from designer.exits import DEFECT, DONE, INFRA, INTERRUPTED, REFUSED, USER


def own_packages_first() -> None:
    """Put our root first on the path and take the current folder off it: to look at a folder is not to run it.

    It was there as an empty entry of PYTHONPATH, or because Python put it there. Modules that an option names are
    looked for in it later (``envs.blackbox``). Raises ``OSError`` where the current folder is gone.
    """
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 (pathlib is not imported yet)
    here = os.path.realpath(os.getcwd())  # noqa: PTH109
    installed = tuple(prefix + os.sep for prefix in (sys.prefix, sys.base_prefix))

    def kept(entry: str) -> bool:
        if entry == "":
            return False
        # Who stands in Python's own library still needs it.
        return os.path.realpath(entry) not in (root, here) or (entry.startswith(installed) and entry != root)

    sys.path[:] = [root, *filter(kept, sys.path)]


def main() -> None:
    """Run the command line and exit."""
    try:
        own_packages_first()
    except OSError:
        sys.exit(_end(_NO_FOLDER, USER))
    # Neither has PyTorch any use here for what other packages offer it at its import.
    os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"
    import signal

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
        if isinstance(error, OSError) and not _has_folder():
            return _end(_NO_FOLDER, USER)
        return _defect(arguments)


_NO_FOLDER = "the current folder is gone; go to one that exists."


def _has_folder() -> bool:
    """Whether the current folder still exists."""
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return False
    return True


def _is_text(argument: str) -> bool:
    """Whether an argument is UTF-8; bytes that are not reach Python as lone surrogates, which no file can hold."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _disk_trouble(error: Exception) -> str | None:
    """What the disk refused, where that is what ended the command."""
    from designer.regular_files import DISK

    if isinstance(error, OSError) and error.errno in DISK:
        return f"cannot write {error.filename or 'to the disk'}: {error.strerror}"
    return None


def _end(message: str, code: int) -> int:
    from designer.printable import printable

    print(f"rewardsmith: {printable(message)}", file=sys.stderr)
    return code


def _defect(arguments: list[str]) -> int:
    import tempfile
    import time
    import traceback
    from pathlib import Path

    from designer.printable import printable

    name = f"rewardsmith-defect-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    text = _redacted(f"rewardsmith {' '.join(arguments)}", traceback.format_exc())
    for folder in (Path(), Path(tempfile.gettempdir())):
        try:
            path = folder.absolute() / name
            # Only a new file: the folder may hold a link of that name.
            with path.open("x", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except OSError:
            continue
        return _end(f"a defect of rewardsmith itself. The report is in {path}; please send it.", DEFECT)
    print(printable(text), file=sys.stderr)
    return _end("a defect of rewardsmith itself; the report could not be written and stands above.", DEFECT)


def _redacted(command: str, trace: str) -> str:
    """The report's text without credentials: it is made to be sent."""
    try:
        from designer.redaction import redacted
    except Exception:  # the defect may be that this cannot be imported
        return f"(the command is left out)\n\n{trace}"
    return redacted(f"{command}\n\n{trace}")


if __name__ == "__main__":
    main()
