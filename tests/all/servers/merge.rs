//! Merged rows of three tables are, byte for byte, what one table with all rows gives: on every server, in the text
//! protocol and in the binary one.

use shardloom::demo::install::account;
use shardloom::demo::server::{Server, Settings};
use shardloom::exec::merge::{Merger, Step, Want};
use shardloom::plan::Window;
use shardloom::plan::merge::{Aggregate, Cell, Combine, Comparison, Merge, Scalar, SortKey, Test};
use shardloom::plan::slot::Slot;
use shardloom::value::Datum;
use shardloom::value::decimal::Decimal;
use shardloom::wire::capabilities::Capabilities;
use shardloom::wire::column::ColumnDef;
use shardloom::wire::command::{Command, Execute};
use shardloom::wire::link::Link;
use shardloom::wire::login_client::{Credentials, LoginWish, client_login};
use shardloom::wire::reply::{ErrPacket, PrepareOk};
use shardloom::wire::response::{Event, Kind, Response};
use shardloom::wire::row::{self, RowForm, convert, split};
use shardloom::wire::stream::Stream;
use shardloom::wire::tls::ClientTls;
use shardloom::wire::value::Shape;
use tokio::net::TcpStream;

use super::testbed::{folder, installations};

const PARTS: [&str; 3] = ["p0", "p1", "p2"];

#[test]
fn merging_parts_equals_asking_one() {
    for installation in installations() {
        let folder = folder();
        let server = Server::start(&installation, &folder.path().join("one"), Settings::new(1)).unwrap();
        server.sql(&data()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut client = Client::connect(&server).await;
            for case in cases() {
                for form in [RowForm::Text, RowForm::Binary] {
                    case.check(&mut client, form).await;
                }
            }
        });
    }
}

/// A statement over `t`, and how it is answered from the parts.
struct Case {
    /// What the client asks.
    whole: String,
    /// What is asked of each part, whose name stands for `t`.
    part: String,
    merge: Merge,
    window: Option<Window>,
}

impl Case {
    /// `head` is the client's select list, `hidden` what is added to it, `tail` follows the table's name.
    fn new(head: &str, hidden: &[&str], tail: &str, merge: Merge) -> Case {
        let more: String = hidden.iter().map(|column| format!(", {column}")).collect();
        let merge = Merge { hidden: hidden.len() as u16, ..merge };
        let (whole, part) = (format!("SELECT {head} FROM t {tail}"), format!("SELECT {head}{more} FROM {{}} {tail}"));
        Case { whole, part, merge, window: None }
    }

    /// Each part is asked with another tail.
    fn part_tail(self, tail: &str) -> Case {
        let head = self.part.split("{}").next().unwrap();
        Case { part: format!("{head}{{}} {tail}"), ..self }
    }

    async fn check(&self, client: &mut Client, form: RowForm) {
        let whole = client.ask(&self.whole, form).await;
        let mut parts = Vec::new();
        for part in PARTS {
            parts.push(client.ask(&self.part.replace("{}", part), form).await);
        }
        let columns: Vec<_> = parts[0].columns.iter().map(|def| ColumnDef::decode(def).unwrap()).collect();
        let value = |slot| match slot {
            Slot::Literal { index, .. } => Some(Datum::Int(index.into())),
            Slot::Param { index, .. } => Some(Datum::Decimal(tenths(index))),
            Slot::Null | Slot::Bool(_) | Slot::Id(_) => None,
        };
        let merger = Merger::new(&self.merge, self.window, &columns, form, PARTS.len(), 1 << 20, &value);
        let merged = merger.and_then(|merger| merge(merger, &parts));
        let merged = merged.unwrap_or_else(|error| panic!("{error}\n{}", self.part));
        assert!(!whole.rows.is_empty(), "{}", self.whole);
        for (index, (merged, row)) in merged.iter().zip(&whole.rows).enumerate() {
            let [merged, row] = [merged, row].map(|row| show(row, form, &columns[..whole.columns.len()]));
            assert_eq!(merged, row, "row {index}, {form:?}\n{}\n{}", self.whole, self.part);
        }
        assert_eq!(merged, whole.rows, "{form:?} {}", self.whole);
        for (part, whole) in columns.iter().zip(&whole.columns) {
            let whole = ColumnDef::decode(whole).unwrap();
            assert_eq!((part.ty, part.decimals, part.name), (whole.ty, whole.decimals, whole.name), "{}", self.whole);
        }
    }
}

