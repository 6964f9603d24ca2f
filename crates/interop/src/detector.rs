//! From rows of token ids to figures: units told apart, pooled and tested.

use taggant_core::window::{extend, identity};
use taggant_core::{Error, ErrorKind, Result, Set};
use taggant_detector::stats::PValue;
use taggant_detector::{Reason, Response, Verdict, units_needed};

use crate::formats::synthid::Assessed;
use crate::law::UnitLaw;
use crate::mark::{Before, Mark, Repeats};
use crate::peer::{self, Peer};
use crate::spread;

/// Scores rows one by one and keeps the pool of their distinct units.
#[derive(Debug)]
pub struct Detector {
    mark: Mark,
    alpha: f64,
    needed: u64,
    pool: Tally,
    names: Set,
    row: Row,
}

/// What a row, or the pool of all rows, says.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use]
pub struct Found {
    /// Tokens looked at.
    pub tokens: u64,
    /// Distinct units scored.
    pub units: u64,
    /// Positions left out: their window occurred before in prompt or response, or their unit did, or no key changes their word.
    pub repeats: u64,
    /// Sum of the units' scores; larger means more mark.
    pub score: f64,
    /// What the score would be on average if the text said nothing about the key.
    pub expected: f64,
    /// Probability of a score at least this large if the text says nothing about the key.
    pub p_value: PValue,
    /// Whether the p-value is the tail itself, not Chernoff's bound.
    pub exact: bool,
    /// How much farther, as a ratio of variances, the sum spreads over other keys than independent units would: 1, or more where the engine's function
    /// relates the units of this text. The p-value allows for it. Looked at where it could matter, by trying other keys.
    pub spread: f64,
    /// The sum in which early layers weigh more, and its bound: a second statistic of tournaments.
    pub weighted: Option<(f64, PValue)>,
    /// The answer.
    pub verdict: Verdict,
    /// What the engine's own detector would say; of rows only.
    pub peer: Option<Peer>,
}

/// One position of a row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Unit<'a> {
    /// Its place in the response; what the engine reads before the first token does not count.
    pub position: usize,
    /// The tokens before it, as the engine takes them. Padding is `u32::MAX`.
    pub window: &'a [u32],
    /// The token.
    pub token: u32,
    /// The words of the keyed functions: one, or one for each key.
    pub words: Vec<u32>,
    /// The same as the engine writes them.
    pub raw: Vec<f64>,
    /// What it adds to the score.
    pub score: f64,
    /// Whether it counts, or is a repeat.
    pub counted: bool,
}

/// What was summed up. Where the null is counted out, the buckets of units are all there is to keep.
#[derive(Clone, Debug, Default)]
struct Tally {
    tokens: u64,
    units: u64,
    repeats: u64,
    score: f64,
    /// Ones in each layer of a tournament.
    layers: Vec<u64>,
    buckets: Vec<u32>,
    /// Names of units whose function is not to be trusted with their independence.
    names: Vec<u64>,
}

/// A row's working memory.
#[derive(Debug, Default)]
struct Row {
    joined: Vec<u32>,
    /// Where the response begins in `joined`.
    start: usize,
    positions: Vec<u32>,
    words: Vec<Vec<u32>>,
    scores: Vec<f64>,
    counted: Vec<bool>,
    names: Vec<u64>,
    seen: Set,
    distinct: Set,
}

/// Alpha when none is asked for.
const DEFAULT_ALPHA: f64 = 1e-6;

impl Detector {
    /// A detector of one mark.
    #[must_use]
    pub fn new(mark: Mark) -> Self {
        let mut detector = Self {
            needed: needed(&mark, DEFAULT_ALPHA),
            alpha: DEFAULT_ALPHA,
            pool: Tally::of(&mark),
            names: Set::default(),
            row: Row::default(),
            mark,
        };
        detector
            .row
            .words
            .resize(detector.mark.voices.len(), Vec::new());
        detector
    }

