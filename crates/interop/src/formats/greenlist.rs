//! Green lists from torch's CPU generator: what the marks after Kirchenbauer et al. 2023 ("A watermark for large language models") share.
//!
//! A seed that depends on some tokens, and maybe on the token itself, shuffles the vocabulary; tokens among the first entries are green.
//! Engines that mark on a GPU draw other lists, from the GPU's generator, which are not read here.

use taggant_core::{Error, ErrorKind, Null, Result, Scheme};

use super::Definition;
use crate::contract::Contract;
use crate::hash::torch::{Shuffle, randperm};
use crate::law::UnitLaw;
use crate::mark::{Mark, Reading, Repeats};
use crate::peer::{Counts, Rule, Statistic};

/// How an engine seeds the shuffle.
pub(crate) trait Seeding: Send + Sync + 'static {
    /// The scheme's id.
    fn id(&self) -> &'static str;

    /// Tokens before the token that are read, or that the engine wants to be there.
    fn window(&self) -> usize;

    /// The low half of the seed, which is all that torch's CPU generator takes.
    fn seed(&self, window: &[u32], token: u32) -> u32;
}

/// A green list and the question whether a token is on it.
pub(crate) struct Greenlist<S> {
    seeding: S,
    /// The same under another key: where the two seed alike, the key has no say.
    probe: Option<S>,
    shuffle: Shuffle,
    vocabulary: u32,
    green: u32,
    /// Whether the list is the permutation's end, not its beginning.
    last: bool,
    /// Places by which the list is rolled towards lower ids.
    roll: u32,
}

/// Marks of one token repeat with their unit. After one window tokens are drawn without replacement; sums of such draws are sums of
/// independent indicators (Vatutin, Mikhailov 1982), whose tail above their mean plus one is at most the binomial's (Hoeffding 1956).
pub(crate) fn reading(vocabulary: u32) -> Reading {
    Reading {
        repeats: Repeats::Unit,
        vocabulary: Some(vocabulary),
        ..Reading::default()
    }
}

/// `int(vocabulary * share)` of Python.
pub(crate) fn share(format: &str, vocabulary: u32, share: f64) -> Result<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the vocabulary"
    )]
    let green = (f64::from(vocabulary) * share) as u32;
    if green == 0 || green >= vocabulary {
        return Err(Error::new(
            ErrorKind::Parameter,
            format!(
                "{share} of `vocab_size` {vocabulary} makes {green} green tokens for {format}; there must be some, and not all"
            ),
        ));
    }
    Ok(green)
}

impl<S: Seeding> Greenlist<S> {
    pub(crate) fn new(seeding: S, vocabulary: u32, green: u32) -> Self {
        Self {
            seeding,
            probe: None,
            shuffle: Shuffle::new(vocabulary, green),
            vocabulary,
            green,
            last: false,
            roll: 0,
        }
    }

    /// With the seeding under another key, for engines that seed some windows without their key.
    pub(crate) fn probed_by(self, probe: S) -> Self {
        Self {
            probe: Some(probe),
            ..self
        }
    }

    /// The list is the permutation's end.
    pub(crate) fn at_the_end(mut self) -> Self {
        self.shuffle = Shuffle::new(self.vocabulary, self.vocabulary - self.green);
        self.last = true;
        self
    }

    /// A token is green if the one `places` above it is on the list, counted around.
    pub(crate) fn rolled(mut self, places: u32) -> Self {
        self.roll = places % self.vocabulary;
        self
    }

    /// The mark, which the engine's `detector` tests for `gamma` by z or as told.
    pub(crate) fn mark(
        self,
        definition: &'static Definition,
        detector: &'static str,
        counts: Counts,
        statistic: Statistic,
    ) -> Mark {
        let law = UnitLaw::Green {
            green: u64::from(self.green),
            of: u64::from(self.vocabulary),
        };
        let reading = reading(self.vocabulary);
        Mark::single(
            definition,
            self,
            law,
            reading,
            Rule {
                detector,
                counts,
                most: None,
                statistic,
            },
        )
    }

    fn rolled_token(&self, token: u32) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "below the vocabulary")]
        let token = ((u64::from(token) + u64::from(self.roll)) % u64::from(self.vocabulary)) as u32;
        token
    }
}

