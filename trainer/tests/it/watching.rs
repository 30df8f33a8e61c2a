//! A run as people see it: on a terminal, and in a log.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::place::{Place, read, text};

/// What a command says on a terminal with so many columns: as it came, and what is left to be seen of it.
fn on_a_terminal(place: &Place, arguments: &str, columns: u16) -> (String, Vec<String>) {
    let control = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&control).unwrap();
    unlockpt(&control).unwrap();
    let terminal =
        rustix::fs::open(ptsname(&control, Vec::new()).unwrap(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let mut child = place.command(arguments).env("TERM", "xterm").stderr(Stdio::from(terminal)).spawn().unwrap();
    let (mut control, mut said, mut some) = (File::from(control), Vec::new(), [0; 4096]);
    // It ends with an error, once nobody has the terminal any more.
    while let Ok(count @ 1..) = control.read(&mut some) {
        said.extend_from_slice(&some[..count]);
    }
    assert!(child.wait().unwrap().success(), "{}", text(&said));
    let said = text(&said);
    let seen = screen(&said, usize::from(columns));
    (said, seen)
}

/// The lines of a terminal after what was written to it. A letter in its last column, where a line that is too
/// wide goes on below, is a failure; what makes the bar fills its lines with blanks.
fn screen(said: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut letters = said.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' => {
                let (mut code, mut kind) = (String::new(), letters.nth(1).unwrap());
                while !kind.is_ascii_alphabetic() {
                    code.push(kind);
                    kind = letters.next().unwrap();
                }
                let count = code.parse().unwrap_or(1usize);
                match kind {
                    'A' => row -= count,
                    'B' => row += count,
                    // The line, or all from here on.
                    'K' => lines[row].clear(),
                    'J' => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    // Colours, and whether the cursor is to be seen.
                    'm' | 'h' | 'l' => {}
                    _ => panic!("{code}{kind}"),
                }
            }
            letter => {
                if column == columns {
                    (row, column) = (row + 1, 0);
                    lines.resize(lines.len().max(row + 1), Vec::new());
                }
                assert!(column < columns - 1 || letter == ' ', "wider than {columns}: {:?}", lines[row]);
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = letter;
                column += 1;
            }
        }
        if lines.len() <= row {
            lines.resize(row + 1, Vec::new());
        }
    }
    lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect()
}

#[test]
fn on_a_terminal_of_80_columns_nothing_wraps_and_the_bar_goes_away() {
    let place = Place::new();
    let (said, seen) = on_a_terminal(&place, "pretrain run.yaml --output run", 80);
    for words in ["░ ", "  0 %", "100 %", "step 20 of 20 · 2.56 k of 2.56 k tokens · loss ", " · MFU "] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let whole = seen.join("\n");
    let first = seen.iter().position(|line| line.starts_with("step  1/20  loss ")).unwrap_or_else(|| panic!("{whole}"));
    for step in 0..20 {
        let (line, below) = (&seen[first + 2 * step], &seen[first + 2 * step + 1]);
        assert!(line.starts_with(&format!("step {:>2}/20  loss ", step + 1)) && line.contains("  rate "), "{line}");
        let words: Vec<&str> = below.split_whitespace().collect();
        assert!(below.starts_with("  first ") && words[2] == "second" && words.len() == 4, "{below}");
    }
    assert!(seen[first + 40].starts_with("slice "), "{whole}");
    assert!(!whole.contains(" · ") && !whole.contains('░') && !whole.contains('█'), "{whole}");
    // Steps that are skipped are seen, and what the loss is multiplied with.
    let skips = "pretrain run.yaml --output skips --set precision=fp16 --set scaling.start=1073741824";
    let (said, seen) = on_a_terminal(&place, skips, 80);
    assert!(said.contains(" skipped"), "{said}");
    let skipped: Vec<&String> = seen.iter().filter(|line| line.contains("  SKIPPED: too large")).collect();
    assert!(!skipped.is_empty() && seen.iter().any(|line| line.contains("  scale 5")), "{}", seen.join("\n"));
}

