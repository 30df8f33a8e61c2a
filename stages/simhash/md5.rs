//! MD5 of many short texts at once: RedPajama's SimHash takes one for every few characters.

/// Messages that are hashed side by side. Eight fill two registers of the oldest x86-64, so that one
/// half computes while the other waits for its own last step.
pub const LANES: usize = 8;

/// The longest message: what fits one block of MD5 beside its padding.
pub const LONGEST: usize = 55;

type Words = [u32; LANES];

/// One block for each lane, word by word.
#[derive(Clone, Copy)]
pub struct Blocks([Words; 16]);

/// The whole parts of 2^32 |sin(i + 1)|, from RFC 1321.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
];

/// How far each step rotates, from RFC 1321.
const ROTATIONS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

impl Blocks {
    /// Empty messages.
    pub fn new() -> Blocks {
        let mut blocks = Blocks([[0; LANES]; 16]);
        for lane in 0..LANES {
            blocks.put(lane, b"");
        }
        blocks
    }

    /// Puts a message of at most [`LONGEST`] bytes into a lane; what is longer is cut.
    pub fn put(&mut self, lane: usize, message: &[u8]) {
        let message = &message[..message.len().min(LONGEST)];
        let mut block = [0; 64];
        block[..message.len()].copy_from_slice(message);
        block[message.len()] = 0x80;
        block[56..].copy_from_slice(&(8 * message.len() as u64).to_le_bytes());
        for (words, bytes) in self.0.iter_mut().zip(block.chunks_exact(4)) {
            words[lane % LANES] = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }

    /// The last eight bytes of each digest, as numbers that begin with their highest byte.
    pub fn tails(&self) -> [u64; LANES] {
        let start: [Words; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476].map(|word| [word; LANES]);
        let [mut a, mut b, mut c, mut d] = start;
        for step in 0..64 {
            let round = step / 16;
            let word = match round {
                0 => step,
                1 => (5 * step + 1) % 16,
                2 => (3 * step + 5) % 16,
                _ => (7 * step) % 16,
            };
            let rotation = ROTATIONS[round][step % 4];
            let mut next = [0; LANES];
            for lane in 0..LANES {
                let (x, y, z) = (b[lane], c[lane], d[lane]);
                let mixed = match round {
                    0 => z ^ (x & (y ^ z)),
                    1 => y ^ (z & (x ^ y)),
                    2 => x ^ y ^ z,
                    _ => y ^ (x | !z),
                };
                let sum = a[lane].wrapping_add(mixed).wrapping_add(SINES[step]).wrapping_add(self.0[word][lane]);
                next[lane] = x.wrapping_add(sum.rotate_left(rotation));
            }
            (a, d, c, b) = (d, c, b, next);
        }
        let mut tails = [0; LANES];
        for (lane, tail) in tails.iter_mut().enumerate() {
            let high = c[lane].wrapping_add(start[2][lane]).swap_bytes();
            let low = d[lane].wrapping_add(start[3][lane]).swap_bytes();
            *tail = u64::from(high) << 32 | u64::from(low);
        }
        tails
    }
}

#[test]
fn a_tail_is_the_end_of_the_digest() {
    use md5::{Digest, Md5};
    let messages: Vec<String> =
        (0..=LONGEST).map(|length| "é0123456789".repeat(6)[..].chars().take(length).collect()).collect();
    for messages in messages.chunks(LANES) {
        let mut blocks = Blocks::new();
        let mut expected = [0; LANES];
        for (lane, slot) in expected.iter_mut().enumerate() {
            let message = messages.get(lane).map_or("", String::as_str);
            let message = &message.as_bytes()[..message.len().min(LONGEST)];
            blocks.put(lane, message);
            *slot = u64::from_be_bytes(Md5::digest(message)[8..].try_into().unwrap());
        }
        assert_eq!(blocks.tails(), expected);
    }
}
