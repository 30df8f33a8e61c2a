//! Finds what reaches or identifies a person: addresses, telephone numbers, accounts.

mod account;
mod email;
mod ip;
mod phone;

use std::ops::Range;

use corpus::{Document, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Masks or counts e-mail addresses, public IP addresses, telephone numbers, payment cards and
/// IBANs in a text, as each one's option says.
///
/// What a rule can prove is proved: a domain ends as domains do, cards and IBANs have their check
/// digits (Luhn's, ISO 7064's), their lengths and prefixes, addresses of networks are those of the
/// public internet (the registries of RFC 6890). Private, reserved and documentation addresses and
/// the names of RFC 2606 are nobody's. Telephone numbers have no check digit: those of the
/// international and of common national forms count, others after a word such as `tel`; so they
/// are counted and left, and what is certain is masked.
///
/// Masks are addresses that the RFCs keep for documentation, so that a sentence stays one, and
/// what was masked is not found again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PersonalData {
    /// E-mail addresses.
    pub email: Action,
    /// Public IP addresses, of version 4 and 6. Well-known resolvers such as 8.8.8.8 are nobody's.
    pub ip: Action,
    /// Telephone numbers.
    pub phone: Action,
    /// Numbers of payment cards, by prefix, length and Luhn's check digit.
    pub card: Action,
    /// International bank account numbers, by country, length and check digits.
    pub iban: Action,
    /// What stands in for an e-mail address.
    pub email_mask: String,
    /// What stands in for an IP address.
    pub ip_mask: String,
    /// What stands in for a telephone number.
    pub phone_mask: String,
    /// What stands in for a card's number.
    pub card_mask: String,
    /// What stands in for an IBAN.
    pub iban_mask: String,
}

/// What is done with what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Something else stands in its place, and it is counted.
    Mask,
    /// It is counted and stays.
    Count,
    /// Nobody looks for it.
    Ignore,
}

impl Default for PersonalData {
    fn default() -> Self {
        PersonalData {
            email: Action::Mask,
            ip: Action::Mask,
            phone: Action::Count,
            card: Action::Mask,
            iban: Action::Mask,
            email_mask: "email@example.com".to_owned(),
            ip_mask: "192.0.2.1".to_owned(),
            phone_mask: "<PHONE>".to_owned(),
            card_mask: "<CARD>".to_owned(),
            iban_mask: "<IBAN>".to_owned(),
        }
    }
}

/// What can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Email,
    Ip,
    Phone,
    Card,
    Iban,
}

const WRITES: [SignalSpec; 5] = [
    SignalSpec { name: "email_count", kind: SignalKind::Integer, about: "e-mail addresses found" },
    SignalSpec { name: "ip_count", kind: SignalKind::Integer, about: "public IP addresses found" },
    SignalSpec { name: "phone_count", kind: SignalKind::Integer, about: "telephone numbers found" },
    SignalSpec { name: "card_count", kind: SignalKind::Integer, about: "numbers of payment cards found" },
    SignalSpec { name: "iban_count", kind: SignalKind::Integer, about: "international bank account numbers found" },
];

impl PersonalData {
    /// The signals that it writes.
    pub fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    /// In the order of [`WRITES`].
    fn actions(&self) -> [(What, Action, &str); 5] {
        [
            (What::Email, self.email, &self.email_mask),
            (What::Ip, self.ip, &self.ip_mask),
            (What::Phone, self.phone, &self.phone_mask),
            (What::Card, self.card, &self.card_mask),
            (What::Iban, self.iban, &self.iban_mask),
        ]
    }

    /// All that is looked for, in its order, none within another.
    fn find(&self, text: &str) -> Vec<(What, Range<usize>)> {
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        if self.email != Action::Ignore {
            for at in memchr::memchr_iter(b'@', bytes) {
                found.extend(email::around(bytes, at).map(|range| (What::Email, range)));
            }
        }
        let wanted = |what| self.actions().iter().any(|(known, action, _)| *known == what && *action != Action::Ignore);
        let [ip, phone, card, iban] = [What::Ip, What::Phone, What::Card, What::Iban].map(wanted);
        if !(ip || phone || card || iban) {
            return found;
        }
        let emails = found.len();
        let mut next_email = 0;
        let mut at = 0;
        while let Some(start) = next_digit(bytes, at) {
            while next_email < emails && found[next_email].1.end <= start {
                next_email += 1;
            }
            if let Some((_, email)) = found[..emails].get(next_email).filter(|(_, email)| email.contains(&start)) {
                at = email.end;
                continue;
            }
            let hit = None
                .or_else(|| ip.then(|| ip::at(text, start)).flatten().map(|range| (What::Ip, range)))
                .or_else(|| iban.then(|| account::iban(bytes, start)).flatten().map(|range| (What::Iban, range)))
                .or_else(|| card.then(|| account::card(bytes, start)).flatten().map(|range| (What::Card, range)))
                .or_else(|| phone.then(|| phone::at(bytes, start)).flatten().map(|range| (What::Phone, range)));
            at = match hit {
                Some((what, range)) => {
                    let end = range.end;
                    found.push((what, range));
                    end
                }
                None => end_of_digits(bytes, start),
            };
        }
        found.sort_by_key(|(_, range)| range.start);
        // Of two that overlap the first counts: what a hit ends with may begin an address.
        let mut end = 0;
        found.retain(|(_, range)| {
            let apart = range.start >= end;
            end = if apart { range.end } else { end };
            apart
        });
        found
    }
}

