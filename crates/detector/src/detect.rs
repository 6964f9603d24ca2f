//! From token ids to a report.

use taggant_core::window::{extend_all, identities};
use taggant_core::{
    Error, ErrorKind, Layer, LeafKey, Mark, Null, Record, Result, Role, Scheme, Set,
};

use crate::report::{Facts, Reason, Report, Rows, Subject, Verdict};
use crate::stats::{PValue, binomial_tail, gamma_tail};

/// Where a response's token ids come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source<'a> {
    /// Ids as the model gave them, with the digest of their tokenizer if it is known.
    Ids {
        /// SPEC.md §6.
        tokenizer: Option<[u8; 32]>,
    },
    /// Ids from encoding text.
    Text {
        /// Digest of the tokenizer that encoded it.
        tokenizer: [u8; 32],
        /// What Unicode folding changed before encoding, in words.
        folding: &'a str,
    },
}

impl Source<'_> {
    fn tokenizer(&self) -> Option<[u8; 32]> {
        match *self {
            Self::Ids { tokenizer } => tokenizer,
            Self::Text { tokenizer, .. } => Some(tokenizer),
        }
    }
}

/// A response to score: token ids, without a prompt and without the stop token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Response<'a> {
    /// The response's token ids.
    pub tokens: &'a [u32],
    /// The prompt's token ids, if known. Windows that occur in it are not scored: text copied from the prompt says nothing about
    /// the model.
    pub prompt: Option<&'a [u32]>,
    /// Where the ids come from.
    pub source: Source<'a>,
}

impl<'a> Response<'a> {
    /// Token ids as the model gave them; prompt and tokenizer unknown.
    #[must_use]
    pub fn ids(tokens: &'a [u32]) -> Self {
        Self {
            tokens,
            prompt: None,
            source: Source::Ids { tokenizer: None },
        }
    }

    /// The same response with its prompt's token ids.
    #[must_use]
    pub fn with_prompt(self, prompt: &'a [u32]) -> Self {
        Self {
            prompt: Some(prompt),
            ..self
        }
    }

    /// The same response with the source of its ids.
    #[must_use]
    pub fn with_source(self, source: Source<'a>) -> Self {
        Self { source, ..self }
    }
}

/// Pools responses and answers once, at significance level `alpha`.
///
/// # Errors
/// As [`Detector::new`], [`Detector::with_alpha`] and [`Detector::row`].
pub fn detect<'a>(
    record: &Record,
    keys: &[&LeafKey],
    responses: impl IntoIterator<Item = Response<'a>>,
    alpha: f64,
) -> Result<Report> {
    let mut detector = Detector::new(record, keys)?.with_alpha(alpha)?;
    for response in responses {
        let _ = detector.row(&response)?;
    }
    Ok(detector.pooled())
}

/// Scores responses one by one and keeps the pool of their distinct units.
///
/// Memory grows with the number of distinct units: at most 64 bytes each.
#[derive(Debug)]
pub struct Detector {
    mark: Mark,
    named: bool,
    alpha: f64,
    needed: u64,
    pooled: Tally,
    rows: Rows,
    mismatch: Option<Reason>,
    work: Work,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    tokens: u64,
    units: u64,
    repeats: u64,
    score: f64,
}

/// Working memory, reused from row to row.
#[derive(Debug, Default)]
struct Work {
    joined: Vec<u32>,
    windows: Vec<u64>,
    words: Vec<u32>,
    layers: Vec<LayerWork>,
}

/// One layer's share of a row.
#[derive(Debug, Default)]
struct LayerWork {
    /// Windows of the row, and units of the pool.
    seen: Set,
    pool: Set,
    /// Scored positions, and the identities of their units.
    positions: Vec<u32>,
    units: Vec<u64>,
}

/// Units whose places in the pool are fetched together: enough to hide the wait, few enough for the first cache.
const TOGETHER: usize = 256;

/// The alpha used when none is asked for.
const DEFAULT_ALPHA: f64 = 1e-6;

impl Detector {
    /// A detector for the mark that `record` describes, under its keys. A two-layer mark can be scored with the campaign key alone.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when a key does not belong to the record or the first layer's is missing.
    pub fn new(record: &Record, keys: &[&LeafKey]) -> Result<Self> {
        Ok(Self::of(Mark::new(record, keys)?, true))
    }

    /// A detector under keys that the record does not name: a control. Its p-values are uniform on any text.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when a layer has two keys or the first layer has none.
    pub fn control(record: &Record, keys: &[&LeafKey]) -> Result<Self> {
        Ok(Self::of(Mark::control(record, keys)?, false))
    }

    fn of(mark: Mark, named: bool) -> Self {
        Self {
            needed: needed(null(&mark), DEFAULT_ALPHA),
            work: Work {
                layers: mark.layers().iter().map(|_| LayerWork::default()).collect(),
                ..Work::default()
            },
            mark,
            named,
            alpha: DEFAULT_ALPHA,
            pooled: Tally::default(),
            rows: Rows::default(),
            mismatch: None,
        }
    }

