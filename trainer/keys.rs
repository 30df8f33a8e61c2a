//! Every key of a run: what the types that read it say of it, for people.

use std::fmt::Write;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::config::{Config, PRESETS, bend};
use crate::failure::{Failure, Result};
use crate::report::number;
use crate::spec::RunSpec;
use crate::yaml::closest;

/// A key that may be written, or set by `--set`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its path, such as `optimizer.rate`.
    pub path: String,
    /// What its value is, and where it must lie.
    pub kind: String,
    /// What holds where it is not there; nothing where it must be.
    pub default: Option<String>,
    /// What it counts or measures.
    pub unit: Option<String>,
    /// What it does.
    pub about: String,
}

/// Keys that stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The key of the map that they stand in; empty for those of the run itself.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// The keys, in the order of the type that reads them.
    pub keys: Vec<Key>,
}

/// All keys, by section.
pub fn sections() -> Vec<Section> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<RunSpec>().to_value();
    let mut run = Section { name: String::new(), about: said(&schema), keys: Vec::new() };
    let mut maps = Vec::new();
    for (name, property) in properties(&schema) {
        // A map, or one of several forms of a value.
        let forms = property["anyOf"].as_array().map_or(std::slice::from_ref(property), Vec::as_slice);
        match forms.iter().find(|form| form["properties"].is_object()) {
            None => run.keys.push(key(name, property, &schema)),
            Some(map) => {
                let keys = properties(map).map(|(inner, property)| key(&format!("{name}.{inner}"), property, map));
                let words = [said(property), said(map)];
                // Where a field says nothing of its own, the schema repeats what its type says.
                let about = if words[0].is_empty() || words[0] == words[1] { &words[1] } else { &words.join(" ") };
                maps.push(Section { name: name.clone(), about: about.trim().to_owned(), keys: keys.collect() });
            }
        }
    }
    std::iter::once(run).chain(maps).collect()
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn said(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ").trim().to_owned()
}

fn key(path: &str, property: &Value, within: &Value) -> Key {
    let own = path.rsplit('.').next().unwrap_or(path);
    let required = within["required"].as_array().is_some_and(|all| all.iter().any(|name| name == own));
    let word = |name: &str| property[name].as_str().map(str::to_owned);
    let default = match (&property["default"], word("otherwise")) {
        (_, Some(words)) => Some(words),
        (Value::Null, None) if required => None,
        // Of a map that changes another.
        (Value::Null, None) => Some("as in `from`".to_owned()),
        (Value::Object(map), None) if map.is_empty() => Some("none".to_owned()),
        (value, None) => Some(format!("`{}`", plain(value))),
    };
    let mut about = said(property);
    let choices = choices(property);
    if !choices.is_empty() {
        let each = choices.iter().map(|(name, words)| format!("`{name}`: {}", words.trim_end_matches('.')));
        about += &format!(" ({})", each.collect::<Vec<_>>().join("; "));
    }
    Key { path: path.to_owned(), kind: kind(property), default, unit: word("unit"), about }
}

