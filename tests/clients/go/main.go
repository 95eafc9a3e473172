// The scenarios with go-sql-driver/mysql, through database/sql.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

var owner = os.Getenv("CLIENT_OWNER")

// A row of `item` but for its owner and id.
type row struct {
	name, price, big sql.NullString
	ratio            sql.NullFloat64
	born, made       sql.NullTime
	data             []byte
}

const insert = "INSERT INTO item (owner, id, name, price, big, ratio, born, made, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
const read = "SELECT name, price, big, ratio, born, made, data FROM item WHERE owner = ? AND id = ?"

func text(value string) sql.NullString { return sql.NullString{String: value, Valid: true} }

func full() row {
	data := make([]byte, 256)
	for i := range data {
		data[i] = byte(i)
	}
	return row{
		name: text("Größe 'q' \\ 😀"), price: text("1234567890123456.5678"), big: text("18446744073709551615"),
		ratio: sql.NullFloat64{Float64: 0.1, Valid: true},
		born:  sql.NullTime{Time: time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), Valid: true},
		made:  sql.NullTime{Time: time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC), Valid: true},
		data:  data,
	}
}

func (r row) arguments(id int) []any {
	return []any{owner, id, r.name, r.price, r.big, r.ratio, r.born, r.made, r.data}
}

func config(password string) *mysql.Config {
	config := mysql.NewConfig()
	config.User, config.Passwd = os.Getenv("CLIENT_USER"), password
	config.Net, config.Addr = "tcp", os.Getenv("CLIENT_HOST")+":"+os.Getenv("CLIENT_PORT")
	config.DBName = os.Getenv("CLIENT_SCHEMA")
	config.ParseTime = true
	config.MaxAllowedPacket = 64 << 20
	config.Logger = &mysql.NopLogger{}
	if os.Getenv("CLIENT_TLS") == "1" {
		pem, err := os.ReadFile(os.Getenv("CLIENT_CA"))
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			panic("no CA")
		}
		config.TLS = &tls.Config{RootCAs: pool, ServerName: "localhost"}
	}
	return config
}

