"""The scenarios with PyMySQL, mysql-connector-python (C and pure), mysqlclient and SQLAlchemy."""

import datetime
import decimal
import os
import sys

HOST = os.environ["CLIENT_HOST"]
PORT = int(os.environ["CLIENT_PORT"])
USER = os.environ["CLIENT_USER"]
PASSWORD = os.environ["CLIENT_PASSWORD"]
SCHEMA = os.environ["CLIENT_SCHEMA"]
TLS = os.environ["CLIENT_TLS"] == "1"
CA = os.environ["CLIENT_CA"]
OWNER = int(os.environ["CLIENT_OWNER"])
ROWS = int(os.environ["CLIENT_ROWS"])

VALUES = (
    OWNER, 1, "Größe 'q' \\ 😀", decimal.Decimal("1234567890123456.5678"), 18446744073709551615, 0.1,
    datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 34, 56, 789012), bytes(range(256)),
)
NULLS = (OWNER, 2) + (None,) * 7
COLUMNS = "owner, id, name, price, big, ratio, born, made, data"
INSERT = f"INSERT INTO item ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
SELECT = f"SELECT {COLUMNS} FROM item WHERE owner = %s AND id = %s"


class Skip(Exception):
    """A scenario that this driver cannot play."""


def equal(what, expected, actual):
    if expected != actual:
        raise AssertionError(f"{what}: expected {expected!r:.200}, got {actual!r:.200}")


class PyMySql:
    import_name = "pymysql"

    def connect(self, password=PASSWORD, **more):
        tls = {"ssl_ca": CA, "ssl_verify_cert": True} if TLS else {"ssl_disabled": True}
        return self.module.connect(host=HOST, port=PORT, user=USER, password=password, database=SCHEMA,
                                   charset="utf8mb4", **tls, **more)

    def streaming(self, connection):
        return connection.cursor(self.module.cursors.SSCursor)

    def preparable(self, row):
        """The row as the driver's prepared statements can carry it."""
        raise Skip("the driver has no prepared statements")

    def state(self, error):
        return None  # the driver keeps no SQLSTATE

    def leave(self, connection):
        """Closes the socket under a stream; close() would read it to its end."""
        connection._force_close()


class MySqlClient(PyMySql):
    import_name = "MySQLdb"

    def connect(self, password=PASSWORD, **more):
        import MySQLdb.cursors  # noqa: F401
        tls = {"ssl": {"ca": CA}} if TLS else {}  # MariaDB's library, which it is built with, then asks for none
        return self.module.connect(host=HOST, port=PORT, user=USER, password=password, database=SCHEMA,
                                   charset="utf8mb4", **tls, **more)

    def leave(self, connection):
        connection.close()  # mysql_close() does not read


class Connector(PyMySql):
    import_name = "mysql.connector"
    pure = False

    def connect(self, password=PASSWORD, **more):
        tls = {"ssl_ca": CA, "ssl_verify_cert": True} if TLS else {"ssl_disabled": True}
        return self.module.connect(host=HOST, port=PORT, user=USER, password=password, database=SCHEMA,
                                   use_pure=self.pure, **tls, **more)

    def streaming(self, connection):
        return connection.cursor()  # unbuffered by default

    def prepared(self, connection):
        return connection.cursor(prepared=True)

    def state(self, error):
        return error.sqlstate

    def leave(self, connection):
        connection.shutdown() if self.pure else connection._cmysql.close()

    def preparable(self, row):
        """The C part binds integers as signed and floating-point numbers with few digits."""
        return row if self.pure else row[:4] + (row[4] and 1 << 62, row[5] and 0.5) + row[6:]


class ConnectorPure(Connector):
    pure = True


DRIVERS = {"pymysql": PyMySql, "mysqlclient": MySqlClient, "connector": Connector, "connector-pure": ConnectorPure}