    /// The same detector at another significance level (1e-6 unless said). It applies to each report by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `alpha` is between 0 and 1, ends excluded.
    pub fn with_alpha(mut self, alpha: f64) -> Result<Self> {
        if !(alpha > 0.0 && alpha < 1.0) {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("alpha is {alpha}; it must lie between 0 and 1"),
            ));
        }
        self.alpha = alpha;
        self.needed = needed(null(&self.mark), alpha);
        Ok(self)
    }

    /// Scores one response by itself and adds its units to the pool.
    ///
    /// # Errors
    /// [`ErrorKind::Token`] for an id outside the vocabulary, [`ErrorKind::Limit`] for a response of 2^32 tokens; the pool is unchanged.
    pub fn row(&mut self, response: &Response<'_>) -> Result<Report> {
        let tokenizer = self.mark.record().tokenizer();
        if let Some(found) = response.source.tokenizer()
            && found != tokenizer.digest
        {
            let reason = Reason::TokenizerMismatch {
                record: short(&tokenizer.digest),
                text: short(&found),
            };
            self.rows.refused += 1;
            self.mismatch = Some(reason.clone());
            let tally = Tally {
                tokens: response.tokens.len() as u64,
                ..Tally::default()
            };
            let mut report = self.report(tally, Subject::of(response));
            report.verdict = Verdict::Inconclusive(reason);
            return Ok(report);
        }
        tokenizer.check(response.tokens)?;
        if let Some(prompt) = response.prompt {
            tokenizer
                .check(prompt)
                .map_err(|error| error.context("prompt"))?;
        }
        if u32::try_from(response.tokens.len()).is_err() {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "response of {} tokens; at most {} can be scored",
                    response.tokens.len(),
                    u32::MAX
                ),
            ));
        }
        let repeats = self.find_units(response);
        let tally = self.score(response.tokens, repeats);
        self.rows.scored += 1;
        self.rows.with_prompt += u64::from(response.prompt.is_some());
        self.rows.with_tokenizer += u64::from(response.source.tokenizer().is_some());
        self.rows.text += u64::from(matches!(response.source, Source::Text { .. }));
        Ok(self.report(tally, Subject::of(response)))
    }

    /// The report on all units of all rows so far, each distinct unit counted once.
    pub fn pooled(&self) -> Report {
        let mut report = self.report(self.pooled, Subject::Pool(self.rows));
        if let (0, Some(reason)) = (self.rows.scored, &self.mismatch) {
            report.verdict = Verdict::Inconclusive(reason.clone());
        }
        report
    }

    /// SPEC.md §4, scoring: for each layer, the positions it owns whose window did not occur before in prompt or response.
    /// Returns how many windows were left out as repeats.
    fn find_units(&mut self, response: &Response<'_>) -> u64 {
        let tokens = response.tokens;
        let prompt = response.prompt.unwrap_or_default();
        let Work {
            joined,
            windows,
            words,
            layers,
        } = &mut self.work;
        let mut owned: Vec<&mut Vec<u32>> =
            layers.iter_mut().map(|work| &mut work.positions).collect();
        self.mark.partition(tokens, words, &mut owned);
        let mut repeats = 0;
        for (layer, work) in self.mark.layers().iter().zip(layers) {
            let LayerWork {
                seen,
                positions,
                units,
                ..
            } = work;
            if layer.scheme().is_none() {
                positions.clear();
                continue;
            }
            seen.clear(2 * (prompt.len() + tokens.len()));
            if !prompt.is_empty() {
                // Windows inside the prompt, and those that reach from the prompt into the response.
                joined.clear();
                joined.extend_from_slice(prompt);
                joined.extend(tokens.iter().take(layer.window() - 1));
                identities(joined, layer.window(), windows);
                for &name in &*windows {
                    seen.insert(name);
                }
            }
            let window = layer.window();
            identities(tokens, window, windows);
            units.clear();
            units.extend_from_slice(windows);
            extend_all(units, tokens.get(window..).unwrap_or_default());
            let mut kept = 0;
            for index in 0..positions.len() {
                // Written first and kept only if new: a branch here would be mispredicted on ordinary text.
                let position = positions[index];
                let name = position as usize - window;
                (positions[kept], units[kept]) = (position, units[name]);
                kept += usize::from(seen.insert(windows[name]));
            }
            repeats += (positions.len() - kept) as u64;
            positions.truncate(kept);
            units.truncate(kept);
        }
        repeats
    }

    /// Scores the units found, for the row and, where they are new, for the pool.
    fn score(&mut self, tokens: &[u32], repeats: u64) -> Tally {
        let mut row = Tally {
            tokens: tokens.len() as u64,
            repeats,
            ..Tally::default()
        };
        let Work { words, layers, .. } = &mut self.work;
        self.pooled.tokens += row.tokens;
        self.pooled.repeats += row.repeats;
        for (layer, work) in self.mark.layers().iter().zip(layers) {
            let Some(scheme) = layer.scheme() else {
                continue;
            };
            let LayerWork {
                pool,
                positions,
                units,
                ..
            } = work;
            words.resize(positions.len(), 0);
            scheme.words(tokens, positions, words);
            row.units += words.len() as u64;
            row.score += scheme.score(words);

            // Keep the words of units new to the pool, in place.
            let mut fresh = 0;
            for start in (0..words.len()).step_by(TOGETHER) {
                let some = start..words.len().min(start + TOGETHER);
                pool.touch(&units[some.clone()]);
                for unit in some {
                    words[fresh] = words[unit];
                    fresh += usize::from(pool.insert(units[unit]));
                }
            }
            self.pooled.repeats += (words.len() - fresh) as u64;
            self.pooled.units += fresh as u64;
            self.pooled.score += scheme.score(&words[..fresh]);
        }
        row
    }

    /// Roles of the layers that have a key, or have none.
    fn roles(&self, keyed: bool) -> [Option<Role>; 2] {
        let role = |layer: &Layer| (layer.scheme().is_some() == keyed).then(|| layer.role());
        [
            self.mark.layers().first().and_then(role),
            self.mark.layers().get(1).and_then(role),
        ]
    }

    fn report(&self, tally: Tally, subject: Subject) -> Report {
        let null = null(&self.mark);
        let p_value = tail(null, tally.units, tally.score);
        let verdict = if p_value.at_most(self.alpha) {
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
        Report {
            tokens: tally.tokens,
            units: tally.units,
            score: tally.score,
            expected: real(tally.units) * mean(null),
            p_value,
            verdict,
            facts: Facts {
                named: self.named,
                scored: self.roles(true),
                keyless: self.roles(false),
                repeats: tally.repeats,
                needed: self.needed,
                alpha: self.alpha,
                subject,
            },
        }
    }
}

