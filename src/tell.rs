//! `stages`, `sources` and `schema`: what we tell of them, on the terminal and on the docs page.

use std::fmt::Write;

use serde_json::Value;
use stages::presets::Preset;

use crate::cli::TellArgs;
use crate::failure::{Failure, Result};
use crate::manifest::{Form, Manifest};
use crate::pipeline::{Pipeline, closest};
use crate::report;

/// Runs `stages`.
pub fn stages(args: &TellArgs) -> Result<()> {
    let told = stages::told();
    let names: Vec<&str> = told.iter().map(|stage| stage.name).collect();
    let chosen = choose(args, "stage", &names)?;
    let mut out = String::new();
    if args.markdown {
        out += "# Stages\n\nMade by `redpajama stages --markdown`. A filter drops, an edit changes text, a measure writes \
                signals, a dedup compares documents, `pack` ends a pipeline.\n";
    }
    for stage in told.iter().filter(|stage| chosen.is_none_or(|name| name == stage.name)) {
        if chosen.is_none() && !args.markdown {
            let about = first_sentence(&about(stage.options.as_value()));
            let _ = writeln!(out, "{:22} {:8} {about}", stage.name, stage.kind.to_string());
            continue;
        }
        let title = format!("{} ({}, version {})", stage.name, stage.kind, stage.version);
        heading(&mut out, args.markdown, &title);
        let _ = writeln!(out, "{}\n", about(stage.options.as_value()));
        example(&mut out, args.markdown, &format!("- {}", stage.example));
        options(&mut out, args.markdown, stage.options.as_value());
        if !stage.reasons.is_empty() {
            let reasons: Vec<String> = stage.reasons.iter().map(|reason| format!("`{reason}`")).collect();
            let _ = writeln!(out, "Drops with: {}.\n", reasons.join(", "));
        }
        if stage.name == "keep_if" {
            presets(&mut out);
        }
        for signal in &stage.writes {
            let _ = writeln!(out, "- writes `{}` ({:?}): {}", signal.name, signal.kind, signal.about);
        }
        if !stage.writes.is_empty() {
            out.push('\n');
        }
    }
    report::print(&format!("{}\n", out.trim_end()));
    if chosen.is_none() && !args.markdown {
        report::print("\n`redpajama stages NAME` tells all of one\n");
    }
    Ok(())
}

/// Runs `sources`.
pub fn sources(args: &TellArgs) -> Result<()> {
    let told = sources::told();
    let names: Vec<&str> = told.iter().map(|source| source.name).collect();
    let chosen = choose(args, "source", &names)?;
    let mut out = String::new();
    if args.markdown {
        out += "# Sources\n\nMade by `redpajama sources --markdown`. One source for each slice; formats are recognised by \
                their content, not by their name.\n";
    }
    for source in told.iter().filter(|source| chosen.is_none_or(|name| name == source.name)) {
        if chosen.is_none() && !args.markdown {
            let _ = writeln!(out, "{:16} {}", source.name, source.about);
            continue;
        }
        heading(&mut out, args.markdown, &format!("{} (version {})", source.name, source.version));
        let _ = writeln!(out, "{}. {}\n", source.about, about(source.options.as_value()));
        let _ = writeln!(out, "Reads:\n");
        for format in source.formats {
            let _ = writeln!(out, "- {format}");
        }
        out.push('\n');
        example(&mut out, args.markdown, source.example);
        options(&mut out, args.markdown, source.options.as_value());
        let _ = writeln!(out, "Fills of a document's meta:\n");
        for (field, from) in source.fields {
            let _ = writeln!(out, "- `{field}` from {from}");
        }
        let _ = writeln!(out, "\nA record is unusable for one of these reasons:\n");
        for (reason, what) in &source.reasons {
            let rightly = if source.rightly.contains(reason) { " (no damage)" } else { "" };
            let _ = writeln!(out, "- `{reason}`: {what}{rightly}");
        }
        out.push('\n');
        if let Ok(manifest) = crate::manifest::read(source.name) {
            origin(&mut out, &manifest);
        }
    }
    report::print(&format!("{}\n", out.trim_end()));
    if chosen.is_none() && !args.markdown {
        report::print("\n`redpajama sources NAME` tells all of one\n");
    }
    Ok(())
}

