//! Processes over TCP: how they speak by pairs, and tell who was lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::net::sockopt;

use super::Comm;
use super::beats::{BEAT, Beats};
use super::door::Door;
use super::meeting::{Patience, meet};
use crate::failure::{Code, Failure, Result};
use crate::launcher::World;

/// How long a process waits for the next word of another, or its next beat where it is at something that takes long:
/// longer than their steps take.
const SILENCE: Duration = Duration::from_secs(3600);
/// How often it beats then.
const EVERY: Duration = Duration::from_secs(60);
/// How long a host may give no sign of life, its power or its network being lost: the system asks after a minute, then
/// every ten seconds, and what is sent must arrive by then. A process that computes for longer is not taken for
/// dead: its host answers for it.
const LOST_AFTER: Duration = Duration::from_secs(120);
/// How long a line is silent before the system asks.
const ASKS_AFTER: Duration = Duration::from_secs(60);
/// How often it asks then.
const ASKS_EVERY: Duration = Duration::from_secs(10);
/// How long it takes, at most, to tell another why it ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// Stands where the length of a message stands, before the rank of a process that was lost.
const LOST: u64 = u64::MAX;

/// Processes that are connected each with each.
#[derive(Debug)]
pub struct Tcp {
    rank: usize,
    peers: Vec<Option<TcpStream>>,
}

impl Tcp {
    /// Meets the others; the first of them at `door`, if it is open already. The number of processes is a power of two.
    pub fn connect(world: &World, door: Option<Door>) -> Result<Tcp> {
        let size = world.size;
        if !size.is_power_of_two() {
            return Err(Failure::usage(format!("{size} processes: their number must be a power of two"))
                .hint("gradients are added as a binary tree, so that every number of processes gives the same bits"));
        }
        let mut peers = Vec::new();
        for (other, line) in meet(world, door, &Patience::default())?.into_iter().enumerate() {
            peers.push(line.map(ready).transpose().map_err(cannot("ready the line to", other))?);
        }
        Ok(Tcp { rank: world.rank, peers })
    }
}

impl Comm for Tcp {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.peers.len()
    }

    fn beats(&self) -> Beats {
        Beats::to(self.peers.iter().flatten(), EVERY)
    }

    fn swap(&mut self, other: usize, own: &[u8]) -> Result<Vec<u8>> {
        match self.exchange(other, own) {
            Ok(Heard::Bytes(theirs)) => Ok(theirs),
            Ok(Heard::Lost(lost)) => {
                self.tell(lost);
                Err(has_lost(other, lost))
            }
            Err(failure) => {
                self.tell(other);
                Err(failure)
            }
        }
    }
}

/// What another process says.
enum Heard {
    Bytes(Vec<u8>),
    /// That it ends, for it has lost the process of this rank.
    Lost(usize),
}

impl Tcp {
    fn exchange(&mut self, other: usize, own: &[u8]) -> Result<Heard> {
        // One speaks while the other listens, so that neither waits for room on the way. It first says that
        // it listens: what is sent to one that still computes would find no room, and after a while the
        // system would take that for a lost host.
        if self.rank > other {
            if let Some(lost) = say(self.line(other)?, b"", other)? {
                return Ok(lost);
            }
            let theirs = self.next(other)?;
            if let Heard::Bytes(_) = theirs {
                put(self.line(other)?, own, other)?;
            }
            return Ok(theirs);
        }
        if let Heard::Lost(lost) = self.next(other)? {
            return Ok(Heard::Lost(lost));
        }
        match say(self.line(other)?, own, other)? {
            Some(lost) => Ok(lost),
            None => self.next(other),
        }
    }

    fn line(&mut self, other: usize) -> Result<&mut TcpStream> {
        let rank = self.rank;
        let line = self.peers.get_mut(other).and_then(Option::as_mut);
        line.ok_or_else(|| Failure::new(Code::Failed, format!("process {rank} has no line to process {other}")))
    }

    /// What another says, however long it is at work before. All others hear of that: who waits for this process waits
    /// for that one.
    fn next(&mut self, other: usize) -> Result<Heard> {
        loop {
            if let Some(heard) = hear(self.line(other)?, other)? {
                return Ok(heard);
            }
            let lines = self.peers.iter_mut().enumerate().filter(|(at, _)| *at != other);
            for line in lines.filter_map(|(_, line)| line.as_mut()) {
                // One that is lost is found out when something is said to it.
                let _ = line.write_all(&BEAT.to_le_bytes());
            }
        }
    }

