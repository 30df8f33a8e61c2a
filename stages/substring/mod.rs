//! What `substring_dedup` is made of.

pub(crate) mod taken;
#[cfg(test)]
mod tests;
pub(crate) mod windows;