func open(config *mysql.Config) *sql.DB {
	connector, err := mysql.NewConnector(config)
	must(err)
	return sql.OpenDB(connector)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(what string, expected, actual any) {
	if expected != actual {
		panic(fmt.Errorf("%s: expected %.200v, got %.200v", what, expected, actual))
	}
}

func errno(err error, number uint16, state string) {
	var failure *mysql.MySQLError
	if !errors.As(err, &failure) {
		panic(fmt.Errorf("expected error %d, got %v", number, err))
	}
	equal("errno", number, failure.Number)
	equal("state", state, string(failure.SQLState[:]))
}

func connect(db *sql.DB) {
	must(db.Ping())
	var schema, version string
	must(db.QueryRow("SELECT DATABASE(), VERSION()").Scan(&schema, &version))
	equal("schema", os.Getenv("CLIENT_SCHEMA"), schema)
	wrong := open(config("wrong"))
	defer wrong.Close()
	errno(wrong.Ping(), 1045, "28000")
}

func roundTrip(db *sql.DB) {
	_, err := db.Exec("DELETE FROM item WHERE owner = ?", owner)
	must(err)
	for id, written := range []row{full(), {}} {
		result, err := db.Exec(insert, written.arguments(id)...)
		must(err)
		affected, err := result.RowsAffected()
		must(err)
		equal("affected", int64(1), affected)
		var back row
		must(db.QueryRow(read, owner, id).Scan(&back.name, &back.price, &back.big, &back.ratio, &back.born, &back.made, &back.data))
		equal("name", written.name, back.name)
		equal("price", written.price, back.price)
		equal("big", written.big, back.big)
		equal("ratio", written.ratio, back.ratio)
		equal("born", written.born, back.born)
		equal("made", written.made, back.made)
		equal("data", true, bytes.Equal(written.data, back.data))
	}
}

func textProtocol(*sql.DB) {
	interpolating := config(os.Getenv("CLIENT_PASSWORD"))
	interpolating.InterpolateParams = true
	db := open(interpolating)
	defer db.Close()
	roundTrip(db)
}

func prepared(db *sql.DB) {
	roundTrip(db)
	statement, err := db.Prepare("SELECT word FROM numbers WHERE id = ?")
	must(err)
	defer statement.Close()
	for id := 1; id <= 100; id++ {
		var word string
		must(statement.QueryRow(id).Scan(&word))
		equal("execute again", fmt.Sprintf("word %d", id), word)
	}
}

func price(tx *sql.Tx) (price string) {
	must(tx.QueryRow("SELECT price FROM item WHERE owner = ? AND id = 20", owner).Scan(&price))
	return price
}

// What another connection sees; in a transaction, so that a proxy does not ask a replica.
func outside(db *sql.DB) string {
	tx, err := db.Begin()
	must(err)
	defer tx.Rollback()
	return price(tx)
}

func transaction(db *sql.DB) {
	_, err := db.Exec("INSERT INTO item (owner, id, price) VALUES (?, 20, 1)", owner)
	must(err)
	for _, value := range []int{2, 3} {
		tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		must(err)
		_, err = tx.Exec("UPDATE item SET price = ? WHERE owner = ? AND id = 20", value, owner)
		must(err)
		equal("inside", fmt.Sprintf("%d.0000", value), price(tx))
		equal("outside", "1.0000", outside(db))
		if value == 2 {
			must(tx.Rollback())
		} else {
			must(tx.Commit())
		}
	}
	equal("after commit", "3.0000", outside(db))
}

func batch(db *sql.DB) {
	tx, err := db.Begin()
	must(err)
	statement, err := tx.Prepare("INSERT INTO item (owner, id, name) VALUES (?, ?, ?)")
	must(err)
	for id := range 1000 {
		_, err = statement.Exec(owner, 1000+id, fmt.Sprintf("n%d", id))
		must(err)
	}
	must(tx.Commit())
	var count int
	must(db.QueryRow("SELECT COUNT(*) FROM item WHERE owner = ? AND id >= 1000", owner).Scan(&count))
	equal("rows", 1000, count)
}

func failure(db *sql.DB) {
	connection, err := db.Conn(context.Background())
	must(err)
	defer connection.Close()
	exec := func(query string, arguments ...any) error {
		_, err := connection.ExecContext(context.Background(), query, arguments...)
		return err
	}
	must(exec("INSERT INTO item (owner, id) VALUES (?, 30)", owner))
	errno(exec("INSERT INTO item (owner, id) VALUES (?, 30)", owner), 1062, "23000")
	errno(exec("UPDATE no_such_table SET a = 1"), 1146, "42S02")
	errno(exec("SELEKT ?", 1), 1064, "42000")
	must(connection.PingContext(context.Background()))
}

func metadata(db *sql.DB) {
	rows, err := db.Query("SELECT id, price, made, data, big FROM item WHERE owner = ?", owner)
	must(err)
	defer rows.Close()
	types, err := rows.ColumnTypes()
	must(err)
	var names []string
	for _, column := range types {
		names = append(names, column.Name()+" "+column.DatabaseTypeName())
	}
	equal("columns", "id INT, price DECIMAL, made DATETIME, data BLOB, big UNSIGNED BIGINT", strings.Join(names, ", "))
	precision, scale, _ := types[1].DecimalSize()
	equal("decimal", "20 4", fmt.Sprint(precision, scale))
	nullable, _ := types[0].Nullable()
	equal("nullable", false, nullable)
}

func reconnect(db *sql.DB) {
	victim, err := db.Conn(context.Background())
	must(err)
	var thread int
	must(victim.QueryRowContext(context.Background(), "SELECT CONNECTION_ID()").Scan(&thread))
	_, err = db.Exec(fmt.Sprintf("KILL %d", thread))
	must(err)
	if victim.PingContext(context.Background()) == nil {
		panic(errors.New("the killed connection still answers"))
	}
	victim.Close()
	must(db.Ping())
}

func blob(db *sql.DB) {
	value := make([]byte, 20<<20)
	rand.Read(value)
	_, err := db.Exec("INSERT INTO item (owner, id, data) VALUES (?, 40, ?)", owner, value)
	must(err)
	var back []byte
	must(db.QueryRow("SELECT data FROM item WHERE owner = ? AND id = 40", owner).Scan(&back))
	equal("same", true, bytes.Equal(value, back))
}

func stream(db *sql.DB) {
	rows, err := db.Query("SELECT id, word FROM numbers ORDER BY id")
	must(err)
	defer rows.Close()
	count := 0
	for rows.Next() {
		var id int
		var word string
		must(rows.Scan(&id, &word))
		count++
		if id != count || word != fmt.Sprintf("word %d", count) {
			panic(fmt.Errorf("row %d is %d, %s", count, id, word))
		}
	}
	must(rows.Err())
	equal("rows", os.Getenv("CLIENT_ROWS"), fmt.Sprint(count))
}

// A cancelled context makes the driver close the connection under the stream.
func abandon(db *sql.DB) {
	context, cancel := context.WithCancel(context.Background())
	rows, err := db.QueryContext(context, "SELECT id FROM numbers ORDER BY id")
	must(err)
	for range 10 {
		rows.Next()
	}
	cancel()
	rows.Close()
	must(db.Ping())
}

func play(scenario func(*sql.DB), db *sql.DB) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%v", reason)
		}
	}()
	scenario(db)
	return nil
}

func main() {
	db := open(config(os.Getenv("CLIENT_PASSWORD")))
	defer db.Close()
	db.SetMaxIdleConns(1)
	scenarios := map[string]func(*sql.DB){
		"connect": connect, "text": textProtocol, "prepared": prepared, "transaction": transaction, "batch": batch,
		"error": failure, "metadata": metadata, "reconnect": reconnect, "blob": blob, "stream": stream, "abandon": abandon,
	}
	for _, name := range os.Args[1:] {
		if err := play(scenarios[name], db); err != nil {
			fmt.Printf("FAIL %s %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok", name)
		}
	}
	_, err := db.Exec("DELETE FROM item WHERE owner = ?", owner)
	must(err)
}