class Scenarios:
    def __init__(self, driver):
        import importlib
        self.driver = driver
        driver.module = importlib.import_module(driver.import_name)
        self.connection = driver.connect()

    def rows(self, sql, arguments=(), connection=None, cursor=None):
        cursor = cursor or (connection or self.connection).cursor()
        cursor.execute(sql, arguments)
        rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        cursor.close()
        return rows

    def close(self):
        self.rows("DELETE FROM item WHERE owner = %s", (OWNER,))
        self.connection.commit()
        self.connection.close()

    def connect(self):
        equal("select", [(1,)], self.rows("SELECT 1"))
        equal("schema", [(SCHEMA,)], self.rows("SELECT DATABASE()"))
        self.connection.ping()
        try:
            self.driver.connect(password="wrong").close()
        except self.driver.module.Error as error:
            # Connector's C part does no RSA: without TLS it gives up where a full authentication is asked for.
            equal("wrong password", True, error.args[0] == 1045 or (error.args[0] == 2061 and not TLS))
        else:
            raise AssertionError("a wrong password was taken")

    def round_trip(self, row, write, read):
        write(row)
        write(NULLS)
        self.connection.commit()
        equal("row", [row], read((OWNER, 1)))
        equal("nulls", [NULLS], read((OWNER, 2)))

    def text(self):
        self.rows("DELETE FROM item WHERE owner = %s", (OWNER,))
        self.round_trip(VALUES, lambda row: self.rows(INSERT, row), lambda key: self.rows(SELECT, key))
        cursor = self.connection.cursor()
        cursor.execute(SELECT, (OWNER, 1))
        cursor.fetchall()
        equal("columns", COLUMNS.split(", "), [column[0] for column in cursor.description])

    def prepared(self):
        self.rows("DELETE FROM item WHERE owner = %s", (OWNER,))
        self.connection.commit()
        new = lambda: self.driver.prepared(self.connection)
        self.round_trip(self.driver.preparable(VALUES), lambda row: self.rows(INSERT, row, cursor=new()),
                        lambda key: self.rows(SELECT, key, cursor=new()))
        cursor = new()
        for number in range(100):
            cursor.execute("SELECT word, id FROM numbers WHERE id = %s", (number + 1,))
            equal("execute again", [(f"word {number + 1}", number + 1)], [tuple(row) for row in cursor.fetchall()])
        cursor.close()

    def transaction(self):
        other = self.driver.connect()
        price = lambda connection: self.rows("SELECT price FROM item WHERE owner = %s AND id = 20", (OWNER,), connection)
        self.rows("INSERT INTO item (owner, id, price) VALUES (%s, 20, 1)", (OWNER,))
        self.connection.commit()
        for value, end in ((2, self.connection.rollback), (3, self.connection.commit)):
            self.rows("UPDATE item SET price = %s WHERE owner = %s AND id = 20", (value, OWNER))
            equal("inside", [(value,)], price(self.connection))
            equal("outside", [(1,)], price(other))
            other.commit()
            end()
        equal("after commit", [(3,)], price(other))
        other.close()

    def batch(self):
        cursor = self.connection.cursor()
        cursor.executemany("INSERT INTO item (owner, id, name) VALUES (%s, %s, %s)",
                           [(OWNER, 1000 + number, f"n{number}") for number in range(1000)])
        self.connection.commit()
        equal("affected", 1000, cursor.rowcount)
        equal("rows", [(1000,)], self.rows("SELECT COUNT(*) FROM item WHERE owner = %s AND id >= 1000", (OWNER,)))

    def error(self):
        self.rows("INSERT INTO item (owner, id) VALUES (%s, 30)", (OWNER,))
        self.connection.commit()
        for sql, errno, state in (
            (f"INSERT INTO item (owner, id) VALUES ({OWNER}, 30)", 1062, "23000"),
            ("SELECT * FROM no_such_table", 1146, "42S02"),
            ("SELEKT 1", 1064, "42000"),
        ):
            try:
                self.rows(sql)
            except self.driver.module.Error as error:
                equal(sql, errno, error.args[0])
                if self.driver.state(error) is not None:
                    equal(sql, state, self.driver.state(error))
            else:
                raise AssertionError(f"no error: {sql}")
            equal("goes on", [(1,)], self.rows("SELECT 1"))

    def metadata(self):
        raise Skip("the driver offers nothing")

    def reconnect(self):
        victim = self.driver.connect()
        [(thread,)] = self.rows("SELECT CONNECTION_ID()", (), victim)
        self.rows(f"KILL {thread}")
        try:
            self.rows("SELECT 1", (), victim)
        except self.driver.module.Error as error:
            if error.args[0] not in (2006, 2013, 2026, 2055, 1927, 4031, -1):
                raise
        else:
            raise AssertionError("the killed connection still answers")
        if self.driver.import_name == "pymysql":
            victim.ping(reconnect=True)
        elif self.driver.import_name == "mysql.connector":
            victim.reconnect()
        else:
            victim = self.driver.connect()
        equal("again", [(SCHEMA,)], self.rows("SELECT DATABASE()", (), victim))
        victim.close()

    def blob(self):
        value = os.urandom(1 << 20) * 20
        self.rows("INSERT INTO item (owner, id, data) VALUES (%s, 40, %s)", (OWNER, value))
        self.connection.commit()
        [(read,)] = self.rows("SELECT data FROM item WHERE owner = %s AND id = 40", (OWNER,))
        equal("length", len(value), len(read))
        equal("same", True, value == read)

    def stream(self):
        cursor = self.driver.streaming(self.connection)
        cursor.execute("SELECT id, word FROM numbers ORDER BY id")
        count = 0
        for number, word in cursor:
            count += 1
            if number != count or word != f"word {count}":
                raise AssertionError(f"row {count} is {number}, {word}")
        cursor.close()
        equal("rows", ROWS, count)

    def abandon(self):
        other = self.driver.connect()
        cursor = self.driver.streaming(other)
        cursor.execute("SELECT id, word FROM numbers ORDER BY id")
        equal("first rows", list(range(1, 11)), [cursor.fetchone()[0] for _ in range(10)])
        equal("another connection", [(1,)], self.rows("SELECT 1"))
        self.driver.leave(other)
        equal("after", [(1,)], self.rows("SELECT 1"))