#[test]
fn in_a_log_a_step_is_one_line() {
    let place = Place::new();
    let (_, said) = place.fine("pretrain run.yaml --output run --set steps=3");
    assert!(!said.contains('\u{1b}') && said.ends_with("\ndone: 3 steps, in run/checkpoints\n"), "{said}");
    // Where there is nothing to do, that is said.
    let (_, again) = place.fine("pretrain run.yaml --output run --set steps=3");
    let words = "\nall 3 steps were done before: a larger `steps` goes on\n";
    assert!(again.contains(words) && again.ends_with("\ndone: 3 steps, in run/checkpoints\n"), "{again}");
    let steps: Vec<&str> = said.lines().filter(|line| line.starts_with("step ")).collect();
    assert_eq!(steps.len(), 3, "{said}");
    for words in ["step 3/3  loss ", "  gradient ", " tokens/s  MFU ", " left  first ", "  second "] {
        assert!(steps[2].contains(words), "{words}: {said}");
    }
}

#[test]
fn tokens_are_those_of_the_steps_whatever_was_recorded() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run --set steps=3");
    let record = place.path("run/metrics.jsonl");
    let (whole, lines) = (read(&record), text(&read(&record)).lines().count());
    // What a disk left of a line is passed over and counted; what a kill cut short is no line yet.
    let broken = [&b"\xff\xfe\n[7]\n"[..], &whole, b"{\"step\": 3, \"tok\xc3"].concat();
    std::fs::write(&record, broken).unwrap();
    let (_, said) = place.fine("plot run --output run.png");
    assert!(said.contains("warning: run/metrics.jsonl: 2 lines that cannot be read, passed over"), "{said}");
    let (_, said) = place.fine("pretrain run.yaml --output run --set steps=4");
    assert!(said.contains("2 lines that cannot be read, passed over"), "{said}");
    assert!(text(&read(&record)).starts_with(&text(&whole)));
    // 8 sequences of 16 tokens.
    let last = |lines: usize| -> serde_json::Value {
        let told = text(&read(&record));
        assert!(told.lines().count() > lines, "{told}");
        told.lines().rev().map(|line| serde_json::from_str(line).unwrap()).next().unwrap()
    };
    assert_eq!(last(lines)["tokens"], 4 * 128);
    std::fs::remove_file(&record).unwrap();
    let (_, said) = place.fine("pretrain run.yaml --output run --set steps=5");
    assert!(said.contains(" 640 tokens"), "{said}");
    assert_eq!(last(0)["tokens"], 5 * 128);
}

#[test]
fn a_step_without_targets_has_neither_loss_nor_speed() {
    let place = Place::new();
    let tokens = read(&place.path("corpus/shards/first.bin")).len() / 2;
    std::fs::write(place.path("corpus/shards/first.mask"), vec![0; tokens]).unwrap();
    let alone = "pretrain run.yaml --output run --set steps=2 --set data.validation=0 --set data.mixture.first=1";
    let (_, said) = place.fine(alone);
    let steps: Vec<&str> = said.lines().filter(|line| line.starts_with("step ")).collect();
    assert!(steps.len() == 2 && steps.iter().all(|step| step.ends_with("  SKIPPED: no target counts")), "{said}");
    assert!(!steps.concat().contains("loss ") && !steps.concat().contains("MFU"), "{said}");
    let told: serde_json::Value =
        serde_json::from_str(text(&read(&place.path("run/metrics.jsonl"))).lines().next().unwrap()).unwrap();
    for key in ["loss", "gradient", "tokens_per_second", "mfu", "mfu_useful"] {
        assert!(told[key].is_null() && told.as_object().unwrap().contains_key(key), "{key}: {told}");
    }
    // Nor has what is held out of it.
    place.fine("pretrain run.yaml --output both --set steps=1");
    let record = text(&read(&place.path("both/metrics.jsonl")));
    let told: serde_json::Value = serde_json::from_str(record.lines().last().unwrap()).unwrap();
    assert!(told["held_out"]["first"]["loss"].is_null() && told["held_out"]["second"]["loss"].is_f64(), "{told}");
}
