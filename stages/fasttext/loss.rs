//! From what a model makes of a text to its labels.

use super::matrix::Matrix;
use super::reader::{Result, damaged};

/// How scores become probabilities.
pub enum Loss {
    /// A tree of yes and no, the rarer labels deeper in it.
    Hierarchical(Tree),
    /// All labels share one probability.
    Softmax,
    /// Each label has its own.
    OneVsAll(Vec<f32>),
}

/// The numbers that models have for their loss.
const HIERARCHICAL: i32 = 1;
const NEGATIVE_SAMPLING: i32 = 2;
const SOFTMAX: i32 = 3;
const ONE_VS_ALL: i32 = 4;

/// The sigmoid is looked up: so many steps from minus to plus so much.
const STEPS: usize = 512;
const REACH: f32 = 8.0;

/// More than any label is counted: the weight of a node of the tree that is not there yet.
const NOT_YET: i64 = 1_000_000_000_000_000;

/// A Huffman tree: leaves are labels, and node `labels + n` is the n-th inner one.
pub struct Tree {
    labels: usize,
    children: Vec<[u32; 2]>,
}

impl Tree {
    fn of(counts: &[i64]) -> Result<Tree> {
        if counts.iter().any(|count| !(0..NOT_YET).contains(count)) {
            return Err(damaged("a label is counted less than never or more than there is text"));
        }
        let labels = counts.len();
        let mut weights = counts.to_vec();
        weights.resize((2 * labels).saturating_sub(1), NOT_YET);
        let mut children = Vec::with_capacity(labels.saturating_sub(1));
        // Labels come most frequent first, so the lightest leaf is the last that is left.
        let (mut leaves, mut node) = (labels, labels);
        for made in labels..weights.len() {
            let mut pair = [0; 2];
            for child in &mut pair {
                if leaves > 0 && weights[leaves - 1] < weights[node] {
                    leaves -= 1;
                    *child = leaves as u32;
                } else {
                    *child = node as u32;
                    node += 1;
                }
            }
            weights[made] = weights[pair[0] as usize].saturating_add(weights[pair[1] as usize]);
            children.push(pair);
        }
        Ok(Tree { labels, children })
    }
}

impl Loss {
    /// The loss of a model.
    pub fn of(number: i32, label_counts: &[i64]) -> Result<Loss> {
        match number {
            HIERARCHICAL => Ok(Loss::Hierarchical(Tree::of(label_counts)?)),
            SOFTMAX => Ok(Loss::Softmax),
            NEGATIVE_SAMPLING | ONE_VS_ALL => {
                let step = |step: usize| step as f32 * 2.0 * REACH / STEPS as f32 - REACH;
                Ok(Loss::OneVsAll((0..=STEPS).map(|at| (1.0 / (1.0 + f64::from((-step(at)).exp()))) as f32).collect()))
            }
            other => Err(damaged(format!("its loss is number {other}, which is not known"))),
        }
    }

    /// The best labels with the logarithms of their probabilities, the best first.
    pub fn best(&self, output: &Matrix, hidden: &[f32], most: usize) -> Vec<(f32, u32)> {
        let mut best = Best { most, found: Vec::with_capacity(most.min(output.rows()) + 1) };
        if most == 0 {
            return best.found;
        }
        match self {
            Loss::Hierarchical(tree) => {
                let root = (tree.labels + tree.children.len()).saturating_sub(1);
                // A list, not recursion: the tree of a damaged model may be as deep as it has labels.
                let mut open = vec![(0.0f32, root as u32)];
                while let Some((score, node)) = open.pop() {
                    if score < logarithm(0.0) || best.is_beyond(score) {
                        continue;
                    }
                    let Some(inner) = (node as usize).checked_sub(tree.labels) else {
                        best.add(score, node);
                        continue;
                    };
                    let right = 1.0 / (1.0 + (-output.dot(inner, hidden)).exp());
                    let [left_child, right_child] = tree.children[inner];
                    open.push((score + logarithm(right), right_child));
                    open.push((score + logarithm(1.0 - right), left_child));
                }
            }
            Loss::Softmax => {
                let mut scores: Vec<f32> = (0..output.rows()).map(|row| output.dot(row, hidden)).collect();
                let highest = scores.iter().copied().fold(f32::MIN, f32::max);
                let mut sum = 0.0;
                for score in &mut scores {
                    *score = (*score - highest).exp();
                    sum += *score;
                }
                scores.iter().enumerate().for_each(|(label, score)| best.consider(score / sum, label));
            }
            Loss::OneVsAll(sigmoid) => {
                for label in 0..output.rows() {
                    let score = output.dot(label, hidden);
                    best.consider(
                        match score {
                            score if score < -REACH => 0.0,
                            score if score > REACH => 1.0,
                            score => sigmoid[((score + REACH) * STEPS as f32 / REACH / 2.0) as usize],
                        },
                        label,
                    );
                }
            }
        }
        best.sorted()
    }
}

/// The original's logarithm, which never meets a zero.
fn logarithm(value: f32) -> f32 {
    (f64::from(value) + 1e-5).ln() as f32
}

/// The best labels so far, in a heap with the worst at its root. Which of equal labels stays, and
/// which comes first, is decided as the C++ library's heap decides it, in which the original keeps
/// them: one-vs-all models often have several labels of the very same probability.
struct Best {
    most: usize,
    found: Vec<(f32, u32)>,
}

impl Best {
    fn consider(&mut self, probability: f32, label: usize) {
        let score = logarithm(probability);
        if !self.is_beyond(score) {
            self.add(score, label as u32);
        }
    }

    fn is_beyond(&self, score: f32) -> bool {
        // Numbers that have outgrown themselves are nobody's score.
        score.is_nan() || (self.found.len() == self.most && score < self.found[0].0)
    }

    fn add(&mut self, score: f32, label: u32) {
        self.found.push((score, label));
        self.rise(self.found.len() - 1, (score, label));
        if self.found.len() > self.most {
            self.take_worst(self.found.len());
            self.found.pop();
        }
    }

    /// Puts an item into a hole, or above it.
    fn rise(&mut self, mut hole: usize, item: (f32, u32)) {
        while hole > 0 && self.found[(hole - 1) / 2].0 > item.0 {
            self.found[hole] = self.found[(hole - 1) / 2];
            hole = (hole - 1) / 2;
        }
        self.found[hole] = item;
    }

    /// Moves the worst of the first `length` to their end, and leaves a heap of one fewer.
    fn take_worst(&mut self, length: usize) {
        let left = length - 1;
        let item = self.found[left];
        self.found[left] = self.found[0];
        let mut hole = 0;
        while 2 * hole + 2 < left {
            let (one, other) = (2 * hole + 1, 2 * hole + 2);
            let child = if self.found[other].0 > self.found[one].0 { one } else { other };
            self.found[hole] = self.found[child];
            hole = child;
        }
        if 2 * hole + 2 == left {
            self.found[hole] = self.found[2 * hole + 1];
            hole = 2 * hole + 1;
        }
        self.rise(hole, item);
    }

    /// All of them, the best first.
    fn sorted(mut self) -> Vec<(f32, u32)> {
        for length in (2..=self.found.len()).rev() {
            self.take_worst(length);
        }
        self.found
    }
}
