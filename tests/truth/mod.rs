//! A corpus of which we know what is like what, and a report of what a dedup makes of it.
//!
//! `generate` makes documents out of made-up words and derives others from them, in ways that copies
//! come about; `alike` counts out how alike they are, by the definition and not with the code of a
//! stage; `report` holds what a build removed against that. Used by `tests/it/truth.rs` on a small
//! corpus and by `cargo run --release --example truth` on a large one.

pub mod alike;
pub mod generate;
pub mod report;
