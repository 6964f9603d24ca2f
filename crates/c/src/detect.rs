//! Whether token ids carry a mark.
#![expect(
    unsafe_code,
    reason = "a fixed name, which C needs, counts as unsafe; no unsafe block is here"
)]

use std::mem::MaybeUninit;

use taggant_detector::{Detector, Reason};

use crate::fault::{Message, Result, Status, answer, needed};
use crate::key::leaves;
use crate::raw::{Ids, Keys, Responses};
use crate::record::Record;

/// A response to look at: token ids without the prompt and without the stop token.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Response<'a> {
    /// The response's token ids.
    pub tokens: Ids<'a>,
    /// How many.
    pub token_count: usize,
    /// The prompt's token ids; NULL when unknown. Windows that occur in it are not scored: text copied from the prompt says nothing about the model.
    pub prompt: Ids<'a>,
    /// How many.
    pub prompt_count: usize,
}

/// What a detection says.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There was text enough to see a mark of planning strength, and none was seen.
    NotDetected = 0,
    /// The p-value is at most alpha.
    Detected = 1,
    /// There was too little text: see `units` and `units_needed`.
    Inconclusive = 2,
}

/// The answer of a detection.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// The decimal logarithm of the p-value, exact where the p-value itself is too small for a double.
    pub log10_p: f64,
    /// The probability of a score at least this large if the text is independent of the key: not of innocence. 0 when too small for a double.
    pub p_value: f64,
    /// The statistic: larger means more mark.
    pub score: f64,
    /// What the score would be on average if the text were independent of the key.
    pub expected: f64,
    /// n: distinct units (a window and the token after it) that were scored. A unit counts once over all responses.
    pub units: u64,
    /// Tokens looked at.
    pub tokens: u64,
    /// When the verdict is inconclusive: units at which a mark of planning strength reaches alpha. 0 otherwise.
    pub units_needed: u64,
    /// The verdict at alpha.
    pub verdict: Verdict,
}

/// Pools responses and answers once: do they carry the record's mark?
///
/// `keys` are the record's: its key, or the campaign key with or without the account key. `alpha` is the rate of false alarms you accept, between 0
/// and 1; 1e-6 is usual. The answer says that the text depends on the key; not who wrote it.
/// Fails with `TAGGANT_STATUS_MISMATCH` (keys that the record does not name), `TAGGANT_STATUS_TOKEN` (an id outside the vocabulary), `TAGGANT_STATUS_PARAMETER`
/// (`alpha`, no key), `TAGGANT_STATUS_POINTER`. May be called by any number of threads with the same record and keys.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_detect(
    record: Option<&Record>,
    keys: Keys<'_>,
    key_count: usize,
    responses: Responses<'_>,
    response_count: usize,
    alpha: f64,
    report: Option<&mut MaybeUninit<Report>>,
    error: Message<'_>,
) -> Status {
    answer(error, || {
        let record = &needed(record, "record")?.record;
        let detector = Detector::new(record, &leaves(keys, key_count)?)?;
        let responses = responses.read("responses", response_count)?;
        needed(report, "report")?.write(pooled(detector.with_alpha(alpha)?, responses)?);
        Ok(())
    })
}

/// `taggant_detect` under keys that the record does not name: a control. Under a key that was never near the text p-values are
/// uniform, whatever the text. Fails as `taggant_detect` does.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_detect_control(
    record: Option<&Record>,
    keys: Keys<'_>,
    key_count: usize,
    responses: Responses<'_>,
    response_count: usize,
    alpha: f64,
    report: Option<&mut MaybeUninit<Report>>,
    error: Message<'_>,
) -> Status {
    answer(error, || {
        let record = &needed(record, "record")?.record;
        let detector = Detector::control(record, &leaves(keys, key_count)?)?;
        let responses = responses.read("responses", response_count)?;
        needed(report, "report")?.write(pooled(detector.with_alpha(alpha)?, responses)?);
        Ok(())
    })
}

fn pooled(mut detector: Detector, responses: &[Response<'_>]) -> Result<Report> {
    for (number, response) in responses.iter().enumerate() {
        let name = |part| format!("responses[{number}].{part}");
        let tokens = (response.tokens).read(&name("tokens"), response.token_count)?;
        let mut row = taggant_detector::Response::ids(tokens);
        if !response.prompt.is_null() {
            let prompt = (response.prompt).read(&name("prompt"), response.prompt_count)?;
            row = row.with_prompt(prompt);
        }
        let _ = detector
            .row(&row)
            .map_err(|error| error.context(format_args!("response {number}")))?;
    }
    let report = detector.pooled();
    Ok(Report {
        log10_p: report.p_value.log10(),
        p_value: report.p_value.get(),
        score: report.score,
        expected: report.expected,
        units: report.units,
        tokens: report.tokens,
        units_needed: match report.verdict.reason() {
            Some(Reason::TooFewUnits { needed, .. }) => *needed,
            _ => 0,
        },
        verdict: match report.verdict {
            taggant_detector::Verdict::Detected => Verdict::Detected,
            taggant_detector::Verdict::NotDetected => Verdict::NotDetected,
            _ => Verdict::Inconclusive,
        },
    })
}
