//! Raw files that lie with their publishers: how they are named, found, listed and read.
//!
//! A request is blocking, on the thread that wants its bytes: what is read goes through a CPU-bound
//! pipeline or to a disk, and a few dozen connections need no more than a few dozen threads. One
//! [`Network`] knows how many connections a host may have, when it asked to be left alone, and what
//! rate is wanted; [`Stream`] goes on by range after a cut; [`Ahead`] reads ahead for a build.
//!
//! Credentials come from the environment, go to the host that they are for, and are in no message.

mod address;
mod ahead;
mod checksum;
mod encode;
mod google;
mod list;
mod network;
mod s3;
mod stream;

use std::fmt;

pub use address::{Address, name_of, numbers};
pub use ahead::{Ahead, raw_file};
pub use checksum::{Check, Checks, Kind};
pub use list::Listed;
pub use network::{Found, Network, Settings};
pub use stream::{Pin, Step, Stream};

/// The result of asking a publisher.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a publisher's file could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// What was typed is no address that we can read.
    #[error("{address}: {detail}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The publisher says no, and will say so again.
    #[error("{address}: {status}")]
    Refused {
        /// The address.
        address: String,
        /// The status, and what it means.
        status: Status,
    },
    /// It did not work, however often it was tried.
    #[error("{address}: {detail} (tried {})", times(*.attempts))]
    Failed {
        /// The address.
        address: String,
        /// What happened last.
        detail: String,
        /// How often it was tried without getting any further.
        attempts: u32,
    },
    /// The file is another one than it was.
    #[error("{address} has changed: {detail}")]
    Changed {
        /// The address.
        address: String,
        /// What differs.
        detail: String,
    },
    /// Credentials that are there, but cannot be used.
    #[error("{0}")]
    Credentials(String),
    /// Whoever asked wants nothing more.
    #[error("stopped")]
    Stopped,
}

/// An HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            400 => "the publisher takes it for a wrong request",
            401 => "the publisher wants to know who asks",
            403 => "the publisher does not allow it",
            404 => "there is no such file",
            410 => "the file is gone",
            416 => "the publisher does not give such a range",
            451 => "the publisher may not give it for legal reasons",
            _ => "the publisher does not give it",
        };
        write!(f, "{words} (HTTP {})", self.0)
    }
}

fn times(attempts: u32) -> String {
    if attempts == 1 { "once".to_owned() } else { format!("{attempts} times") }
}
