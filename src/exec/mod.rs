//! Running bound plans: where targets are asked, and what becomes of their answers.

pub mod merge;
