use std::net::TcpListener;
use std::sync::mpsc::channel;

use super::*;

/// Enough for tests on a machine that is busy; what is a stranger is known before.
const PATIENT: Duration = Duration::from_secs(120);

fn patience() -> Patience {
    Patience { gathering: PATIENT, greeting: PATIENT, ..Patience::default() }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Lets all of these meet, and each say something to each.
fn all_meet(worlds: &[World], patience: &Patience) {
    std::thread::scope(|scope| {
        for world in worlds {
            scope.spawn(|| {
                let mut lines = meet(world, None, patience).unwrap();
                for (other, line) in lines.iter_mut().enumerate() {
                    assert_eq!(line.is_some(), other != world.rank);
                    if let Some(line) = line {
                        write_line(line, &format!("{} to {other}", world.rank)).unwrap();
                    }
                }
                for (other, line) in lines.iter_mut().enumerate() {
                    if let Some(line) = line {
                        let heard = read_line(line, Instant::now() + PATIENT).unwrap();
                        assert_eq!(heard, format!("{other} to {}", world.rank));
                    }
                }
            });
        }
    });
}

/// What a stranger hears who says this.
fn stranger(port: u16, says: &str) -> String {
    let mut stream = std::iter::repeat_with(|| TcpStream::connect(("127.0.0.1", port))).find_map(Result::ok).unwrap();
    stream.write_all(says.as_bytes()).unwrap();
    let mut heard = String::new();
    // One that is cut off has heard nothing either.
    let _ = stream.read_to_string(&mut heard);
    heard
}

#[test]
fn strangers_hold_up_nobody() {
    let port = free_port();
    let own = corpus::Digest::of(b"").short();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| meet(&World::here(0, 2, port), None, &patience()).unwrap());
        // It says nothing for as long as it is left alone.
        let silent = std::iter::repeat_with(|| TcpStream::connect(("127.0.0.1", port))).find_map(Result::ok).unwrap();
        for (says, hears) in [
            ("GET / HTTP/1.0\r\n\r\n".to_owned(), String::new()),
            ("\u{0}\u{1}\n".to_owned(), String::new()),
            ("redpajama-train/1\n".to_owned(), format!("{MAGIC} other\n")),
            (format!("{MAGIC} {own} 2 x 1\n"), format!("{MAGIC} other\n")),
            (format!("{MAGIC} {own} 2 2 1\n"), format!("{MAGIC} other\n")),
            (format!("{MAGIC} {own} 2 0 1\n"), format!("{MAGIC} other\n")),
            (format!("{MAGIC} {own} 4 1 1\n"), format!("{MAGIC} other\n")),
            (format!("{MAGIC} 0123 2 1 1\n"), format!("{MAGIC} other\n")),
        ] {
            assert_eq!(stranger(port, &says), hears, "{says}");
        }
        // Gone as soon as it came.
        drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
        meet(&World::here(1, 2, port), None, &patience()).unwrap();
        first.join().unwrap();
        drop(silent);
    });
}

#[test]
fn who_says_nothing_in_time_is_shown_out() {
    let port = free_port();
    let hasty = Patience { greeting: Duration::from_millis(1), ..patience() };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| meet(&World::here(0, 2, port), None, &hasty));
        assert_eq!(stranger(port, ""), "");
        assert_eq!(stranger(port, MAGIC), "");
        // Whoever says it all at once is in time.
        let own = corpus::Digest::of(b"").short();
        let mut second = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write_line(&mut second, &format!("{MAGIC} {own} 2 1 1")).unwrap();
        // As it may be for one that is slow, and comes again.
        if read_line(&mut second, Instant::now() + PATIENT).is_err() {
            meet(&World::here(1, 2, port), None, &patience()).unwrap();
        }
        first.join().unwrap().unwrap();
    });
}

#[test]
fn who_does_not_come_is_named() {
    let port = free_port();
    let short = Patience { gathering: Duration::from_secs(5), ..patience() };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| meet(&World::here(0, 4, port), None, &short).unwrap_err());
        let third = scope.spawn(|| meet(&World::here(2, 4, port), None, &patience()).unwrap_err());
        stranger(port, "hello\n");
        let first = first.join().unwrap().message;
        let words =
            format!("2 of 4 processes are at 127.0.0.1:{port} after 5 s, missing 1, 3; strangers were shown out: 1");
        assert_eq!(first, words);
        assert_eq!(third.join().unwrap().message, format!("process 0 gives up: {words}"));
    });
    let short = Patience { gathering: Duration::from_secs(2), ..patience() };
    let alone = meet(&World::here(1, 2, port), None, &short).unwrap_err().message;
    assert!(alone.starts_with(&format!("cannot reach process 0 at 127.0.0.1:{port} in 2 s: ")), "{alone}");
}

