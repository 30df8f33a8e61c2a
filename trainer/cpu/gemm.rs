//! Products of matrices, by the crate `gemm`.

use super::Float;

/// A matrix within a slice: rows and columns may lie at any distance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a, F> {
    data: &'a [F],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, F> Matrix<'a, F> {
    /// Row-major, `stride` numbers from one row to the next.
    pub fn rows(data: &'a [F], rows: usize, columns: usize, stride: usize) -> Matrix<'a, F> {
        Matrix { data, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// The same numbers with rows for columns.
    pub fn transposed(self) -> Matrix<'a, F> {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn lies_within(&self) -> bool {
        self.rows == 0
            || self.columns == 0
            || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride < self.data.len()
    }
}

/// `out = keep · out + a · b`, `out` row-major with `stride` from one row to the next. The sum of a
/// number has one order, on however many threads.
#[allow(unsafe_code)]
pub(super) fn multiply<F: Float>(
    out: &mut [F],
    stride: usize,
    keep: bool,
    a: Matrix<'_, F>,
    b: Matrix<'_, F>,
    threads: usize,
) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert!(a.lies_within() && b.lies_within() && b.rows == k, "a product of matrices that do not fit");
    if m == 0 || n == 0 {
        return;
    }
    assert!(stride >= n && (m - 1) * stride + n <= out.len(), "a product that does not fit its output");
    let parallelism = if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
    let one = F::of(1.0);
    // SAFETY: the asserts hold every element of `a`, `b` and `out` within its slice; `out` is borrowed
    // mutably, so it overlaps neither; `F` is `f32` or `f64`, which `gemm` knows.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            keep,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            one,
            one,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::unit;

    fn some(seed: u64, count: usize) -> Vec<f32> {
        (0..count as u64).map(|at| unit(seed, at) as f32 - 0.5).collect()
    }

    #[test]
    fn all_transposes_are_the_plain_product_on_any_number_of_threads() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (1, 300, 40), (130, 190, 300), (64, 64, 513)] {
            let (a, b, c) = (some(1, m * k), some(2, k * n), some(3, m * n));
            let plain: Vec<f64> = (0..m * n)
                .map(|at| {
                    let products = (0..k).map(|p| f64::from(a[at / n * k + p]) * f64::from(b[p * n + at % n]));
                    f64::from(c[at]) + products.sum::<f64>()
                })
                .collect();
            let at: Vec<f32> = (0..m * k).map(|i| a[(i % m) * k + i / m]).collect();
            let bt: Vec<f32> = (0..k * n).map(|i| b[(i % k) * n + i / k]).collect();
            let forms = [
                (Matrix::rows(&a, m, k, k), Matrix::rows(&b, k, n, n)),
                (Matrix::rows(&at, k, m, m).transposed(), Matrix::rows(&b, k, n, n)),
                (Matrix::rows(&a, m, k, k), Matrix::rows(&bt, n, k, k).transposed()),
            ];
            for (a, b) in forms {
                let mut alone = c.clone();
                multiply(&mut alone, n, true, a, b, 1);
                for (got, exact) in alone.iter().zip(&plain) {
                    assert!((f64::from(*got) - exact).abs() < 1e-5, "{m} {n} {k}: {got} {exact}");
                }
                for threads in [2, 3, 4] {
                    let mut together = c.clone();
                    pool.install(|| multiply(&mut together, n, true, a, b, threads));
                    assert!(together == alone, "{m} {n} {k} on {threads} threads");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn a_matrix_beyond_its_slice_is_refused() {
        multiply(&mut [0.0f32; 4], 2, false, Matrix::rows(&[0.0; 3], 2, 2, 2), Matrix::rows(&[0.0; 4], 2, 2, 2), 1);
    }
}