    /// Sets the significance level of each verdict; 1e-6 if never called.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `0 < alpha < 1`.
    pub fn with_alpha(mut self, alpha: f64) -> Result<Self> {
        if !(alpha > 0.0 && alpha < 1.0) {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("alpha is {alpha}; it must lie between 0 and 1"),
            ));
        }
        self.alpha = alpha;
        self.needed = needed(&self.mark, alpha);
        Ok(self)
    }

    /// The mark that is looked for.
    #[must_use]
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Scores one response by itself and adds its units to the pool.
    ///
    /// # Errors
    /// [`ErrorKind::Token`] for an id outside the vocabulary, [`ErrorKind::Limit`] for a response of 2^32 tokens; the pool is unchanged.
    pub fn row(&mut self, response: &Response<'_>) -> Result<Found> {
        self.read(response)?;
        let mut own = Tally::of(&self.mark);
        own.tokens = response.tokens.len() as u64;
        self.pool.tokens += own.tokens;
        for index in 0..self.row.positions.len() {
            if !self.row.counted[index] {
                own.repeats += 1;
                self.pool.repeats += 1;
                continue;
            }
            own.add(&self.mark, &self.row, index);
            if self.names.insert(self.row.names[index]) {
                self.pool.add(&self.mark, &self.row, index);
            } else {
                self.pool.repeats += 1;
            }
        }
        let mut found = self.found(&own);
        let row = peer::Row {
            tokens: &self.row.joined,
            window: self.mark.window(),
            positions: &self.row.positions,
            scores: &self.row.scores,
            words: self.row.words.first().map_or(&[], Vec::as_slice),
        };
        found.peer = Some(self.mark.rule.figure(&row));
        Ok(found)
    }

    /// All positions of the row that was read last.
    pub fn units(&self) -> impl Iterator<Item = Unit<'_>> {
        let row = &self.row;
        let window = self.mark.window();
        row.positions
            .iter()
            .enumerate()
            .map(move |(index, &position)| {
                let end = position as usize;
                let words: Vec<u32> = row.words.iter().map(|words| words[index]).collect();
                let voices = self.mark.voices.iter().zip(&words);
                Unit {
                    position: end - row.start,
                    window: &row.joined[end - window..end],
                    token: row.joined[end],
                    raw: voices
                        .map(|((contract, _), &word)| contract.raw(word))
                        .collect(),
                    words,
                    score: row.scores[index],
                    counted: row.counted[index],
                }
            })
    }

    /// What all distinct units of all rows so far say together.
    pub fn pooled(&self) -> Found {
        self.found(&self.pool)
    }

    /// Finds a response's positions, words and repeats.
    fn read(&mut self, response: &Response<'_>) -> Result<()> {
        let reading = self.mark.reading;
        check(response, reading.vocabulary)?;
        let window = self.mark.window();
        let prompt = response.prompt.unwrap_or_default();
        let end = reading
            .eos
            .and_then(|eos| response.tokens.iter().position(|&token| token == eos));
        let tokens = &response.tokens[..end.unwrap_or(response.tokens.len())];
        let row = &mut self.row;

        row.joined.clear();
        match reading.before {
            Before::Nothing => {}
            Before::Padding(word) => row.joined.resize(window, word),
            Before::Prompt => row
                .joined
                .extend_from_slice(&prompt[prompt.len().saturating_sub(window)..]),
        }
        row.start = row.joined.len();
        row.joined.extend_from_slice(tokens);
        row.positions.clear();
        #[expect(clippy::cast_possible_truncation, reason = "checked")]
        row.positions
            .extend((window.max(row.start)..row.joined.len()).map(|position| position as u32));

        let count = row.positions.len();
        row.scores.clear();
        row.scores.resize(count, 0.0);
        let mut own = vec![0.0; count];
        for ((contract, weight), words) in self.mark.voices.iter().zip(&mut row.words) {
            words.clear();
            words.resize(count, 0);
            contract.words(&row.joined, &row.positions, words);
            contract.scores(words, &mut own);
            for (score, own) in row.scores.iter_mut().zip(&own) {
                *score += weight * own;
            }
        }
        row.find_repeats(&self.mark, prompt);
        Ok(())
    }

    fn found(&self, tally: &Tally) -> Found {
        let depth = match self.mark.law {
            UnitLaw::Bits(depth) => depth,
            _ => 0,
        };
        #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
        let count = tally.units as f64;
        let assessed = match &self.mark.table {
            Some(table) => table.assess(&tally.buckets),
            None => {
                let (p_value, exact) = self.mark.law.tail(tally.units, tally.score);
                Assessed {
                    score: tally.score,
                    expected: count * self.mark.law.law().mean(),
                    p_value,
                    exact,
                    weighted: (depth > 0).then(|| weighted(depth, tally)),
                }
            }
        };
        let (mut assessed, mut spread) = (assessed, 1.0);
        if !tally.names.is_empty() && assessed.p_value.at_most(spread::LOOKED_AT) {
            let (ratio, p_value) = spread::assess(&self.mark, &tally.names, tally.score);
            if ratio > 1.0 {
                (spread, assessed.p_value, assessed.exact, assessed.weighted) =
                    (ratio, p_value, false, None);
            }
        }
        let verdict = if assessed.p_value.at_most(self.alpha) {
            Verdict::Detected
        } else if tally.units < self.needed {
            Verdict::Inconclusive(Reason::TooFewUnits {
                units: tally.units,
                needed: self.needed,
                alpha: self.alpha,
            })
        } else {
            Verdict::NotDetected
        };
        Found {
            tokens: tally.tokens,
            units: tally.units,
            repeats: tally.repeats,
            score: assessed.score,
            expected: assessed.expected,
            p_value: assessed.p_value,
            exact: assessed.exact,
            spread,
            weighted: assessed.weighted,
            verdict,
            peer: None,
        }
    }
}

