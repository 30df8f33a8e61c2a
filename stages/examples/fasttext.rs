//! What a fastText model says of texts: one JSON string a line in, the likeliest labels out, the
//! CPU seconds it took on the error output.
//!
//! `golden/fasttext.py` compares it with what Facebook's program says, and times both.

use std::io::{BufRead, Write};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "fasttext MODEL MOST < texts as JSON strings, one a line";
    let (Some(path), Some(most)) = (arguments.next(), arguments.next()) else { return Err(usage.into()) };
    let most: usize = most.parse()?;
    let start = Instant::now();
    let model = stages::fasttext::load(path.as_ref())?;
    let loaded = start.elapsed();
    let texts: Vec<String> = std::io::stdin()
        .lock()
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect::<std::io::Result<_>>()?;
    let start = Instant::now();
    let told: Vec<_> = texts.iter().map(|text| model.predict(text, most)).collect();
    let spent = start.elapsed();
    let mut out = std::io::stdout().lock();
    for predictions in told {
        let pairs: Vec<_> = predictions.iter().map(|found| (found.label, found.probability)).collect();
        serde_json::to_writer(&mut out, &pairs)?;
        out.write_all(b"\n")?;
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    writeln!(
        std::io::stderr(),
        "{{\"load_seconds\": {}, \"seconds\": {}, \"bytes\": {bytes}, \"memory\": {}}}",
        loaded.as_secs_f64(),
        spent.as_secs_f64(),
        model.footprint()
    )?;
    Ok(())
}
