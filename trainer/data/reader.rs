//! Shards for a model: whoever opens them to give them to one comes through here.

use std::path::Path;

use corpus::Digest;

use super::Data;
use crate::config::Config;
use crate::failure::{Failure, Result};
use crate::spec::RunPlan;

/// The tokenizer that a model is known to have.
#[derive(Clone, Debug)]
pub struct Known {
    /// Of its file.
    pub digest: Digest,
    /// Where that is known from, as a message has it.
    pub place: String,
    /// What to do where the shards were made with another.
    pub hint: &'static str,
}

impl Known {
    /// That of a file.
    pub fn file(path: &Path, hint: &'static str) -> Result<Known> {
        Ok(Known { digest: Digest::of_file(path)?.0, place: path.display().to_string(), hint })
    }
}

/// What of a model decides which shards it can be given.
pub struct Reader<'a> {
    /// Its shape.
    pub config: &'a Config,
    /// Its tokenizer, if anything is known of it.
    pub tokenizer: Option<Known>,
}

impl Reader<'_> {
    /// What it is trained on.
    pub fn train(&self, plan: &RunPlan) -> Result<Data> {
        self.check_length(plan)?;
        self.checked(Data::open(&plan.spec.data, plan.spec.seed, plan.time, self.config.vocab_size)?)
    }

    /// What it is evaluated on: nothing is drawn, so that mixture and epochs are of no account, and no slice is too
    /// small.
    pub fn evaluate(&self, plan: &RunPlan) -> Result<Data> {
        self.check_length(plan)?;
        self.checked(Data::gather(&plan.spec.data, plan.time, self.config.vocab_size)?.0)
    }

    fn check_length(&self, plan: &RunPlan) -> Result<()> {
        let (time, longest) = (plan.time, self.config.max_position_embeddings);
        if time <= longest {
            return Ok(());
        }
        Err(Failure::configuration(format!("`sequence` is {time}, the model's longest is {longest}"))
            .hint(format!("`--set sequence={longest}` takes sequences that the model can read")))
    }

    fn checked(&self, data: Data) -> Result<Data> {
        let Some(entry) = &data.tokenizer else { return Ok(data) };
        if let Some(known) = self.tokenizer.as_ref().filter(|known| known.digest != entry.digest) {
            let (own, theirs) = (entry.digest.short(), known.digest.short());
            let message =
                format!("the shards were made with tokenizer {own} ({}), {} is {theirs}", entry.name, known.place);
            return Err(Failure::configuration(message).hint(known.hint));
        }
        let (theirs, own) = (entry.end_of_document, self.config.eos_token_id);
        if self.config.ends().all(|end| end != theirs) {
            return Err(Failure::configuration(format!(
                "documents of the shards end with token {theirs}, those of the model with {own}"
            ))
            .hint(format!("set the model's `eos_token_id` to {theirs}")));
        }
        Ok(data)
    }
}
