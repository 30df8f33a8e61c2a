//! Whole models and whole commands.
// A test that meets what it did not expect ends there.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod commands;
mod diverging;
mod evaluating;
mod gradients;
mod learning;
mod messages;
mod origin;
mod others;
mod place;
mod saving;
mod sturdy;
mod support;
mod text;
mod together;
mod watching;
