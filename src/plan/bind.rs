//! Binding: from the values of one statement to the targets that must answer, and to the text for each.
//! It makes no plan and sends nothing.

// The signatures that `exec` is written against; the bodies follow with routing.
//
// pub fn bind<'a>(planned: &'a Planned, rules: &'a RuleSet, sql: &'a [u8], scan: &'a Scan, args: &'a [Datum<'a>])
//     -> Result<Bound<'a>, SqlError>
//     errors: the plan's own refusal, 1235 for values that cannot be routed, 1210 for too few parameters
//
// /// For COM_STMT_PREPARE: any one target that knows the statement's columns, whatever its parameters will be.
// pub fn sample<'a>(planned, rules, sql, scan) -> Result<Bound<'a>, SqlError>
//
// impl<'a> Bound<'a> {
//     /// Whether the client's own text can be sent as it is (then `render` gives back the same bytes).
//     pub fn verbatim(&self) -> bool;
//     /// Appends the text for one target of the route (or, for `Route::Any`, of the group picked).
//     pub fn render(&self, target: Target, out: &mut Vec<u8>) -> Params;
//     /// The value in a slot (for merge::Scalar::Slot), decoded; the numbers there have been checked.
//     pub fn datum(&self, slot: Slot) -> Option<Datum<'a>>;
//     /// The logical names of a physical table on a target, for column definitions: None leaves them as they are.
//     pub fn logical(&self, target: Target, schema: &[u8], table: &[u8]) -> Option<(&'a str, &'a str)>;
//     /// All (physical schema, physical table, logical schema, logical table) of a target, for error messages.
//     pub fn names(&self, target: Target) -> impl Iterator<Item = Name<'a>>;
//     /// For an INSERT split by shard: the target that has the statement's first row.
//     pub fn first(&self) -> Option<Target>;
// }
