//! Processes that a launcher started: how they meet, and what they must agree on.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use crate::place::{Place, text};

/// A process as torchrun starts it.
fn launched(place: &Place, rank: usize, port: u16, arguments: &str) -> Command {
    let mut command = place.command(arguments);
    command.env("RANK", rank.to_string()).env("WORLD_SIZE", "2").env("LOCAL_WORLD_SIZE", "2");
    command.env("MASTER_ADDR", "localhost").env("MASTER_PORT", port.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ended(children: Vec<Child>) -> Vec<Output> {
    // Together: each writes more than a pipe holds.
    std::thread::scope(|scope| {
        let all: Vec<_> = children.into_iter().map(|child| scope.spawn(|| child.wait_with_output().unwrap())).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn beside_the_store_of_torchrun_they_meet_at_another_port() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output one --set steps=4");
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = store.local_addr().unwrap().port();
    let start = |rank| {
        let arguments = "pretrain run.yaml --output two --set steps=4 --threads 1";
        let mut command = launched(&place, rank, port, arguments);
        command.env("TORCHELASTIC_RUN_ID", "none").env("TORCHELASTIC_USE_AGENT_STORE", "True").spawn().unwrap()
    };
    for output in ended(vec![start(0), start(1)]) {
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert!(place.numbers("two", 4) == place.numbers("one", 4));
}

#[test]
fn strangers_at_the_port_do_not_end_a_run() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let arguments = "pretrain run.yaml --output two --set steps=4 --threads 1";
    let first = launched(&place, 0, port, arguments).spawn().unwrap();
    let knock = || std::iter::repeat_with(|| TcpStream::connect(("127.0.0.1", port))).find_map(Result::ok).unwrap();
    let silent = knock();
    knock().write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let second = launched(&place, 1, port, arguments).spawn().unwrap();
    let outputs = ended(vec![first, second]);
    drop(silent);
    for output in &outputs {
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let said = text(&outputs[0].stderr);
    assert!(said.contains("from 127.0.0.1, does not greet as a process of a run: shown out"), "{said}");
}

#[test]
fn processes_of_a_command_are_its_own_in_the_script_of_a_job() {
    let place = Place::new();
    let script = |arguments: &str| {
        let mut command = place.command(arguments);
        command.env("SLURM_PROCID", "0").env("SLURM_NTASKS", "4").env("SLURM_JOB_NODELIST", "nowhere[1-4]");
        command
    };
    let output = script("pretrain run.yaml --output two --set steps=4 --processes 2 --threads 1").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(", 2 processes\n"), "{}", text(&output.stderr));
    // Without it, and without `srun`, nobody else comes; which is said.
    let mut alone = script("pretrain run.yaml").env("SLURM_JOB_ID", "591").stderr(Stdio::piped()).spawn().unwrap();
    let first = BufReader::new(alone.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    alone.kill().unwrap();
    alone.wait().unwrap();
    let words = first.strip_prefix("waiting for 3 of 4 processes at nowhere1:").and_then(|rest| rest.split_once(": "));
    let (port, missing) = words.unwrap_or_else(|| panic!("{first}"));
    assert!((20016..20032).contains(&port.parse::<u16>().unwrap()) && missing == "1, 2, 3", "{first}");
    let step = script("pretrain run.yaml --processes 2").env("SLURM_STEP_NUM_TASKS", "4").output().unwrap();
    assert_eq!(step.status.code(), Some(2));
    let said = text(&step.stderr);
    assert!(said.contains("this is process 0 of 4 already") && said.contains("leave `--processes` away"), "{said}");
}

#[test]
fn processes_of_one_machine_share_its_cores() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = |rank| launched(&place, rank, port, "pretrain run.yaml --output two --set steps=1").spawn().unwrap();
    let outputs = ended(vec![start(0), start(1)]);
    let own = (std::thread::available_parallelism().unwrap().get() / 2).max(1);
    let said = text(&outputs[0].stderr);
    assert!(said.contains(&format!("cpu, {own} threads, f32, 2 processes")), "{said}");
}

#[test]
fn what_they_do_not_agree_on_is_named() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output former --set steps=4");
    place.fine("pretrain run.yaml --output other --set steps=4 --set seed=7");
    place.fine("export former --output start");
    place.fine("export other --output another");
    for (first, second, words) in [
        ("--set checkpoint.every=10", "--set checkpoint.every=7", "`checkpoint.every` is 7, not 10"),
        ("", "--set eval_every=3 --set checkpoint.bad=true", "`checkpoint.bad` is true, not false; `eval_every` is 3"),
        ("--set guard.abort=5", "", "`guard.abort` is 10, not 5"),
        ("", "--set data.validation=4 --set seed=3", "`data.validation` is 4, not 8; `seed` is 3, not "),
        ("--set start=start", "--set start=another", "what the folder of `start` holds is "),
        ("", "--set start=another", "what the folder of `start` holds is "),
        ("", "--output former", "the step of its checkpoint is 4, not 0"),
    ] {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let start = |rank, own: &str| {
            let output = if own.contains("--output") { "" } else { " --output two" };
            let arguments = format!("pretrain run.yaml --threads 1 --set steps=4 {own}{output}");
            launched(&place, rank, port, &arguments).spawn().unwrap()
        };
        for output in ended(vec![start(0, first), start(1, second)]) {
            let said = text(&output.stderr);
            let words = format!("process 1 trains something else than process 0: {words}");
            assert!(output.status.code() == Some(64) && said.contains(&words), "{words}: {said}");
        }
    }
}
