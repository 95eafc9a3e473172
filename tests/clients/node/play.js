// The scenarios with mysql2 of Node.js.
'use strict'
const assert = require('node:assert/strict')
const crypto = require('node:crypto')
const fs = require('node:fs')
const mysql = require('mysql2')
const promised = require('mysql2/promise')

const env = process.env
const owner = Number(env.CLIENT_OWNER)
const settings = {
  host: env.CLIENT_HOST,
  port: Number(env.CLIENT_PORT),
  user: env.CLIENT_USER,
  password: env.CLIENT_PASSWORD,
  database: env.CLIENT_SCHEMA,
  supportBigNumbers: true,
  dateStrings: true,
  ssl: env.CLIENT_TLS === '1' ? { ca: fs.readFileSync(env.CLIENT_CA) } : undefined,
}
const full = [owner, 1, "Größe 'q' \\ 😀", '1234567890123456.5678', '18446744073709551615', 0.1, '2024-02-29',
  '2024-02-29 12:34:56.789012', Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))]
const nulls = [owner, 2, null, null, null, null, null, null, null]
const insert = 'INSERT INTO item (owner, id, name, price, big, ratio, born, made, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)'
const read = 'SELECT owner, id, name, price, big, ratio, born, made, data FROM item WHERE owner = ? AND id = ?'
const priceOf = 'SELECT price FROM item WHERE owner = ? AND id = 20'

const fails = (promise, errno, sqlState) => assert.rejects(promise, (error) => {
  assert.deepEqual([error.errno, error.sqlState], [errno, sqlState])
  return true
})

async function roundTrip(connection, call) {
  await connection.query('DELETE FROM item WHERE owner = ?', [owner])
  for (const row of [full, nulls]) {
    const [result] = await connection[call](insert, row)
    assert.equal(result.affectedRows, 1)
    const [rows, fields] = await connection[call]({ sql: read, rowsAsArray: true }, [owner, row[1]])
    assert.deepEqual(rows, [row])
    assert.deepEqual(fields.map((field) => field.name), ['owner', 'id', 'name', 'price', 'big', 'ratio', 'born', 'made', 'data'])
    assert.deepEqual([...new Set(fields.map((field) => field.table ?? field.orgTable))], ['item'])
  }
}

const scenarios = {
  async connect(connection) {
    const [[row]] = await connection.query('SELECT DATABASE() AS d, VERSION() AS v')
    assert.equal(row.d, settings.database)
    await connection.ping()
    await fails(promised.createConnection({ ...settings, password: 'wrong' }), 1045, '28000')
    await connection.changeUser({ user: settings.user, password: settings.password, database: settings.database })
    await fails(promised.createConnection({ ...settings }).then(async (other) => {
      await other.changeUser({ user: settings.user, password: 'wrong' })
    }), 1045, '28000')
  },
  text: (connection) => roundTrip(connection, 'query'),
  async prepared(connection) {
    await roundTrip(connection, 'execute')
    for (let id = 1; id <= 100; id++) {
      const [[row]] = await connection.execute('SELECT word FROM numbers WHERE id = ?', [id])
      assert.equal(row.word, `word ${id}`)
    }
  },
  async transaction(connection) {
    const other = await promised.createConnection(settings)
    const outside = async () => { // in a transaction, so that a proxy does not ask a replica
      await other.beginTransaction()
      const [[row]] = await other.execute(priceOf, [owner])
      await other.commit()
      return row.price
    }
    await connection.query('INSERT INTO item (owner, id, price) VALUES (?, 20, 1)', [owner])
    for (const value of [2, 3]) {
      await connection.beginTransaction()
      await connection.execute('UPDATE item SET price = ? WHERE owner = ? AND id = 20', [value, owner])
      assert.equal((await connection.execute(priceOf, [owner]))[0][0].price, `${value}.0000`)
      assert.equal(await outside(), '1.0000')
      await (value === 2 ? connection.rollback() : connection.commit())
    }
    assert.equal(await outside(), '3.0000')
    await other.end()
  },
  async batch(connection) {
    const rows = Array.from({ length: 1000 }, (_, id) => [owner, 1000 + id, `n${id}`])
    const [result] = await connection.query('INSERT INTO item (owner, id, name) VALUES ?', [rows])
    assert.equal(result.affectedRows, 1000)
    const [[row]] = await connection.query('SELECT COUNT(*) AS n FROM item WHERE owner = ? AND id >= 1000', [owner])
    assert.equal(row.n, 1000)
  },
  async error(connection) {
    await connection.execute('INSERT INTO item (owner, id) VALUES (?, 30)', [owner])
    await fails(connection.execute('INSERT INTO item (owner, id) VALUES (?, 30)', [owner]), 1062, '23000')
    await fails(connection.execute('SELECT * FROM no_such_table'), 1146, '42S02')
    await fails(connection.query('SELEKT 1'), 1064, '42000')
    await connection.ping()
  },
  async metadata(connection) {
    const [, fields] = await connection.query('SELECT id, price, made, data, big FROM item WHERE owner = 0')
    const types = fields.map((field) => mysql.Types[field.columnType])
    assert.deepEqual(types, ['LONG', 'NEWDECIMAL', 'DATETIME', 'BLOB', 'LONGLONG'])
    assert.deepEqual(fields.map((field) => field.orgTable), Array(5).fill('item'))
    assert.deepEqual([fields[1].decimals, fields[2].decimals], [4, 6])
  },
  async reconnect(connection) {
    const pool = promised.createPool({ ...settings, connectionLimit: 1 })
    const [[{ thread }]] = await pool.query('SELECT CONNECTION_ID() AS thread')
    await connection.query(`KILL ${thread}`)
    await new Promise((resolve) => setTimeout(resolve, 200)) // the pool sees the socket close
    const [[row]] = await pool.query('SELECT DATABASE() AS d')
    assert.equal(row.d, settings.database)
    await pool.end()
  },
  async blob(connection) {
    const value = crypto.randomBytes(20 << 20)
    await connection.execute('INSERT INTO item (owner, id, data) VALUES (?, 40, ?)', [owner, value])
    const [[row]] = await connection.query('SELECT data FROM item WHERE owner = ? AND id = 40', [owner])
    assert.ok(value.equals(row.data))
  },
  async stream() {
    const connection = mysql.createConnection(settings)
    let count = 0
    for await (const row of connection.query('SELECT id, word FROM numbers ORDER BY id').stream()) {
      count += 1
      if (row.id !== count || row.word !== `word ${count}`) throw new Error(`row ${count} is ${row.id}, ${row.word}`)
    }
    assert.equal(count, Number(env.CLIENT_ROWS))
    connection.end()
  },
  async abandon(connection) {
    const other = mysql.createConnection(settings)
    let count = 0
    for await (const _ of other.query('SELECT id FROM numbers ORDER BY id').stream()) {
      count += 1
      if (count === 10) break
    }
    other.destroy()
    await connection.ping()
  },
}

async function main() {
  const connection = await promised.createConnection(settings)
  for (const name of process.argv.slice(2)) {
    try {
      await scenarios[name](connection)
      console.log(`ok ${name}`)
    } catch (error) {
      console.log(`FAIL ${name} ${String(error.message).replaceAll('\n', ' ').slice(0, 400)}`)
    }
  }
  await connection.query('DELETE FROM item WHERE owner = ?', [owner])
  await connection.end()
  process.exit(0)
}

main().catch((error) => { console.error(error.message); process.exit(1) })