    /// Tells the others which process was lost, so that each can name it: they would only see this one
    /// go. Best effort.
    fn tell(&mut self, lost: usize) {
        let words = [LOST.to_le_bytes(), (lost as u64).to_le_bytes()].concat();
        for (other, stream) in self.peers.iter_mut().enumerate() {
            // Between messages, as the lines to all but the lost one are, the others take it for the next.
            if let Some(stream) = stream
                && other != lost
            {
                let _ = stream.set_write_timeout(Some(FAREWELL)).and_then(|()| stream.write_all(&words));
            }
        }
    }
}

fn has_lost(other: usize, lost: usize) -> Failure {
    Failure::new(Code::Failed, format!("process {other} has lost process {lost}"))
        .hint("look at what that process said; the same command again goes on from the last checkpoint")
}

fn cannot(action: &'static str, other: usize) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| {
        let why = match error.kind() {
            std::io::ErrorKind::UnexpectedEof
            | std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::BrokenPipe => "it is gone".to_owned(),
            // The system gave the line up.
            std::io::ErrorKind::TimedOut
            | std::io::ErrorKind::HostUnreachable
            | std::io::ErrorKind::NetworkUnreachable => {
                format!("its host gave no sign of life for {} s", LOST_AFTER.as_secs())
            }
            std::io::ErrorKind::WouldBlock => format!("it said nothing for {} minutes", SILENCE.as_secs() / 60),
            _ => error.to_string(),
        };
        Failure::new(Code::Failed, format!("cannot {action} process {other}: {why}"))
            .hint("look at what that process said; the same command again goes on from the last checkpoint")
    }
}

fn ready(stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, ASKS_AFTER)?;
    sockopt::set_tcp_keepintvl(&stream, ASKS_EVERY)?;
    let times = (LOST_AFTER - ASKS_AFTER).as_secs() / ASKS_EVERY.as_secs();
    sockopt::set_tcp_keepcnt(&stream, times as u32)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(&stream, LOST_AFTER.as_millis() as u32)?;
    Ok(stream)
}

fn put(stream: &mut TcpStream, bytes: &[u8], other: usize) -> Result<()> {
    let sent = stream.write_all(&(bytes.len() as u64).to_le_bytes()).and_then(|()| stream.write_all(bytes));
    sent.map_err(cannot("speak to", other))
}

/// Sends, or hears why the other listens no more: what it said last may still be there.
fn say(stream: &mut TcpStream, bytes: &[u8], other: usize) -> Result<Option<Heard>> {
    let Err(failure) = put(stream, bytes, other) else { return Ok(None) };
    let _ = stream.set_read_timeout(Some(FAREWELL));
    loop {
        match hear(stream, other) {
            Ok(Some(Heard::Lost(lost))) => return Ok(Some(Heard::Lost(lost))),
            Ok(None) => (),
            _ => return Err(failure),
        }
    }
}

