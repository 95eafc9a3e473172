"""What a query costs the proxy's own code, counted by valgrind's callgrind: a figure that no busy machine disturbs."""

import re
import shutil
import subprocess
from pathlib import Path

WARM_UP, QUERIES = 2000, 10_000
# What of mimalloc the compiled program calls for each allocation.
ALLOCATIONS = re.compile(r"^(_?mi_malloc|mi_zalloc|mi_calloc|mi_realloc|mi_heap_malloc)")


def available():
    return bool(shutil.which("valgrind") and shutil.which("callgrind_control"))


def command(program, folder):
    """The command under callgrind; what it counts goes to `folder`."""
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={Path(folder) / 'callgrind.out'}", *program]


def count(process, folder, ask):
    """Instructions in user space, and allocations, per query, while `ask(queries)` asks as many. The first ones, which
    make plans and open connections, are not counted."""
    ask(WARM_UP)
    control(process, "--zero")
    ask(QUERIES)
    control(process, "--dump")
    dump = max(Path(folder).glob("callgrind.out.*"), key=lambda file: file.stat().st_mtime)
    return counted(dump.read_text(errors="replace"))


def control(process, what):
    subprocess.run(["callgrind_control", what, str(process.pid)], check=True, stdout=subprocess.DEVNULL)


def counted(profile):
    """Reads a profile: a function is written out the first time, and is a number in brackets from then on."""
    names, instructions, allocations, caller, callee = {}, 0, 0, "", ""

    def name(text):
        number, _, rest = text.partition(" ")
        return names.setdefault(number, rest)

    for line in profile.splitlines():
        if line.startswith("fn="):
            caller = name(line[3:])
        elif line.startswith("cfn="):
            callee = name(line[4:])
        elif line.startswith("calls=") and ALLOCATIONS.match(callee) and not ALLOCATIONS.match(caller):
            allocations += int(line[6:].split()[0])
        elif line.startswith(("totals:", "summary:")):
            instructions = int(line.split()[1])
    return instructions / QUERIES, allocations / QUERIES
