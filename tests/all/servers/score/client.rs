//! A client that keeps all a server says of a statement, in either protocol.
//! It judges nothing.

use std::time::Duration;

use shardloom::error::SqlError;
use shardloom::wire::capabilities::{Capabilities, Status};
use shardloom::wire::column::{ColumnDef, ColumnType};
use shardloom::wire::command::{Command, Execute};
use shardloom::wire::cursor::put_lenenc_bytes;
use shardloom::wire::link::Link;
use shardloom::wire::login_client::{Credentials, LoginWish, client_login};
use shardloom::wire::reply::{EOF, EofPacket, ErrPacket, OkPacket};
use shardloom::wire::response::{Event, Kind, Response};
use shardloom::wire::row::{RowForm, split};
use shardloom::wire::stream::Stream;
use shardloom::wire::tls::ClientTls;
use shardloom::wire::value::Shape;
use tokio::net::TcpStream;

/// A cell as it was sent, `None` for NULL.
pub(in crate::servers) type Cell = Option<Vec<u8>>;

/// A column's definition, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::servers) struct Column {
    pub(in crate::servers) schema: String,
    pub(in crate::servers) table: String,
    pub(in crate::servers) org_table: String,
    pub(in crate::servers) name: String,
    pub(in crate::servers) org_name: String,
    pub(in crate::servers) charset: u16,
    pub(in crate::servers) length: u32,
    pub(in crate::servers) ty: u8,
    pub(in crate::servers) flags: u16,
    pub(in crate::servers) decimals: u8,
}

/// One result: rows, or an OK without any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::servers) struct Outcome {
    pub(in crate::servers) columns: Vec<Column>,
    pub(in crate::servers) rows: Vec<Vec<Cell>>,
    pub(in crate::servers) affected_rows: u64,
    pub(in crate::servers) last_insert_id: u64,
    pub(in crate::servers) info: String,
    pub(in crate::servers) warnings: u16,
    pub(in crate::servers) status: Status,
}

/// All that a server says to one command: results, and the error that ended them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::servers) struct Reply {
    /// What the answer to a PREPARE said of the columns; `None` in the text protocol.
    pub(in crate::servers) prepared: Option<Vec<Column>>,
    pub(in crate::servers) outcomes: Vec<Outcome>,
    pub(in crate::servers) error: Option<SqlError>,
}

/// A value for a placeholder.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::servers) enum Argument {
    Int(i64),
    Double(f64),
    Text(String),
    Null,
}

/// How a statement is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::servers) enum Protocol {
    /// COM_QUERY.
    Text,
    /// COM_STMT_PREPARE and COM_STMT_EXECUTE.
    Binary,
}

/// One connection.
pub(in crate::servers) struct Client {
    runtime: tokio::runtime::Runtime,
    link: Link,
    capabilities: Capabilities,
    /// The server did not answer, or not in its own protocol: nothing more can be asked.
    pub(in crate::servers) broken: bool,
}

impl Client {
    pub(in crate::servers) fn connect(address: &str, user: &str, password: &str, schema: &str) -> Client {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let credentials =
            Credentials { user: user.to_owned(), password: password.to_owned(), schema: schema.to_owned() };
        let wish = LoginWish {
            capabilities: Capabilities::DEPRECATE_EOF
                | Capabilities::CONNECT_WITH_DB
                | Capabilities::LOCAL_FILES
                | Capabilities::MULTI_STATEMENTS
                | Capabilities::MULTI_RESULTS
                | Capabilities::PS_MULTI_RESULTS,
            collation: 45,
            max_packet: 1 << 26,
            attributes: Vec::new(),
        };
        let (link, hello) = runtime.block_on(async {
            let stream = Stream::tcp(TcpStream::connect(address).await.unwrap()).unwrap();
            client_login(stream, "localhost", &credentials, &ClientTls::disabled(), &wish).await.unwrap()
        });
        Client { runtime, link, capabilities: hello.capabilities, broken: false }
    }

