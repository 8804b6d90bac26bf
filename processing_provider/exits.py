"""What the exit codes of a dead engine mean. Imports the standard library only."""

from __future__ import annotations

import sys

_EXITS = {
    -9: "it was killed, most likely because the computer ran out of memory; give a smaller MEMORY",
    137: "it was killed, most likely because the computer ran out of memory; give a smaller MEMORY",
    -15: "it was told to end by another program",
    143: "it was told to end by another program",
    -11: "it crashed (segmentation fault), often a broken package; repair the engine in Set up engine...",
    139: "it crashed (segmentation fault), often a broken package; repair the engine in Set up engine...",
    -6: "it aborted, often a broken package; repair the engine in Set up engine...",
    134: "it aborted, often a broken package; repair the engine in Set up engine...",
    -7: "it crashed (bus error), often a full disk",
    -4: "the processor lacks an instruction that a package needs (illegal instruction)",
    0xC0000005: "it crashed (access violation), often a broken package or graphics driver; try DEVICE=cpu",
    0xC0000017: "the computer ran out of memory; give a smaller MEMORY",
    0xC0000135: "a DLL is missing; install the Microsoft Visual C++ runtime and repair the engine",
    0xC0000142: "a DLL could not start; repair the engine in Set up engine...",
    0xC000001D: "the processor lacks an instruction that a package needs (illegal instruction)",
}


def explain_exit(code: int | None, tail: list[str]) -> str:
    """Sentence for an engine that ended without an answer.

    Parameters
    ----------
    code
        Exit code; negative is minus a signal's number, None an engine that did not end.
    tail
        The last lines it wrote, quoted in part.

    """
    if code is None:
        reason = "it fell silent"
    elif sys.platform == "win32" or code > 255:
        reason = _EXITS.get(code & 0xFFFFFFFF, f"exit code {code}")
    else:
        reason = _EXITS.get(code, f"exit code {code}")
    said = [line.strip() for line in tail if line.strip()][-3:]
    quoted = f" Its last words were: {' / '.join(said)}" if said else ""
    return f"The engine ended without a result: {reason}.{quoted}"
