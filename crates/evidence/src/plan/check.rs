//! What a plan's types cannot say: ranges, and things that must be there.

use taggant_core::{CONTROLS, Error, ErrorKind, Result, check_label};

use super::{Plan, Stopping};
use crate::digest::Digest;

/// Most requests of a plan.
pub const MAX_REQUESTS: u32 = 1 << 30;

/// Most suspects, or keys.
pub const MAX_LIST: usize = 1024;

/// Longest text of a plan's field, in bytes.
pub const MAX_TEXT: usize = 16_384;

impl Plan {
    /// # Errors
    /// [`ErrorKind::Format`], naming the field, its value and the limit.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |field: &str, fault: String| {
            Err(Error::new(
                ErrorKind::Format,
                format!("plan, {field}: {fault}"),
            ))
        };
        check_label(&self.case).map_err(|error| error.context("plan, case"))?;
        let texts = [
            ("propositions.main", &self.propositions.main),
            ("propositions.opposing", &self.propositions.opposing),
            ("scorer.version", &self.scorer.version),
            ("beacon.chain", &self.beacon.chain),
            ("primary.statistic", &self.primary.statistic),
            ("error.family", &self.error.family),
            ("reporting.scale", &self.reporting.scale),
            ("deviations", &self.deviations),
        ];
        let lists = [
            ("propositions.alternatives", &self.propositions.alternatives),
            ("exclusions", &self.exclusions),
            ("controls.negative", &self.controls.negative),
            ("controls.positive", &self.controls.positive),
        ];
        let sensitivity = self
            .sensitivity
            .iter()
            .map(|test| ("sensitivity", &test.statistic));
        let listed = lists
            .iter()
            .flat_map(|(field, list)| list.iter().map(|text| (*field, text)));
        for (field, text) in texts.into_iter().chain(listed).chain(sensitivity) {
            if text.trim().is_empty() || text.len() > MAX_TEXT {
                return wrong(
                    field,
                    format!(
                        "a text of {} bytes; 1 to {MAX_TEXT} are allowed",
                        text.len()
                    ),
                );
            }
        }
        for (field, count) in [
            (
                "propositions.alternatives",
                self.propositions.alternatives.len(),
            ),
            ("suspects", self.suspects.len()),
            ("keys", self.keys.len()),
            ("controls.negative", self.controls.negative.len()),
        ] {
            if count == 0 {
                return wrong(field, "empty; at least one is needed".to_owned());
            }
            if count > MAX_LIST {
                return wrong(field, format!("{count}; at most {MAX_LIST} are allowed"));
            }
        }
        let digests = [
            ("mark", self.mark),
            ("scorer.source", self.scorer.source),
            ("scorer.binary", self.scorer.binary),
            ("tokenizer", self.tokenizer),
            ("pool.sha256", self.pool.sha256),
        ];
        let keys = self
            .keys
            .iter()
            .flat_map(|key| [("keys", key.commitment), ("keys", key.epoch)]);
        let suspects = self
            .suspects
            .iter()
            .map(|suspect| ("suspects", suspect.identity));
        for (field, digest) in digests.into_iter().chain(keys).chain(suspects) {
            if digest == Digest::default() {
                return wrong(
                    field,
                    "64 zeros, which is the example's placeholder and no digest".to_owned(),
                );
            }
        }
        for (index, suspect) in self.suspects.iter().enumerate() {
            check_label(&suspect.id).map_err(|error| error.context("plan, suspects"))?;
            if self.suspects[..index]
                .iter()
                .any(|other| other.id == suspect.id)
            {
                return wrong("suspects", format!("`{}` stands there twice", suspect.id));
            }
        }
        for (field, value) in [
            ("error.alpha", &self.error.alpha),
            ("power.power", &self.power.power),
            ("reporting.floor", &self.reporting.floor),
        ] {
            if !(value.value() > 0.0 && value.value() < 1.0) {
                return wrong(field, format!("{value} is not above 0 and below 1"));
            }
        }
        if self.sampling.top_p.value() > 1.0 || self.sampling.top_p.value() <= 0.0 {
            return wrong(
                "sampling.top_p",
                format!("{} is not above 0 and at most 1", self.sampling.top_p),
            );
        }
        let answers = match self.stopping {
            Stopping::Fixed { answers } | Stopping::Sequential { answers } => answers,
        };
        for (field, count) in [
            ("sampling.max_tokens", self.sampling.max_tokens),
            ("stopping", answers),
            ("pool.drawn", self.pool.drawn),
        ] {
            if count == 0 {
                return wrong(field, "0; at least 1 is needed".to_owned());
            }
        }
        if self.pool.drawn > self.pool.prompts {
            return wrong(
                "pool.drawn",
                format!("{} of {} prompts", self.pool.drawn, self.pool.prompts),
            );
        }
        if (self.controls.keys as usize) < CONTROLS {
            return wrong(
                "controls.keys",
                format!(
                    "{}; every epoch commits to {CONTROLS}, and all are scored",
                    self.controls.keys
                ),
            );
        }
        if self.beacon.round == 0 {
            return wrong("beacon.round", "0; rounds count from 1".to_owned());
        }
        // Whole numbers of any size, so that no product wraps.
        let asked = u128::from(self.pool.drawn) * u128::from(answers) * self.suspects.len() as u128;
        if asked > u128::from(MAX_REQUESTS) {
            return wrong(
                "stopping",
                format!("the plan asks {asked} times; at most {MAX_REQUESTS} are possible"),
            );
        }
        let tokens = asked * u128::from(self.sampling.max_tokens);
        for (field, budget, needed) in [
            ("budget.requests", self.budget.requests, asked),
            ("budget.tokens", self.budget.tokens, tokens),
        ] {
            if u128::from(budget) < needed {
                return wrong(field, format!("{budget}; the plan asks for {needed}"));
            }
        }
        for (index, key) in self.keys.iter().enumerate() {
            if self.keys[..index].contains(key) {
                return wrong("keys", format!("{} stands there twice", key.commitment));
            }
        }
        if self.power.units == 0
            || self.power.effect.value() <= 0.0
            || self.sampling.temperature.value() > 100.0
        {
            return wrong(
                "power and sampling",
                "units and effect must be above 0, the temperature at most 100".to_owned(),
            );
        }
        Ok(())
    }
}
