//! Text from a model, one token after another, with the keys and values of what came before kept.

use std::time::Instant;

use crate::cli::GenerateArgs;
use crate::commands::read;
use crate::cpu::Float;
use crate::device::{Device, Into, Precision, Shape};
use crate::failure::{Code, Failure, Result};
use crate::folder;
use crate::model::{Inference, Model};
use crate::pretrain::cpu;
use crate::report::{rounded, say};
use crate::tokenizer::{Stream, TOKENIZER, Tokenizer};
use crate::weights::{Weights, unit};

/// Goes on with a text or with tokens; what comes is printed as it comes, as long as `print` says that someone reads.
pub fn generate(args: &GenerateArgs, print: &mut dyn FnMut(&str) -> Result<bool>) -> Result<()> {
    let tokenizer = args.prompt.as_ref().map(|_| tokenizer_of(args)).transpose()?;
    let (config, weights) = read(&args.model)?;
    let prompt = match (&args.prompt, &tokenizer) {
        (Some(text), Some(tokenizer)) => tokenizer.encode(text)?,
        _ => args.ids.clone(),
    };
    // What comes first in a document follows the end of another.
    let prompt = if prompt.is_empty() { vec![config.eos_token_id] } else { prompt };
    if let (Some(tokenizer), Some(token)) = (&tokenizer, prompt.iter().find(|id| **id as usize >= config.vocab_size)) {
        let path = tokenizer.path().display();
        return Err(Failure::configuration(format!("{path} gives token {token}, the model has {}", config.vocab_size))
            .hint("the model was trained with another tokenizer: `--tokenizer` names it"));
    }
    let device = cpu::<f32>(args.threads, Precision::F32)?;
    let model = Model::new(&device, &config);
    let weights = model.upload(&weights);
    let room = config.max_position_embeddings.saturating_sub(prompt.len());
    let tokens = args.tokens.unwrap_or(room.min(64));
    let mut text = Text::new(&model, &weights, prompt.len() + tokens)?;
    let first = match &args.logits {
        Some(path) => {
            let all = text.extend_all(&prompt)?;
            std::fs::write(path, npy(&all, config.vocab_size)).map_err(Failure::io("cannot write", path))?;
            all[all.len() - config.vocab_size..].to_vec()
        }
        None => text.extend(&prompt)?,
    };
    numbers(&first, prompt.len())?;
    let (since, mut all, mut read) = (Instant::now(), 0, true);
    for sample in 0..args.samples {
        if !read {
            break;
        }
        if args.samples > 1 && tokenizer.is_some() {
            read &= print(&format!("{}--- {} of {}\n", if sample > 0 { "\n" } else { "" }, sample + 1, args.samples))?;
        }
        let seed = args.seed.wrapping_add(u64::from(sample));
        let choice = Choice { temperature: args.temperature, top_k: args.top_k, top_p: args.top_p, seed };
        let mut stream = tokenizer.as_ref().map(|tokenizer| Stream::after(tokenizer, &prompt));
        text.back_to(prompt.len());
        let mut logits = first.clone();
        for number in 0..tokens {
            let token = choice.choose(&logits, number as u64);
            if config.ends().any(|end| end == token) {
                break;
            }
            all += 1;
            read &= match &mut stream {
                Some(stream) => print(&stream.push(token))?,
                None => print(&format!("{}{token}", if number > 0 { "," } else { "" }))?,
            };
            if !read {
                break;
            }
            if number + 1 < tokens {
                logits = text.extend(&[token])?;
                numbers(&logits, prompt.len() + number + 1)?;
            }
        }
        if let Some(stream) = &mut stream {
            read &= print(&stream.end())?;
        }
        read &= print("\n")?;
    }
    let speed = f64::from(all) / since.elapsed().as_secs_f64().max(1e-9);
    say(&format!("{all} tokens after {}, {} tokens/s", prompt.len(), rounded(speed)));
    Ok(())
}

