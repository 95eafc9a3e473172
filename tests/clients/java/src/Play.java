import java.io.IOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import java.util.Random;

/** The scenarios with MySQL Connector/J (modes mysql...) and MariaDB Connector/J (modes mariadb...). */
public final class Play {
    private static final String OWNER = env("CLIENT_OWNER");
    private static final boolean TLS = env("CLIENT_TLS").equals("1");
    private static final String COLUMNS = "owner, id, name, price, big, ratio, born, made, data";
    private static final String INSERT = "INSERT INTO item (" + COLUMNS + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    private static final String SELECT = "SELECT " + COLUMNS + " FROM item WHERE owner = ? AND id = ?";
    private static final String STREAM = "SELECT id, word FROM numbers ORDER BY id";

    private final boolean mariadb;
    private final String mode;
    private Connection connection;

    private Play(String mode) throws SQLException {
        this.mode = mode;
        this.mariadb = mode.startsWith("mariadb");
        this.connection = open(env("CLIENT_PASSWORD"));
    }

    private static String env(String name) {
        return Objects.requireNonNull(System.getenv(name), name);
    }

    private Connection open(String password) throws SQLException {
        String url = (mariadb ? "jdbc:mariadb://" : "jdbc:mysql://") + env("CLIENT_HOST") + ":" + env("CLIENT_PORT") + "/" + env("CLIENT_SCHEMA");
        Properties properties = new Properties();
        properties.setProperty("user", env("CLIENT_USER"));
        properties.setProperty("password", password);
        properties.setProperty("allowPublicKeyRetrieval", "true");
        if (mariadb) {
            properties.setProperty("sslMode", TLS ? "verify-ca" : "disable");
            if (TLS) properties.setProperty("serverSslCert", env("CLIENT_CA"));
        } else {
            properties.setProperty("sslMode", TLS ? "VERIFY_CA" : "DISABLED");
            properties.setProperty("connectionTimeZone", "UTC");
            if (TLS) {
                properties.setProperty("trustCertificateKeyStoreUrl", "file:" + trustStore());
                properties.setProperty("trustCertificateKeyStoreType", "PKCS12");
                properties.setProperty("trustCertificateKeyStorePassword", "trusted");
            }
        }
        switch (mode) {
            case "mysql-prepared", "mariadb-prepared" -> properties.setProperty("useServerPrepStmts", "true");
            case "mysql-cursor" -> {
                properties.setProperty("useCursorFetch", "true");
                properties.setProperty("defaultFetchSize", "1000");
            }
            case "mysql-rewrite" -> properties.setProperty("rewriteBatchedStatements", "true");
            default -> { }
        }
        return DriverManager.getConnection(url, properties);
    }

