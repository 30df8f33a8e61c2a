//! Numbers at a place among bytes: of what lies past the end there are none.

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub fn f32_at(bytes: &[u8], at: usize) -> Option<f32> {
    u32_at(bytes, at).map(f32::from_bits)
}

/// The number that begins at a bit, with as many bits as the mask, at most 57.
#[inline]
pub fn bits_at(bytes: &[u8], bit: u64, mask: u64) -> Option<u64> {
    Some(u64_at(bytes, (bit >> 3) as usize)? >> (bit & 7) & mask)
}

/// How many bits a number up to `most` needs.
pub fn bits_for(most: u64) -> u32 {
    u64::BITS - most.leading_zeros()
}

/// As many bits, all set.
pub fn mask(bits: u32) -> u64 {
    1u64.checked_shl(bits).map_or(u64::MAX, |above| above - 1)
}

/// The sign bit of a single-precision number.
pub const SIGN: u32 = 1 << 31;
