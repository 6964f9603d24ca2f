//! From token ids to a report.

use taggant_core::{
    Error, ErrorKind, Layer, LeafKey, Mark, Null, Record, Result, Role, Scheme, Set,
};

use crate::localise::{Passage, localise};
use crate::reader::Reader;
use crate::report::{Facts, Reason, Report, Rows, Subject, Verdict};
use crate::statistic::Statistic;
use crate::stats::{Law, PValue};

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

    /// The digest of the tokenizer that the ids belong to, if known.
    pub(crate) fn tokenizer(&self) -> Option<[u8; 32]> {
        self.source.tokenizer()
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
    statistic: Statistic,
    reader: Reader,
    /// Units seen so far, for each layer.
    pools: Vec<Set>,
    words: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    tokens: u64,
    units: u64,
    repeats: u64,
    score: f64,
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
        let statistic = Statistic::new(mark.record(), null(&mark));
        let layers = mark.layers();
        Self {
            needed: needed(&statistic, DEFAULT_ALPHA),
            reader: Reader::new(mark.record(), |index| {
                layers
                    .get(index)
                    .is_some_and(|layer| layer.scheme().is_some())
            }),
            pools: layers.iter().map(|_| Set::default()).collect(),
            words: Vec::new(),
            statistic,
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
        self.needed = needed(&self.statistic, alpha);
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
        self.reader.check(response)?;
        let repeats = self.reader.read(self.mark.partition(), response);
        let tally = self.score(response.tokens, repeats);
        self.rows.scored += 1;
        self.rows.with_prompt += u64::from(response.prompt.is_some());
        self.rows.with_tokenizer += u64::from(response.source.tokenizer().is_some());
        self.rows.text += u64::from(matches!(response.source, Source::Text { .. }));
        Ok(self.report(tally, Subject::of(response)))
    }

    /// The null law of one unit's score: what an [`EProcess`](crate::stats::EProcess) bets against.
    #[must_use]
    pub fn law(&self) -> &Law {
        self.statistic.law()
    }

    /// The marked passages of one response, at family-wise level `alpha`; see [`localise`](crate::localise()). The pool is unchanged.
    ///
    /// # Errors
    /// As [`row`](Self::row), and as [`localise`](crate::localise()) for `alpha`.
    pub fn passages(&mut self, response: &Response<'_>, alpha: f64) -> Result<Vec<Passage>> {
        self.reader.check(response)?;
        let _ = self.reader.read(self.mark.partition(), response);
        let mut units: Vec<(u32, f64)> = Vec::new();
        for (layer, found) in self.mark.layers().iter().zip(self.reader.layers()) {
            let Some(scheme) = layer.scheme() else {
                continue;
            };
            self.words.resize(found.positions.len(), 0);
            scheme.words(response.tokens, &found.positions, &mut self.words);
            let mut scores = vec![0.0; self.words.len()];
            self.statistic.scores(scheme, &self.words, &mut scores);
            units.extend(found.positions.iter().copied().zip(scores));
        }
        units.sort_by_key(|&(position, _)| position);
        let (positions, scores): (Vec<u32>, Vec<f64>) = units.into_iter().unzip();
        let tail = |units, score| self.statistic.tail(units, score);
        localise(&positions, &scores, self.statistic.law(), &tail, alpha)
    }

    /// Units and score of the pool so far: what a sequential test looks at between rows.
    #[must_use]
    pub fn evidence(&self) -> (u64, f64) {
        (self.pooled.units, self.pooled.score)
    }

    /// The report on all units of all rows so far, each distinct unit counted once.
    pub fn pooled(&self) -> Report {
        let mut report = self.report(self.pooled, Subject::Pool(self.rows));
        if let (0, Some(reason)) = (self.rows.scored, &self.mismatch) {
            report.verdict = Verdict::Inconclusive(reason.clone());
        }
        report
    }

    /// Scores the units found, for the row and, where they are new, for the pool.
    fn score(&mut self, tokens: &[u32], repeats: u64) -> Tally {
        let mut row = Tally {
            tokens: tokens.len() as u64,
            repeats,
            ..Tally::default()
        };
        self.pooled.tokens += row.tokens;
        self.pooled.repeats += row.repeats;
        let words = &mut self.words;
        let found = self.reader.layers().iter().zip(&mut self.pools);
        for (layer, (found, pool)) in self.mark.layers().iter().zip(found) {
            let Some(scheme) = layer.scheme() else {
                continue;
            };
            words.resize(found.positions.len(), 0);
            scheme.words(tokens, &found.positions, words);
            row.units += words.len() as u64;
            row.score += self.statistic.sum(scheme, words);
            let units = &found.units;

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
            self.pooled.score += self.statistic.sum(scheme, &words[..fresh]);
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
        let p_value = self.statistic.tail(tally.units, tally.score);
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
            expected: real(tally.units) * self.statistic.law().mean(),
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

/// The planning effect, in standard deviations of one unit's null score: a mark two thirds as strong as the weakest of what SmolLM2-135M
/// shows at temperature 1 and top-p 0.95 (2.1 gumbel, 1.2 tournament, 0.74 greenlist; `tests/model`). A text as long as such a mark
/// needs, and still without a detection, is called unmarked.
const PLANNED_EFFECT: f64 = 0.5;

/// The fewest units at which a text of planning strength, half a standard deviation a unit, reaches `alpha` by `tail`, which is asked for
/// `P(sum over units ≥ score)`. `law` is that of one unit's score under the null.
#[must_use]
pub fn units_needed(law: &Law, tail: impl Fn(u64, f64) -> PValue, alpha: f64) -> u64 {
    let planned = law.mean() + PLANNED_EFFECT * law.deviation();
    let reaches = |units: u64| tail(units, real(units) * planned).at_most(alpha);
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

fn needed(statistic: &Statistic, alpha: f64) -> u64 {
    units_needed(
        statistic.law(),
        |units, score| statistic.tail(units, score),
        alpha,
    )
}

#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

/// The first eight hex digits of a digest.
pub(crate) fn short(digest: &[u8; 32]) -> String {
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
