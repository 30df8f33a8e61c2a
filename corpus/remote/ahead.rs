//! Reading ahead: a build computes while its next bytes come.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use super::{Address, Error, Found, Network, Pin, Result, Step, Stream};
use crate::RawFile;
use crate::manifest::{Open, Remote};

/// Blocks that wait to be read, and the length of each: 4 MiB for an open file.
const BLOCKS: usize = 8;
const BLOCK: usize = 512 << 10;

/// What the thread that reads says.
enum Said {
    Block(Vec<u8>),
    End,
    Failed(Error),
}

/// Bytes that a thread of its own reads ahead.
pub struct Ahead {
    said: Receiver<Said>,
    block: Vec<u8>,
    at: usize,
    /// How it ended: what is said once is said again.
    ended: Option<Result<(), Error>>,
}

impl Ahead {
    /// Starts reading.
    pub fn new(mut stream: Stream) -> io::Result<Ahead> {
        let (sender, said) = sync_channel(BLOCKS);
        let read = move || {
            loop {
                let mut block = vec![0; BLOCK];
                let mut filled = 0;
                let mut end = None;
                while filled < BLOCK && end.is_none() {
                    match stream.step(&mut block[filled..]) {
                        Ok(Step::Bytes(read)) => filled += read,
                        Ok(Step::End) => end = Some(Said::End),
                        // A strict stream says so as an error.
                        Ok(Step::Anew(why)) => end = Some(Said::Failed(stream.changed(why))),
                        Err(error) => end = Some(Said::Failed(error)),
                    }
                }
                block.truncate(filled);
                // Whoever no longer listens wants no more.
                if filled > 0 && sender.send(Said::Block(block)).is_err() {
                    return;
                }
                if let Some(end) = end {
                    let _ = sender.send(end);
                    return;
                }
            }
        };
        std::thread::Builder::new().name("read ahead".to_owned()).spawn(read)?;
        Ok(Ahead { said, block: Vec::new(), at: 0, ended: None })
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            match &self.ended {
                Some(Ok(())) => return Ok(0),
                Some(Err(error)) => return Err(io::Error::other(error.clone())),
                None => {}
            }
            match self.said.recv() {
                Ok(Said::Block(block)) => (self.block, self.at) = (block, 0),
                Ok(Said::End) => self.ended = Some(Ok(())),
                Ok(Said::Failed(error)) => self.ended = Some(Err(error)),
                // An end that nobody said is none.
                Err(_) => self.ended = Some(Err(Error::Stopped)),
            }
        }
        let taken = into.len().min(self.block.len() - self.at);
        into[..taken].copy_from_slice(&self.block[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

/// How a file of a publisher is opened.
struct OverNetwork {
    network: Arc<Network>,
    address: Address,
    pin: Pin,
}

impl Open for OverNetwork {
    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let stream = Stream::new(self.network.clone(), self.address.clone()).from(from, self.pin.clone()).strict();
        Ok(Box::new(Ahead::new(stream)?))
    }
}

/// The raw file that lies at an address, as its publisher tells of it.
pub fn raw_file(network: &Arc<Network>, name: Arc<str>, address: &Address, found: &Found) -> Result<RawFile> {
    let Some(bytes) = found.bytes else {
        let detail = "its publisher does not tell its length, so that it can only be fetched".to_owned();
        return Err(Error::Address { address: address.to_string(), detail });
    };
    let open = OverNetwork { network: network.clone(), address: address.clone(), pin: Pin::from(found) };
    let raw_file = RawFile::new(name, address.to_string());
    Ok(RawFile { bytes, etag: found.etag.clone(), remote: Some(Remote(Arc::new(open))), ..raw_file })
}