/// Runs `schema`.
pub fn schema() -> Result<()> {
    let schema = schemars::schema_for!(Pipeline);
    report::print(&format!("{}\n", serde_json::to_string_pretty(&schema).unwrap_or_default()));
    Ok(())
}

/// The rules of each known recipe, with their sources.
fn presets(out: &mut String) {
    for preset in Preset::ALL {
        let _ = writeln!(out, "`preset: {}` is:\n", preset.name());
        for line in preset.lines() {
            let writer = stages::writer_of(line.signal).unwrap_or("nobody");
            let _ = writeln!(out, "- `{}` {}, of `{writer}` ({})", line.signal, line.rule(), line.source);
        }
        out.push('\n');
    }
}

/// Where the raw files of a slice come from, as its manifest says.
fn origin(out: &mut String, manifest: &Manifest) {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (slice, reported) = (&manifest.slice, &manifest.reported);
    let _ = writeln!(out, "Origin: {}. Licence: {}.\n", words(&manifest.about), words(&manifest.license));
    let mut figures = vec![format!("{} tokens", report::number(reported.tokens))];
    for (figure, what) in [(reported.documents, "documents"), (reported.files, "files"), (reported.bytes, "bytes")] {
        figures.extend(figure.map(|figure| format!("{} {what}", report::number(figure))));
    }
    let _ = writeln!(out, "The original reported {} ({}).\n", figures.join(", "), words(&reported.source));
    let inputs: Vec<String> = manifest.inputs.iter().map(|input| format!("`{input}`")).collect();
    let _ = writeln!(
        out,
        "Without `input`, raw files are looked for below `raw/{slice}` or `$REDPAJAMA_RAW/{slice}`: {}.\n",
        inputs.join(", ")
    );
    if !manifest.downloads.is_empty() {
        let _ = writeln!(out, "They can be downloaded:\n");
    }
    for download in &manifest.downloads {
        let mut notes = Vec::new();
        notes.extend(download.range.map(|(first, last)| format!("n from {first} to {last}")));
        notes.extend(download.each.iter().map(|(name, words)| format!("{name}: {}", words.join(", "))));
        notes.extend((!download.only.is_empty()).then(|| format!("only {}", download.only.join(", "))));
        notes.extend(download.bytes.map(|bytes| format!("{} bytes", report::number(bytes))));
        notes.extend(download.license.as_deref().map(words));
        notes.extend(download.sha256.as_ref().map(|sha256| format!("SHA-256 {sha256}")));
        notes.extend(download.requester_pays.as_ref().map(|price| {
            format!("its reader pays {} {} a gigabyte, by {}", price.gigabyte, price.currency, words(&price.source))
        }));
        notes.extend(download.file.as_ref().map(|file| format!("as {file}")));
        notes.extend(download.prefix.as_ref().map(|prefix| format!("below {prefix}")));
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        let listed = match (&download.listing, download.form) {
            (None, _) => "",
            (_, Form::Paths) => "what is listed in ",
            (_, Form::Arxiv) => "the archives that arXiv lists in ",
            (_, Form::Wikimedia) => "the dump's files, listed in ",
            (_, Form::ArchiveOrg) => "the item's files, listed in ",
        };
        let _ = writeln!(out, "- {listed}{}{notes}", download.address());
    }
    if !manifest.downloads.is_empty() {
        out.push('\n');
    }
    if let Some(query) = &manifest.query {
        let _ = writeln!(out, "Or exported by this query:\n\n```sql\n{}\n```\n", query.trim_end());
    }
}

fn choose<'a>(args: &'a TellArgs, what: &str, names: &[&str]) -> Result<Option<&'a str>> {
    let Some(name) = args.name.as_deref() else { return Ok(None) };
    if names.contains(&name) {
        return Ok(Some(name));
    }
    let failure = Failure::usage(format!("unknown {what} `{name}`"));
    Err(failure.hint(match closest(name, names) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("known are: {}", names.join(", ")),
    }))
}

