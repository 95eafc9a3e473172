"""What a commit costs: transactions of one client over one group and over two, through Shardloom and by hand.

The servers here keep what they acknowledge (binary log, a flush at every commit), as that is most of what a commit costs.
"""

import itertools
import time

import processes
from client import COM_QUERY, Client

ROWS = 1000
RULES = """
[schema.bank]
home = "g0"

[schema.bank.family.by_id]
column = "id"
method = { mod = 2 }
groups = ["g0", "g1"]
table  = "{table}_{shard}"

[schema.bank.table]
acct = { family = "by_id" }
"""


def measure(arguments, folder, start, results):
    servers = [start(processes.Server(arguments.flavour, f"durable{number}", folder, durable=True)) for number in range(2)]
    for number, server in enumerate(servers):
        rows = ",".join(f"({2 * row + number},0)" for row in range(ROWS))
        server.sql(f"CREATE DATABASE bank; CREATE TABLE bank.acct_{number} (id INT PRIMARY KEY, v INT NOT NULL);"
                   f"CREATE TABLE bank.log (name VARCHAR(64) PRIMARY KEY); INSERT INTO bank.acct_{number} VALUES {rows}")
    loom = start(processes.shardloom(arguments.binary, folder, servers, "shardloom-commits", rules=RULES))
    bank = Bank(servers, loom)
    one, two = "one group", "two groups"
    contenders = [
        (one, "direct", bank.one_group),
        (one, "shardloom", bank.one_group_proxied),
        (two, "direct: COMMIT on one, then on the other", bank.one_after_the_other),
        (two, "direct: XA, the decision is nowhere", lambda row: bank.xa(row, record=False)),
        (two, "direct: XA, the decision in a table", lambda row: bank.xa(row, record=True)),
        (two, "shardloom: best_effort", lambda row: bank.two_groups(row, "best_effort")),
        (two, "shardloom: atomic", lambda row: bank.two_groups(row, "atomic")),
    ]
    for _, _, transaction in contenders:
        transaction(0)
    done = {one: 2, two: 5}
    row = itertools.cycle(range(ROWS))
    for _ in range(arguments.rounds * 3):
        for groups, name, transaction in contenders:
            end = time.perf_counter() + arguments.seconds / 4
            while time.perf_counter() < end:
                begun = time.perf_counter()
                transaction(next(row))
                results.commit(groups, name, time.perf_counter() - begun)
                done[groups] += 1
    found = [int(server.sql(f"SELECT SUM(v) FROM bank.acct_{number}")) for number, server in enumerate(servers)]
    if found != [done[one] + done[two], done[two]]:
        raise SystemExit(f"the accounts add up to {found}, which is not what was committed: {done}")


class Bank:
    """Rows `row` of g0 and g1: the accounts 2 * row and 2 * row + 1."""

    def __init__(self, servers, loom):
        self.direct = [Client(server.port, processes.USER, "bank") for server in servers]
        self.log = Client(servers[0].port, processes.USER, "bank")
        self.proxied = Client(loom.port, processes.USER, "bank")
        self.names = (f"bench{number}" for number in itertools.count())

    def one_group(self, row):
        in_turn(self.direct[0], "BEGIN", update("acct_0", 2 * row), "COMMIT")

    def one_group_proxied(self, row):
        in_turn(self.proxied, "BEGIN", update("acct", 2 * row), "COMMIT")

    def two_groups(self, row, mode):
        hint = f"/*+ shardloom(transaction={mode}) */ "
        in_turn(self.proxied, "BEGIN", update(f"{hint}acct", 2 * row), update("acct", 2 * row + 1), "COMMIT")

    def one_after_the_other(self, row):
        for number, client in enumerate(self.direct):
            in_turn(client, "BEGIN", update(f"acct_{number}", 2 * row + number))
        for client in self.direct:
            in_turn(client, "COMMIT")

    def xa(self, row, record):
        """As a transaction manager does it: each round goes to both branches at once."""
        name = next(self.names)
        branches = [f"'{name}','{number}'" for number in range(2)]
        for number, client in enumerate(self.direct):
            in_turn(client, f"XA START {branches[number]}", update(f"acct_{number}", 2 * row + number))
        for verb in ("END", "PREPARE"):
            at_once((client, f"XA {verb} {branch}") for client, branch in zip(self.direct, branches))
        if record:
            in_turn(self.log, f"INSERT INTO log VALUES ('{name}')")
        at_once((client, f"XA COMMIT {branch}") for client, branch in zip(self.direct, branches))


def update(table, account):
    return f"UPDATE {table} SET v = v + 1 WHERE id = {account}"


def in_turn(client, *statements):
    for sql in statements:
        client.run(sql)


def at_once(asked):
    """Every statement is sent before the first answer is read."""
    asked = list(asked)
    for client, sql in asked:
        client.send(COM_QUERY, sql)
    for client, _ in asked:
        client.confirm()
