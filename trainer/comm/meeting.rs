//! How processes find each other: the first opens a door, the others come there, and learn where they find each other.
//!
//! Whoever comes says a greeting of one line, which names the run; what says anything else, or nothing in time, is
//! a stranger: it is shown out, told of and counted, and holds up nobody.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::door::{Door, no_such_host, resolve};
use crate::failure::{Code, Failure, Result};
use crate::launcher::World;
use crate::report::say;

/// What every line begins with: the program, and the version of what it says.
const MAGIC: &str = "redpajama-train/1";
/// The longest line: a table of 64 processes has less.
const LONGEST: usize = 8192;
/// How many may stand at the door without having said anything: for one more, the first of them goes.
const GUESTS: usize = 256;
/// How often those at the door, or the door itself, are looked after.
const LOOK: Duration = Duration::from_millis(10);
/// How long it is waited between two tries to reach another, at most: names are asked for anew each time.
const PAUSE: Duration = Duration::from_millis(500);
/// How many strangers are told of; the others are counted.
const TOLD: usize = 3;

/// How long what may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until all have come.
    pub gathering: Duration,
    /// A greeting, its answer, and a connection.
    pub greeting: Duration,
    /// Until a port is free: those of a run that was just ended may still be going.
    pub opening: Duration,
    /// Until it is told for whom one waits.
    pub silent: Duration,
    /// Until it is told again.
    pub again: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            gathering: Duration::from_secs(300),
            greeting: Duration::from_secs(10),
            opening: Duration::from_secs(5),
            silent: Duration::from_secs(5),
            again: Duration::from_secs(60),
        }
    }
}

/// Meets the others of a world, the first of them at `door` if it is open already: a line to each, by rank.
pub fn meet(world: &World, door: Option<Door>, patience: &Patience) -> Result<Vec<Option<TcpStream>>> {
    let deadline = Instant::now() + patience.gathering;
    let run = corpus::Digest::of(world.run.as_bytes()).short();
    let meeting = Meeting { world, patience, deadline, words: format!("{MAGIC} {run} {}", world.size) };
    let mut lines: Vec<Option<TcpStream>> = (0..world.size).map(|_| None).collect();
    if world.rank == 0 {
        let door = match door {
            Some(door) => door,
            None => Door::of_first(world, patience.opening)?,
        };
        let mut doors = vec!["-".to_owned(); world.size];
        if let Err(failure) = meeting.take_in(&door, 1, &mut lines, &mut doors) {
            for line in lines.iter_mut().flatten() {
                let _ = write_line(line, &format!("{MAGIC} ends {}", failure.message));
            }
            return Err(failure);
        }
        let table = format!("{} {}", meeting.words, doors[1..].join(" "));
        for (other, line) in lines.iter_mut().enumerate() {
            if let Some(line) = line {
                write_line(line, &table).map_err(|error| meeting.lost(other, &error))?;
            }
        }
        return Ok(lines);
    }
    let mut own = None;
    let ports = || -> std::io::Result<Vec<SocketAddr>> {
        let mut all = Vec::new();
        for port in &world.ports {
            all.extend(resolve(&world.host, *port)?);
        }
        Ok(all)
    };
    let mut first = meeting.reach(0, &ports, &mut own)?;
    // All have as long to come as this one had.
    let table = read_line(&mut first, Instant::now() + patience.gathering + patience.greeting)
        .map_err(|error| meeting.lost(0, &error))?;
    let Some(doors) = table.strip_prefix(&meeting.words) else {
        let why = table.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(" ends ")).unwrap_or("it says nothing");
        return Err(Failure::new(Code::Failed, format!("process 0 gives up: {why}")));
    };
    let host = first.peer_addr().map_err(|error| meeting.lost(0, &error))?.ip();
    // All are there: they have as long again to reach each other, however late the last of them came.
    let meeting = Meeting { deadline: Instant::now() + patience.gathering, ..meeting };
    lines[0] = Some(first);
    for (other, place) in doors.split_whitespace().enumerate().map(|(at, place)| (at + 1, place)).take(world.rank - 1) {
        let address = match place.strip_prefix("-:") {
            // On the first one's machine.
            Some(port) => port.parse().ok().map(|port| SocketAddr::new(host, port)),
            None => place.parse().ok(),
        };
        let line = meeting.reach(other, &|| address.map(|address| vec![address]).ok_or_else(no_such_host), &mut own)?;
        lines[other] = Some(line);
    }
    if let Some(own) = own {
        meeting.take_in(&own, world.rank + 1, &mut lines, &mut [])?;
    }
    Ok(lines)
}

/// One that came to the door, before it is known who it is.
struct Guest {
    stream: TcpStream,
    from: IpAddr,
    since: Instant,
    said: Vec<u8>,
}

