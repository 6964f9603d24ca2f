//! SGLang's Gumbel mark, one key or two (the hash contract in the README of `sglang/srt/sampling/watermarking`, read in 0.5.23).

use taggant_core::{Error, ErrorKind, Result};

use super::Definition;
use super::gumbel::{Gumbel, Race};
use crate::hash::murmur::{finish, mix};
use crate::law::UnitLaw;
use crate::mark::{Before, Mark, Reading};
use crate::peer::{Counts, Rule, Statistic};

pub(crate) const GUMBEL: Definition = Definition {
    id: "sglang-gumbel",
    about: "SGLang --enable-watermark --watermark-config, with or without key_b",
    warning: Some(
        "MurmurHash3 is no cryptographic function: who can query the marked model may learn to write under its key, so a finding does not exclude forgery",
    ),
    build: |definition, fields| {
        let key = fields.text("key")?.ok_or_else(|| {
            Error::new(
                ErrorKind::Parameter,
                "`key` of sglang-gumbel is missing; give the engine's key, 1 to 16 hex digits",
            )
        })?;
        let first = hex("key", &key)?;
        let second = fields
            .text("key_b")?
            .map(|key| hex("key_b", &key))
            .transpose()?;
        let mixing = fields.share("mixing_probability", 0.5)?;
        let window = fields.size("context_window", Some(4), 1..=64)?;
        fields.ignore(&["max_probability", "default_enabled", "enforce_all"]);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 2^32"
        )]
        let threshold = (mixing * 4_294_967_296.0) as u64;
        let murmur = Murmur {
            first: halves(first),
            second: second.map(halves),
            threshold,
            window,
        };
        let reading = Reading {
            before: Before::Prompt,
            ..Reading::default()
        };
        let rule = Rule {
            detector: "SGLang WatermarkDetector",
            counts: Counts::Windows,
            most: Some(4096),
            statistic: Statistic::Gamma,
        };
        // 1 − u is the middle of one of 2^32 cells, so E e^{θX} is a midpoint sum of the convex (1 − u)^−θ: at most 1/(1 − θ).
        Ok(Mark::single(
            definition,
            Gumbel(murmur),
            UnitLaw::Exponential { slack: 0.0 },
            reading,
            rule,
        ))
    },
};

/// 1 to 16 hex digits, with or without 0x.
fn hex(name: &str, text: &str) -> Result<u64> {
    let digits = text
        .strip_prefix("0x")
        .or(text.strip_prefix("0X"))
        .unwrap_or(text);
    let well_formed =
        (1..=16).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16)
        .ok()
        .filter(|_| well_formed)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Parameter,
                format!(
                    "`{name}` of sglang-gumbel has {} characters; it must be 1 to 16 hex digits",
                    text.chars().count()
                ),
            )
        })
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
fn halves(key: u64) -> [u32; 2] {
    [key as u32, (key >> 32) as u32]
}

struct Murmur {
    first: [u32; 2],
    second: Option<[u32; 2]>,
    /// The first key marks where the context's coin is below this.
    threshold: u64,
    window: usize,
}

impl Murmur {
    #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
    fn context(window: &[u32]) -> u32 {
        finish(
            window.iter().fold(0, |state, &token| mix(state, token)),
            window.len() as u32,
        )
    }

    /// The key that marks what follows a context.
    fn key(&self, context: u32) -> [u32; 2] {
        let Some(second) = self.second else {
            return self.first;
        };
        let words = [self.first[0], self.first[1], second[0], second[1], context];
        let coin = finish(words.into_iter().fold(0, mix), 5);
        if u64::from(coin) < self.threshold {
            self.first
        } else {
            second
        }
    }
}

impl Race for Murmur {
    fn id(&self) -> &'static str {
        "sglang/murmur3"
    }

    fn window(&self) -> usize {
        self.window
    }

    fn word(&self, window: &[u32], token: u32) -> u32 {
        let context = Self::context(window);
        let [low, high] = self.key(context);
        finish([low, high, context, token].into_iter().fold(0, mix), 4)
    }

    fn uniform(word: u32) -> f64 {
        (f64::from(word) + 0.5) / 4_294_967_296.0
    }

    /// Contexts of one hash share a keyed function.
    fn name(&self, window: &[u32], token: u32) -> u64 {
        u64::from(Self::context(window)) << 32 | u64::from(token)
    }
}