/// Refuses logits after so many `tokens` that are no finite numbers: nothing can be chosen by them.
fn numbers(logits: &[f32], tokens: usize) -> Result<()> {
    let none = logits.iter().filter(|logit| !logit.is_finite()).count();
    if none == 0 {
        return Ok(());
    }
    let all = logits.len();
    Err(Failure::configuration(format!("after {tokens} tokens {none} of {all} logits are no finite numbers"))
        .hint("the model is broken: take another checkpoint of its run, by the name of its folder"))
}

/// Rows of `width` numbers as NumPy reads them, format 1.0: a header in Python's words, then the numbers.
fn npy(numbers: &[f32], width: usize) -> Vec<u8> {
    let shape = format!("({}, {width})", numbers.len() / width);
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    // With the ten bytes before it and its line's end, it fills a multiple of 64.
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header.extend(std::iter::repeat_n(' ', length - 1 - header.len()));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

/// The tokenizer that is named, or the model's own.
fn tokenizer_of(args: &GenerateArgs) -> Result<Tokenizer> {
    let own = || folder::tokenizer(&args.model);
    match args.tokenizer.as_deref().map(folder::tokenizer_at).or_else(own) {
        Some(path) => Tokenizer::open(&path),
        None => Err(Failure::new(
            Code::Usage,
            format!("{} has no {TOKENIZER} to read a text with", args.model.display()),
        )
        .hint("`--tokenizer` names one, and so does `tokenizer` in the configuration of a run; `--ids` needs none")),
    }
}

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// 0 takes the likeliest; 1 draws as the model says; more is bolder.
    pub temperature: f64,
    /// Only among so many of the likeliest; 0 for all.
    pub top_k: usize,
    /// Only among the likeliest that together have this probability; 1 for all.
    pub top_p: f64,
    /// What chance is drawn from.
    pub seed: u64,
}

impl Choice {
    /// The `number`-th token, given the logits of all.
    pub fn choose<F: Float>(&self, logits: &[F], number: u64) -> u32 {
        let mut ranked: Vec<u32> = (0..logits.len() as u32).collect();
        let logit = |token: &u32| logits[*token as usize].f64();
        // Among equals the lower id; what is not a number comes last.
        ranked.sort_by(|a, b| {
            let order = logit(b).partial_cmp(&logit(a)).unwrap_or_else(|| logit(a).is_nan().cmp(&logit(b).is_nan()));
            order.then(a.cmp(b))
        });
        if self.temperature <= 0.0 {
            return ranked.first().copied().unwrap_or(0);
        }
        if self.top_k > 0 {
            ranked.truncate(self.top_k);
        }
        let highest = ranked.first().map_or(0.0, logit);
        let weights: Vec<f64> =
            ranked.iter().map(|token| libm::exp((logit(token) - highest) / self.temperature)).collect();
        let all: f64 = weights.iter().filter(|weight| weight.is_finite()).sum();
        let mut kept = 0;
        let mut mass = 0.0;
        while kept < weights.len() && weights[kept].is_finite() && (kept == 0 || mass < self.top_p * all) {
            mass += weights[kept];
            kept += 1;
        }
        let mut left = unit(self.seed, number) * mass;
        for (token, weight) in ranked.iter().zip(&weights[..kept]) {
            left -= weight;
            if left < 0.0 {
                return *token;
            }
        }
        ranked[kept.max(1) - 1]
    }
}

/// One text that grows.
pub struct Text<'m, 'd, D: Device> {
    model: &'m Model<'d, D>,
    weights: &'m Weights<D::Tensor>,
    /// Of each layer, the queries, keys and values of all tokens so far.
    cache: Vec<D::Tensor>,
    used: usize,
    longest: usize,
    one: Option<(usize, Inference<D>)>,
}

