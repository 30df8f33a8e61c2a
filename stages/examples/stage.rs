//! One stage alone: texts as JSON strings, one a line, in; what became of each out, as JSON; on the error output the CPU
//! seconds of a pass, their mean.
//!
//!     stage 'personal_data: {}' 5 [QUALITY_MODEL] < texts.jsonl

use std::io::{BufRead, Write};
use std::sync::Arc;

use corpus::{Document, DocumentId, Meta, Signal, Verdict};
use serde_json::{Map, Value, json};
use stages::{Built, Models, StageSpec, Workspace};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "stage 'NAME: { OPTIONS }' PASSES [QUALITY_MODEL] < texts as JSON strings, one a line";
    let (Some(spec), Some(passes)) = (arguments.next(), arguments.next()) else { return Err(usage.into()) };
    let mut models = Models::default();
    if let Some(path) = arguments.next() {
        models.quality = Some(Arc::new(stages::fasttext::load(path.as_ref())?));
    }
    let spec: StageSpec = serde_saphyr::from_str(&spec)?;
    let Built::Stage(stage) = spec.build(&models)? else { return Err("it does not look at one document".into()) };
    let lines = std::io::stdin().lock().lines();
    let texts: Vec<String> = lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect::<std::io::Result<_>>()?;
    let mut workspace = Workspace::default();
    let passes = passes.parse::<usize>()?.max(1);
    let mut all = 0.0;
    let mut done = Vec::new();
    for _ in 0..passes {
        let id = DocumentId { raw_file: "c4/texts".into(), record: 0 };
        done = texts
            .iter()
            .map(|text| (Document::new(id.clone(), text.clone(), Meta::default()), Verdict::Keep))
            .collect();
        let start = spent();
        for (document, verdict) in &mut done {
            *verdict = stage.apply(document, &mut workspace);
        }
        all += spent() - start;
    }
    let mut out = std::io::stdout().lock();
    for (document, verdict) in &done {
        let signals: Map<String, Value> = spec
            .writes()
            .iter()
            .map(|signal| (signal.name.to_owned(), value(document.signals.get(signal.name))))
            .collect();
        let text = (document.edits() > 0).then(|| document.text());
        let reason = match verdict {
            Verdict::Keep => None,
            Verdict::Drop(reason, _) => Some(reason.0),
        };
        serde_json::to_writer(&mut out, &json!({ "reason": reason, "signals": signals, "text": text }))?;
        out.write_all(b"\n")?;
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    let seconds = all / passes as f64;
    let rate = bytes as f64 / 1e6 / seconds;
    writeln!(std::io::stderr(), "{}", json!({ "seconds": seconds, "bytes": bytes, "megabytes_a_second": rate }))?;
    Ok(())
}

fn value(signal: Option<&Signal>) -> Value {
    match signal {
        None | Some(Signal::Spans(_)) => Value::Null,
        Some(Signal::Integer(value)) => json!(value),
        Some(Signal::Number(value)) => json!(value),
        Some(Signal::Text(value)) => json!(value),
    }
}

/// CPU seconds of this thread so far, as Linux counts them.
fn spent() -> f64 {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    counted.split(' ').next().and_then(|time| time.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}