impl Guest {
    /// What it said so far; nothing once it is a stranger for sure.
    fn listen(&mut self) -> Option<Option<String>> {
        let mut some = [0; 256];
        loop {
            match self.stream.read(&mut some) {
                Ok(0) => return None,
                Ok(count) => self.said.extend(&some[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return None,
            }
            if self.said.len() > LONGEST {
                return None;
            }
        }
        let begins = self.said.iter().zip(MAGIC.as_bytes()).all(|(own, other)| own == other);
        match self.said.strip_suffix(b"\n") {
            _ if !begins => None,
            None => Some(None),
            Some(line) => String::from_utf8(line.to_vec()).ok().map(Some),
        }
    }
}

struct Meeting<'a> {
    world: &'a World,
    patience: &'a Patience,
    deadline: Instant,
    /// What a greeting of this run begins with.
    words: String,
}

/// Tells for whom one waits, after a while and then now and again.
struct Waiting {
    next: Instant,
    again: Duration,
}

impl Waiting {
    fn tell(&mut self, line: impl FnOnce() -> String) {
        let now = Instant::now();
        if now >= self.next {
            self.next = now + self.again;
            say(&line());
        }
    }
}

impl Meeting<'_> {
    fn waiting(&self) -> Waiting {
        Waiting { next: Instant::now() + self.patience.silent, again: self.patience.again }
    }

