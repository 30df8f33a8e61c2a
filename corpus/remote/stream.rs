//! A file's bytes, through cuts: it goes on where it was, and notices when the file is another one.

use std::io::Read;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use ureq::http::Method;

use super::network::{Answer, Found, Trouble, content_range};
use super::{Address, Error, Network, Result, Status};

/// What tells one state of a file from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Its length.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u64>,
    /// The etag, or else the date of its last change.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub etag: Option<String>,
    /// What joins parts: sent as `If-Range`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validator: Option<String>,
}

impl From<&Found> for Pin {
    fn from(found: &Found) -> Pin {
        Pin { bytes: found.bytes, etag: found.etag.clone(), validator: found.validator.clone() }
    }
}

impl Pin {
    /// How another state of the file differs, if that can be told.
    fn differs(&self, other: &Pin) -> Option<String> {
        if let (Some(ours), Some(theirs)) = (self.bytes, other.bytes)
            && ours != theirs
        {
            return Some(format!("it has {theirs} bytes, not {ours}"));
        }
        match (&self.etag, &other.etag) {
            (Some(ours), Some(theirs)) if ours != theirs => Some(format!("its etag is {theirs}, not {ours}")),
            _ => None,
        }
    }
}

/// What reading gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many more bytes.
    Bytes(usize),
    /// The file begins anew: what was read of it before is of no use, for this reason.
    Anew(String),
    /// That was all.
    End,
}

/// A file that is being read.
pub struct Stream {
    network: Arc<Network>,
    address: Address,
    at: u64,
    pin: Option<Pin>,
    /// Whether another state of the file is an error.
    strict: bool,
    /// Whether parts may be joined though nothing tells whether they are of one file: their digest is known.
    checked: bool,
    body: Option<Answer>,
    /// Bytes to pass over, of a publisher who does not give ranges.
    skip: u64,
    attempts: u32,
    furthest: u64,
    found: Option<Found>,
}

impl Stream {
    /// Reads from the beginning.
    pub fn new(network: Arc<Network>, address: Address) -> Stream {
        Stream {
            network,
            address,
            at: 0,
            pin: None,
            strict: false,
            checked: false,
            body: None,
            skip: 0,
            attempts: 0,
            furthest: 0,
            found: None,
        }
    }

    /// Goes on at a place in the file that was pinned before.
    pub fn from(mut self, at: u64, pin: Pin) -> Stream {
        self.at = at;
        self.furthest = at;
        self.pin = Some(pin);
        self
    }

    /// Says that another state of the file than the pinned one is an error.
    pub fn strict(mut self) -> Stream {
        self.strict = true;
        self
    }

    /// Says that the digest of the whole will be compared with one that is known.
    pub fn checked(mut self, checked: bool) -> Stream {
        self.checked = checked;
        self
    }

