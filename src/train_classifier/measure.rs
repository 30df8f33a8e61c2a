//! How good a classifier is, on texts that it has not seen.

use serde_json::{Value, json};

/// Scores of held-out texts.
#[derive(Debug, Default)]
pub struct Scores {
    /// Of those that are good.
    pub positive: Vec<f64>,
    /// Of the others.
    pub negative: Vec<f64>,
}

/// What a threshold keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    /// Scores from here on stay.
    pub threshold: f64,
    /// Good texts that stay.
    pub good: usize,
    /// Others that stay.
    pub others: usize,
}

impl Scores {
    /// Puts them in order, which the rest needs.
    pub fn sorted(mut self) -> Scores {
        self.positive.sort_by(f64::total_cmp);
        self.negative.sort_by(f64::total_cmp);
        self
    }

    /// How probably a good text has a higher score than another, equal ones counted half: the area
    /// under the curve of recall by false positives. None if there are none of either.
    pub fn auc(&self) -> Option<f64> {
        let below = |score: f64| self.negative.partition_point(|other| *other < score);
        let not_above = |score: f64| self.negative.partition_point(|other| *other <= score);
        let wins: f64 = self.positive.iter().map(|score| (below(*score) + not_above(*score)) as f64 / 2.0).sum();
        let pairs = self.positive.len() as f64 * self.negative.len() as f64;
        (pairs > 0.0).then(|| wins / pairs)
    }

    /// What stays from a threshold on.
    pub fn kept(&self, threshold: f64) -> Kept {
        let from = |scores: &[f64]| scores.len() - scores.partition_point(|score| *score < threshold);
        Kept { threshold, good: from(&self.positive), others: from(&self.negative) }
    }

    /// The lowest threshold, in steps of a ten-thousandth, that keeps at most this share of the
    /// others.
    pub fn for_yield(&self, share: f64) -> f64 {
        let most = (share * self.negative.len() as f64).floor() as usize;
        match self.negative.len().checked_sub(most + 1) {
            None => 0.0,
            // Scores have four digits, so that the next one up is free of this one.
            Some(first_out) => ((self.negative[first_out] * 1e4).round() + 1.0) / 1e4,
        }
    }

    /// Of what stays, the share that is good; none if nothing stays.
    pub fn precision(&self, kept: &Kept) -> Option<f64> {
        let all = kept.good + kept.others;
        (all > 0).then(|| kept.good as f64 / all as f64)
    }

    /// Of what is good, the share that stays.
    pub fn recall(&self, kept: &Kept) -> Option<f64> {
        (!self.positive.is_empty()).then(|| kept.good as f64 / self.positive.len() as f64)
    }

    /// A row of the report.
    pub fn row(&self, threshold: f64) -> Vec<String> {
        let kept = self.kept(threshold);
        let share = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
        vec![
            format!("{threshold:.4}"),
            kept.good.to_string(),
            (self.positive.len() - kept.good).to_string(),
            kept.others.to_string(),
            (self.negative.len() - kept.others).to_string(),
            share(self.precision(&kept)),
            share(self.recall(&kept)),
        ]
    }

    /// The same for programs.
    pub fn json(&self, threshold: f64) -> Value {
        let kept = self.kept(threshold);
        json!({
            "threshold": threshold,
            "good_kept": kept.good,
            "good_lost": self.positive.len() - kept.good,
            "others_kept": kept.others,
            "others_gone": self.negative.len() - kept.others,
            "precision": self.precision(&kept),
            "recall": self.recall(&kept),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores() -> Scores {
        Scores { positive: vec![0.9, 0.8, 0.4], negative: vec![0.1, 0.4, 0.3, 0.85] }.sorted()
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_order() {
        // 0.9 beats four, 0.8 three, 0.4 two and a half of four.
        assert_eq!(scores().auc(), Some(9.5 / 12.0));
        assert_eq!(Scores::default().auc(), None);
    }

    #[test]
    fn a_threshold_keeps_what_reaches_it() {
        let scores = scores();
        let kept = scores.kept(0.4);
        assert_eq!((kept.good, kept.others), (3, 2));
        assert_eq!((scores.precision(&kept), scores.recall(&kept)), (Some(0.6), Some(1.0)));
        assert_eq!(scores.precision(&scores.kept(0.95)), None);
    }

    #[test]
    fn a_wanted_yield_has_a_threshold() {
        let scores = scores();
        for (share, threshold, others) in [(0.25, 0.4001, 1), (0.5, 0.3001, 2), (0.0, 0.8501, 0), (1.0, 0.0, 4)] {
            assert_eq!(scores.for_yield(share), threshold);
            assert_eq!(scores.kept(threshold).others, others);
        }
        assert_eq!(Scores::default().for_yield(0.5), 0.0);
    }
}
