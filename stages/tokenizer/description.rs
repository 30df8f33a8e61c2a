//! What a `tokenizer.json` says of itself, before anything is built from it.

use serde_json::Value;

use super::bytes;

/// What we need to know beside the engine.
pub(super) struct Description {
    /// One more than the highest id.
    pub(super) vocab_size: u32,
    /// Whether decoding gives back the normalized text.
    pub(super) round_trips: bool,
    /// How words are told apart, if it is the way of GPT-2 with nothing unusual about it.
    pub(super) gpt2: Option<Gpt2>,
    added: Vec<AddedToken>,
    vocab: Vec<(String, u32)>,
}

/// Byte-level BPE over the words of GPT-2's pattern, and what GPT-NeoX added to it.
pub(super) struct Gpt2 {
    /// The spelling of special tokens, found before anything else is looked at.
    pub(super) specials: Vec<String>,
    /// The ids of runs of 2, 3, 4, … spaces that are one token each.
    pub(super) space_runs: Vec<u32>,
}

struct AddedToken {
    id: u32,
    content: String,
    special: bool,
    normalized: bool,
    strips: bool,
    single_word: bool,
}

impl Description {
    pub(super) fn of(json: &Value) -> Result<Description, String> {
        if !json.is_object() {
            return Err("it is no JSON object".to_owned());
        }
        let model = &json["model"];
        let vocab = vocab_of(model)?;
        let added = added_of(json)?;
        let highest = vocab.iter().map(|(_, id)| *id).chain(added.iter().map(|token| token.id)).max();
        let highest = highest.ok_or("its vocabulary is empty")?;
        let vocab_size = highest.checked_add(1).ok_or_else(|| format!("its highest id is {highest}"))?;
        let mut description = Description { vocab_size, round_trips: false, gpt2: None, added, vocab };
        description.round_trips = description.spells_every_byte(json);
        description.gpt2 = description.gpt2_of(json);
        Ok(description)
    }

    /// The id of a token, added ones first.
    pub(super) fn id_of(&self, token: &str) -> Option<u32> {
        let added = self.added.iter().find(|added| added.content == token).map(|added| added.id);
        added.or_else(|| self.vocab.iter().find(|(known, _)| known == token).map(|(_, id)| *id))
    }

    /// The special tokens, by id.
    pub(super) fn specials(&self) -> impl Iterator<Item = (&str, u32)> {
        self.added.iter().filter(|added| added.special).map(|added| (added.content.as_str(), added.id))
    }

    /// How many bytes each token spells, if all are spelled in bytes; of ids without a token, none.
    pub(super) fn lengths(&self) -> Option<Box<[u32]>> {
        let tokens = self.vocab.len() + self.added.len();
        // Ids that leave most numbers out would take more room than they are worth.
        if !self.round_trips || self.vocab_size as usize > 4 * tokens + 1024 {
            return None;
        }
        let mut lengths = vec![0; self.vocab_size as usize].into_boxed_slice();
        for (token, id) in &self.vocab {
            lengths[*id as usize] = token.chars().count() as u32;
        }
        for added in &self.added {
            lengths[added.id as usize] = added.content.len() as u32;
        }
        Some(lengths)
    }

    /// Whether every text is spelled in bytes and nothing is stripped on the way.
    fn spells_every_byte(&self, json: &Value) -> bool {
        let model = &json["model"];
        let plain = ["continuing_subword_prefix", "end_of_word_suffix"]
            .iter()
            .all(|key| model[key].as_str().is_none_or(str::is_empty));
        let known: std::collections::HashSet<&str> = self.vocab.iter().map(|(token, _)| token.as_str()).collect();
        // These bytes are in no valid UTF-8, and GPT-NeoX-20B has no token for them.
        let spelled = (0..=255u8)
            .filter(|byte| !matches!(byte, 0xC0 | 0xC1 | 0xF5..=0xFF))
            .all(|byte| known.contains(bytes::letter(byte).encode_utf8(&mut [0; 4]) as &str));
        let strips = self.added.iter().any(|added| added.strips);
        json["decoder"]["type"] == "ByteLevel" && plain && spelled && !strips
    }

    fn gpt2_of(&self, json: &Value) -> Option<Gpt2> {
        let words = &json["pre_tokenizer"];
        let normalizer = &json["normalizer"];
        let known = words["type"] == "ByteLevel"
            && words["use_regex"] != false
            && words["add_prefix_space"] != true
            && (normalizer.is_null() || normalizer["type"] == "NFC");
        if !known || !self.round_trips {
            return None;
        }
        let mut gpt2 = Gpt2 { specials: Vec::new(), space_runs: Vec::new() };
        let mut runs = Vec::new();
        for added in &self.added {
            if added.strips || added.single_word || added.content.is_empty() {
                return None;
            }
            if !added.normalized {
                gpt2.specials.push(added.content.clone());
            } else if added.content.bytes().all(|byte| byte == b' ') {
                runs.push((added.content.len(), added.id));
            } else {
                return None;
            }
        }
        runs.sort_unstable();
        let without_gaps = runs.iter().enumerate().all(|(place, (length, _))| *length == place + 2);
        gpt2.space_runs = runs.into_iter().map(|(_, id)| id).collect();
        without_gaps.then_some(gpt2)
    }
}

fn vocab_of(model: &Value) -> Result<Vec<(String, u32)>, String> {
    let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    match &model["vocab"] {
        Value::Object(vocab) => vocab
            .iter()
            .map(|(token, value)| Ok((token.clone(), id(value).ok_or_else(|| format!("token `{token}` has no id"))?)))
            .collect(),
        // Unigram: tokens with their scores, numbered in order.
        Value::Array(vocab) => vocab
            .iter()
            .enumerate()
            .map(|(place, pair)| {
                let token = pair[0].as_str().ok_or_else(|| format!("token {place} has no text"))?;
                Ok((token.to_owned(), place as u32))
            })
            .collect(),
        _ => Err("it has no `model` with a `vocab`".to_owned()),
    }
}

fn added_of(json: &Value) -> Result<Vec<AddedToken>, String> {
    let added = match &json["added_tokens"] {
        Value::Null => return Ok(Vec::new()),
        Value::Array(added) => added,
        _ => return Err("`added_tokens` is no list".to_owned()),
    };
    let flag = |token: &Value, name: &str| token[name].as_bool().unwrap_or(false);
    added
        .iter()
        .map(|token| {
            let content = token["content"].as_str().ok_or("an added token has no `content`")?;
            let id = token["id"].as_u64().and_then(|id| u32::try_from(id).ok());
            Ok(AddedToken {
                id: id.ok_or_else(|| format!("added token `{content}` has no `id`"))?,
                content: content.to_owned(),
                special: flag(token, "special"),
                normalized: flag(token, "normalized"),
                strips: flag(token, "lstrip") || flag(token, "rstrip"),
                single_word: flag(token, "single_word"),
            })
        })
        .collect()
}