impl Stage for PersonalData {
    fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let found = self.find(document.text());
        let mut masked = String::new();
        let mut copied = 0;
        for (signal, (what, action, _)) in WRITES.iter().zip(self.actions()) {
            if action != Action::Ignore {
                let count = found.iter().filter(|(known, _)| *known == what).count();
                document.signals.set(signal.name, Signal::Integer(count as i64));
            }
        }
        for (what, range) in &found {
            let mask = self.actions().into_iter().find(|(known, action, _)| known == what && *action == Action::Mask);
            if let Some((.., mask)) = mask {
                masked.push_str(&document.text()[copied..range.start]);
                masked.push_str(mask);
                copied = range.end;
            }
        }
        if copied > 0 {
            masked.push_str(&document.text()[copied..]);
            document.edit(masked);
        }
        Verdict::Keep
    }
}

/// The next digit from a place on. Most text has none for long stretches.
fn next_digit(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(piece) = bytes.get(at..at + 32) {
        if piece.iter().fold(false, |any, byte| any | byte.is_ascii_digit()) {
            break;
        }
        at += 32;
    }
    Some(at + bytes.get(at..)?.iter().position(u8::is_ascii_digit)?)
}

/// Where the digits end that begin at a place.
fn end_of_digits(bytes: &[u8], from: usize) -> usize {
    from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether what begins at a place goes on from something before it: a word, or a longer number.
fn continues_before(bytes: &[u8], start: usize) -> bool {
    let is_word = |at: Option<usize>| at.is_some_and(|at| bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_');
    let before = start.checked_sub(1);
    is_word(before)
        || before
            .is_some_and(|at| b"-./,:_=#&%~".contains(&bytes[at]) && is_word(at.checked_sub(1)) && bytes[at] != b':')
        || before.is_some_and(|at| bytes[at] == b':' && at > 0 && bytes[at - 1].is_ascii_digit())
}

/// Whether what ends at a place goes on after it.
fn continues_after(bytes: &[u8], end: usize) -> bool {
    let is_word = |at: usize| bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    is_word(end) || (bytes.get(end).is_some_and(|byte| b"-./,:=%".contains(byte)) && is_digit(bytes, end + 1))
}

fn is_digit(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{check, edited, measured};

    /// What is found in a text: `what: it`, one after the other.
    #[track_caller]
    pub(super) fn finds(text: &str, expected: &[&str]) {
        let all = PersonalData::default().find(text);
        let found: Vec<String> =
            all.into_iter().map(|(what, range)| format!("{what:?}: {}", &text[range]).to_lowercase()).collect();
        let expected: Vec<String> = expected.iter().map(|one| one.to_lowercase()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_is_certain_is_masked_and_all_is_counted() {
        let text = "Ann (ann@harbour.org, +44 117 496 0123) wrote from 81.2.69.142.";
        edited("personal_data: {}", text, "Ann (email@example.com, +44 117 496 0123) wrote from 192.0.2.1.");
        measured("personal_data: {}", text, "email_count=1 ip_count=1 phone_count=1 card_count=0 iban_count=0");
        edited("personal_data: { email: count, ip: count }", text, text);
        edited(
            "personal_data: { email: ignore, phone: mask, ip_mask: '' }",
            text,
            "Ann (ann@harbour.org, <PHONE>) wrote from .",
        );
        measured(
            "personal_data: { email: ignore }",
            text,
            "email_count=- ip_count=1 phone_count=1 card_count=0 iban_count=0",
        );
    }

    #[test]
    fn what_was_masked_is_not_found_again() {
        let options = "personal_data: { phone: mask }";
        let text = "ann@harbour.org 81.2.69.142 2a00:1450::5 +44 117 496 0123";
        let (document, _) = crate::spec::tests::apply(options, text, corpus::Meta::default());
        measured(options, document.text(), "email_count=0 ip_count=0 phone_count=0 card_count=0 iban_count=0");
    }

    #[test]
    fn numbers_that_are_nobody_s_stay() {
        for text in [
            "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2, ISSN 2049-3630, doi:10.1000/182.11.22.33",
            "2024-01-02 12:30:45, 02.01.2024, 1/2/2024, 20240102T123045, 12:30:45.678",
            "v1.2.3.4 and version 10.20.30.40, Chrome/91.0.44.124, foo-1.2.3.4.tar.gz, 1.2.3.4.5",
            "sha1 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12, 550e8400-e29b-41d4-a716-446655440000",
            "1,234,567.89 +1.5 -3.25e10 3.14159265358979 0.4111111111111111 1e-10 100000000000",
            "SSN-like 123-45-6789, 1-2-3, 2001:0db8::1, std::vector, a::b, 10:20:30",
            "Windows NT 10.0; 8.8.8.8, 127.0.0.1, 192.168.1.10, 10.1.2.3, 172.20.0.1, 100.64.1.1, 224.0.0.1",
            "@media print, user@host, icon@2x.png, lodash@4.17.21, git@github.com:a/b.git, @handle, a@b",
        ] {
            finds(text, &[]);
        }
    }

    #[test]
    fn any_text_is_looked_at() {
        for text in [
            "",
            "@",
            "+",
            "1",
            "漢字１２３",
            "😀+😀1",
            "\u{202e}12\u{202d}@",
            "a@b.",
            "@.com",
            "::",
            "1:",
            "2:",
            "2:::",
        ] {
            finds(text, &[]);
        }
        for text in [
            "1".repeat(1 << 20),
            "@".repeat(1 << 14),
            "1-".repeat(1 << 14),
            "a.".repeat(1 << 14),
            "2a00:".repeat(1 << 14),
            "(2".repeat(1 << 14),
        ] {
            check("personal_data: {}", &text, "kept");
        }
    }
}