/// The weighted sum of fair bits and Chernoff's bound of its tail.
fn weighted(depth: u32, tally: &Tally) -> (f64, PValue) {
    use taggant_detector::stats::{Law, WeightedSum};
    let coin = Law::Binomial {
        trials: 1,
        p: 0.5,
        q: 0.5,
    };
    let (mut sum, mut score) = (WeightedSum::default(), 0.0);
    for (weight, &ones) in peer::weights(depth).into_iter().zip(&tally.layers) {
        sum.add(&coin, weight, tally.units);
        #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
        let ones = ones as f64;
        score += weight * ones;
    }
    (score, sum.chernoff(score))
}

impl Tally {
    fn of(mark: &Mark) -> Self {
        let layers = match mark.law {
            UnitLaw::Bits(depth) if mark.table.is_none() => depth as usize,
            _ => 0,
        };
        Self {
            layers: vec![0; layers],
            buckets: mark
                .table
                .as_ref()
                .map_or_else(Vec::new, |table| vec![0; table.size()]),
            ..Self::default()
        }
    }

    fn add(&mut self, mark: &Mark, row: &Row, index: usize) {
        self.units += 1;
        self.score += row.scores[index];
        if mark.relates_units() {
            self.names.push(row.names[index]);
        }
        let Some(word) = row.words.first().map(|words| words[index]) else {
            return;
        };
        for (layer, ones) in self.layers.iter_mut().enumerate() {
            *ones += u64::from(word >> layer & 1);
        }
        if let Some(table) = &mark.table {
            let end = row.positions[index] as usize;
            let bucket = table.bucket(&row.joined[end - mark.window()..=end]);
            self.buckets[bucket] += 1;
        }
    }
}

impl Row {
    /// A position counts if its window occurred neither in the prompt nor before in the response, its unit not before in the response, and the key
    /// has a say in it.
    fn find_repeats(&mut self, mark: &Mark, prompt: &[u32]) {
        let window = mark.window();
        let length = match mark.reading.repeats {
            Repeats::Window => window,
            Repeats::Unit => window + 1,
        };
        self.seen.clear(2 * (prompt.len() + self.joined.len()));
        self.distinct.clear(2 * self.positions.len());
        if length > 0 && !prompt.is_empty() {
            // What lies inside the prompt, and what reaches from the prompt into the response without being a unit of it.
            // An engine that reads the prompt takes its end as the first window: that one has no continuation inside it.
            let inside = match (mark.reading.before, mark.reading.repeats) {
                (Before::Prompt, Repeats::Window) => &prompt[..prompt.len() - 1],
                _ => prompt,
            };
            for run in inside.windows(length) {
                self.seen.insert(identity(run));
            }
            if mark.reading.before == Before::Nothing {
                let tail = &prompt[prompt.len().saturating_sub(length - 1)..];
                let bridge: Vec<u32> = tail
                    .iter()
                    .chain(self.joined.iter().take(length - 1))
                    .copied()
                    .collect();
                for run in bridge.windows(length) {
                    self.seen.insert(identity(run));
                }
            }
        }
        self.counted.clear();
        self.names.clear();
        let contract = mark.voices.first().map(|(contract, _)| contract);
        for &position in &self.positions {
            let end = position as usize;
            let before = &self.joined[end - window..end];
            let token = self.joined[end];
            let name = contract.map_or(0, |contract| contract.name(before, token));
            let place = match mark.reading.repeats {
                Repeats::Window => identity(before),
                Repeats::Unit => extend(identity(before), token),
            };
            let fresh = length == 0 || self.seen.insert(place);
            let keyed = contract.is_none_or(|contract| contract.keyed(before, token));
            self.counted
                .push(fresh && keyed && self.distinct.insert(name));
            self.names.push(name);
        }
    }
}

fn check(response: &Response<'_>, vocabulary: Option<u32>) -> Result<()> {
    if u32::try_from(response.tokens.len() + 1024).is_err() {
        return Err(Error::new(
            ErrorKind::Limit,
            format!(
                "response of {} tokens; at most 2^32 - 1025 can be scored",
                response.tokens.len()
            ),
        ));
    }
    let Some(vocabulary) = vocabulary else {
        return Ok(());
    };
    let all = response
        .tokens
        .iter()
        .chain(response.prompt.unwrap_or_default());
    match all.clone().find(|&&token| token >= vocabulary) {
        None => Ok(()),
        Some(token) => Err(Error::new(
            ErrorKind::Token,
            format!(
                "token {token} is not below {vocabulary}, the vocabulary in the configuration; the tokenizer or `vocab_size` is another model's"
            ),
        )),
    }
}

/// The fewest units at which a text of planning strength reaches alpha.
fn needed(mark: &Mark, alpha: f64) -> u64 {
    units_needed(
        &mark.law.law(),
        |units, score| mark.law.tail(units, score).0,
        alpha,
    )
}