    /// COM_QUERY.
    pub(in crate::servers) fn query(&mut self, sql: &str) -> Reply {
        self.ask(Command::Query(sql.as_bytes()), Kind::Query).0
    }

    /// COM_STMT_PREPARE, EXECUTE, CLOSE. An error of PREPARE is the reply's.
    pub(in crate::servers) fn execute(&mut self, sql: &str, arguments: &[Argument]) -> Reply {
        let (prepared, statement) = self.ask(Command::StmtPrepare(sql.as_bytes()), Kind::Prepare);
        if prepared.error.is_some() {
            return prepared;
        }
        let params = encode(arguments);
        let execute = Command::StmtExecute(Execute { statement, flags: 0, params: &params });
        let (mut reply, _) = self.ask(execute, Kind::Execute);
        reply.prepared = prepared.prepared;
        if self.broken {
            return reply;
        }
        self.runtime.block_on(async {
            self.link.start_command();
            self.link.push_with(|out| Command::StmtClose(statement).encode(out));
            self.link.flush().await.unwrap();
        });
        reply
    }

    /// Prepares a statement once, and executes it with each of these.
    pub(in crate::servers) fn execute_each(&mut self, sql: &str, arguments: &[Vec<Argument>]) -> Vec<Reply> {
        let (prepared, statement) = self.ask(Command::StmtPrepare(sql.as_bytes()), Kind::Prepare);
        if prepared.error.is_some() {
            return vec![prepared];
        }
        let execute = |arguments: &Vec<Argument>| {
            let params = encode(arguments);
            self.ask(Command::StmtExecute(Execute { statement, flags: 0, params: &params }), Kind::Execute).0
        };
        arguments.iter().map(execute).collect()
    }

    /// What ends the connection becomes an error with the number 0, which no server has.
    fn ask(&mut self, command: Command<'_>, kind: Kind) -> (Reply, u32) {
        let (link, capabilities) = (&mut self.link, self.capabilities);
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, ask(link, capabilities, command, kind)).await });
        let message = match answer {
            Ok(Ok(answer)) => return answer,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {PATIENCE:?} to {kind:?}"),
        };
        self.broken = true;
        (Reply { error: Some(SqlError { errno: 0, state: *b"HY000", message }), ..Reply::default() }, 0)
    }
}

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn ask(
    link: &mut Link,
    capabilities: Capabilities,
    command: Command<'_>,
    kind: Kind,
) -> Result<(Reply, u32), shardloom::wire::error::WireError> {
    link.start_command();
    link.push_with(|out| command.encode(out));
    link.flush().await?;
    let mut response = Response::new(kind, capabilities);
    let (mut reply, mut statement, mut cells) = (Reply::default(), 0, Vec::new());
    let (mut now, mut shapes): (Outcome, Vec<Shape>) = Default::default();
    while !response.is_done() {
        let packet = link.expect_packet().await?;
        let payload = link.payload(&packet);
        match response.packet(payload)? {
            Event::ColumnDef { .. } => {
                let column = ColumnDef::decode(payload)?;
                shapes.push(Shape::of(&column));
                now.columns.push(Column::from(&column));
            }
            Event::Rows { .. } => {
                let form = if kind == Kind::Execute { RowForm::Binary } else { RowForm::Text };
                split(payload, form, &shapes, &mut cells)?;
                now.rows.push(cells.iter().map(|cell| cell.content(payload).map(<[u8]>::to_vec)).collect());
            }
            Event::Err { .. } => reply.error = Some(ErrPacket::decode(payload)?.to_sql_error()),
            Event::PrepareOk(ok) => statement = ok.statement,
            Event::Ok(_) | Event::End(_) => {
                finish(&mut now, payload, capabilities)?;
                reply.outcomes.push(std::mem::take(&mut now));
                shapes.clear();
            }
            Event::LocalInfile { name } => {
                let file = read_local(&payload[name]);
                file.chunks(50).for_each(|packet| link.push(packet));
                link.push(b"");
                link.flush().await?;
            }
            _ => {}
        }
    }
    if kind == Kind::Prepare {
        reply.prepared = Some(now.columns);
    }
    Ok((reply, statement))
}

