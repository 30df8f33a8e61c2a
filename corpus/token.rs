//! Tokens, and what turns text into them.

use std::ops::Range;

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
    /// Whether it can say where in a text its tokens stand.
    fn tells_places(&self) -> bool {
        false
    }
    /// Where in a text its tokens, all of them, stand, in bytes; a character may be of several tokens.
    /// Where normalizing changed something, a token begins after it or ends before it, so that what
    /// several tokens span is surely theirs. Nothing if the tokens do not spell the text.
    fn places(&self, _text: &str, _tokens: &[TokenId]) -> Option<Vec<Range<usize>>> {
        None
    }
}
