//! `train-classifier`: a fastText model that tells good texts from others, from documents that we
//! hold.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use corpus::{Digest, Document};
use serde_json::json;
use stages::fasttext::{self, Trained, Trainer, Training};
use stages::quality::{By, Told};

use crate::cli::TrainClassifierArgs;
use crate::documents;
use crate::failure::{Failure, Result};
use crate::reference_urls::UrlList;
use crate::report::{self, say};

mod measure;
use measure::Scores;

/// Thresholds of the report. RedPajama-1T's is among them.
const THRESHOLDS: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

/// Fewer held-out texts of a label are a warning: ours, of 50 texts a share has an error of 7 points.
const FEWEST_HELD_OUT: usize = 50;
/// A lower area under the curve is a warning: ours, guessing gives 0.5.
const LOWEST_AUC: f64 = 0.6;

/// What was read for a class, and what became of it.
#[derive(Debug, Default)]
struct Class {
    read: u64,
    elsewhere: u64,
    short: u64,
    twice: u64,
    held_out: u64,
    learned: u64,
}

impl Class {
    /// What to do if all texts are gone: about what took most of them.
    fn why_none_is_left(&self) -> String {
        let read = report::count(self.read, "text");
        let causes = [
            (self.twice, "read before, which the other class has too or that come twice: let the two differ"),
            (self.held_out, "held out to measure with: lower --held-out, or give more texts"),
            (self.short, "shorter than --min-length: lower it"),
            (self.elsewhere, "at no address of --urls: look at the list"),
        ];
        match causes.iter().max_by_key(|(texts, _)| *texts).filter(|(texts, _)| *texts > 0) {
            Some((texts, why)) => format!("of {read}, {} are {why}", report::number(*texts)),
            None => format!("{read} were read: see what `redpajama inspect` shows of the files"),
        }
    }
}

/// Runs `train-classifier`.
pub fn train(args: &TrainClassifierArgs) -> Result<()> {
    let labels = [args.labels[0].as_str(), args.labels[1].as_str()];
    if labels[0] == labels[1] {
        return Err(Failure::usage("--labels needs two that differ").hint("such as --labels wiki cc"));
    }
    documents::can_be_written(&args.output)?;
    if args.maxn > 0 && args.minn > args.maxn {
        return Err(Failure::usage(format!("--minn {} is longer than --maxn {}", args.minn, args.maxn))
            .hint("the shortest run of letters first, such as --minn 2 --maxn 5"));
    }
    let training = Training {
        rate: args.lr,
        dimensions: args.dim as usize,
        epochs: args.epoch,
        word_ngrams: args.word_ngrams as usize,
        min_count: args.min_count,
        shortest: args.minn as usize,
        longest: args.maxn as usize,
        buckets: args.bucket,
        max_words: args.max_words as usize,
        seed: args.seed,
    };
    let temporary = || tempfile::tempfile().map_err(Failure::io("cannot make a file in", std::env::temp_dir()));
    let mut reading = Reading {
        args,
        trainer: Trainer::new(training, &labels, Spool::new(temporary()?)),
        held_out: BufWriter::with_capacity(1 << 20, temporary()?),
        lines: match &args.lines {
            Some(path) => Some(BufWriter::new(File::create(path).map_err(Failure::io("cannot write", path))?)),
            None => None,
        },
        seen: HashSet::new(),
        classes: [Class::default(), Class::default()],
    };
    let urls = args.urls.as_deref().map(UrlList::read).transpose()?;
    let positive = documents::files(&args.positive, args.slice.as_deref())?;
    for path in &positive {
        let mut left = args.max_text.0;
        reading.class(0, path, args.positive_slice.as_deref(), urls.as_ref(), u64::MAX, &mut left)?;
    }
    let negative = documents::files(&args.negative, args.slice.as_deref())?;
    // The original took as many pages of each file as make as many as it had read for the other class.
    let first = match args.original {
        true => reading.classes[0].read / negative.len().max(1) as u64,
        false => u64::MAX,
    };
    for path in &negative {
        let mut left = args.max_text.0;
        reading.class(1, path, args.negative_slice.as_deref(), None, first, &mut left)?;
    }
    let Reading { trainer, held_out, lines, mut classes, .. } = reading;
    if let Some(mut lines) = lines {
        lines.flush().map_err(Failure::io("cannot write", args.lines.as_deref().unwrap_or("".as_ref())))?;
    }
    let texts = trainer.texts();
    if let Some(class) = texts.iter().position(|texts| *texts == 0) {
        let name = ["positive", "negative"][class];
        return Err(Failure::configuration(format!("no {name} text is left to learn from"))
            .hint(classes[class].why_none_is_left()));
    }
    let most = texts.iter().min().copied().filter(|_| !args.original && !args.unbalanced);
    let start = std::time::Instant::now();
    let trained = std::cell::OnceCell::new();
    let mut model = None;
    documents::write_checked(
        &args.output,
        |out| trained.set(trainer.finish(most, &mut { out })?).map_err(|_| io::Error::other("it was learned twice")),
        |path| {
            if trained.get().is_some_and(|trained| trained.diverged) {
                return Err(Failure::configuration("learning diverged: the model's numbers grew beyond all bounds")
                    .hint(format!(
                        "lower --lr, which is {}; nothing was written to {}",
                        args.lr,
                        args.output.display()
                    )));
            }
            model = Some(fasttext::load(path).map_err(|error| Failure::configuration(error.to_string()))?);
            Ok(())
        },
    )?;
    let (Some(trained), Some(model)) = (trained.into_inner(), model) else {
        return Err(Failure::configuration("nothing was learned"));
    };
    let seconds = start.elapsed().as_secs_f64();
    for (class, texts) in classes.iter_mut().zip(&trained.texts) {
        class.learned = *texts;
    }
    let scores = scores(&model, labels[0], held_out)?.sorted();
    tell(args, &classes, &trained, &scores, seconds);
    Ok(())
}