/// What a client has under this name: a file of `tests/fixtures/score/files`.
fn read_local(name: &[u8]) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/score/files/");
    std::fs::read(format!("{folder}{}", String::from_utf8_lossy(name))).unwrap()
}

fn finish(
    outcome: &mut Outcome,
    payload: &[u8],
    capabilities: Capabilities,
) -> Result<(), shardloom::wire::error::WireError> {
    if payload.first() == Some(&EOF) && payload.len() < 7 {
        let eof = EofPacket::decode(payload)?;
        (outcome.status, outcome.warnings) = (eof.status, eof.warnings);
        return Ok(());
    }
    let ok = OkPacket::decode(payload, capabilities)?;
    outcome.affected_rows = ok.affected_rows;
    outcome.last_insert_id = ok.last_insert_id;
    outcome.info = String::from_utf8_lossy(ok.info).into_owned();
    outcome.warnings = ok.warnings;
    outcome.status = ok.status;
    Ok(())
}

/// NULL bitmap, types, values.
fn encode(arguments: &[Argument]) -> Vec<u8> {
    if arguments.is_empty() {
        return Vec::new();
    }
    let mut out = vec![0; arguments.len().div_ceil(8)];
    for (i, _) in arguments.iter().enumerate().filter(|(_, argument)| **argument == Argument::Null) {
        out[i / 8] |= 1 << (i % 8);
    }
    out.push(1);
    for argument in arguments {
        let ty = match argument {
            Argument::Int(_) => ColumnType::LONGLONG,
            Argument::Double(_) => ColumnType::DOUBLE,
            Argument::Text(_) => ColumnType::VAR_STRING,
            Argument::Null => ColumnType::NULL,
        };
        out.extend_from_slice(&[ty.0, 0]);
    }
    for argument in arguments {
        match argument {
            Argument::Int(number) => out.extend_from_slice(&number.to_le_bytes()),
            Argument::Double(number) => out.extend_from_slice(&number.to_le_bytes()),
            Argument::Text(text) => put_lenenc_bytes(&mut out, text.as_bytes()),
            Argument::Null => {}
        }
    }
    out
}

impl From<&ColumnDef<'_>> for Column {
    fn from(column: &ColumnDef<'_>) -> Column {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Column {
            schema: text(column.schema),
            table: text(column.table),
            org_table: text(column.org_table),
            name: text(column.name),
            org_name: text(column.org_name),
            charset: column.charset,
            length: column.length,
            ty: column.ty.0,
            flags: column.flags,
            decimals: column.decimals,
        }
    }
}

impl Reply {
    /// For people: what came, shortened.
    pub(in crate::servers) fn show(&self) -> String {
        let mut text = String::new();
        for outcome in &self.outcomes {
            if outcome.columns.is_empty() {
                text += &format!(
                    "ok affected={} id={} info={:?} warnings={} {:?} ",
                    outcome.affected_rows, outcome.last_insert_id, outcome.info, outcome.warnings, outcome.status
                );
                continue;
            }
            let names: Vec<&str> = outcome.columns.iter().map(|column| column.name.as_str()).collect();
            text += &format!(
                "[{}] {} rows warnings={} {:?}: ",
                names.join("|"),
                outcome.rows.len(),
                outcome.warnings,
                outcome.status
            );
            for row in outcome.rows.iter().take(40) {
                let cells: Vec<String> = row.iter().map(show_cell).collect();
                text += &format!("({}) ", cells.join("|"));
            }
        }
        if let Some(error) = &self.error {
            text += &error.to_string();
        }
        text
    }
}

pub(in crate::servers) fn show_cell(cell: &Cell) -> String {
    match cell {
        None => "NULL".to_owned(),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(char::is_control) => text.to_owned(),
            _ => format!("0x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        },
    }
}
