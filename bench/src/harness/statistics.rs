//! Medians and their confidence intervals: percentile bootstrap with a fixed seed, so that the same rows yield the same
//! interval.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Resamples of a bootstrap.
const RESAMPLES: usize = 10_000;
/// An arbitrary number, fixed so that a summary can be reproduced.
const SEED: u64 = 0x6d54_6f72;

/// A median or a ratio of medians with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value of the sample itself.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// The median of `values`; NaN if there are none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// The median of `values` with its interval; `None` if there are none.
pub fn median_estimate(values: &[f64]) -> Option<Estimate> {
    estimate(|draw| draw.median(values), median(values), values.is_empty())
}

/// The median of `over` divided by the median of `under`, with the interval; `None` if either is empty.
pub fn ratio_estimate(over: &[f64], under: &[f64]) -> Option<Estimate> {
    let value = median(over) / median(under);
    estimate(|draw| draw.median(over) / draw.median(under), value, over.is_empty() || under.is_empty())
}

struct Draw {
    random: StdRng,
    drawn: Vec<f64>,
}

impl Draw {
    /// The median of a resample of `values`.
    fn median(&mut self, values: &[f64]) -> f64 {
        self.drawn.clear();
        for _ in values {
            self.drawn.push(values[self.random.random_range(0..values.len())]);
        }
        median(&self.drawn)
    }
}

fn estimate(resample: impl Fn(&mut Draw) -> f64, value: f64, empty: bool) -> Option<Estimate> {
    if empty {
        return None;
    }
    let mut draw = Draw { random: StdRng::seed_from_u64(SEED), drawn: Vec::new() };
    let mut seen: Vec<f64> = (0..RESAMPLES).map(|_| resample(&mut draw)).collect();
    seen.sort_by(f64::total_cmp);
    let at = |part: f64| seen[((RESAMPLES - 1) as f64 * part).round() as usize];
    Some(Estimate { value, low: at(0.025), high: at(0.975) })
}

/// A figure with its significant digits.
pub fn number(value: f64) -> String {
    match value {
        value if !value.is_finite() => "–".to_owned(),
        value if value != 0.0 && value.abs() < 0.1 => format!("{value:.4}"),
        value => format!("{value:.2}"),
    }
}

/// A value with its interval.
pub fn interval(estimate: Option<Estimate>) -> String {
    let finite = estimate.filter(|estimate| estimate.value.is_finite());
    finite.map_or("–".to_owned(), |Estimate { value, low, high }| {
        format!("{} [{}, {}]", number(value), number(low), number(high))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let rows: [(&[f64], f64); 3] = [(&[3.0], 3.0), (&[4.0, 1.0, 2.0], 2.0), (&[4.0, 1.0], 2.5)];
        for (values, want) in rows {
            assert_eq!(median(values), want, "{values:?}");
        }
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn an_interval_holds_its_value_and_stays_within_the_sample() {
        let values = [1.0, 2.0, 3.0, 4.0, 9.0, 2.5, 2.6, 2.7, 2.8];
        let estimate = median_estimate(&values).expect("values");
        assert!(1.0 <= estimate.low && estimate.low <= estimate.value);
        assert!(estimate.value <= estimate.high && estimate.high <= 9.0);
        assert_eq!(Some(estimate), median_estimate(&values));
        assert_eq!(median_estimate(&[]), None);
    }

    #[test]
    fn a_ratio_of_constants_is_exact() {
        let ratio = ratio_estimate(&[6.0; 5], &[3.0; 3]).expect("values");
        assert_eq!((ratio.value, ratio.low, ratio.high), (2.0, 2.0, 2.0));
    }
}