    /// Takes in all from rank `from` on, and notes where each takes others in.
    fn take_in(&self, door: &Door, from: usize, lines: &mut [Option<TcpStream>], doors: &mut [String]) -> Result<()> {
        let World { rank, size, host, .. } = self.world;
        let mut waiting = self.waiting();
        let mut guests: Vec<Guest> = Vec::new();
        let mut strangers = 0;
        let mut show_out = |guest: &Guest, why: &str| {
            strangers += 1;
            if strangers <= TOLD {
                say(&format!(
                    "a stranger at port {} of process {rank}, from {}, {why}: shown out",
                    door.port, guest.from
                ));
            }
            strangers
        };
        let mut shown = 0;
        loop {
            let missing: Vec<String> =
                (from..*size).filter(|other| lines[*other].is_none()).map(|other| other.to_string()).collect();
            if missing.is_empty() {
                return Ok(());
            }
            let at = if *rank == 0 { format!("{host}:{}", door.port) } else { format!("port {}", door.port) };
            if Instant::now() >= self.deadline {
                let after = self.patience.gathering.as_secs();
                let came = size - missing.len();
                let mut message =
                    format!("{came} of {size} processes are at {at} after {after} s, missing {}", missing.join(", "));
                if shown > 0 {
                    message = format!("{message}; strangers were shown out: {shown}");
                }
                return Err(Failure::new(Code::Failed, message)
                    .hint("look at what those processes said; all must be given the same address and port"));
            }
            waiting
                .tell(|| format!("waiting for {} of {size} processes at {at}: {}", missing.len(), missing.join(", ")));
            // Any error but that nobody is there is of one that left, or passes: too many files.
            for _ in 0..GUESTS {
                let Ok((stream, address)) = door.listener.accept() else { break };
                if stream.set_nonblocking(true).is_err() {
                    continue;
                }
                let from = address.ip().to_canonical();
                guests.push(Guest { stream, from, since: Instant::now(), said: Vec::new() });
                if guests.len() > GUESTS {
                    shown = show_out(&guests.remove(0), "said nothing while many came");
                }
            }
            for mut guest in std::mem::take(&mut guests) {
                match guest.listen() {
                    None => shown = show_out(&guest, "does not greet as a process of a run"),
                    Some(None) if guest.since.elapsed() >= self.patience.greeting => {
                        shown = show_out(&guest, "said nothing in time");
                    }
                    Some(None) => guests.push(guest),
                    Some(Some(line)) => match self.greeted(guest, &line, from, lines, doors) {
                        Ok(()) => (),
                        Err((guest, why)) => shown = show_out(&guest, &why),
                    },
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Answers a greeting. Who is not taken in comes back, with what is wrong with it.
    fn greeted(
        &self,
        mut guest: Guest,
        line: &str,
        from: usize,
        lines: &mut [Option<TcpStream>],
        doors: &mut [String],
    ) -> std::result::Result<(), (Guest, String)> {
        let told = line.strip_prefix(&self.words).and_then(|rest| {
            let mut numbers = rest.split_whitespace().map(str::parse::<u16>);
            Some((usize::from(numbers.next()?.ok()?), numbers.next()?.ok()?))
        });
        let out = guest.stream.set_nonblocking(false);
        let out = out.and_then(|()| guest.stream.set_write_timeout(Some(self.patience.greeting)));
        let (other, port) = match told {
            Some((other, port)) if other >= from && other < self.world.size => (other, port),
            _ => {
                let _ = out.and_then(|()| write_line(&mut guest.stream, &format!("{MAGIC} other")));
                return Err((guest, "is a process of another run".to_owned()));
            }
        };
        // One that gave up waiting for the answer, and comes again, takes its former place.
        if lines[other].as_ref().is_some_and(|line| !is_closed(line)) {
            let _ = out.and_then(|()| write_line(&mut guest.stream, &format!("{MAGIC} twice")));
            return Err((guest, format!("says that it is process {other}, which is there already")));
        }
        let welcomed = out.and_then(|()| write_line(&mut guest.stream, &format!("{} welcome", self.words)));
        if welcomed.is_err() {
            return Err((guest, "left".to_owned()));
        }
        if let Some(door) = doors.get_mut(other) {
            // Who comes from this very machine by an address of it that no other machine knows is found where the
            // first one is found.
            *door = match guest.from.is_loopback() {
                true => format!("-:{port}"),
                false => SocketAddr::new(guest.from, port).to_string(),
            };
        }
        lines[other] = Some(guest.stream);
        Ok(())
    }

    /// Reaches another at one of its addresses; `own` is this one's door, opened on the way.
    fn reach(
        &self,
        other: usize,
        addresses: &dyn Fn() -> std::io::Result<Vec<SocketAddr>>,
        own: &mut Option<Door>,
    ) -> Result<TcpStream> {
        let mut waiting = self.waiting();
        let mut pause = LOOK;
        let at = if other == 0 { self.world.meeting() } else { "its port".to_owned() };
        let mut why;
        loop {
            match addresses() {
                Err(error) => why = error.to_string(),
                Ok(all) => {
                    why = no_such_host().to_string();
                    // What says the most of those that it is not.
                    let mut weight = 0;
                    for address in all {
                        match self.try_at(address, own) {
                            Ok(Answer::Welcome(stream)) => return Ok(stream),
                            Ok(Answer::Twice) => {
                                let (rank, size) = (self.world.rank, self.world.size);
                                let message = format!("two processes say that they are number {rank} of {size}");
                                return Err(Failure::usage(message).hint("each must be given a number of its own"));
                            }
                            Ok(Answer::Other) => (why, weight) = ("a process of another run is there".to_owned(), 2),
                            Ok(Answer::Stranger) if weight < 2 => {
                                (why, weight) = ("another program is there".to_owned(), 1)
                            }
                            Ok(Answer::Stranger) => (),
                            Err(error) if weight == 0 => why = error.to_string(),
                            Err(_) => (),
                        }
                    }
                }
            }
            if Instant::now() >= self.deadline {
                let after = self.patience.gathering.as_secs();
                return Err(Failure::new(
                    Code::Failed,
                    format!("cannot reach process {other} at {at} in {after} s: {why}"),
                )
                .hint("it must have been started with the same address and port: look at what it said"));
            }
            waiting.tell(|| format!("process {} waits for process {other} at {at}: {why}", self.world.rank));
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE);
        }
    }

    fn try_at(&self, address: SocketAddr, own: &mut Option<Door>) -> std::io::Result<Answer> {
        // Of many ports that nothing answers for, none may take the time of all.
        let mut stream = TcpStream::connect_timeout(&address, self.patience.greeting / 4)?;
        let here = stream.local_addr()?;
        // Where nobody listens at a port, the system may connect a process to itself.
        if here == stream.peer_addr()? {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let door = match own {
            Some(door) => door,
            None if self.world.one_machine() => own.insert(Door::at(SocketAddr::new(here.ip(), 0))?),
            None => own.insert(Door::everywhere(0)?),
        };
        stream.set_write_timeout(Some(self.patience.greeting))?;
        write_line(&mut stream, &format!("{} {} {}", self.words, self.world.rank, door.port))?;
        let answer = match read_line(&mut stream, Instant::now() + self.patience.greeting) {
            Ok(answer) => answer,
            // It speaks another tongue, or not at all.
            Err(_) => return Ok(Answer::Stranger),
        };
        if answer.strip_prefix(&self.words) == Some(" welcome") {
            return Ok(Answer::Welcome(stream));
        }
        Ok(match answer.strip_prefix(MAGIC) {
            Some(" twice") => Answer::Twice,
            Some(_) => Answer::Other,
            None => Answer::Stranger,
        })
    }

    fn lost(&self, other: usize, error: &std::io::Error) -> Failure {
        Failure::new(Code::Failed, format!("process {other} left before all {} had met: {error}", self.world.size))
            .hint("look at what that process said")
    }
}

/// What one hears at a port.
enum Answer {
    Welcome(TcpStream),
    /// The rank is taken.
    Twice,
    /// It takes in another run's.
    Other,
    /// It is no process of a run.
    Stranger,
}

fn is_closed(line: &TcpStream) -> bool {
    let looked = line.set_nonblocking(true).and_then(|()| line.peek(&mut [0]));
    let _ = line.set_nonblocking(false);
    match looked {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

fn write_line(stream: &mut TcpStream, line: &str) -> std::io::Result<()> {
    stream.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes())
}

/// A line, and nothing of what comes after it.
fn read_line(stream: &mut TcpStream, deadline: Instant) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() <= LONGEST {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut byte) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) if byte == *b"\n" => {
                return String::from_utf8(line).map_err(|_| ErrorKind::InvalidData.into());
            }
            Ok(_) => line.extend(byte),
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests;