/// The next message, or nothing where it is a beat.
fn hear(stream: &mut TcpStream, other: usize) -> Result<Option<Heard>> {
    let mut eight = [0; 8];
    stream.read_exact(&mut eight).map_err(cannot("hear", other))?;
    let length = u64::from_le_bytes(eight);
    if length == BEAT {
        return Ok(None);
    }
    if length == LOST {
        stream.read_exact(&mut eight).map_err(cannot("hear", other))?;
        return Ok(Some(Heard::Lost(u64::from_le_bytes(eight) as usize)));
    }
    let mut bytes = Vec::new();
    // It grows with what comes: a stranger's length is not believed.
    let read = stream.take(length).read_to_end(&mut bytes).map_err(cannot("hear", other))?;
    if read as u64 != length {
        return Err(cannot("hear", other)(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Some(Heard::Bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free_port() -> u16 {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn meet(rank: usize, size: usize, port: u16) -> Result<Tcp> {
        Tcp::connect(&World::here(rank, size, port), None)
    }

    #[test]
    fn everyone_hears_everyone() {
        for size in [2, 4] {
            let port = free_port();
            let heard: Vec<Vec<Vec<u8>>> = std::thread::scope(|scope| {
                let all: Vec<_> = (0..size)
                    .map(|rank| {
                        scope.spawn(move || {
                            let mut comm = meet(rank, size, port).unwrap();
                            let own = vec![rank as u8; 1_000_000 * rank];
                            let collected = comm.collect(&own).unwrap();
                            let gathered = comm.gather(&own).unwrap();
                            assert!(if rank == 0 { collected == gathered } else { collected.is_empty() });
                            gathered
                        })
                    })
                    .collect();
                all.into_iter().map(|one| one.join().unwrap()).collect()
            });
            for all in heard {
                for (rank, bytes) in all.iter().enumerate() {
                    assert!(bytes.len() == 1_000_000 * rank && bytes.iter().all(|byte| *byte == rank as u8));
                }
            }
        }
    }

    #[test]
    fn hosts_that_vanish_are_asked_for() {
        let port = free_port();
        std::thread::scope(|scope| {
            for rank in 0..2 {
                scope.spawn(move || {
                    let comm = meet(rank, 2, port).unwrap();
                    let line = comm.peers[1 - rank].as_ref().unwrap();
                    let (idle, every) = (sockopt::tcp_keepidle(line).unwrap(), sockopt::tcp_keepintvl(line).unwrap());
                    assert!(sockopt::socket_keepalive(line).unwrap());
                    assert_eq!(idle + every * sockopt::tcp_keepcnt(line).unwrap(), LOST_AFTER);
                    #[cfg(target_os = "linux")]
                    assert_eq!(sockopt::tcp_user_timeout(line).unwrap(), LOST_AFTER.as_millis() as u32);
                });
            }
        });
    }

    #[test]
    fn who_is_gone_is_named() {
        let port = free_port();
        std::thread::scope(|scope| {
            scope.spawn(move || drop(meet(1, 2, port).unwrap()));
            let mut comm = meet(0, 2, port).unwrap();
            let failure = comm.gather(b"?").and_then(|_| comm.gather(b"!")).unwrap_err();
            assert!(failure.message.contains("process 1: it is gone"), "{failure}");
        });
        assert!(meet(0, 3, port).unwrap_err().message.contains("power of two"));
    }

    /// Both ends of a line.
    fn line() -> (TcpStream, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    fn number(stream: &mut TcpStream) -> u64 {
        let mut eight = [0; 8];
        stream.read_exact(&mut eight).unwrap();
        u64::from_le_bytes(eight)
    }

    #[test]
    fn who_is_at_work_is_waited_for_and_so_is_who_waits_for_it() {
        // Of four processes, number 1 waits for number 0; the others for number 1.
        let ((zero, mut to_zero), (two, mut to_two), (three, mut to_three)) = (line(), line(), line());
        let mut comm = Tcp { rank: 1, peers: vec![Some(zero), None, Some(two), Some(three)] };
        for number in [BEAT, BEAT, BEAT, 2] {
            to_zero.write_all(&number.to_le_bytes()).unwrap();
        }
        to_zero.write_all(b"ok").unwrap();
        assert_eq!(comm.swap(0, b"!").unwrap(), b"ok");
        // It listened, and spoke.
        assert_eq!([number(&mut to_zero), number(&mut to_zero)], [0, 1]);
        // What it says to the others comes after as many beats.
        for (other, line) in [(2, &mut to_two), (3, &mut to_three)] {
            for number in [BEAT, 0, BEAT, 0] {
                line.write_all(&number.to_le_bytes()).unwrap();
            }
            assert_eq!(comm.swap(other, b"").unwrap(), b"");
        }
        assert_eq!([number(&mut to_two), number(&mut to_two), number(&mut to_two)], [BEAT; 3]);
        assert_eq!([number(&mut to_three), number(&mut to_three), number(&mut to_three)], [BEAT; 3]);
        // And after those of the swap between: number 2 beat twice.
        assert_eq!(number(&mut to_two), 0);
        assert_eq!([number(&mut to_three), number(&mut to_three), number(&mut to_three)], [BEAT, BEAT, 0]);
    }

    #[test]
    fn who_is_at_work_says_so_until_it_speaks() {
        let ((one, mut to_one), (two, mut to_two)) = (line(), line());
        let mut comm = Tcp { rank: 0, peers: vec![None, Some(one), Some(two)] };
        let beats = Beats::to(comm.peers.iter().flatten(), Duration::from_millis(1));
        for line in [&mut to_one, &mut to_two] {
            assert_eq!([number(line), number(line), number(line)], [BEAT; 3]);
        }
        drop(beats);
        for other in [1, 2] {
            let line = if other == 1 { &mut to_one } else { &mut to_two };
            for number in [0u64, 0] {
                line.write_all(&number.to_le_bytes()).unwrap();
            }
            comm.swap(other, b"words").unwrap();
            // Whole beats, and whole words after the last of them.
            let length = std::iter::repeat_with(|| number(line)).find(|number| *number != BEAT);
            let mut words = [0; 5];
            line.read_exact(&mut words).unwrap();
            assert_eq!((length, &words), (Some(5), b"words"));
        }
    }
}