/// The cells of a row, readable.
fn show(row: &[u8], form: RowForm, columns: &[ColumnDef]) -> Vec<String> {
    let shapes: Vec<_> = columns.iter().map(Shape::of).collect();
    let (mut text, mut cells) = (Vec::new(), Vec::new());
    convert(row, form, RowForm::Text, &shapes, &mut cells, &mut text).unwrap();
    split(&text, RowForm::Text, &shapes, &mut cells).unwrap();
    let show = |cell: &row::Cell| cell.content(&text).map_or("NULL".into(), String::from_utf8_lossy).into_owned();
    cells.iter().map(show).collect()
}

fn tenths(number: u16) -> Decimal {
    Decimal::parse(format!("{}.{}", number / 10, number % 10).as_bytes()).unwrap()
}

fn merge(mut merger: Merger, parts: &[Answer]) -> Result<Vec<Vec<u8>>, shardloom::error::SqlError> {
    let mut feeds: Vec<_> = parts.iter().map(|part| part.rows.iter()).collect();
    let mut merged = Vec::new();
    let mut turn = 0;
    loop {
        let mut row = Vec::new();
        match merger.next(&mut row)? {
            Step::Row => merged.push(row),
            Step::Finished => return Ok(merged),
            Step::NeedInput => {
                let source = match merger.want() {
                    Want::One(source) => source,
                    _ => {
                        turn += 1;
                        turn % parts.len()
                    }
                };
                match feeds[source].next() {
                    Some(row) => merger.row(source, row)?,
                    None => merger.end(source),
                }
            }
        }
    }
}

fn item(item: u16) -> SortKey {
    SortKey { value: Cell::Item(item), weight: None, pad: None, desc: false }
}

fn hidden(hidden: u16) -> SortKey {
    SortKey { value: Cell::Hidden(hidden), weight: None, pad: None, desc: false }
}

fn desc(key: SortKey) -> SortKey {
    SortKey { desc: true, ..key }
}

fn by(keys: &[SortKey]) -> Merge {
    Merge { order: keys.into(), ..Merge::default() }
}

fn fold(keys: &[SortKey], columns: &[Aggregate]) -> Merge {
    Merge { combine: Combine::Fold { keys: keys.into(), columns: columns.into() }, ..by(keys) }
}

fn cell(item: u16) -> Scalar {
    Scalar::Cell(Cell::Item(item))
}

fn number(index: u32) -> Scalar {
    Scalar::Slot(Slot::Literal { index, negative: false })
}

fn pair(a: Scalar, b: Scalar) -> Box<[Scalar; 2]> {
    Box::new([a, b])
}

fn cases() -> Vec<Case> {
    let mut cases = ordered();
    cases.extend(folded());
    cases.extend(computed());
    cases.extend(conditions());
    cases
}

