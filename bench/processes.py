"""The processes that are measured: servers, proxies, and what the kernel says of them. All listen on 127.0.0.1."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
USER = "bench"

# No password, so that no contender pays for a handshake that another is spared.
ACCOUNT = f"CREATE USER '{USER}'@'%';\nGRANT ALL ON *.* TO '{USER}'@'%';\n"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """A process with a port; it is ended with the block it was started for."""

    def __init__(self, name, command, folder, port, wait=60):
        self.name, self.port = name, port
        self.log = Path(folder) / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
        self.pid = self.process.pid
        self._until_it_greets(wait)

    def _until_it_greets(self, wait):
        """A greeting of the MySQL protocol, as a proxy may listen before it can answer."""
        limit = time.monotonic() + wait
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
                    if client.recv(5)[4:] == b"\x0a":
                        return
            except OSError:
                pass
            time.sleep(0.05)
        self.stop()
        raise SystemExit(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-2000:]}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def cpu_seconds(self):
        """utime + stime of all threads since the start."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, field):
        """A field of /proc/PID/status in bytes, such as VmRSS or VmHWM."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise KeyError(field)

    def forget_peak(self):
        """VmHWM starts again from what is resident now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


QUICK = ("--skip-log-bin", "--innodb-flush-log-at-trx-commit=0")
DURABLE = ("--log-bin=binlog", "--server-id=1", "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1")


class Server(Process):
    """A MySQL or MariaDB server with an empty data directory and an account without a password. `durable`: it keeps what
    it acknowledges; else nothing waits for the disk."""

    def __init__(self, flavour, name, folder, durable=False):
        home = Path(folder) / name
        home.mkdir()
        self.version, server, self.client = programs(flavour)
        self.socket = home / "sock"
        data = f"--datadir={home / 'data'}"
        user = ["--user=root"] if os.geteuid() == 0 else []
        if flavour == "mysql":
            prepare = [server, "--no-defaults", "--initialize-insecure", data, *user]
            own = ["--mysqlx=OFF", "--innodb-redo-log-capacity=256M"]
        else:
            prepare = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", data, *user]
            own = ["--innodb-log-file-size=256M", "--character-set-server=utf8mb4"]
        subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port, init = free_port(), home / "init.sql"
        init.write_text(ACCOUNT)
        super().__init__(name, [
            server, "--no-defaults", data, *user, f"--port={port}", f"--socket={self.socket}",
            f"--pid-file={home / 'pid'}", "--bind-address=127.0.0.1", "--skip-name-resolve",
            "--performance-schema=OFF", "--max-connections=2000", "--max-prepared-stmt-count=1000000",
            "--innodb-buffer-pool-size=768M", "--innodb-doublewrite=OFF",
            "--sort-buffer-size=4M", f"--init-file={init}", *own, *(DURABLE if durable else QUICK),
        ], folder, port)

    def sql(self, statements):
        command = [self.client, "--no-defaults", "--user=root", f"--socket={self.socket}", "--batch", "-N"]
        done = subprocess.run(command, input=statements, text=True, capture_output=True)
        if done.returncode:
            raise SystemExit(f"{self.name}: {done.stderr}")
        return done.stdout


def programs(flavour):
    """Version, server and client of a flavour: MySQL where scripts/install-servers unpacks it, else on the PATH."""
    cache = os.environ.get("SHARDLOOM_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shardloom"
    path = f"{cache}/mysql/bin:{os.environ['PATH']}:/usr/sbin" if flavour == "mysql" else f"{os.environ['PATH']}:/usr/sbin"
    names = {"mysql": ("mysqld", "mysql"), "mariadb": ("mariadbd", "mariadb")}[flavour]
    found = [shutil.which(name, path=path) for name in names]
    if None in found:
        raise SystemExit(f"{flavour} is not installed: run scripts/install-servers")
    text = subprocess.run([found[0], "--no-defaults", "--version"], capture_output=True, text=True).stdout
    if ("MariaDB" in text) != (flavour == "mariadb"):
        raise SystemExit(f"{flavour} is not installed: run scripts/install-servers")
    return text.split("Ver ")[1].split()[0], *found


def haproxy(folder, *servers, name="haproxy"):
    """Over several servers each client gets the next one, for as long as it stays."""
    port, file = free_port(), Path(folder) / f"{name}.cfg"
    lines = "".join(f"\n    server g{number} 127.0.0.1:{server.port}" for number, server in enumerate(servers))
    file.write_text(f"""
global
    nbthread {os.cpu_count()}
    maxconn 8000
defaults
    mode tcp
    timeout connect 5s
    timeout client 10m
    timeout server 10m
listen mysql
    balance roundrobin
    bind 127.0.0.1:{port}{lines}
""")
    return Process(name, [shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"), "-db", "-f", str(file)],
                   folder, port)


def mysqlrouter(folder, server):
    port, file = free_port(), Path(folder) / "mysqlrouter.cfg"
    file.write_text(f"""
[DEFAULT]
logging_folder =
[logger]
level = warning
[io]
threads = {os.cpu_count()}
[routing:bench]
bind_address = 127.0.0.1
bind_port = {port}
destinations = 127.0.0.1:{server.port}
routing_strategy = first-available
protocol = classic
client_ssl_mode = PASSTHROUGH
max_connections = 4000
""")
    return Process("mysqlrouter", ["mysqlrouter", "-c", str(file)], folder, port)


def proxysql(folder, server):
    port, admin, file = free_port(), free_port(), Path(folder) / "proxysql.cnf"
    file.write_text(f"""
datadir="{folder}"
admin_variables = {{ admin_credentials="admin:admin"; mysql_ifaces="127.0.0.1:{admin}" }}
mysql_variables = {{ threads={os.cpu_count()}; max_connections=4000; interfaces="127.0.0.1:{port}"; monitor_enabled=false }}
mysql_servers = ( {{ address="127.0.0.1", port={server.port}, hostgroup=0, max_connections=1000 }} )
mysql_users = ( {{ username="{USER}", password="", default_hostgroup=0 }} )
""")
    return Process("proxysql", ["proxysql", "-f", "--initial", "-c", str(file)], folder, port)


GROUPS = """
[defaults]
user = "{user}"
password = ""
tls = "disabled"

[group.g0]
primary = "127.0.0.1:{g0}"

[group.g1]
primary = "127.0.0.1:{g1}"
"""

RULES = """
[schema.sbtest]
home = "g0"

[schema.sharded]
home = "g0"

[schema.sharded.family.by_id]
column = "id"
method = { hash = 8 }
groups = ["g0", "g1"]
table  = "{table}_{shard:02}"

[schema.sharded.table]
sbtest1 = { family = "by_id" }
big     = { family = "by_id" }
trades  = { family = "by_id", column = "broker" }
"""


def shardloom(binary, folder, servers, name="shardloom", wrap=lambda program: program, rules=RULES):
    """Both schemas of the measurement: `sbtest` lives whole on g0, `sharded` in 8 shards on g0 and g1. Or other rules."""
    port, home = free_port(), Path(folder) / f"{name}.d"
    (home / "rules").mkdir(parents=True)
    groups = GROUPS.format(user=USER, g0=servers[0].port, g1=servers[1].port)
    (home / "rules" / "bench.toml").write_text(groups + rules)
    # A transaction of sysbench touches ids of both groups.
    (home / "shardloom.toml").write_text(f"""
listen = ["127.0.0.1:{port}"]
rules = "rules"

[user.{USER}]
password = ""
schemas = "*"
transaction_mode = "best_effort"
""")
    return Process(name, wrap([str(binary), "serve", "--config", str(home / "shardloom.toml")]), folder, port)
