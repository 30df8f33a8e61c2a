//! Files of tensors, in the format `safetensors`: a header that names them, and their numbers.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use corpus::store::{Output, Store};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use crate::cpu::{Float, narrowed};
use crate::failure::{Failure, Result};

/// The longest header that the format allows.
const LONGEST_HEADER: u64 = 100_000_000;

/// How numbers are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// Four bytes.
    #[default]
    F32,
    /// Two bytes with the range of `f32`.
    Bf16,
    /// Two bytes with more digits, up to 65,504.
    F16,
    /// Eight bytes.
    F64,
}

impl Stored {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Stored::F32 => 4,
            Stored::Bf16 | Stored::F16 => 2,
            Stored::F64 => 8,
        }
    }

    /// What Hugging Face calls it.
    pub fn name(self) -> &'static str {
        match self {
            Stored::F32 => "float32",
            Stored::Bf16 => "bfloat16",
            Stored::F16 => "float16",
            Stored::F64 => "float64",
        }
    }

    /// As wide as what is computed with.
    pub fn of<F: Float>() -> Stored {
        if F::BYTES == 8 { Stored::F64 } else { Stored::F32 }
    }

    fn dtype(self) -> Dtype {
        match self {
            Stored::F32 => Dtype::F32,
            Stored::Bf16 => Dtype::BF16,
            Stored::F16 => Dtype::F16,
            Stored::F64 => Dtype::F64,
        }
    }

    /// A number as it is read back; of a finite one that is too large, infinity.
    pub fn rounded(self, number: f64) -> f64 {
        match self {
            Stored::F32 => f64::from(number as f32),
            Stored::F64 => number,
            Stored::Bf16 => half::bf16::from_f64(number).to_f64(),
            Stored::F16 => half::f16::from_f64(number).to_f64(),
        }
    }

    fn put<F: Float>(self, numbers: &[F], out: &mut Vec<u8>) {
        for number in numbers {
            match self {
                Stored::F32 => out.extend_from_slice(&(number.f64() as f32).to_le_bytes()),
                Stored::F64 => out.extend_from_slice(&number.f64().to_le_bytes()),
                Stored::Bf16 => out.extend_from_slice(&half::bf16::from_f32(narrowed(number.f64())).to_le_bytes()),
                Stored::F16 => out.extend_from_slice(&half::f16::from_f32(narrowed(number.f64())).to_le_bytes()),
            }
        }
    }
}

/// An open file of tensors, its header checked.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    begin: u64,
    metadata: Metadata,
}

impl TensorFile {
    /// Opens one; a file that is cut short or has a wrong header is damaged.
    pub fn open(path: &Path) -> Result<TensorFile> {
        let damaged = |detail: String| Failure::damaged(path, detail);
        let mut file = File::open(path).map_err(Failure::io("cannot open", path))?;
        let length = file.metadata().map_err(Failure::io("cannot open", path))?.len();
        let mut eight = [0; 8];
        if length < 8 {
            return Err(damaged(format!("{length} bytes are no file of tensors")));
        }
        file.read_exact(&mut eight).map_err(Failure::io("cannot read", path))?;
        let header = u64::from_le_bytes(eight);
        if header > LONGEST_HEADER.min(length - 8) {
            return Err(damaged(format!("is {length} bytes long, its header alone would be {header}")));
        }
        let mut text = vec![0; header as usize];
        file.read_exact(&mut text).map_err(Failure::io("cannot read", path))?;
        let metadata: Metadata = serde_json::from_slice(&text).map_err(|error| damaged(format!("header: {error}")))?;
        let (begin, asked) = (8 + header, 8 + header + metadata.data_len() as u64);
        if asked != length {
            return Err(damaged(format!("is {length} bytes long, its header asks for {asked}")));
        }
        Ok(TensorFile { path: path.to_path_buf(), file, begin, metadata })
    }

    /// The names of its tensors, in their order.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// The shape of a tensor, if it has it.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.metadata.info(name).map(|info| info.shape.as_slice())
    }

    /// The numbers of a tensor.
    pub fn read<F: Float>(&mut self, name: &str) -> Result<Vec<F>> {
        let Some(info) = self.metadata.info(name) else {
            return Err(Failure::damaged(&self.path, format!("has no tensor `{name}`")));
        };
        let (from, to) = info.data_offsets;
        let mut bytes = vec![0; to - from];
        self.file.seek(SeekFrom::Start(self.begin + from as u64)).map_err(Failure::io("cannot read", &self.path))?;
        self.file.read_exact(&mut bytes).map_err(Failure::io("cannot read", &self.path))?;
        match info.dtype {
            Dtype::F32 => Ok(bytes.chunks_exact(4).map(|four| F::of(f32::take(four).f64())).collect()),
            Dtype::F64 => Ok(bytes.chunks_exact(8).map(|eight| F::of(f64::take(eight))).collect()),
            Dtype::F16 => Ok(bytes
                .chunks_exact(2)
                .map(|two| F::of(half::f16::from_le_bytes([two[0], two[1]]).to_f64()))
                .collect()),
            Dtype::BF16 => Ok(bytes
                .chunks_exact(2)
                .map(|two| F::of(half::bf16::from_le_bytes([two[0], two[1]]).to_f64()))
                .collect()),
            other => Err(Failure::damaged(&self.path, format!("`{name}` is of type {other:?}, which is no weight's"))),
        }
    }
}