struct Reading<'a> {
    args: &'a TrainClassifierArgs,
    trainer: Trainer<Spool>,
    held_out: BufWriter<File>,
    lines: Option<BufWriter<File>>,
    /// Half of the digests of what was read.
    seen: HashSet<[u8; 16]>,
    classes: [Class; 2],
}

impl Reading<'_> {
    /// Reads a file of a class: at most its first so many documents, or so many bytes of text.
    fn class(
        &mut self,
        class: usize,
        path: &std::path::Path,
        slice: Option<&str>,
        urls: Option<&UrlList>,
        first: u64,
        left: &mut u64,
    ) -> Result<()> {
        let slice = slice.or(self.args.slice.as_deref());
        let mut taken = 0;
        if first == 0 {
            return Ok(());
        }
        documents::each(path, slice, &mut |document| {
            self.document(class, document, urls)?;
            taken += 1;
            *left = left.saturating_sub(document.text().len() as u64);
            Ok(taken < first && *left > 0)
        })
    }

    fn document(&mut self, class: usize, document: &Document, urls: Option<&UrlList>) -> Result<()> {
        let text = document.text();
        let account = &mut self.classes[class];
        account.read += 1;
        if urls.is_some_and(|urls| !document.meta.url.as_deref().is_some_and(|url| urls.has(url))) {
            account.elsewhere += 1;
            return Ok(());
        }
        let bounded = class == 0 || !self.args.original;
        if bounded && document.characters().count < self.args.min_length as usize {
            account.short += 1;
            return Ok(());
        }
        let digest = Digest::of(text.as_bytes()).0;
        if !self.args.original {
            let half = std::array::from_fn(|at| digest[at]);
            if !self.seen.insert(half) {
                account.twice += 1;
                return Ok(());
            }
        }
        let failed = Failure::io("cannot write to a file in", std::env::temp_dir());
        if self.is_held_out(&digest) {
            self.classes[class].held_out += 1;
            return write_held_out(&mut self.held_out, class, text).map_err(failed);
        }
        if let Some(lines) = &mut self.lines {
            // As the original's script writes them: Python's lines joined, what is around them left.
            let line = text.split(python_line_end).collect::<Vec<_>>();
            let line = line.join(" ");
            let path = self.args.lines.as_deref().unwrap_or("".as_ref());
            let written = writeln!(
                lines,
                "__label__{} {}",
                self.args.labels[class],
                line.strip_suffix(' ').filter(|_| text.ends_with(python_line_end)).unwrap_or(&line)
            );
            written.map_err(Failure::io("cannot write", path))?;
        }
        self.trainer.learn(text, class).map_err(failed)
    }

    /// Whether a text is for measuring: by its digest, so that it is so in any order of files.
    fn is_held_out(&self, digest: &[u8; 32]) -> bool {
        let drawn = Digest::of(&[&digest[..], &self.args.seed.to_le_bytes()].concat()).0;
        let drawn = u32::from_le_bytes([drawn[0], drawn[1], drawn[2], drawn[3]]);
        f64::from(drawn) < self.args.held_out * 4_294_967_296.0
    }
}

