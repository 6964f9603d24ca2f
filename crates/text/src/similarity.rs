//! How much of two texts is the same words in the same order.
//!
//! ```
//! use taggant_text::similarity;
//!
//! assert_eq!(similarity("The sky is blue.", "the SKY is “blue”"), 1.0);
//! assert_eq!(similarity("The sky is blue.", "Roses smell sweet."), 0.0);
//! let near = similarity("The sky is blue at noon.", "The sky is grey at noon.");
//! assert!(near > 0.3 && near < 0.6);
//! ```
//!
//! A score for comparing what a suspect answers with what it may have been trained on, where nothing but text is to be had. It
//! knows no language and no meaning: a paraphrase is another text.

use unicode_segmentation::UnicodeSegmentation as _;

use crate::fold;

/// The longest run of words that is compared.
const MAX_RUN: usize = 4;

/// A text's words, ready to be compared with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    words: Vec<String>,
}

impl Profile {
    /// The words of `text` after [`fold`](crate::fold()), in lower case. Punctuation does not count.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let folded = fold(text).text.to_lowercase();
        Self {
            words: folded.unicode_words().map(str::to_owned).collect(),
        }
    }

    /// The mean, over runs of one to four words, of the share of runs that two texts have in common (Dice 1945; the F-score of
    /// either against the other): `2 |A ∩ B| / (|A| + |B|)`, runs counted as often as they occur. From 0, nothing in common, to 1, the same
    /// words in the same order; symmetric. Lengths of run that neither text has are left out. 0 if either has no words.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> f64 {
        if self.words.is_empty() || other.words.is_empty() {
            return 0.0;
        }
        let runs = MAX_RUN.min(self.words.len().max(other.words.len()));
        let total: f64 = (1..=runs).map(|run| self.shared(other, run)).sum();
        total / real(runs)
    }

    fn shared(&self, other: &Self, run: usize) -> f64 {
        let (ours, theirs) = (self.sorted(run), other.sorted(run));
        let (mut i, mut j, mut common) = (0, 0, 0);
        while i < ours.len() && j < theirs.len() {
            match ours[i].cmp(theirs[j]) {
                std::cmp::Ordering::Less => i += 1,
                std::cmp::Ordering::Greater => j += 1,
                std::cmp::Ordering::Equal => {
                    (i, j) = (i + 1, j + 1);
                    common += 1;
                }
            }
        }
        2.0 * real(common) / real(ours.len() + theirs.len())
    }

    fn sorted(&self, run: usize) -> Vec<&[String]> {
        let mut runs: Vec<&[String]> = self.words.windows(run).collect();
        runs.sort_unstable();
        runs
    }
}

/// [`Profile::similarity`] of two texts.
#[must_use]
pub fn similarity(a: &str, b: &str) -> f64 {
    Profile::new(a).similarity(&Profile::new(b))
}

#[expect(clippy::cast_precision_loss, reason = "numbers of words")]
fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        // Words 2 of 3, pairs 1 of 2, the triple not.
        let found = similarity("a b c", "a b d");
        assert!(
            (found - (2.0 / 3.0 + 0.5 + 0.0) / 3.0).abs() < 1e-15,
            "{found}"
        );
        // One run of three against none: 3 + 1 words of which 1 is shared, nothing longer.
        assert!((similarity("a b c", "a") - 0.5 / 3.0).abs() < 1e-15);
        // A run counts as often as it occurs.
        assert!((similarity("a a", "a") - (2.0 / 3.0) / 2.0).abs() < 1e-15);
        assert_eq!((similarity("", ""), similarity("a", "…")), (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn symmetric_in_range_and_one_for_equals(a in "[a-d ]{0,30}", b in "\\PC{0,30}") {
            let found = similarity(&a, &b);
            prop_assert!((0.0..=1.0).contains(&found));
            prop_assert!((found - similarity(&b, &a)).abs() <= 0.0);
            for text in [&a, &b] {
                let own = similarity(text, text);
                prop_assert!(own == 0.0 || (own - 1.0).abs() < 1e-12);
            }
        }
    }
}