/// By every type, up and down; the id decides where values are equal.
fn ordered() -> Vec<Case> {
    let mut cases = Vec::new();
    for column in ["i", "u", "y", "d", "x", "dt", "da", "ti", "ye", "b", "s", "bin"] {
        let weight = format!("WEIGHT_STRING({column})");
        let (more, key) = match column {
            "s" => (vec![weight.as_str()], SortKey { weight: Some(Cell::Hidden(0)), ..item(1) }),
            _ => (vec![], item(1)),
        };
        let head = format!("id, {column}");
        let up = format!("ORDER BY {column}, id");
        cases.push(Case::new(&head, &more, &up, by(&[key, item(0)])));
        let down = format!("ORDER BY {column} DESC, id");
        cases.push(Case::new(&head, &more, &down, by(&[desc(key), item(0)])));
        let distinct = Merge { combine: Combine::Distinct([key, item(0)].into()), ..by(&[key, item(0)]) };
        cases.push(Case::new(&head, &more, &up, distinct));
    }
    for (column, expression) in [("f", "(f)+0e0"), ("x2", "(x2)+0e0"), ("ts", "UNIX_TIMESTAMP(ts)"), ("e", "(e)+0")] {
        let head = format!("id, {column}");
        cases.push(Case::new(&head, &[expression], &format!("ORDER BY {column}, id"), by(&[hidden(0), item(0)])));
    }
    // All in one, behind each other.
    let mixed = by(&[item(4), desc(item(2)), hidden(0), item(0)]);
    let order = "ORDER BY ye, d DESC, s, id";
    cases.push(Case::new("id, i, d, s, ye", &["WEIGHT_STRING(s)"], order, mixed.clone()));
    let window = Some(Window { skip: 100, take: 50 });
    let paged =
        Case::new("id, i, d, s, ye", &["WEIGHT_STRING(s)"], "ORDER BY ye, d DESC, s, id LIMIT 50 OFFSET 100", mixed);
    cases.push(Case { window, ..paged.part_tail("ORDER BY ye, d DESC, s, id LIMIT 150") });
    let distinct = Merge { combine: Combine::Distinct([item(0), item(1)].into()), ..by(&[item(0), item(1)]) };
    cases.push(Case::new("DISTINCT ye, i", &[], "ORDER BY ye, i", distinct));
    cases
}