impl<'m, 'd, D: Device> Text<'m, 'd, D> {
    /// An empty text with room for so many tokens.
    pub fn new(model: &'m Model<'d, D>, weights: &'m Weights<D::Tensor>, longest: usize) -> Result<Text<'m, 'd, D>> {
        let most = model.config().max_position_embeddings;
        if longest > most {
            return Err(Failure::usage(format!("{longest} tokens are too many: the model's longest text is {most}"))
                .hint("ask for fewer, or shorten the prompt"));
        }
        let one = 3 * model.config().hidden_size;
        let cache = weights.blocks.iter().map(|_| model.device().zeros(longest * one)).collect();
        Ok(Text { model, weights, cache, used: 0, longest, one: None })
    }

    /// Forgets all but so many of its first tokens.
    pub fn back_to(&mut self, tokens: usize) {
        self.used = self.used.min(tokens);
    }

    /// Appends tokens; the logits of what comes next.
    pub fn extend(&mut self, tokens: &[u32]) -> Result<Vec<D::Scalar>> {
        self.extend_from(tokens, tokens.len().saturating_sub(1))
    }

    /// Appends tokens; of each, the logits of what comes after it, `[tokens][vocabulary]`.
    pub fn extend_all(&mut self, tokens: &[u32]) -> Result<Vec<D::Scalar>> {
        self.extend_from(tokens, 0)
    }

    /// Appends tokens; the logits from the `first` of them on.
    fn extend_from(&mut self, tokens: &[u32], first: usize) -> Result<Vec<D::Scalar>> {
        let config = self.model.config();
        let (d, vocabulary) = (config.hidden_size, config.vocab_size);
        if let Some(token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
            return Err(Failure::usage(format!("token {token} is not below the model's {vocabulary}")));
        }
        let count = tokens.len();
        if count == 0 || self.used + count > self.longest {
            return Err(Failure::usage(format!("no room for {count} tokens after {}", self.used)));
        }
        let device = self.model.device();
        let (_, room) = match self.one.take() {
            Some(own) if own.0 == count => self.one.insert(own),
            _ => self.one.insert((count, self.model.inference(count))),
        };
        self.model.extend(self.weights, tokens, self.used, &mut self.cache, room);
        self.used += count;
        let mut logits = vec![D::Scalar::default(); (count - first) * vocabulary];
        for (at, row) in (first..count).zip(logits.chunks_exact_mut(vocabulary)) {
            let shape = Shape { at, count: 1, ins: d, outs: vocabulary };
            device.linear(&room.last, &self.weights.head, None, shape, Into::Set, &mut room.logits);
            device.read(&room.logits, 0, row);
        }
        Ok(logits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_keep_to_their_bounds() {
        let logits = [0.0f32, 3.0, 2.0, f32::NAN, 3.0, -1.0];
        let choice = |temperature, top_k, top_p| Choice { temperature, top_k, top_p, seed: 5 };
        let drawn = |choice: Choice| {
            let mut drawn: Vec<u32> = (0..300).map(|number| choice.choose(&logits, number)).collect();
            drawn.sort_unstable();
            drawn.dedup();
            drawn
        };
        assert_eq!(drawn(choice(0.0, 0, 1.0)), [1]);
        assert_eq!(drawn(choice(1.0, 1, 1.0)), [1]);
        assert_eq!(drawn(choice(1.0, 2, 1.0)), [1, 4]);
        assert_eq!(drawn(choice(1.0, 0, 0.5)), [1, 4]);
        assert_eq!(drawn(choice(5.0, 0, 1.0)), [0, 1, 2, 4, 5]);
        assert_eq!(choice(1.0, 0, 1.0).choose(&[f32::NAN; 3], 0), 0);
    }

    #[test]
    fn draws_are_as_likely_as_they_should_be() {
        let choice = Choice { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 1 };
        let logits = [libm::log(0.7), libm::log(0.2), libm::log(0.1)];
        let count = (0..10_000).filter(|number| choice.choose(&logits, *number) == 0).count();
        assert!((6800..7200).contains(&count), "{count}");
    }
}
