//! Where a process listens for others.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::failure::{Code, Failure, Result};
use crate::launcher::World;

/// How often it is tried whether a port is free.
const LOOK: Duration = Duration::from_millis(10);

/// Where a process takes others in.
#[derive(Debug)]
pub struct Door {
    /// Which never waits.
    pub listener: TcpListener,
    /// Its port.
    pub port: u16,
}

impl Door {
    /// One at this address alone; port 0 is any that is free.
    pub fn at(address: SocketAddr) -> std::io::Result<Door> {
        Door::of(TcpListener::bind(address)?)
    }

    /// One at all addresses of this machine: which of them others come to is not known here, for a host may know
    /// itself by another address than the others know it by.
    pub fn everywhere(port: u16) -> std::io::Result<Door> {
        match Door::of_both(port) {
            // Without IPv6.
            Err(error) if error.kind() != ErrorKind::AddrInUse => {
                Door::at(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
            }
            opened => opened,
        }
    }

    /// One for IPv6 and IPv4.
    fn of_both(port: u16) -> std::io::Result<Door> {
        let socket = rustix::net::socket_with(AddressFamily::INET6, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_ipv6_v6only(&socket, false)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))?;
        rustix::net::listen(&socket, 128)?;
        Door::of(TcpListener::from(socket))
    }

    fn of(listener: TcpListener) -> std::io::Result<Door> {
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok(Door { listener, port })
    }

    /// That of the first process, once one of its ports is free.
    pub fn of_first(world: &World, patience: Duration) -> Result<Door> {
        let until = Instant::now() + patience;
        loop {
            let mut last = None;
            for port in &world.ports {
                let opened = match world.one_machine() {
                    true => resolve(&world.host, *port)
                        .and_then(|all| first_of(all.into_iter().map(Door::at)).unwrap_or(Err(no_such_host()))),
                    false => Door::everywhere(*port),
                };
                match opened {
                    Ok(door) => return Ok(door),
                    Err(error) => last = Some(error),
                }
            }
            match last {
                Some(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => {
                    std::thread::sleep(LOOK);
                }
                last => {
                    let why = last.map_or_else(|| "no port is given".to_owned(), |error| error.to_string());
                    return Err(Failure::new(Code::Failed, format!("cannot listen at {}: {why}", world.meeting()))
                        .hint("set REDPAJAMA_MASTER_PORT to a free port, the same for all processes"));
                }
            }
        }
    }
}

/// The first that is fine, or the last that is not.
fn first_of<T, E>(all: impl Iterator<Item = std::result::Result<T, E>>) -> Option<std::result::Result<T, E>> {
    let mut last = None;
    for one in all {
        let fine = one.is_ok();
        last = Some(one);
        if fine {
            break;
        }
    }
    last
}

/// What is said where a name has no address.
pub fn no_such_host() -> std::io::Error {
    std::io::Error::new(ErrorKind::NotFound, "no such host")
}

/// The addresses of a port of a host.
pub fn resolve(host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}