impl Subject {
    fn of(response: &Response<'_>) -> Self {
        Self::Row {
            tokenizer: response.source.tokenizer().is_some(),
            folding: match response.source {
                Source::Text { folding, .. } => Some(folding.to_owned()),
                Source::Ids { .. } => None,
            },
            prompt: response.prompt.map(<[u32]>::len),
        }
    }
}

/// All layers of a mark carry the same scheme, so they share one null law and their scores add up.
fn null(mark: &Mark) -> Null {
    mark.layers()
        .iter()
        .find_map(|layer| layer.scheme())
        .map_or(Null::Exponential, Scheme::null)
}

fn tail(null: Null, units: u64, score: f64) -> PValue {
    match null {
        Null::Binomial { trials, threshold } => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count below 2^53"
            )]
            let successes = score as u64;
            let (p, q) = shares(threshold);
            binomial_tail(successes, units * u64::from(trials), p, q)
        }
        _ => gamma_tail(score, units),
    }
}

/// `threshold / 2^32` and its complement, both exact.
fn shares(threshold: u64) -> (f64, f64) {
    const WHOLE: u64 = 1 << 32;
    (
        real(threshold) / real(WHOLE),
        real(WHOLE - threshold) / real(WHOLE),
    )
}

fn mean(null: Null) -> f64 {
    match null {
        Null::Binomial { trials, threshold } => f64::from(trials) * shares(threshold).0,
        _ => 1.0,
    }
}

fn deviation(null: Null) -> f64 {
    match null {
        Null::Binomial { trials, threshold } => {
            let (p, q) = shares(threshold);
            libm::sqrt(f64::from(trials) * p * q)
        }
        _ => 1.0,
    }
}

/// The planning effect, in standard deviations of one unit's null score: a mark two thirds as strong as the weakest of what SmolLM2-135M
/// shows at temperature 1 and top-p 0.95 (2.1 gumbel, 1.2 tournament, 0.74 greenlist; `tests/model`). A text as long as such a mark
/// needs, and still without a detection, is called unmarked.
const PLANNED_EFFECT: f64 = 0.5;

/// The fewest units at which a text of the planning effect reaches `alpha`, by the exact tail.
fn needed(null: Null, alpha: f64) -> u64 {
    let reaches = |units: u64| {
        let score = real(units) * (mean(null) + PLANNED_EFFECT * deviation(null));
        tail(null, units, score).at_most(alpha)
    };
    let mut high = 1;
    while !reaches(high) {
        high *= 2;
    }
    // Whole-number effects make the tail step up and down by a unit; bisection finds one crossing, which is all that is needed.
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low.midpoint(high);
        if reaches(middle) {
            high = middle
        } else {
            low = middle
        }
    }
    high
}

#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

/// The first eight hex digits of a digest.
fn short(digest: &[u8; 32]) -> String {
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