/// A default as it would be written.
fn plain(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(value) if value.abs() < 1e-3 && value != 0.0 => format!("{value:e}"),
            Some(value) => value.to_string(),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn kind(property: &Value) -> String {
    if let Some(kind) = property["kind"].as_str() {
        return kind.to_owned();
    }
    let names: Vec<String> = choices(property).into_iter().map(|(name, _)| format!("`{name}`")).collect();
    if !names.is_empty() {
        return names.join(", ");
    }
    // Of a value that may be left out the first type is its own.
    let types = property["type"].as_array().map_or(&property["type"], |types| types.first().unwrap_or(&Value::Null));
    let lies = property["lies"].as_str().map(|lies| format!(" {lies}")).unwrap_or_default();
    match types.as_str() {
        Some("integer") => format!("whole number from {}", property["minimum"].as_u64().unwrap_or(0)),
        Some("number") => format!("number{lies}"),
        Some("boolean") => "`true` or `false`".to_owned(),
        _ => "text".to_owned(),
    }
}

/// The words that a value may be, and what each means.
fn choices(property: &Value) -> Vec<(String, String)> {
    let all = property["oneOf"].as_array().into_iter().flatten();
    all.filter_map(|choice| Some((choice["const"].as_str()?.to_owned(), said(choice)))).collect()
}

/// What `keys` prints: all of them, those of a section, or one.
pub fn tell(name: Option<&str>, markdown: bool) -> Result<String> {
    let all = sections();
    if markdown {
        return Ok(page(&all));
    }
    let chosen = |section: &Section, key: &Key| name.is_none_or(|name| name == section.name || name == key.path);
    let mut out = String::new();
    for section in &all {
        for key in section.keys.iter().filter(|key| chosen(section, key)) {
            let default = key.default.as_ref().map_or("must be given".to_owned(), |words| format!("default {words}"));
            let unit = key.unit.as_ref().map(|unit| format!(" ({unit})")).unwrap_or_default();
            let line = format!("{}: {}{unit}, {default}\n    {}\n", key.path, key.kind, key.about);
            out += &line.replace('`', "");
        }
    }
    match name.filter(|_| out.is_empty()) {
        None => Ok(out),
        Some(name) => {
            let keys = all.iter().flat_map(|section| &section.keys).map(|key| key.path.as_str());
            let known: Vec<&str> = all.iter().map(|section| section.name.as_str()).chain(keys).collect();
            // By its last word, where that says which one; then by what is written much alike.
            let last = |path: &str| path.rsplit('.').next() == Some(name);
            let same: Vec<String> = known.iter().filter(|path| last(path)).map(|path| format!("`{path}`")).collect();
            Err(Failure::usage(format!("no key `{name}`")).hint(match closest(name, &known) {
                _ if !same.is_empty() => format!("did you mean {}?", same.join(" or ")),
                Some(close) => format!("did you mean `{close}`?"),
                None => "`redpajama-train keys` lists them all".to_owned(),
            }))
        }
    }
}

/// What all presets have in common.
#[derive(PartialEq, Debug)]
struct Common {
    wider: usize,
    longest: usize,
    base: f64,
    epsilon: f64,
    bend: &'static str,
    end: u32,
}

impl Common {
    fn of(config: &Config) -> Common {
        Common {
            wider: config.intermediate_size / config.hidden_size,
            longest: config.max_position_embeddings,
            base: config.rotary_base,
            epsilon: config.layer_norm_eps,
            bend: bend::name(config.hidden_act),
            end: config.eos_token_id,
        }
    }

    fn told(&self) -> String {
        let Common { wider, longest, base, epsilon, bend, end } = self;
        format!(
            "`intermediate_size` {wider} times `hidden_size`, `max_position_embeddings: {longest}`, `rotary_base: {base}`, \
             `layer_norm_eps: {epsilon:e}`, `hidden_act: {bend}`, `eos_token_id: {end}`"
        )
    }
}

/// The page of all keys.
fn page(sections: &[Section]) -> String {
    let mut out =
        "# The keys of a run\n\nMade by `redpajama-train keys --markdown`. A run is a YAML file; `--set KEY=VALUE` \
                   sets any of these keys (`--set optimizer.rate=1e-3`). A key that is not here is an error. Paths that are not absolute count \
                   from the folder in which the command runs, wherever the file lies.\n"
            .to_owned();
    for section in sections {
        let title = if section.name.is_empty() { "The run" } else { &format!("`{}`", section.name) };
        let _ = write!(out, "\n## {title}\n\n");
        // The text of the first is for those who read the code.
        if !section.name.is_empty() {
            let _ = write!(out, "{}\n\n", section.about);
        }
        out += "| key | value | unit | where it is not there | what it does |\n|---|---|---|---|---|\n";
        for key in &section.keys {
            let default = key.default.as_deref().unwrap_or("must be there");
            let unit = key.unit.as_deref().unwrap_or_default();
            let _ = writeln!(out, "| `{}` | {} | {unit} | {default} | {} |", key.path, key.kind, key.about);
        }
    }
    let common = Common::of(&PRESETS[0].config());
    let _ = write!(
        out,
        "\n## Presets\n\n`model: NAME` takes a model and, where a run does not say them, what is published of how it was \
         trained. All have in common: {}.\n\n\
         | preset | parameters | layers | `hidden_size` | heads | `vocab_size` | residual | `rotary_pct` | \
         `optimizer.rate` | tokens of a step | tokens in all |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
        common.told()
    );
    for preset in &PRESETS {
        let config = preset.config();
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {} | {} | {} | {:e} | {} | {} |",
            preset.name,
            number(config.parameters()),
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.vocab_size,
            if config.use_parallel_residual { "parallel" } else { "sequential" },
            config.rotary_pct,
            preset.rate,
            number(preset.batch_tokens),
            number(preset.tokens),
        );
    }
    out += "\nTheir sources:\n\n";
    let mut sources: Vec<(&str, Vec<String>)> = Vec::new();
    for preset in &PRESETS {
        let name = format!("`{}`", preset.name);
        match sources.iter_mut().find(|(source, _)| *source == preset.source) {
            Some((_, names)) => names.push(name),
            None => sources.push((preset.source, vec![name])),
        }
    }
    for (source, names) in sources {
        let _ = writeln!(out, "- {}: {source}.", names.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    /// A value for each key that is not its default.
    const OTHERS: [(&str, &str); 50] = [
        ("model.from", "pythia-31m"),
        ("model.vocab_size", "1024"),
        ("model.hidden_size", "256"),
        ("model.num_hidden_layers", "2"),
        ("model.num_attention_heads", "8"),
        ("model.intermediate_size", "300"),
        ("model.max_position_embeddings", "4096"),
        ("model.use_parallel_residual", "false"),
        ("model.rotary_pct", "0.5"),
        ("model.rotary_base", "500000"),
        ("model.layer_norm_eps", "1e-6"),
        ("model.hidden_act", "gelu"),
        ("model.eos_token_id", "7"),
        ("start", "weights"),
        ("tokenizer", "tokenizer.json"),
        ("data.from", "[out/one, out/two]"),
        ("data.shards", "{ mine: a }"),
        ("data.mixture", "{ c4: 2 }"),
        ("data.epochs", "{ c4: 2 }"),
        ("data.validation", "0"),
        ("data.documents", "false"),
        ("seed", "7"),
        ("sequence", "128"),
        ("batch", "16"),
        ("micro", "4"),
        ("steps", "7"),
        ("precision", "bf16"),
        ("scaling.start", "4096"),
        ("scaling.interval", "7"),
        ("scaling.hysteresis", "2"),
        ("scaling.backoff", "0.25"),
        ("scaling.min", "2"),
        ("optimizer.rate", "0.5"),
        ("optimizer.beta1", "0.8"),
        ("optimizer.beta2", "0.99"),
        ("optimizer.epsilon", "1e-6"),
        ("optimizer.decay", "0"),
        ("optimizer.clip", "0"),
        ("schedule.shape", "linear"),
        ("schedule.warmup", "0.5"),
        ("schedule.floor", "0"),
        ("guard.spike", "6"),
        ("guard.abort", "3"),
        ("checkpoint.every", "7"),
        ("checkpoint.keep", "7"),
        ("checkpoint.keep_every", "7"),
        ("checkpoint.bad", "true"),
        ("peak_flops", "9.89e14"),
        ("eval_every", "7"),
        ("data.mixture.c4", "2"),
    ];

    fn read(set: &[String]) -> Result<String> {
        let spec = yaml::read::<RunSpec>("run.yaml", "model: pythia-14m\n", set)?;
        Ok(format!("{spec:?}"))
    }

    #[test]
    fn set_covers_every_key() {
        let plain = read(&[]).unwrap();
        for key in sections().iter().flat_map(|section| &section.keys) {
            let other = OTHERS.iter().find(|(path, _)| *path == key.path);
            let (path, value) = other.unwrap_or_else(|| panic!("`{}` is not in this table: give it a value", key.path));
            let set = read(&[format!("{path}={value}")]).unwrap_or_else(|failure| panic!("{path}: {failure}"));
            assert_ne!(set, plain, "--set {path}={value} changes nothing");
        }
        for (path, value) in OTHERS {
            let known = |key: &Key| path == key.path || path.starts_with(&format!("{}.", key.path));
            assert!(sections().iter().flat_map(|section| &section.keys).any(known), "no key `{path}`");
            assert_ne!(read(&[format!("{path}={value}")]).unwrap(), plain, "{path}");
        }
    }

    #[test]
    fn the_keys_that_are_told_are_those_that_are_read() {
        let all = sections();
        for section in &all {
            let dot = if section.name.is_empty() { "" } else { "." };
            let failure = read(&[format!("{}{dot}qqqqqqqq=1", section.name)]).unwrap_err();
            let known = failure.hint.unwrap_or_default();
            let mut known: Vec<&str> = known.strip_prefix("known are: ").unwrap_or(&known).split(", ").collect();
            let mut told: Vec<&str> =
                section.keys.iter().map(|key| &key.path[section.name.len() + dot.len()..]).collect();
            if section.name.is_empty() {
                told.extend(all.iter().map(|section| section.name.as_str()).filter(|name| !name.is_empty()));
            }
            known.sort_unstable();
            told.sort_unstable();
            assert_eq!(known, told, "{}", section.name);
        }
    }

    #[test]
    fn each_key_is_told_in_full() {
        for key in sections().iter().flat_map(|section| &section.keys) {
            assert!(key.about.len() > 5 && !key.about.contains('|'), "{key:?}");
            // Without a unit are names, paths, switches, what chance is drawn from, and numbers that are none of anything.
            let bare = ["seed", "optimizer.rate", "optimizer.epsilon", "model.rotary_base", "model.layer_norm_eps"]
                .contains(&key.path.as_str());
            assert!(
                !key.kind.contains("number") || key.unit.is_some() || bare || key.kind.contains("paths"),
                "{key:?}"
            );
            let from = key.default.as_deref() == Some("as in `from`");
            assert!(!from || key.path.starts_with("model."), "{key:?} does not say what holds without it");
        }
        let of = |path: &str| tell(Some(path), false).unwrap();
        assert!(of("optimizer.beta1").starts_with("optimizer.beta1: number from 0, below 1 (share), default 0.9\n"));
        assert!(of("optimizer.epsilon").contains("default 1e-8") && of("model.from").contains("must be given"));
        assert!(of("schedule").contains("cosine: Half a wave") && of("schedule").lines().count() == 6);
        assert!(
            tell(Some("optimiser.rate"), false).unwrap_err().to_string().contains("did you mean `optimizer.rate`?")
        );
        for (word, meant) in [("rate", "`optimizer.rate`"), ("from", "`model.from` or `data.from`")] {
            let failure = tell(Some(word), false).unwrap_err().to_string();
            assert!(failure.contains(&format!("did you mean {meant}?")), "{failure}");
        }
    }

    #[test]
    fn presets_have_in_common_what_is_said_of_all() {
        let common = Common::of(&PRESETS[0].config());
        for preset in &PRESETS {
            assert_eq!(Common::of(&preset.config()), common, "{}", preset.name);
        }
    }

    /// `UPDATE=1 cargo test -p trainer the_page` writes it anew.
    #[test]
    fn the_page_is_what_the_command_tells() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/trainer.md");
        let told = tell(None, true).unwrap();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &told).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == told,
            "docs/trainer.md: `redpajama-train keys --markdown` tells something else; UPDATE=1 writes it"
        );
    }
}
