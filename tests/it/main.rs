//! Whole commands on whole files, as a user runs them.
// A test that meets what it did not expect ends there, and one that cannot run says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod bad_input;
mod classifier;
mod commands;
mod crawls;
mod cuts;
mod dedups;
mod fetch;
mod floors;
mod guard;
mod models;
mod near_duplicates;
mod runs;
mod server;
mod support;
#[path = "../truth/mod.rs"]
mod truth;
mod whatif;
