//! Tokens, and what turns text into them.

use crate::Digest;

/// One token, as the tokenizer numbers it.
pub type TokenId = u32;

/// Turns text into tokens and back. `tokenize` in the stages crate is the one that ships.
pub trait Tokenizer: Send + Sync {
    /// One more than the highest id.
    fn vocab_size(&self) -> u32;
    /// The id that ends every document in a shard.
    fn end_of_document(&self) -> TokenId;
    /// The digest of the tokenizer's file: two tokenizers are the same only if this is.
    fn digest(&self) -> Digest;
    /// Appends the tokens of `text`.
    fn encode(&self, text: &str, out: &mut Vec<TokenId>);
    /// The text that the tokens spell, special tokens included.
    fn decode(&self, tokens: &[TokenId]) -> String;
    /// The text as the tokenizer sees it: what decoding gives back.
    fn normalized<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str>;
    /// Whether decoding the tokens of a text gives back its normalized form, byte for byte. Not so
    /// for tokenizers that drop white space or know too few characters.
    fn round_trips(&self) -> bool;
}