fn heading(out: &mut String, markdown: bool, title: &str) {
    let _ = if markdown { writeln!(out, "\n## {title}\n") } else { writeln!(out, "{title}\n") };
}

fn example(out: &mut String, markdown: bool, example: &str) {
    if markdown {
        let _ = writeln!(out, "```yaml\n{example}\n```\n");
    } else {
        let _ = writeln!(out, "    {}\n", example.replace('\n', "\n    "));
    }
}

fn about(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().trim().to_owned()
}

fn first_sentence(text: &str) -> String {
    let line = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    line.split_once(". ").map_or(line.clone(), |(first, _)| first.to_owned()).trim_end_matches('.').to_owned()
}

/// Options with their types, defaults and texts, from the schema of the type that reads them.
fn options(out: &mut String, markdown: bool, schema: &Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let tick = if markdown { "`" } else { "" };
    for (name, property) in properties {
        let mut kind = kind_of(schema, property);
        if let Some(default) = property.get("default") {
            // A long list is a list to be seen in full, once.
            kind += &format!(", default {tick}{default}{tick}");
        }
        let text = about(property).replace('\n', " ");
        let _ = writeln!(out, "- {tick}{name}{tick}: {kind}. {text}");
        for (choice, text) in choices(schema, property) {
            let _ = writeln!(out, "  - {tick}{choice}{tick}: {}", text.replace('\n', " "));
        }
    }
    out.push('\n');
}

/// Follows a reference into the schema's definitions.
fn resolved<'s>(schema: &'s Value, property: &'s Value) -> &'s Value {
    let reference = property.get("$ref").and_then(Value::as_str);
    let found = reference.and_then(|reference| schema.pointer(reference.trim_start_matches('#')));
    found.unwrap_or(property)
}

fn kind_of(schema: &Value, property: &Value) -> String {
    let property = resolved(schema, property);
    if property.get("oneOf").is_some() || property.get("enum").is_some() {
        return "one of these words".to_owned();
    }
    if let Some(any) = property.get("anyOf").and_then(Value::as_array) {
        let kinds: Vec<String> = any.iter().map(|one| kind_of(schema, one)).collect();
        return kinds.join(" or ");
    }
    let words = |kind: &str| match kind {
        "integer" => "whole number",
        "number" => "number",
        "boolean" => "true or false",
        "string" => "text",
        "array" => "list",
        "object" => "map",
        "null" => "nothing",
        _ => "value",
    };
    let mut kind = match property.get("type") {
        Some(Value::String(kind)) => words(kind).to_owned(),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).map(words).collect::<Vec<_>>().join(" or "),
        _ => "value".to_owned(),
    };
    if let (Some(least), Some(most)) = (property.get("minimum"), property.get("maximum"))
        && property.get("format").is_none()
    {
        kind += &format!(" from {least} to {most}");
    }
    kind
}

fn choices(schema: &Value, property: &Value) -> Vec<(String, String)> {
    let property = resolved(schema, property);
    let Some(one_of) = property.get("oneOf").and_then(Value::as_array) else {
        let plain = property.get("enum").and_then(Value::as_array);
        return plain
            .into_iter()
            .flatten()
            .filter_map(|word| Some((word.as_str()?.to_owned(), String::new())))
            .collect();
    };
    let mut choices = Vec::new();
    for choice in one_of {
        if let Some(word) = choice.get("const").and_then(Value::as_str) {
            choices.push((word.to_owned(), about(choice)));
        }
        for word in choice.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            choices.push((word.to_owned(), about(choice)));
        }
    }
    choices
}

#[test]
fn every_stage_and_option_is_told() {
    for stage in stages::told() {
        assert!(about(stage.options.as_value()).len() > 40, "{} is hardly told", stage.name);
        let mut out = String::new();
        options(&mut out, true, stage.options.as_value());
        for line in out.lines().filter(|line| line.starts_with("- ")) {
            assert!(line.len() > line.find(": ").unwrap_or(0) + 20, "{}: {line}", stage.name);
        }
    }
}
