//! `redpajama-train`: GPT-NeoX models trained from token shards.
//!
//! The model is written once, forward and backward, over a [`device::Device`]; [`cpu::Cpu`] is the one
//! that is exact and runs everywhere. This crate stands on `corpus` alone: it never compiles Parquet,
//! a cloud client or a source.

pub mod checkpoint;
pub mod cli;
pub mod comm;
pub mod commands;
pub mod config;
pub mod cores;
pub mod cpu;
pub mod data;
pub mod device;
pub mod evaluate;
pub mod events;
pub mod failure;
pub mod first;
pub mod folder;
pub mod generate;
pub mod keys;
pub mod launcher;
pub mod learner;
pub mod libraries;
pub mod memory;
pub mod model;
pub mod origin;
pub mod past;
pub mod plot;
pub mod precision;
pub mod pretrain;
pub mod progress;
pub mod report;
pub mod saver;
pub mod spec;
pub mod tensors;
pub mod tokenizer;
pub mod told;
pub mod utilization;
pub mod weights;
pub mod yaml;
