//! Pieces by their bytes, in a double array: each step is one look at a table.

use super::Checked;

/// A set of byte strings with a number each.
///
/// The child of a node by a byte lies at the node's base, combined with the byte by exclusive or. No
/// two nodes have one base, so a cell is the child if it has the byte for its label.
#[derive(Clone, Debug, Default)]
pub struct Trie {
    /// Label in the lowest 8 bits, number + 1 in the next 24, base in the upper 32.
    cells: Vec<u64>,
}

const BLOCK: usize = 256;
/// A block is closed once so many follow it: what is left free in it is not worth the search.
const OPEN: usize = 16;

/// A place in the trie.
#[derive(Clone, Copy)]
pub struct Node(u32);

impl Trie {
    /// A trie of strings, of which none is empty.
    pub fn of(mut strings: Vec<(&[u8], u32)>) -> Checked<Trie> {
        strings.sort_unstable();
        if let Some(twice) = strings.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!("its piece `{}` is there twice", String::from_utf8_lossy(twice[0].0)));
        }
        let mut making = Making { cells: Vec::new(), taken: Vec::new(), bases: Vec::new() };
        making.grow();
        // The root lies at 0, and no base is 0, so that 0 says that nothing follows.
        making.taken[0] = true;
        making.bases[0] = true;
        let mut open = vec![(0usize, 0usize, strings.len(), 0usize)];
        let mut labels = Vec::new();
        while let Some((cell, from, to, depth)) = open.pop() {
            let mut from = from;
            if let Some((string, number)) = strings.get(from).filter(|(string, _)| string.len() == depth && from < to) {
                if string.is_empty() || *number >= (1 << 24) - 1 {
                    return Err("it has an empty piece or too many".to_owned());
                }
                making.cells[cell] |= u64::from(*number + 1) << 8;
                from += 1;
            }
            if from == to {
                continue;
            }
            labels.clear();
            labels.extend(strings[from..to].iter().map(|(string, _)| string[depth]));
            labels.dedup();
            let base = making.place(&labels);
            making.cells[cell] |= (base as u64) << 32;
            for label in &labels {
                let child = base ^ usize::from(*label);
                making.cells[child] = u64::from(*label);
                let count = strings[from..to].iter().take_while(|(string, _)| string[depth] == *label).count();
                open.push((child, from, from + count, depth + 1));
                from += count;
            }
        }
        Ok(Trie { cells: making.cells })
    }

    /// Where every walk begins.
    pub fn root(&self) -> Node {
        Node(self.cells.first().map_or(0, |root| (root >> 32) as u32))
    }

    /// One byte further: where that is, and the number of the string that ends there.
    #[inline]
    pub fn step(&self, node: Node, byte: u8) -> Option<(Node, Option<u32>)> {
        if node.0 == 0 {
            return None;
        }
        let cell = *self.cells.get((node.0 ^ u32::from(byte)) as usize)?;
        if cell as u8 != byte {
            return None;
        }
        Some((Node((cell >> 32) as u32), ((cell >> 8) as u32 & 0xff_ffff).checked_sub(1)))
    }

    /// The number of a string.
    pub fn get(&self, string: &[u8]) -> Option<u32> {
        let (mut node, mut number) = (self.root(), None);
        for byte in string {
            (node, number) = self.step(node, *byte)?;
        }
        number
    }

    /// The length of the longest string that a text begins with.
    pub fn longest(&self, text: &[u8]) -> Option<usize> {
        let (mut node, mut longest) = (self.root(), None);
        for (length, byte) in (1..).zip(text) {
            let Some((next, number)) = self.step(node, *byte) else { break };
            node = next;
            if number.is_some() {
                longest = Some(length);
            }
        }
        longest
    }

    pub fn footprint(&self) -> usize {
        8 * self.cells.len()
    }
}

struct Making {
    cells: Vec<u64>,
    /// Cells that are some node's.
    taken: Vec<bool>,
    /// Bases that are some node's.
    bases: Vec<bool>,
}

impl Making {
    fn grow(&mut self) {
        let length = self.cells.len() + BLOCK;
        self.cells.resize(length, 0);
        self.taken.resize(length, false);
        self.bases.resize(length, false);
    }

    /// Takes a base under which there is room for all labels.
    fn place(&mut self, labels: &[u8]) -> usize {
        let first = usize::from(labels[0]);
        let mut cell = self.cells.len().saturating_sub(OPEN * BLOCK);
        loop {
            if cell == self.cells.len() {
                self.grow();
            }
            let base = cell ^ first;
            if !self.taken[cell]
                && !self.bases[base]
                && labels.iter().all(|label| !self.taken[base ^ usize::from(*label)])
            {
                self.bases[base] = true;
                labels.iter().for_each(|label| self.taken[base ^ usize::from(*label)] = true);
                return base;
            }
            cell += 1;
        }
    }
}

#[test]
fn what_was_put_in_is_found() {
    let strings: Vec<Vec<u8>> =
        (0u32..3000).map(|n| format!("{:b}é{}", n * 7919 % 3001, n % 17).into_bytes()).collect();
    let numbered = strings.iter().enumerate().map(|(number, string)| (string.as_slice(), number as u32)).collect();
    let trie = Trie::of(numbered).unwrap();
    for (number, string) in strings.iter().enumerate() {
        assert_eq!(trie.get(string), Some(number as u32));
        assert_eq!(trie.longest(&[string, &b"x"[..]].concat()), Some(string.len()));
    }
    assert_eq!(trie.get(b""), None);
    assert_eq!(trie.get(b"1"), None);
    assert_eq!(trie.get(b"\0"), None);
    assert_eq!(Trie::of(Vec::new()).unwrap().longest(b"a\0"), None);
    assert!(Trie::of(vec![(b"a", 1), (b"a", 2)]).is_err());
}