#[test]
fn of_two_with_one_number_the_second_is_refused() {
    let port = free_port();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| meet(&World::here(0, 4, port), None, &patience()).map(drop));
        let (said, heard) = channel();
        for rank in [1, 1] {
            let said = said.clone();
            scope.spawn(move || said.send(meet(&World::here(rank, 4, port), None, &patience()).map(drop)));
        }
        // The one that was taken in waits for the others.
        let refused = heard.recv().unwrap().unwrap_err();
        assert_eq!(refused.message, "two processes say that they are number 1 of 4");
        for rank in [2, 3] {
            scope.spawn(move || meet(&World::here(rank, 4, port), None, &patience()).unwrap());
        }
        heard.recv().unwrap().unwrap();
        first.join().unwrap().unwrap();
    });
}

#[test]
fn one_that_comes_again_takes_its_place() {
    let port = free_port();
    let own = corpus::Digest::of(b"").short();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| meet(&World::here(0, 4, port), None, &patience()).unwrap());
        let mut early =
            std::iter::repeat_with(|| TcpStream::connect(("127.0.0.1", port))).find_map(Result::ok).unwrap();
        write_line(&mut early, &format!("{MAGIC} {own} 4 1 1")).unwrap();
        let answer = read_line(&mut early, Instant::now() + PATIENT).unwrap();
        assert_eq!(answer, format!("{MAGIC} {own} 4 welcome"));
        drop(early);
        for rank in [1, 2, 3] {
            scope.spawn(move || meet(&World::here(rank, 4, port), None, &patience()).unwrap());
        }
        first.join().unwrap();
    });
}

#[test]
fn where_a_port_is_taken_they_meet_at_the_next() {
    let (taken, next) = (TcpListener::bind("127.0.0.1:0").unwrap(), free_port());
    let ports = vec![taken.local_addr().unwrap().port(), next];
    let worlds = [0, 1, 2, 3].map(|rank| World { ports: ports.clone(), ..World::here(rank, 4, 0) });
    // What is there may hang up, answer something else, or say nothing at all.
    let hasty = Patience { greeting: Duration::from_secs(1), ..patience() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(taken.accept().unwrap());
            taken.accept().unwrap().0.write_all(b"220 ready\n").unwrap();
            taken.accept().unwrap().0.read_to_string(&mut String::new())
        });
        all_meet(&worlds, &hasty);
    });
    let none = Patience { opening: Duration::ZERO, ..patience() };
    let both = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let ports = both.iter().map(|one| one.local_addr().unwrap().port()).collect();
    let failure = meet(&World { ports, ..World::here(0, 2, 0) }, None, &none).unwrap_err();
    assert!(failure.message.starts_with("cannot listen at 127.0.0.1, ports "), "{failure}");
    assert!(failure.hint.unwrap().contains("REDPAJAMA_MASTER_PORT"));
}

#[test]
fn two_runs_at_the_same_ports_do_not_mix() {
    let ports = vec![free_port(), free_port()];
    let worlds: Vec<World> = ["one", "other"]
        .iter()
        .flat_map(|run| {
            let ports = ports.clone();
            [0, 1].map(|rank| World { run: (*run).to_owned(), ports: ports.clone(), ..World::here(rank, 2, 0) })
        })
        .collect();
    all_meet(&worlds, &patience());
}

#[test]
fn the_first_listens_at_all_addresses() {
    // It need not know by which name or address the others know it. Here those are of one machine: its loopback has
    // many.
    let port = free_port();
    let mut worlds = [0, 1, 2, 3].map(|rank| World::here(rank, 4, port));
    worlds[0].host = "known-to-the-others.invalid".to_owned();
    worlds[1].host = "127.0.0.2".to_owned();
    worlds[2].host = "localhost".to_owned();
    all_meet(&worlds, &patience());
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        // Two that came by IPv6, and reach each other by it.
        worlds[2].host = "::1".to_owned();
        worlds[3].host = "::1".to_owned();
        worlds[1].host = "::1".to_owned();
        all_meet(&worlds, &patience());
    }
}