    /** Java reads no PEM file as a key store. */
    private static Path trustStore() throws SQLException {
        Path file = Path.of(env("CLIENT_SCRATCH"), "trust.p12");
        try (var pem = Files.newInputStream(Path.of(env("CLIENT_CA"))); var out = Files.newOutputStream(file)) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(null, null);
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(pem));
            store.store(out, "trusted".toCharArray());
        } catch (IOException | GeneralSecurityException error) {
            throw new SQLException(error);
        }
        return file;
    }

    private interface Scenario {
        void play() throws Exception;
    }

    private Scenario scenario(String name) {
        return switch (name) {
            case "connect" -> this::connect;
            case "text" -> this::text;
            case "prepared" -> this::prepared;
            case "transaction" -> this::transaction;
            case "batch" -> this::batch;
            case "error" -> this::error;
            case "metadata" -> this::metadata;
            case "reconnect" -> this::reconnect;
            case "blob" -> this::blob;
            case "stream" -> this::stream;
            case "abandon" -> this::abandon;
            default -> throw new IllegalArgumentException(name);
        };
    }

    private void connect() throws SQLException {
        equal("schema", env("CLIENT_SCHEMA"), value(connection, "SELECT DATABASE()"));
        equal("catalog", env("CLIENT_SCHEMA"), connection.getCatalog());
        equal("valid", true, connection.isValid(5));
        try (Connection wrong = open("wrong")) {
            throw new AssertionError("a wrong password was taken");
        } catch (SQLException error) {
            equal("wrong password", "1045 28000", error.getErrorCode() + " " + error.getSQLState());
        }
    }

    private static Object[] full() {
        byte[] data = new byte[256];
        for (int i = 0; i < data.length; i++) data[i] = (byte) i;
        return new Object[] {
            "Größe 'q' \\ 😀", new BigDecimal("1234567890123456.5678"), new BigDecimal("18446744073709551615"), 0.1,
            LocalDate.of(2024, 2, 29), LocalDateTime.of(2024, 2, 29, 12, 34, 56, 789012000), data,
        };
    }

    /** By literals, read back as what JDBC makes of each type. */
    private void text() throws SQLException {
        update("DELETE FROM item WHERE owner = " + OWNER);
        update("INSERT INTO item VALUES (" + OWNER + ", 1, 'Größe \\'q\\' \\\\ 😀', 1234567890123456.5678, 18446744073709551615, 0.1, "
            + "'2024-02-29', '2024-02-29 12:34:56.789012', x'00ff27'), (" + OWNER + ", 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL)");
        Object[] expected = full();
        expected[6] = new byte[] {0, (byte) 0xff, 0x27};
        try (Statement statement = connection.createStatement();
             ResultSet rows = statement.executeQuery("SELECT " + COLUMNS + " FROM item WHERE owner = " + OWNER + " ORDER BY id")) {
            row(rows, expected);
            row(rows, new Object[7]);
            equal("end", false, rows.next());
        }
    }

    private static void row(ResultSet rows, Object[] expected) throws SQLException {
        equal("row", true, rows.next());
        Object[] actual = {
            rows.getString("name"), rows.getBigDecimal("price"), rows.getBigDecimal("big"), rows.getObject("ratio"),
            rows.getObject("born", LocalDate.class), rows.getObject("made", LocalDateTime.class), rows.getBytes("data"),
        };
        for (int i = 0; i < expected.length; i++) {
            if (!Objects.deepEquals(expected[i], actual[i])) {
                throw new AssertionError("column " + (i + 3) + ": expected " + expected[i] + ", got " + actual[i]);
            }
        }
    }

    private void prepared() throws SQLException {
        update("DELETE FROM item WHERE owner = " + OWNER);
        Object[][] written = {full(), new Object[7]};
        if (!mariadb && connection.getMetaData().getDatabaseMajorVersion() == 5) {
            // MariaDB's greeting begins with 5.5.5: Connector/J takes it for a server without fractional seconds.
            written[0][5] = LocalDateTime.of(2024, 2, 29, 12, 34, 56);
        }
        try (PreparedStatement insert = connection.prepareStatement(INSERT); PreparedStatement select = connection.prepareStatement(SELECT)) {
            for (int id = 0; id < 2; id++) {
                insert.setLong(1, Long.parseLong(OWNER));
                insert.setInt(2, id);
                for (int column = 0; column < 7; column++) {
                    Object value = written[id][column];
                    // MySQL 9 answers MariaDB Connector/J's binary DATE with 1835.
                    insert.setObject(3 + column, mode.equals("mariadb-prepared") && value instanceof LocalDate ? value.toString() : value);
                }
                equal("affected", 1, insert.executeUpdate());
                select.setLong(1, Long.parseLong(OWNER));
                select.setInt(2, id);
                try (ResultSet rows = select.executeQuery()) {
                    equal("columns", 9, rows.getMetaData().getColumnCount());
                    equal("table", "item", rows.getMetaData().getTableName(3));
                    row(rows, written[id]);
                    equal("end", false, rows.next());
                }
            }
        }
        try (PreparedStatement select = connection.prepareStatement("SELECT word FROM numbers WHERE id = ?")) {
            for (int id = 1; id <= 100; id++) {
                select.setInt(1, id);
                try (ResultSet rows = select.executeQuery()) {
                    equal("row", true, rows.next());
                    equal("execute again", "word " + id, rows.getString(1));
                }
            }
        }
    }

    private void transaction() throws SQLException {
        String price = "SELECT price FROM item WHERE id = 20 AND owner = " + OWNER;
        update("INSERT INTO item (owner, id, price) VALUES (" + OWNER + ", 20, 1)");
        try (Connection other = open(env("CLIENT_PASSWORD"))) {
            other.setAutoCommit(false); // in a transaction a proxy does not ask a replica
            connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
            connection.setAutoCommit(false);
            for (int value = 2; value <= 3; value++) {
                update("UPDATE item SET price = " + value + " WHERE id = 20 AND owner = " + OWNER);
                equal("inside", value + ".0000", value(connection, price));
                equal("outside", "1.0000", value(other, price));
                other.commit();
                if (value == 2) connection.rollback();
                else connection.commit();
            }
            var savepoint = connection.setSavepoint();
            update("UPDATE item SET price = 4 WHERE id = 20 AND owner = " + OWNER);
            connection.rollback(savepoint);
            connection.commit();
            connection.setAutoCommit(true);
            equal("after commit", "3.0000", value(other, price));
        }
    }

    private void batch() throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO item (owner, id, name) VALUES (?, ?, ?)")) {
            for (int id = 0; id < 1000; id++) {
                insert.setString(1, OWNER);
                insert.setInt(2, 1000 + id);
                insert.setString(3, "n" + id);
                insert.addBatch();
            }
            equal("results", 1000, insert.executeBatch().length);
        }
        equal("rows", "1000", value(connection, "SELECT COUNT(*) FROM item WHERE id >= 1000 AND owner = " + OWNER));
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO item (owner, id) VALUES (?, ?)")) {
            for (int id : new int[] {5000, 1000}) {
                insert.setString(1, OWNER);
                insert.setInt(2, id);
                insert.addBatch();
            }
            insert.executeBatch();
            throw new AssertionError("a duplicate was taken");
        } catch (BatchUpdateException error) {
            equal("duplicate", 1062, error.getErrorCode());
        }
    }

    private void error() throws SQLException {
        update("INSERT INTO item (owner, id) VALUES (" + OWNER + ", 30)");
        fails("INSERT INTO item (owner, id) VALUES (" + OWNER + ", 30)", "1062 23000");
        fails("UPDATE no_such_table SET a = 1", "1146 42S02");
        fails("SELEKT 1", "1064 42000");
        equal("goes on", "1", value(connection, "SELECT 1"));
    }

    private void fails(String sql, String expected) throws SQLException {
        try {
            update(sql);
        } catch (SQLException error) {
            equal(sql, expected, error.getErrorCode() + " " + error.getSQLState());
            return;
        }
        throw new AssertionError("no error: " + sql);
    }

    private void metadata() throws SQLException {
        DatabaseMetaData data = connection.getMetaData();
        String schema = env("CLIENT_SCHEMA");
        try (ResultSet rows = data.getTables(schema, null, "%", new String[] {"TABLE"})) {
            equal("tables", true, all(rows, "TABLE_NAME").containsAll(List.of("item", "numbers", "plain", "sbtest1")));
        }
        try (ResultSet rows = data.getColumns(schema, null, "item", "%")) {
            equal("columns", COLUMNS, String.join(", ", all(rows, "COLUMN_NAME")));
        }
        try (ResultSet rows = data.getPrimaryKeys(schema, null, "item")) {
            equal("primary key", "id, owner", String.join(", ", all(rows, "COLUMN_NAME"))); // JDBC sorts by name
        }
        try (ResultSet rows = data.getIndexInfo(schema, null, "plain", false, false)) {
            equal("indexes", true, all(rows, "INDEX_NAME").contains("word"));
        }
        equal("product", true, data.getDatabaseProductVersion().length() > 3);
    }

    private static List<String> all(ResultSet rows, String column) throws SQLException {
        List<String> values = new ArrayList<>();
        while (rows.next()) values.add(rows.getString(column));
        return values;
    }

    private void reconnect() throws SQLException {
        Connection victim = open(env("CLIENT_PASSWORD"));
        update("KILL " + value(victim, "SELECT CONNECTION_ID()"));
        try {
            value(victim, "SELECT 1");
            throw new AssertionError("the killed connection still answers");
        } catch (SQLException error) {
            equal("state", true, error.getSQLState().startsWith("08") || error.getErrorCode() == 1927 || error.getErrorCode() == 1317);
        }
        equal("valid", false, victim.isValid(5));
        victim.close();
        try (Connection again = open(env("CLIENT_PASSWORD"))) {
            equal("again", env("CLIENT_SCHEMA"), value(again, "SELECT DATABASE()"));
        }
    }

    private void blob() throws SQLException {
        byte[] value = new byte[20 << 20];
        new Random(1).nextBytes(value);
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO item (owner, id, data) VALUES (?, 40, ?)")) {
            insert.setString(1, OWNER);
            insert.setBytes(2, value);
            insert.executeUpdate();
        }
        try (Statement statement = connection.createStatement();
             ResultSet rows = statement.executeQuery("SELECT data FROM item WHERE id = 40 AND owner = " + OWNER)) {
            equal("row", true, rows.next());
            equal("same", true, Arrays.equals(value, rows.getBytes(1)));
        }
    }

    /** The heap is 256 MB: all rows at once would not fit beside the driver's own objects for them. */
    private void stream() throws SQLException {
        long started = 0;
        try (Statement statement = connection.createStatement(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_READ_ONLY)) {
            statement.setFetchSize(streaming());
            try (ResultSet rows = statement.executeQuery(STREAM)) {
                while (rows.next()) {
                    started++;
                    if (rows.getLong(1) != started || !rows.getString(2).equals("word " + started)) {
                        throw new AssertionError("row " + started + " is " + rows.getLong(1) + ", " + rows.getString(2));
                    }
                }
            }
        }
        equal("rows", Long.parseLong(env("CLIENT_ROWS")), started);
    }

    /** Connector/J streams row by row at this value, unless a cursor on the server gives it batches. */
    private int streaming() {
        return mariadb || mode.equals("mysql-cursor") ? 1000 : Integer.MIN_VALUE;
    }

    private void abandon() throws Exception {
        Connection other = open(env("CLIENT_PASSWORD"));
        Statement statement = other.createStatement(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_READ_ONLY);
        statement.setFetchSize(streaming());
        ResultSet rows = statement.executeQuery(STREAM);
        for (int i = 0; i < 10; i++) equal("row", true, rows.next());
        other.abort(Runnable::run);
        equal("after", "1", value(connection, "SELECT 1"));
    }

    private static String value(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            equal("a row", true, rows.next());
            return rows.getString(1);
        }
    }

    private void update(String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate(sql);
        }
    }

    private static void equal(String what, Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + actual);
        }
    }

    public static void main(String[] arguments) throws Exception {
        var out = new java.io.PrintStream(System.out, true, StandardCharsets.UTF_8);
        Play play = new Play(arguments[0]);
        for (String name : Arrays.asList(arguments).subList(1, arguments.length)) {
            try {
                play.scenario(name).play();
                out.println("ok " + name);
            } catch (Exception | AssertionError error) {
                String reason = String.valueOf(error).replace('\n', ' ');
                error.printStackTrace();
                out.println("FAIL " + name + " " + reason.substring(0, Math.min(400, reason.length())));
                play.connection.close();
                play.connection = play.open(env("CLIENT_PASSWORD"));
            }
        }
        play.update("DELETE FROM item WHERE owner = " + OWNER);
        play.connection.close();
        System.exit(0);
    }
}
