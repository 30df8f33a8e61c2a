//! What the tests share: a folder to work in, inputs that we make, the command itself.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder that goes away, with a corpus of ours in it.
pub struct Folder {
    folder: tempfile::TempDir,
}

/// What a command said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Folder {
    pub fn new() -> Folder {
        Folder { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// The command, in this folder.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redpajama"));
        command.current_dir(self.folder.path()).args(arguments.split_whitespace());
        command.env_remove("REDPAJAMA_CRASH_AT").env_remove("REDPAJAMA_RAW").env_remove("REDPAJAMA_MODELS");
        // No test depends on a network, nor on what the environment says of one.
        command.env("REDPAJAMA_OFFLINE", "1").env("HOME", self.folder.path());
        for (name, _) in std::env::vars() {
            let lower = name.to_lowercase();
            if lower.ends_with("_proxy")
                || ["aws_", "google_", "hf_", "ssl_cert_"].iter().any(|start| lower.starts_with(start))
            {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs the command and expects nothing.
    pub fn run(&self, arguments: &str) -> Said {
        said(self.command(arguments).output().unwrap())
    }

    /// Runs the command, which must succeed.
    #[track_caller]
    pub fn fine(&self, arguments: &str) -> Said {
        self.ends(arguments, 0)
    }

    /// Runs the command, which must end with this code.
    #[track_caller]
    pub fn ends(&self, arguments: &str, code: i32) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, code, "redpajama {arguments}\n{}\n{}", said.out, said.err);
        said
    }

    /// The catalog of a run.
    #[track_caller]
    pub fn catalog(&self, out: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.path(out).join("catalog.json")).unwrap()).unwrap()
    }

    /// How many records of a slice went for a reason, dropped or unusable.
    #[track_caller]
    pub fn gone(&self, out: &str, slice: &str, reason: &str) -> u64 {
        let catalog = self.catalog(out);
        let counts = &catalog["slices"][slice]["counts"];
        let of = |kind: &str| counts[kind][reason]["documents"].as_u64().unwrap_or(0);
        of("dropped") + of("unusable")
    }

    /// How many documents of a slice were kept.
    #[track_caller]
    pub fn kept(&self, out: &str, slice: &str) -> u64 {
        self.catalog(out)["slices"][slice]["counts"]["kept"]["documents"].as_u64().unwrap()
    }

    /// Writes a pipeline for C4 with a tokenizer of ours.
    pub fn pipeline(&self, name: &str, stages: &str) -> PathBuf {
        let tokenizer = tokenizer();
        let yaml = format!(
            "slices:\n  c4: {{}}\nstages: [{stages}]\ntokenizer: {}\npartition: 512\nmax_document: 1M\n",
            tokenizer.display()
        );
        self.write(name, yaml)
    }

    /// Writes six files of records, in which one document in five is a copy.
    pub fn corpus(&self) {
        let mut number = 0u32;
        for file in 0..6 {
            let mut lines = String::new();
            for record in 0..120u32 {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (a, b) = (number >> 8 & 0xFF, number >> 16 & 0xFF);
                let text = match record % 5 {
                    0 => format!("The tide came in {} times and went out as often.", record / 25),
                    _ => {
                        format!("Boat {a} met boat {b} at sea; file {file}, page {record}. ").repeat(1 + a as usize % 4)
                    }
                };
                let url = format!("https://sea.example/{file}/{record}");
                lines +=
                    &serde_json::json!({"text": text, "timestamp": "2019-04-25T12:57:54Z", "url": url}).to_string();
                lines.push('\n');
            }
            let name = format!("raw/c4-{file:05}.json.gz");
            self.write(&name, gzip(lines.as_bytes()));
        }
    }
}

pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The tokenizer that was made from our fixtures.
pub fn tokenizer() -> PathBuf {
    root().join("tests/slices/tokenizer.json")
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A record of C4.
pub fn record(text: &str) -> String {
    format!("{}\n", serde_json::json!({"text": text, "timestamp": "2019", "url": "https://a.example"}))
}
