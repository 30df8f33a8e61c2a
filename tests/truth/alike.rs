//! How alike documents are, by the definition: every pair that shares anything is compared, shingles
//! are words themselves and no hashes of them.

use std::collections::HashMap;

/// Words of a shingle.
const WIDTH: usize = 5;
/// Stands where a document has too few words for a shingle.
const NONE: u32 = u32::MAX;

/// The shingles of documents, as numbers: each ascending, each once.
pub struct Shingles(Vec<Vec<u32>>);

impl Shingles {
    /// Five words that follow each other, in small letters and without punctuation; of fewer words all
    /// of them.
    pub fn of<'t>(texts: impl Iterator<Item = &'t str>) -> Shingles {
        let mut vocabulary: HashMap<String, u32> = HashMap::new();
        let mut known: HashMap<[u32; WIDTH], u32> = HashMap::new();
        let mut number = |shingle: [u32; WIDTH]| {
            let next = known.len() as u32;
            *known.entry(shingle).or_insert(next)
        };
        let mut all = Vec::new();
        for text in texts {
            let mut words = Vec::new();
            let small = text.to_lowercase();
            for word in small.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
                let next = vocabulary.len() as u32;
                words.push(*vocabulary.entry(word.to_owned()).or_insert(next));
            }
            let mut shingles: Vec<u32> = if words.is_empty() {
                Vec::new()
            } else if words.len() < WIDTH {
                let mut shingle = [NONE; WIDTH];
                shingle[..words.len()].copy_from_slice(&words);
                vec![number(shingle)]
            } else {
                words.windows(WIDTH).map(|five| number([five[0], five[1], five[2], five[3], five[4]])).collect()
            };
            shingles.sort_unstable();
            shingles.dedup();
            all.push(shingles);
        }
        Shingles(all)
    }

    /// How alike two documents are.
    pub fn jaccard(&self, one: usize, other: usize) -> f64 {
        let (one, other) = (&self.0[one], &self.0[other]);
        let shared = one.iter().filter(|shingle| other.binary_search(shingle).is_ok()).count();
        share(shared, one.len(), other.len())
    }

    /// For each document after the other, how alike it is to those before it with which it shares
    /// anything.
    pub fn each(&self, mut see: impl FnMut(usize, &[(usize, f64)])) {
        let mut holders: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut shared: HashMap<u32, usize> = HashMap::new();
        let mut alike: Vec<(usize, f64)> = Vec::new();
        for (document, shingles) in self.0.iter().enumerate() {
            shared.clear();
            for shingle in shingles {
                let holders = holders.entry(*shingle).or_default();
                for holder in holders.iter() {
                    *shared.entry(*holder).or_default() += 1;
                }
                holders.push(document as u32);
            }
            alike.clear();
            let length = |document: u32| self.0[document as usize].len();
            alike.extend(
                shared.iter().map(|(other, both)| (*other as usize, share(*both, shingles.len(), length(*other)))),
            );
            alike.sort_by_key(|(other, _)| *other);
            see(document, &alike);
        }
    }
}

fn share(both: usize, one: usize, other: usize) -> f64 {
    match one + other - both {
        0 => 0.0,
        all => both as f64 / all as f64,
    }
}