/// Aggregates of every type, in groups and over all rows, and over none.
fn folded() -> Vec<Case> {
    let columns = [
        ("COUNT(*)", Aggregate::Sum),
        ("COUNT(d)", Aggregate::Sum),
        ("SUM(i)", Aggregate::Sum),
        ("SUM(u)", Aggregate::Sum),
        ("SUM(d)", Aggregate::Sum),
        ("SUM(x)", Aggregate::Sum),
        ("SUM(f)", Aggregate::Sum),
        ("MIN(i)", Aggregate::Min(item(8))),
        ("MAX(u)", Aggregate::Max(item(9))),
        ("MIN(d)", Aggregate::Min(item(10))),
        ("MAX(x)", Aggregate::Max(item(11))),
        ("MIN(f)", Aggregate::Min(item(12))),
        ("MIN(dt)", Aggregate::Min(item(13))),
        ("MAX(da)", Aggregate::Max(item(14))),
        ("MIN(ti)", Aggregate::Min(item(15))),
        ("MAX(ye)", Aggregate::Max(item(16))),
        ("MAX(bin)", Aggregate::Max(item(17))),
        ("BIT_AND(u)", Aggregate::BitAnd),
        ("BIT_OR(u)", Aggregate::BitOr),
        ("BIT_XOR(i)", Aggregate::BitXor),
        ("AVG(i)", Aggregate::Average { sum: Cell::Hidden(0), count: Cell::Hidden(1) }),
        ("AVG(d)", Aggregate::Average { sum: Cell::Hidden(2), count: Cell::Hidden(3) }),
        ("AVG(x)", Aggregate::Average { sum: Cell::Hidden(4), count: Cell::Hidden(5) }),
        ("MIN(s)", Aggregate::Min(hidden(6))),
        ("MAX(s)", Aggregate::Max(hidden(7))),
        ("IFNULL(SUM(d), 0)", Aggregate::Compute(cell(5))),
        ("SUM(x2)", Aggregate::Compute(Scalar::Cell(Cell::Hidden(8)))),
    ];
    let more = [
        ("SUM(i)", Aggregate::Sum),
        ("COUNT(i)", Aggregate::Sum),
        ("SUM(d)", Aggregate::Sum),
        ("COUNT(d)", Aggregate::Sum),
        ("SUM(x)", Aggregate::Sum),
        ("COUNT(x)", Aggregate::Sum),
        ("WEIGHT_STRING(MIN(s))", Aggregate::Min(hidden(6))),
        ("WEIGHT_STRING(MAX(s))", Aggregate::Max(hidden(7))),
        ("SUM((x2)+0e0)", Aggregate::Sum),
    ];
    let texts = |columns: &[(&'static str, Aggregate)]| columns.iter().map(|(text, _)| *text).collect::<Vec<_>>();
    let aggregates: Vec<_> =
        [Aggregate::Any].into_iter().chain(columns.iter().chain(&more).map(|(_, a)| a.clone())).collect();
    let select = |first: &str| format!("{first}, {}", texts(&columns).join(", "));
    let case = |first: &str, tail: &str, merge| Case::new(&select(first), &texts(&more), tail, merge);
    vec![
        case("g", "GROUP BY g ORDER BY g", fold(&[item(0)], &aggregates)),
        case("g", "GROUP BY g ORDER BY g DESC", fold(&[desc(item(0))], &aggregates)),
        case("da", "GROUP BY da ORDER BY da", fold(&[item(0)], &aggregates)),
        case("1", "", fold(&[], &aggregates)),
        case("1", "WHERE id % 3 = 1", fold(&[], &aggregates)),
        case("1", "WHERE id < 0", fold(&[], &aggregates)),
    ]
}

/// Expressions over aggregates, each in the type that the server gives it.
fn computed() -> Vec<Case> {
    let base = "SUM(d), SUM(i), COUNT(*), MAX(u), MIN(i), SUM(x)";
    let (d, i, n, u, least, x) = (cell(1), cell(2), cell(3), cell(4), cell(5), cell(6));
    let expressions = [
        ("SUM(d) + 7", Scalar::Add(pair(d.clone(), number(7)))),
        ("SUM(d) - SUM(i)", Scalar::Subtract(pair(d.clone(), i.clone()))),
        ("SUM(d) * COUNT(*)", Scalar::Multiply(pair(d.clone(), n.clone()))),
        ("SUM(d) * SUM(d)", Scalar::Multiply(pair(d.clone(), d.clone()))),
        ("-SUM(d)", Scalar::Negate(Box::new(d.clone()))),
        ("-MIN(i)", Scalar::Negate(Box::new(least.clone()))),
        ("COUNT(*) + 1", Scalar::Add(pair(n.clone(), number(1)))),
        ("COUNT(*) * 2 - MIN(i)", {
            Scalar::Subtract(pair(Scalar::Multiply(pair(n.clone(), number(2))), least.clone()))
        }),
        ("MAX(u) + COUNT(*)", Scalar::Add(pair(u.clone(), n.clone()))),
        ("MAX(u) * 1.5", Scalar::Multiply(pair(u, Scalar::Slot(Slot::Param { index: 15, negative: false })))),
        ("SUM(x) * 2", Scalar::Multiply(pair(x.clone(), number(2)))),
        ("SUM(x) + SUM(d)", Scalar::Add(pair(x.clone(), d))),
        ("COUNT(*) - SUM(x)", Scalar::Subtract(pair(n, x))),
    ];
    let one = |(text, scalar): (&str, Scalar)| {
        let mut aggregates = vec![Aggregate::Any, Aggregate::Sum, Aggregate::Sum, Aggregate::Sum];
        aggregates.extend([
            Aggregate::Max(item(4)),
            Aggregate::Min(item(5)),
            Aggregate::Sum,
            Aggregate::Compute(scalar),
        ]);
        let head = format!("g, {base}, {text}");
        Case::new(&head, &[], "GROUP BY g ORDER BY g", fold(&[item(0)], &aggregates))
    };
    expressions.into_iter().map(one).collect()
}

/// HAVING, and an order that is not that of the groups.
fn conditions() -> Vec<Case> {
    let average = Aggregate::Average { sum: Cell::Hidden(0), count: Cell::Hidden(1) };
    let aggregates =
        [Aggregate::Any, Aggregate::Sum, Aggregate::Sum, average, Aggregate::Sum, Aggregate::Sum, Aggregate::Sum];
    let case = |having: &str, test: Option<Test>, order: &str, sort: &[SortKey]| {
        let merge = Merge { having: test, sort: sort.into(), ..fold(&[item(0)], &aggregates) };
        let tail = format!("GROUP BY g {having} ORDER BY {order}");
        Case::new("g, COUNT(*), SUM(d), AVG(d), SUM(x)", &["SUM(d)", "COUNT(d)"], &tail, merge)
            .part_tail("GROUP BY g ORDER BY g")
    };
    let compare = |comparison, a, b| Some(Test::Compare(comparison, a, b));
    vec![
        case("HAVING COUNT(*) > 40", compare(Comparison::Gt, cell(1), number(40)), "g", &[]),
        case("HAVING SUM(d) <= 0", compare(Comparison::Le, cell(2), number(0)), "g", &[]),
        case("HAVING SUM(d) > SUM(x)", compare(Comparison::Gt, cell(2), cell(4)), "g", &[]),
        case("HAVING AVG(d) >= 7", compare(Comparison::Ge, cell(3), number(7)), "g", &[]),
        case(
            "HAVING NOT (AVG(d) >= 7)",
            Some(Test::Not(Box::new(compare(Comparison::Ge, cell(3), number(7)).unwrap()))),
            "g",
            &[],
        ),
        case(
            "HAVING SUM(d) IS NULL OR COUNT(*) = 1",
            {
                let lonely = compare(Comparison::Eq, cell(1), number(1)).unwrap();
                Some(Test::Or([Test::IsNull(cell(2)), lonely].into()))
            },
            "g",
            &[],
        ),
        case("", None, "SUM(d), g", &[item(2), item(0)]),
        case("", None, "COUNT(*) DESC, g DESC", &[desc(item(1)), desc(item(0))]),
        case("", None, "AVG(d) DESC, g", &[desc(item(3)), item(0)]),
        case("", None, "SUM(x), g", &[item(4), item(0)]),
    ]
}

/// Table `t` with 900 rows of all types, NULLs and edge values among them, and its three parts.
fn data() -> String {
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut rows = Vec::new();
    for id in 1..=900_usize {
        let mut cells = vec![id.to_string(), [next(40).to_string(), "NULL".into()][usize::from(next(30) == 0)].clone()];
        let (i, u, y) = (next(2_000) as i64 - 1_000, next(1 << 40), next(256) as i64 - 128);
        let d = format!("{}.{:05}", next(2_000) as i64 - 1_000, next(100_000));
        // Quarters add up without rounding, in any order.
        let x = (next(40_000) as f64 - 20_000.0) / 4.0;
        let dt = format!(
            "'20{:02}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}'",
            next(40),
            1 + next(12),
            1 + next(28),
            next(24),
            next(60),
            next(60),
            next(2) * next(1_000_000)
        );
        let da = ["'0000-00-00'".to_owned(), format!("'2024-{:02}-{:02}'", 1 + next(12), 1 + next(3))]
            [usize::from(next(9) > 0)]
        .clone();
        let ti = format!(
            "'{}{}:{:02}:{:02}.{:03}'",
            ["", "-"][next(2) as usize],
            next(839),
            next(60),
            next(59),
            next(1_000)
        );
        let ye = ["0", "1901", "1999", "2024", "2155"][next(5) as usize];
        let s = format!(
            "'{}{}{id}'",
            ["a", "A", "ä", "Ä", "b", "ß", "ss", "Z", "", "z "][next(10) as usize],
            ["", "x", "X", "é", "日"][next(5) as usize]
        );
        let bin = format!("x'{:02x}{:02x}'", next(3), next(256));
        let e = ["'low'", "'high'", "'medium'"][next(3) as usize];
        let ts = format!("'2024-0{}-01 {:02}:00:00'", 1 + next(9), next(24));
        let values = [
            i.to_string(),
            u.to_string(),
            y.to_string(),
            d,
            x.to_string(),
            (x / 2.0).to_string(),
            (x / 2.0).to_string(),
            dt,
            da,
            ti,
            ye.to_owned(),
            format!("b'{:b}'", next(1 << 10)),
            s,
            bin,
            e.to_owned(),
            ts,
        ];
        cells.extend(values.into_iter().map(|value| if next(12) == 0 { "NULL".to_owned() } else { value }));
        // Groups of a single row, one of them without a number.
        if id > 898 {
            cells[1] = id.to_string();
            cells[5] = ["1.5", "NULL"][id % 2].to_owned();
        }
        rows.push(format!("({})", cells.join(", ")));
    }
    let table = "(id INT PRIMARY KEY, g INT, i INT, u BIGINT UNSIGNED, y TINYINT, d DECIMAL(20,5), x DOUBLE, f FLOAT, \
                 x2 DOUBLE(12,3), dt DATETIME(6), da DATE, ti TIME(3), ye YEAR, b BIT(10), s VARCHAR(30), \
                 bin VARBINARY(9), e ENUM('low', 'medium', 'high'), ts TIMESTAMP NULL) CHARACTER SET utf8mb4";
    let mut script = "SET sql_mode = ''; CREATE DATABASE d; USE d;".to_owned();
    script += &format!("CREATE TABLE t {table}; INSERT INTO t VALUES {};", rows.join(", "));
    for (index, part) in PARTS.iter().enumerate() {
        script += &format!("CREATE TABLE {part} {table}; INSERT INTO {part} SELECT * FROM t WHERE id % 3 = {index};");
    }
    script
}

/// The columns and rows of an answer, as packets.
struct Answer {
    columns: Vec<Vec<u8>>,
    rows: Vec<Vec<u8>>,
}

struct Client {
    link: Link,
    capabilities: Capabilities,
}

impl Client {
    async fn connect(server: &Server) -> Client {
        let stream = Stream::tcp(TcpStream::connect(server.addr()).await.unwrap()).unwrap();
        let credentials = Credentials {
            user: account::USER.to_owned(),
            password: account::PASSWORD.to_owned(),
            schema: "d".to_owned(),
        };
        let wish = LoginWish {
            capabilities: Capabilities::DEPRECATE_EOF.with(Capabilities::CONNECT_WITH_DB),
            collation: 45,
            max_packet: 1 << 24,
            attributes: Vec::new(),
        };
        let (link, hello) =
            client_login(stream, "localhost", &credentials, &ClientTls::disabled(), &wish).await.unwrap();
        Client { link, capabilities: hello.capabilities }
    }

    async fn ask(&mut self, sql: &str, form: RowForm) -> Answer {
        let command = match form {
            RowForm::Text => Command::Query(sql.as_bytes()),
            RowForm::Binary => {
                let statement = self.run(Command::StmtPrepare(sql.as_bytes()), Kind::Prepare).await.1;
                let execute = Execute { statement, flags: 0, params: &[] };
                let answer = self.run(Command::StmtExecute(execute), Kind::Execute).await.0;
                self.send(Command::StmtClose(statement)).await;
                return answer;
            }
        };
        self.run(command, Kind::Query).await.0
    }

    async fn send(&mut self, command: Command<'_>) {
        self.link.start_command();
        self.link.push_with(|out| command.encode(out));
        self.link.flush().await.unwrap();
    }

    /// With the number of a statement that was prepared.
    async fn run(&mut self, command: Command<'_>, kind: Kind) -> (Answer, u32) {
        self.send(command).await;
        let mut response = Response::new(kind, self.capabilities);
        let mut answer = Answer { columns: Vec::new(), rows: Vec::new() };
        let mut statement = 0;
        while !response.is_done() {
            let packet = self.link.expect_packet().await.unwrap();
            let payload = self.link.payload(&packet);
            match response.packet(payload).unwrap() {
                Event::ColumnDef { .. } => answer.columns.push(payload.to_vec()),
                Event::Rows { .. } => answer.rows.push(payload.to_vec()),
                Event::Err { .. } => panic!("{} {command:?}", ErrPacket::decode(payload).unwrap().to_sql_error()),
                _ if kind == Kind::Prepare && statement == 0 => {
                    statement = PrepareOk::decode(payload).unwrap().statement
                }
                _ => {}
            }
        }
        (answer, statement)
    }
}