/// A tensor about to be written.
pub struct Entry<'a, F> {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub numbers: &'a [F],
}

/// Writes a file of tensors, whole or not at all.
pub fn write<F: Float>(store: &Store, name: &str, entries: &[Entry<'_, F>], stored: Stored) -> Result<Output> {
    let mut at = 0;
    let infos = entries.iter().map(|entry| {
        let begin = at;
        at += entry.numbers.len() * stored.bytes();
        let info = TensorInfo { dtype: stored.dtype(), shape: entry.shape.clone(), data_offsets: (begin, at) };
        (entry.name.clone(), info)
    });
    // transformers asks for this word before it loads.
    let said = [("format".to_owned(), "pt".to_owned())].into();
    let wrong = |error: &dyn std::fmt::Display| Failure::configuration(format!("cannot write {name}: {error}"));
    let metadata = Metadata::new(Some(said), infos.collect()).map_err(|error| wrong(&error))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| wrong(&error))?;
    // Numbers begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut aside = store.aside(name)?;
    let path = aside.path().to_path_buf();
    let cannot = || Failure::io("cannot write", &path);
    aside.write_all(&(header.len() as u64).to_le_bytes()).map_err(cannot())?;
    aside.write_all(&header).map_err(cannot())?;
    let mut bytes = Vec::new();
    for entry in entries {
        for some in entry.numbers.chunks(1 << 20) {
            bytes.clear();
            stored.put(some, &mut bytes);
            aside.write_all(&bytes).map_err(cannot())?;
        }
    }
    Ok(aside.publish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_near_as_it_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let numbers = [0.0f32, -1.5, 1234.567, 1e-3, 60_000.0, 0.1];
        for (stored, error) in [(Stored::F32, 0.0), (Stored::F64, 0.0), (Stored::Bf16, 4e-3), (Stored::F16, 1e-3)] {
            let entry =
                |name: &str, shape: &[usize]| Entry { name: name.into(), shape: shape.into(), numbers: &numbers };
            write(&store, "t.safetensors", &[entry("a", &[2, 3]), entry("b", &[6])], stored).unwrap();
            let mut file = TensorFile::open(&store.path("t.safetensors")).unwrap();
            assert_eq!((file.names(), file.shape("a")), (vec!["a".to_owned(), "b".to_owned()], Some(&[2, 3][..])));
            for (got, number) in file.read::<f32>("b").unwrap().iter().zip(numbers) {
                assert!((got - number).abs() <= error * number.abs(), "{stored:?}: {got} for {number}");
            }
            assert!(file.read::<f32>("c").unwrap_err().message.contains("no tensor `c`"));
        }
    }

    /// What lies a little above a middle goes up, by however little.
    #[test]
    fn what_is_stored_in_16_bits_is_the_nearest() {
        let mut numbers = Vec::new();
        for high in (0..=u16::MAX).step_by(7) {
            for low in [0, 1, 0x0fff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x3001, 0x7fff, 0x8000, 0x8001, 0xffff] {
                numbers.push(f32::from_bits(u32::from(high) << 16 | low));
            }
        }
        numbers.retain(|number| number.is_finite());
        for stored in [Stored::Bf16, Stored::F16] {
            let mut bytes = Vec::new();
            stored.put(&numbers, &mut bytes);
            for (number, two) in numbers.iter().zip(bytes.chunks_exact(2)) {
                let right = match stored {
                    Stored::Bf16 => half::bf16::from_f32(*number).to_le_bytes(),
                    _ => half::f16::from_f32(*number).to_le_bytes(),
                };
                assert_eq!(two, right, "{stored:?}: {number:e}");
            }
        }
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let entry = Entry { name: "a".into(), shape: vec![2], numbers: &[1.0f32, 2.0] };
        write(&store, "t", &[entry], Stored::F32).unwrap();
        let whole = store.read("t").unwrap();
        let mut wrong = whole.clone();
        wrong[12] = b'}';
        let mut long = whole.clone();
        long[5] = 1;
        for bytes in [&whole[..whole.len() - 1], &whole[..4], &whole[..20], &wrong, &long] {
            std::fs::write(store.path("t"), bytes).unwrap();
            let failure = TensorFile::open(&store.path("t")).unwrap_err();
            assert_eq!(failure.code, crate::failure::Code::Damaged, "{failure}");
            assert!(failure.message.contains(&store.path("t").display().to_string()), "{failure}");
        }
    }
}
