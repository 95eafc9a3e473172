//! Numbers that no two proxies ever give out twice, as arithmetic over a clock that is passed in and spans that were
//! taken before. It knows no servers; that spans do not overlap is for whoever takes them to keep.

pub mod segment;
pub mod snowflake;
pub mod uuid;