    /// Which state of the file is read, once something was.
    pub fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }

    /// What the publisher said of the file when reading last began.
    pub fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    /// What to say of a file that is another one now.
    pub(super) fn changed(&self, detail: String) -> Error {
        Error::Changed { address: self.address.to_string(), detail }
    }

    /// Where in the file the next byte is.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Whether the file is open; nothing is read of it.
    pub fn open(&mut self) -> Result<Option<Step>> {
        let mut attempts = self.attempts;
        while self.body.is_none() {
            self.network.check_stop()?;
            if self.at > 0 && self.pin.as_ref().and_then(|pin| pin.bytes) == Some(self.at) {
                return Ok(Some(Step::End));
            }
            match self.ask() {
                Ok(None) => {}
                Ok(Some(step)) => return Ok(Some(step)),
                Err(trouble) => self.network.after(&self.address, &mut attempts, trouble)?,
            }
            self.attempts = attempts;
        }
        Ok(None)
    }

    /// Reads some bytes.
    pub fn step(&mut self, into: &mut [u8]) -> Result<Step> {
        loop {
            if let Some(step) = self.open()? {
                return Ok(step);
            }
            let Some(body) = &mut self.body else { continue };
            let total = self.pin.as_ref().and_then(|pin| pin.bytes);
            let trouble = match body.read(into) {
                Ok(0) if total.is_none_or(|total| total == self.at) => return Ok(Step::End),
                Ok(0) => "the connection ended early".to_owned(),
                Err(error) => match error.kind() {
                    std::io::ErrorKind::TimedOut => "nothing came any more".to_owned(),
                    _ => error.to_string(),
                },
                Ok(read) => {
                    self.network.took(read)?;
                    let passed = self.skip.min(read as u64);
                    self.skip -= passed;
                    let new = read - passed as usize;
                    if new == 0 {
                        continue;
                    }
                    into.copy_within(passed as usize..read, 0);
                    self.at += new as u64;
                    if total.is_some_and(|total| self.at > total) {
                        self.body = None;
                        let detail = format!("more bytes than the {} that were told", total.unwrap_or(0));
                        return Err(Error::Changed { address: self.address.to_string(), detail });
                    }
                    if self.at > self.furthest {
                        (self.furthest, self.attempts) = (self.at, 0);
                    }
                    return Ok(Step::Bytes(new));
                }
            };
            self.body = None;
            let trouble = match total {
                Some(total) => format!("{trouble}, at {} of {total} bytes", self.at),
                None => format!("{trouble}, at {} bytes", self.at),
            };
            let mut attempts = self.attempts;
            self.network.after(&self.address, &mut attempts, Trouble::Passing(trouble, None))?;
            self.attempts = attempts;
        }
    }

    /// Asks for the rest of the file. The caller learns if it begins anew.
    fn ask(&mut self) -> Result<Option<Step>, Trouble> {
        let mut headers = Vec::new();
        if self.at > 0 {
            let validator = self.pin.as_ref().and_then(|pin| pin.validator.clone());
            if validator.is_none() && !self.checked {
                return Ok(Some(self.anew("the publisher gives nothing by which parts could be joined".to_owned())?));
            }
            headers.push(("range", format!("bytes={}-", self.at)));
            headers.extend(validator.map(|validator| ("if-range", validator)));
        }
        let answer = match self.network.ask(Method::GET, &self.address, &headers) {
            Err(Trouble::Lasting(Error::Refused { status: Status(416), .. })) if self.at > 0 => {
                return Ok(Some(self.anew("it no longer reaches as far as it was read".to_owned())?));
            }
            other => other?,
        };
        let now = Pin::from(&answer.found);
        if answer.status == 206 {
            match content_range(&answer.headers) {
                Some((start, _)) if start == self.at => {}
                _ => {
                    return Err(Trouble::Passing(
                        "the publisher gives another range than was asked for".to_owned(),
                        None,
                    ));
                }
            }
        }
        let differs = self.pin.as_ref().and_then(|pin| pin.differs(&now));
        self.skip = 0;
        match differs {
            Some(how) if self.strict => {
                return Err(self.changed(how).into());
            }
            // Nothing of it was used yet.
            Some(_) if self.at == 0 => self.pin = None,
            Some(how) => {
                let step = self.anew(how)?;
                // What comes is the whole of the new file, or else is asked for again.
                if answer.status == 200 {
                    self.begin(answer, now);
                }
                return Ok(Some(step));
            }
            None if answer.status == 200 && self.at > 0 => self.skip = self.at,
            None => {}
        }
        self.begin(answer, now);
        Ok(None)
    }

    fn begin(&mut self, answer: Answer, now: Pin) {
        self.found = Some(answer.found.clone());
        self.body = Some(answer);
        let pin = self.pin.get_or_insert_with(Pin::default);
        pin.bytes = pin.bytes.or(now.bytes);
        pin.etag = pin.etag.take().or(now.etag);
        // The newest one, if another host answers now.
        pin.validator = now.validator.or(pin.validator.take());
    }

    fn anew(&mut self, why: String) -> Result<Step> {
        if self.strict {
            return Err(self.changed(why));
        }
        (self.at, self.pin, self.body) = (0, None, None);
        Ok(Step::Anew(why))
    }
}
