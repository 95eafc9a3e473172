"""Writes what fuzzing begins with into fuzz/corpus/, from the fixtures of the tests and a few packets by hand."""

import hashlib
import pathlib

HERE = pathlib.Path(__file__).parent
FIXTURES = HERE.parent / "tests" / "fixtures"


def seed(target, data):
    """One input; libFuzzer names its own ones by their hash, too."""
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def statements():
    for path in sorted((FIXTURES / "sql").glob("*.txt")):
        for block in path.read_text().split("\n\n"):
            lines = [line[2:] for line in block.splitlines() if line[:2] in ("> ", ". ")]
            if lines:
                yield "\n".join(lines).encode()


# The first byte says how the rest is read: see the targets.
for statement in statements():
    seed("lex", b"\0" + statement)
    seed("parse", b"\1" + statement)

for path in [*(FIXTURES / "rules").rglob("*.toml"), *(FIXTURES / "config").glob("*.toml"), *HERE.parent.glob("rules/*")]:
    seed("rules", path.read_bytes())

KINDS = {"Query": 0, "Prepare": 1, "Execute": 2, "Fetch": 3, "FieldList": 4, "Statistics": 5}
for block in (FIXTURES / "wire" / "answers.txt").read_text().split("\n\n"):
    lines = [line for line in block.splitlines() if not line.startswith("#")]
    head = next((at for at, line in enumerate(lines) if line.split()[-1:] and line.split()[-1] in KINDS), None)
    if head is not None:
        _, end, kind = lines[head].split()
        data = bytes.fromhex(lines[head + 1])
        seed("server_response", bytes([KINDS[kind] | (8 if end == "ok" else 0), 10]) + data)
        # Its second packet alone: mostly a column's definition.
        first = 4 + int.from_bytes(data[:3], "little")
        seed("server_response", bytes([6, 0]) + data[first + 4 :])

for statement in list(statements())[::20]:
    query = b"\x03" + statement
    seed("client_packet", bytes([2, 0]) + query)
    seed("client_packet", bytes([0, 0]) + len(query).to_bytes(3, "little") + b"\0" + query)
for command in ["01", "0e", "1f", "0204", "1607", "1b0000", "1c010000000a000000", "18010000000100616263"]:
    seed("client_packet", bytes([2, 1]) + bytes.fromhex(command))
# EXECUTE with a BIGINT, a VARCHAR and a DATETIME; a login with a schema, a plugin and one attribute.
seed("client_packet", bytes([2, 3]) + bytes.fromhex("17010000000001000000000108000f000c000700000000000000026162" "07e8070b150a0b0c"))
seed(
    "client_packet",
    bytes([1, 0])
    + bytes.fromhex("8da6bf09000000012d" + "00" * 23)
    + b"app\0\x14aaaaaaaaaaaaaaaaaaaashop\0mysql_native_password\0\x08\x03_os\x03lin",
)