class Alchemy:
    """SQLAlchemy's core and its reflection, over PyMySQL."""

    def __init__(self):
        import sqlalchemy
        self.alchemy = sqlalchemy
        self.engine = self.create(PASSWORD)

    def create(self, password):
        arguments = {"ssl_ca": CA, "ssl_verify_cert": True} if TLS else {"ssl_disabled": True}
        url = self.alchemy.URL.create("mysql+pymysql", USER, password, HOST, PORT, SCHEMA)
        return self.alchemy.create_engine(url, connect_args=arguments, pool_pre_ping=True)

    def item(self):
        from sqlalchemy.dialects.mysql import DOUBLE
        ratio = self.alchemy.Column("ratio", DOUBLE(asdecimal=False))
        return self.alchemy.Table("item", self.alchemy.MetaData(), ratio, autoload_with=self.engine)

    def close(self):
        item = self.item()
        with self.engine.begin() as connection:
            connection.execute(item.delete().where(item.c.owner == OWNER))

    def connect(self):
        with self.engine.connect() as connection:
            equal("schema", SCHEMA, connection.scalar(self.alchemy.text("SELECT DATABASE()")))
        try:
            self.create("wrong").connect()
        except self.alchemy.exc.OperationalError as error:
            equal("wrong password", 1045, error.orig.args[0])
        else:
            raise AssertionError("a wrong password was taken")

    def text(self):
        item = self.item()
        with self.engine.begin() as connection:
            connection.execute(item.delete().where(item.c.owner == OWNER))
            connection.execute(item.insert().values(VALUES))
            connection.execute(item.insert().values(NULLS))
        with self.engine.connect() as connection:
            rows = connection.execute(item.select().where(item.c.owner == OWNER).order_by(item.c.id)).fetchall()
            equal("rows", [VALUES, NULLS], [tuple(row) for row in rows])

    def transaction(self):
        item = self.item()
        one = (item.c.owner == OWNER) & (item.c.id == 20)
        price = self.alchemy.select(item.c.price).where(one)
        with self.engine.begin() as connection:
            connection.execute(item.insert().values(owner=OWNER, id=20, price=1))
        with self.engine.connect() as connection, self.engine.connect() as other:
            connection.execute(item.update().where(one).values(price=2))
            equal("inside", 2, connection.scalar(price))
            equal("outside", 1, other.scalar(price))
            connection.rollback()
            with connection.begin_nested():  # a savepoint
                connection.execute(item.update().where(one).values(price=3))
            connection.commit()
        with self.engine.connect() as connection:
            equal("after commit", 3, connection.scalar(price))

    def batch(self):
        item = self.item()
        with self.engine.begin() as connection:
            connection.execute(item.insert(), [{"owner": OWNER, "id": 1000 + number, "name": f"n{number}"} for number in range(1000)])
        with self.engine.connect() as connection:
            count = self.alchemy.select(self.alchemy.func.count()).select_from(item).where((item.c.owner == OWNER) & (item.c.id >= 1000))
            equal("rows", 1000, connection.scalar(count))

    def error(self):
        item = self.item()
        with self.engine.connect() as connection:
            connection.execute(item.insert().values(owner=OWNER, id=30))
            try:
                connection.execute(item.insert().values(owner=OWNER, id=30))
            except self.alchemy.exc.IntegrityError as error:
                equal("duplicate", 1062, error.orig.args[0])
            else:
                raise AssertionError("no error")
            connection.rollback()
            equal("goes on", 1, connection.scalar(self.alchemy.text("SELECT 1")))

    def metadata(self):
        inspector = self.alchemy.inspect(self.engine)
        equal("has tables", True, {"item", "numbers", "plain", "sbtest1"} <= set(inspector.get_table_names()))
        equal("primary key", ["owner", "id"], inspector.get_pk_constraint("item")["constrained_columns"])
        equal("indexes", [("word", ["word"])], [(index["name"], index["column_names"]) for index in inspector.get_indexes("plain")])
        types = {column["name"]: str(column["type"]) for column in inspector.get_columns("item")}
        for name, expected in {"price": "DECIMAL(20, 4)", "data": "LONGBLOB", "made": "DATETIME"}.items():
            equal(name, expected, types[name])
        both = self.alchemy.MetaData()
        both.reflect(self.engine, only=["item", "numbers"])
        equal("reflected", {"item", "numbers"}, set(both.tables))

    def reconnect(self):
        with self.engine.connect() as other:
            connection = self.engine.connect()
            thread = connection.scalar(self.alchemy.text("SELECT CONNECTION_ID()"))
            connection.close()  # back into the pool, where it is killed
            other.execute(self.alchemy.text(f"KILL {thread}"))
        with self.engine.connect() as one, self.engine.connect() as two:  # pre-ping finds it dead
            equal("again", [1, 1], [one.scalar(self.alchemy.text("SELECT 1")), two.scalar(self.alchemy.text("SELECT 1"))])


def main():
    mode, *names = sys.argv[1:]
    scenarios = Alchemy() if mode == "sqlalchemy" else Scenarios(DRIVERS[mode]())
    for name in names:
        try:
            getattr(scenarios, name)()
        except Skip as reason:
            print(f"skip {name} {reason}", flush=True)
        except Exception as error:  # whatever a driver raises, it is this scenario's result
            print(f"FAIL {name} {type(error).__name__}: {error}".replace("\n", " ")[:400], flush=True)
            if mode != "sqlalchemy":
                scenarios.connection = scenarios.driver.connect()
        else:
            print(f"ok {name}", flush=True)
    scenarios.close()


main()
