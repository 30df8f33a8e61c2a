//! Where in a text its tokens stand, for tokenizers that spell bytes.

use std::borrow::Cow;
use std::iter::once;
use std::ops::Range;

use corpus::TokenId;
use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, is_nfc_quick};

/// The place of each token, by how many bytes each spells; see [`corpus::Tokenizer::places`].
pub(super) fn places<'t>(
    text: &'t str,
    tokens: &[TokenId],
    lengths: &[u32],
    normalized: impl Fn(&'t str) -> Cow<'t, str>,
) -> Option<Vec<Range<usize>>> {
    let length = |token: &TokenId| lengths.get(*token as usize).map_or(0, |length| *length as usize);
    let spelled: usize = tokens.iter().map(length).sum();
    let changes = match text.is_ascii() && spelled == text.len() {
        true => Vec::new(),
        false => {
            let whole = normalized(text);
            if spelled != whole.len() {
                return None;
            }
            if *whole == *text { Vec::new() } else { changes(text, &whole, normalized) }
        }
    };
    let mut places = Vec::with_capacity(tokens.len());
    let (mut at, mut passed) = (0, 0);
    for token in tokens {
        let (begins, ends) = (at, at + length(token));
        at = ends;
        // What was changed before it: the last of it decides how far the texts are apart.
        while changes.get(passed).is_some_and(|change| change.to.end <= begins) {
            passed += 1;
        }
        let mut place = match passed.checked_sub(1) {
            Some(last) => changes[last].after(begins)..changes[last].after(ends),
            None => begins..ends,
        };
        let touched = changes[passed..].iter().take_while(|change| change.to.start < ends);
        for change in touched {
            if change.to.start < begins {
                place.start = change.from.end + begins.saturating_sub(change.to.end);
            }
            place.end = if ends < change.to.end { change.from.start } else { change.after(ends) };
        }
        places.push(place.start..place.end);
    }
    Some(places)
}

/// Bytes of a text that normalizing changed, and what they became.
#[derive(Debug)]
struct Change {
    from: Range<usize>,
    to: Range<usize>,
}

impl Change {
    /// Where in the text a place of the normalized one is that comes after the change, and before the next.
    fn after(&self, at: usize) -> usize {
        self.from.end + (at - self.to.end)
    }
}

/// What normalizing changed, in order.
fn changes<'t>(text: &'t str, whole: &str, normalized: impl Fn(&'t str) -> Cow<'t, str>) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let (mut from, mut to) = (0, 0);
    while from < text.len() {
        let piece = piece(&text[from..]);
        let became = if piece.chars().nth(1).is_none() && whole[to..].starts_with(piece) {
            Cow::Borrowed(piece)
        } else {
            normalized(piece)
        };
        if !whole[to..].starts_with(&*became) {
            // A normalizer that looks further than its piece: nobody can say what became of what.
            return vec![Change { from: 0..text.len(), to: 0..whole.len() }];
        }
        let (ends, became_ends) = (from + piece.len(), to + became.len());
        if *became != *piece {
            changes.push(Change { from: from..ends, to: to..became_ends });
        }
        (from, to) = (ends, became_ends);
    }
    match to == whole.len() {
        true => changes,
        false => vec![Change { from: 0..text.len(), to: 0..whole.len() }],
    }
}

/// The beginning of a text that canonical composition (NFC) changes without looking at what follows: up to
/// the next character that never joins one before it.
fn piece(text: &str) -> &str {
    let alone = |character: char| {
        character.is_ascii()
            || canonical_combining_class(character) == 0 && is_nfc_quick(once(character)) == IsNormalized::Yes
    };
    let end = text.char_indices().skip(1).find(|(_, character)| alone(*character)).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use corpus::Tokenizer;
    use serde_json::{Value, json};

    use super::super::tests::{learned, load_json, mixed};

    /// Every token stands where the library says, which gives a token of part of a character all of it; and
    /// where normalizing changed something, tokens spell what their places do.
    #[test]
    fn places_are_those_of_the_library() {
        for normalizer in [Value::Null, json!({ "type": "NFC" })] {
            let mut description = learned();
            description["normalizer"] = normalizer.clone();
            description["post_processor"] = Value::Null;
            let ours = load_json(&description, None).unwrap();
            let oracle: oracle::Tokenizer = description.to_string().parse().unwrap();
            let (mut same, mut within) = (0, 0);
            for text in mixed().iter().chain([&String::new(), &"e\u{301}".repeat(9), &"\u{212B}x ".repeat(5)]) {
                let mut tokens = Vec::new();
                ours.encode(text, &mut tokens);
                let places = ours.places(text, &tokens).unwrap();
                assert_eq!(places.len(), tokens.len());
                if ours.normalized(text) != *text {
                    for (at, from) in places.iter().enumerate() {
                        for (length, to) in places[at..].iter().enumerate().step_by(4).take(2) {
                            let Some(span) = text.get(from.start..to.end) else { continue };
                            let spelled = ours.decode(&tokens[at..=at + length]);
                            assert!(spelled.contains(&*ours.normalized(span)), "{text:?}: {span:?} {spelled:?}");
                            within += 1;
                        }
                    }
                    continue;
                }
                let theirs = oracle.encode(text.as_str(), false).unwrap();
                assert_eq!(theirs.get_ids(), tokens);
                for (place, (from, to)) in places.iter().zip(theirs.get_offsets()) {
                    let whole = text.floor_char_boundary(place.start)..text.ceil_char_boundary(place.end);
                    assert_eq!(whole, *from..*to, "{text:?} {place:?}");
                    same += 1;
                }
            }
            assert!(same > 1000 && (within > 1000 || normalizer.is_null()), "{same} {within}");
        }
    }

    #[test]
    fn what_composition_changed_is_of_no_token() {
        let mut description = learned();
        description["normalizer"] = json!({ "type": "NFC" });
        let ours = load_json(&description, None).unwrap();
        let text = "the red e\u{301}\u{301} pajamas";
        let mut tokens = Vec::new();
        ours.encode(text, &mut tokens);
        let places = ours.places(text, &tokens).unwrap();
        let told: Vec<&str> = places.iter().filter_map(|place| text.get(place.clone())).collect();
        assert_eq!(told.concat(), "the red  pajamas", "{told:?}");
        // From before it to after it they span it all.
        assert_eq!((places[0].start, places.last().unwrap().end), (0, text.len()));
    }

    #[test]
    fn tokens_of_another_text_have_no_place() {
        let ours = load_json(&learned(), None).unwrap();
        let mut tokens = Vec::new();
        ours.encode("the red pajamas", &mut tokens);
        assert_eq!(ours.places("the red pajama", &tokens), None);
        assert!(ours.tells_places());
    }
}