/// Where `str.splitlines` of Python ends a line.
fn python_line_end(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn write_held_out(out: &mut impl Write, class: usize, text: &str) -> io::Result<()> {
    out.write_all(&[class as u8])?;
    out.write_all(&(text.len() as u32).to_le_bytes())?;
    out.write_all(text.as_bytes())
}

/// What the model says of the texts that it has not seen.
fn scores(model: &fasttext::Model, good: &str, held_out: BufWriter<File>) -> Result<Scores> {
    let failed = || Failure::io("cannot read a file in", std::env::temp_dir());
    let mut file = held_out.into_inner().map_err(|error| failed()(error.into_error()))?;
    file.rewind().map_err(failed())?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut scores = Scores::default();
    let mut head = [0; 5];
    let mut text = Vec::new();
    loop {
        match file.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(scores),
            Err(error) => return Err(failed()(error)),
        }
        text.resize(u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize, 0);
        file.read_exact(&mut text).map_err(failed())?;
        let told = Told::of(model, &String::from_utf8_lossy(&text), good, By::Label);
        // As `quality` writes it.
        let score = told.map_or(0.0, |told| (told.score * 1e4).round() / 1e4);
        match head[0] {
            0 => scores.positive.push(score),
            _ => scores.negative.push(score),
        }
    }
}

fn tell(args: &TrainClassifierArgs, classes: &[Class; 2], trained: &Trained, scores: &Scores, seconds: f64) {
    let threshold = scores.for_yield(args.wanted_yield);
    let held_out = scores.positive.len().min(scores.negative.len());
    if args.held_out > 0.0 && held_out < FEWEST_HELD_OUT {
        say(&format!(
            "warning: only {held_out} held-out texts of a label: what is measured says little; give more texts, or \
             raise --held-out"
        ));
    }
    if let Some(auc) = scores.auc().filter(|auc| *auc < LOWEST_AUC) {
        say(&format!(
            "warning: the model hardly tells the labels apart (an area of {auc:.2}, guessing gives 0.5): give more \
             texts, or raise --epoch or --lr"
        ));
    }
    if args.json {
        let class = |class: &Class| json!({ "read": class.read, "not_in_the_list": class.elsewhere, "too_short": class.short, "twice": class.twice, "held_out": class.held_out, "learned": class.learned });
        let at: Vec<_> = THRESHOLDS.iter().map(|threshold| scores.json(*threshold)).collect();
        let told = json!({
            "model": args.output, "labels": args.labels, "positive": class(&classes[0]), "negative": class(&classes[1]),
            "words": trained.words, "tokens": trained.tokens, "loss": trained.loss, "auc": scores.auc(), "thresholds": at,
            "yield": args.wanted_yield, "for_yield": scores.json(threshold), "seconds": seconds,
        });
        report::print(&format!("{told}\n"));
        return;
    }
    let rows: Vec<Vec<String>> =
        [&["", "read", "not in the list", "too short", "twice", "held out", "learned"].map(str::to_owned)[..]]
            .into_iter()
            .map(<[String]>::to_vec)
            .chain(args.labels.iter().zip(classes).map(|(label, class)| {
                let numbers = [class.read, class.elsewhere, class.short, class.twice, class.held_out, class.learned];
                std::iter::once(label.clone()).chain(numbers.map(report::number)).collect()
            }))
            .collect();
    report::print(&report::table(&rows));
    let words = report::count(trained.words as u64, "word");
    report::print(&format!(
        "\n{words}, {} read, mean loss at the end {:.4}\n",
        report::count(trained.tokens, "token"),
        trained.loss
    ));
    let done = format!("trained in {}: {}", report::duration(seconds), args.output.display());
    let Some(auc) = scores.auc() else {
        report::print("no text of one of the labels was held out: nothing was measured\n");
        return say(&done);
    };
    report::print(&format!("area under the curve on held-out texts: {auc:.4}\n\n"));
    let head =
        ["threshold", "good kept", "good lost", "others kept", "others gone", "precision", "recall"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    rows.extend(THRESHOLDS.iter().map(|threshold| scores.row(*threshold)));
    report::print(&report::table(&rows));
    report::print(&format!("\nto keep at most {} of the others: from {threshold:.4} on\n", args.wanted_yield));
    report::print(&report::table(&[head.to_vec(), scores.row(threshold)]));
    say(&done);
}

/// A file that is written in pieces at its end, then read at random: it is buffered for the first.
struct Spool(BufWriter<File>);

impl Spool {
    fn new(file: File) -> Spool {
        Spool(BufWriter::with_capacity(1 << 20, file))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Read for Spool {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.flush()?;
        self.0.get_mut().read(into)
    }
}

impl Seek for Spool {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}
