//! Rows of numbers, as they are or quantised.

use std::io::Read;

use super::reader::{Reader, Result, damaged};

/// Rows of numbers.
pub enum Matrix {
    /// As they are.
    Dense { columns: usize, values: Vec<f32> },
    /// Quantised.
    Quantised(Quantised),
}

/// Product quantisation: a row is cut into parts, and for each part it has the number of one of
/// 256 centroids; and for its length, if the centroids were made for rows of length 1.
pub struct Quantised {
    rows: usize,
    codes: Vec<u8>,
    parts: Parts,
    norms: Option<(Vec<u8>, Parts)>,
}

struct Parts {
    columns: usize,
    count: usize,
    /// Columns of each part but the last.
    width: usize,
    last_width: usize,
    centroids: Vec<f32>,
}

const CENTROIDS: usize = 256;

impl Parts {
    fn read<R: Read>(file: &mut Reader<R>) -> Result<Parts> {
        let [columns, count, width, last_width] = [file.i32()?, file.i32()?, file.i32()?, file.i32()?];
        let positive = |value: i32| usize::try_from(value).ok().filter(|value| *value > 0);
        let (Some(columns), Some(count), Some(width), Some(last_width)) =
            (positive(columns), positive(count), positive(width), positive(last_width))
        else {
            return Err(damaged("its quantised rows have no parts"));
        };
        // The last part is what is left over.
        if last_width > width
            || (count - 1).checked_mul(width).and_then(|most| most.checked_add(last_width)) != Some(columns)
        {
            return Err(damaged("the parts of its quantised rows do not make a row"));
        }
        file.expect(columns as i64, 4 * CENTROIDS as u64, "columns of centroids")?;
        let centroids = file.floats(columns * CENTROIDS)?;
        Ok(Parts { columns, count, width, last_width, centroids })
    }

    /// A centroid of a part.
    fn centroid(&self, part: usize, code: u8) -> &[f32] {
        let width = if part + 1 == self.count { self.last_width } else { self.width };
        let start = part * CENTROIDS * self.width + code as usize * width;
        &self.centroids[start..start + width]
    }
}

impl Quantised {
    fn read<R: Read>(file: &mut Reader<R>) -> Result<Quantised> {
        let with_norms = file.flag("whether its rows have norms")?;
        let [rows, columns] = [file.i64()?, file.i64()?];
        let length = file.i32()?;
        let length = file.expect(length.into(), 1, "codes")?;
        let codes = file.bytes(length)?;
        let parts = Parts::read(file)?;
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        if columns != parts.columns as i64 || rows.checked_mul(parts.count) != Some(codes.len()) {
            return Err(damaged("it has more or fewer codes than quantised rows"));
        }
        let norms = match with_norms {
            true => {
                let codes = file.bytes(rows)?;
                let parts = Parts::read(file)?;
                if parts.columns != 1 {
                    return Err(damaged("the norm of a quantised row is more than a number"));
                }
                Some((codes, parts))
            }
            false => None,
        };
        Ok(Quantised { rows, codes, parts, norms })
    }

    fn norm(&self, row: usize) -> f32 {
        self.norms.as_ref().map_or(1.0, |(codes, parts)| parts.centroid(0, codes[row])[0])
    }

    fn code(&self, row: usize) -> &[u8] {
        &self.codes[row * self.parts.count..][..self.parts.count]
    }

    fn add(&self, row: usize, into: &mut [f32]) {
        let norm = self.norm(row);
        for (part, (code, into)) in self.code(row).iter().zip(into.chunks_mut(self.parts.width)).enumerate() {
            for (value, into) in self.parts.centroid(part, *code).iter().zip(into) {
                *into += norm * value;
            }
        }
    }

    fn dot(&self, row: usize, vector: &[f32]) -> f32 {
        let mut sum = 0.0;
        for (part, (code, vector)) in self.code(row).iter().zip(vector.chunks(self.parts.width)).enumerate() {
            for (value, other) in self.parts.centroid(part, *code).iter().zip(vector) {
                sum += other * value;
            }
        }
        sum * self.norm(row)
    }
}

impl Matrix {
    /// Reads rows.
    pub fn read<R: Read>(file: &mut Reader<R>, quantised: bool) -> Result<Matrix> {
        if quantised {
            return Ok(Matrix::Quantised(Quantised::read(file)?));
        }
        let [rows, columns] = [file.i64()?, file.i64()?];
        let columns = file.expect(columns, 4, "columns")?;
        if columns == 0 {
            return Err(damaged("its rows are empty"));
        }
        let rows = file.expect(rows, 4 * columns as u64, "rows")?;
        Ok(Matrix::Dense { columns, values: file.floats(rows * columns)? })
    }

    pub fn rows(&self) -> usize {
        match self {
            Matrix::Dense { columns, values } => values.len() / columns,
            Matrix::Quantised(quantised) => quantised.rows,
        }
    }

    pub fn columns(&self) -> usize {
        match self {
            Matrix::Dense { columns, .. } => *columns,
            Matrix::Quantised(quantised) => quantised.parts.columns,
        }
    }

    pub fn footprint(&self) -> usize {
        match self {
            Matrix::Dense { values, .. } => 4 * values.len(),
            Matrix::Quantised(quantised) => quantised.codes.len() + 4 * quantised.parts.centroids.len(),
        }
    }

    /// Adds rows to a vector, one after the other: the order decides the last digits.
    pub fn add_rows(&self, rows: &[u32], into: &mut [f32]) {
        match self {
            Matrix::Dense { columns, values } => {
                for row in rows {
                    let row = &values[*row as usize * columns..][..*columns];
                    for (into, value) in into.iter_mut().zip(row) {
                        *into += value;
                    }
                }
            }
            Matrix::Quantised(quantised) => rows.iter().for_each(|row| quantised.add(*row as usize, into)),
        }
    }

    /// The product of a row and a vector.
    pub fn dot(&self, row: usize, vector: &[f32]) -> f32 {
        match self {
            Matrix::Dense { columns, values } => {
                let mut sum = 0.0;
                for (value, other) in values[row * columns..][..*columns].iter().zip(vector) {
                    sum += value * other;
                }
                sum
            }
            Matrix::Quantised(quantised) => quantised.dot(row, vector),
        }
    }
}