impl<S: Seeding> Scheme for Greenlist<S> {
    fn id(&self) -> &'static str {
        self.seeding.id()
    }

    fn window(&self) -> usize {
        self.seeding.window()
    }

    /// In the order of seeds: a shuffle serves all units under its seed.
    fn words(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]) {
        let window = self.window();
        let mut asked: Vec<(u32, u32, usize)> = positions
            .iter()
            .enumerate()
            .map(|(index, &position)| {
                let end = position as usize;
                (
                    self.seeding.seed(&tokens[end - window..end], tokens[end]),
                    self.rolled_token(tokens[end]),
                    index,
                )
            })
            .collect();
        asked.sort_unstable();
        let mut questions = self.shuffle.questions();
        for (seed, token, index) in asked {
            out[index] = u32::from(questions.among_first(seed, token) != self.last);
        }
    }

    fn null(&self) -> Null {
        Null::Binomial {
            trials: 1,
            threshold: (u64::from(self.green) << 32).div_ceil(u64::from(self.vocabulary)),
        }
    }

    fn score(&self, words: &[u32]) -> f64 {
        words.iter().map(|&word| f64::from(word)).sum()
    }

    fn plain_on_repeat(&self) -> bool {
        false
    }
}

impl<S: Seeding> Contract for Greenlist<S> {
    /// Windows of one seed share a list.
    fn name(&self, window: &[u32], token: u32) -> u64 {
        u64::from(self.seeding.seed(window, token)) << 32 | u64::from(token)
    }

    fn keyed(&self, window: &[u32], token: u32) -> bool {
        let seed = |seeding: &S| seeding.seed(window, token);
        self.probe
            .as_ref()
            .is_none_or(|probe| seed(probe) != seed(&self.seeding))
    }
}

impl<S: Seeding> std::fmt::Debug for Greenlist<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Greenlist")
            .field("id", &self.seeding.id())
            .field("vocabulary", &self.vocabulary)
            .field("green", &self.green)
            .finish_non_exhaustive()
    }
}

/// The low half of a seed that Python reduces by `% (2**64 - 1)`.
#[expect(clippy::cast_possible_truncation, reason = "below 2^64; the low half")]
pub(crate) fn reduced(seed: i128) -> u32 {
    seed.rem_euclid((1 << 64) - 1) as u64 as u32
}

/// A permutation as a hash of 64-bit numbers to 1 … 1,000,003.
pub(crate) struct Table(Vec<u32>);

impl Table {
    const SIZE: u32 = 1_000_003;

    pub(crate) fn new(seed: u32) -> Self {
        Self(randperm(seed, Self::SIZE))
    }

    #[expect(clippy::cast_possible_truncation, reason = "below a million")]
    pub(crate) fn hash(&self, number: i64) -> i64 {
        i64::from(self.0[number.rem_euclid(i64::from(Self::SIZE)) as usize]) + 1
    }
}

/// Helpers of the formats' tests.
#[cfg(test)]
pub(super) mod check {
    use crate::mark::Mark;

    /// Frequent, rare and special ids of a vocabulary of 50,257.
    #[rustfmt::skip]
    pub(in crate::formats) const TOKENS: [u32; 32] = [0, 50256, 132, 427, 22124, 153, 243, 576, 6, 254, 913, 5343, 1, 25, 5942, 35303, 45445, 41579, 2744, 39022, 25962, 29687, 42855, 48425, 40341, 42603, 10321, 40837, 983, 34627, 4139, 3902];

    /// The words of all positions of `tokens` that have a whole window.
    pub(in crate::formats) fn words(format: &str, json: &str, tokens: &[u32]) -> Vec<u32> {
        let mark = Mark::from_json(format, json).unwrap();
        let positions: Vec<u32> = (0..).take(tokens.len()).skip(mark.window()).collect();
        let mut words = vec![0; positions.len()];
        mark.voices[0].0.words(tokens, &positions, &mut words);
        words
    }

    /// The green flags of [`TOKENS`].
    pub(in crate::formats) fn flags(format: &str, json: &str) -> String {
        words(format, json, &TOKENS)
            .iter()
            .map(u32::to_string)
            .collect()
    }
}
