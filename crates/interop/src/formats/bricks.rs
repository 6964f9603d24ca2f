//! The marks of Fernandez et al. 2023 ("Three bricks to consolidate watermarks for large language models"), which the radioactivity papers
//! use too, from their published formulas, marked on a CPU: a polynomial of the window seeds torch's generator.

use taggant_core::Result;

use super::Definition;
use super::greenlist::{Greenlist, Seeding, share};
use super::gumbel::{Gumbel, Race, of_rand};
use crate::config::Fields;
use crate::hash::torch::rand_at;
use crate::law::UnitLaw;
use crate::mark::{Mark, Reading};
use crate::peer::{Counts, Rule, Statistic};

pub(crate) const MARYLAND: Definition = Definition {
    id: "maryland",
    about: "three_bricks and radioactive watermarks, maryland (green lists), marked on a CPU",
    warning: Some(WARNING),
    build: |definition, fields| {
        let (window, vocabulary, payload) = common(fields)?;
        let gamma = fields.share("gamma", 0.5)?;
        fields.ignore(&["delta"]);
        let green = share(definition.id, vocabulary, gamma)?;
        let list = Greenlist::new(window, vocabulary, green).rolled(payload);
        Ok(list.mark(
            definition,
            "three_bricks MarylandDetector",
            Counts::Units,
            Statistic::Binomial { gamma },
        ))
    },
};

pub(crate) const OPENAI: Definition = Definition {
    id: "openai",
    about: "three_bricks and radioactive watermarks, openai (Gumbel), marked on a CPU",
    warning: Some(WARNING),
    build: |definition, fields| {
        let (window, vocabulary, payload) = common(fields)?;
        fields.ignore(&["gamma", "delta"]);
        let reading = Reading {
            vocabulary: Some(vocabulary),
            ..Reading::default()
        };
        let rule = Rule {
            detector: "three_bricks OpenaiDetector",
            counts: Counts::Units,
            most: None,
            statistic: Statistic::Gamma,
        };
        // 1 − r is one of j/2^24 from j = 1 on, and P(j/2^24 ≤ x) ≤ x.
        Ok(Mark::single(
            definition,
            Gumbel(Row {
                window,
                vocabulary,
                payload,
            }),
            UnitLaw::Exponential { slack: 0.0 },
            reading,
            rule,
        ))
    },
};

const WARNING: &str = "rows depend on the low 32 bits of a polynomial in the key and the window, and keys can be searched, so a finding does not exclude forgery";

/// Fields of both marks: how windows seed, the vocabulary, and the message.
fn common(fields: &mut Fields) -> Result<(Polynomial, u32, u32)> {
    let width = fields.size("ngram", Some(1), 1..=8)?;
    let key = fields.key("seed", Some(0), 0..=i128::from(u64::MAX))?;
    let salt = fields.key("salt_key", Some(35_317), 0..=i128::from(u64::MAX))?;
    let vocabulary = fields.vocabulary()?;
    let payload = fields.whole("payload", Some(0), 0..=u64::from(vocabulary) - 1)?;
    fields.ignore(&["temperature", "top_p"]);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range"
    )]
    Ok((
        Polynomial {
            key: key as u64,
            salt: salt as u64,
            width,
        },
        vocabulary,
        payload as u32,
    ))
}

/// Horner's scheme over the window's tokens, modulo 2^64 − 1.
struct Polynomial {
    key: u64,
    salt: u64,
    width: usize,
}

impl Seeding for Polynomial {
    fn id(&self) -> &'static str {
        "bricks/maryland"
    }

    fn window(&self) -> usize {
        self.width
    }

    fn seed(&self, window: &[u32], _token: u32) -> u32 {
        let horner = |state: u128, &token: &u32| {
            (state * u128::from(self.salt) + u128::from(token)) % u128::from(u64::MAX)
        };
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let seed = window.iter().fold(self.key.into(), horner) as u32;
        seed
    }
}

/// A row of uniform numbers, one of which is the token's.
struct Row {
    window: Polynomial,
    vocabulary: u32,
    payload: u32,
}

impl Race for Row {
    fn id(&self) -> &'static str {
        "bricks/openai"
    }

    fn window(&self) -> usize {
        self.window.width
    }

    fn word(&self, window: &[u32], token: u32) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "below the vocabulary")]
        let entry =
            ((u64::from(token) + u64::from(self.payload)) % u64::from(self.vocabulary)) as u32;
        rand_at(self.window.seed(window, token), entry)
    }

    fn uniform(word: u32) -> f64 {
        of_rand(word)
    }

    /// Windows of one seed share a row.
    fn name(&self, window: &[u32], token: u32) -> u64 {
        u64::from(self.window.seed(window, token)) << 32 | u64::from(token)
    }
}

#[cfg(test)]
mod tests {
    use crate::formats::greenlist::check::{TOKENS, flags, words};

    /// Computed from the published formula with `torch.rand` and `torch.randperm` (2.13).
    #[test]
    fn vectors_of_the_formula_are_met() {
        let json = r#"{"vocab_size": 50257, "ngram": 3, "gamma": 0.5}"#;
        let message = r#"{"vocab_size": 50257, "ngram": 3, "gamma": 0.5, "payload": 5}"#;
        let plain = [
            13492018, 8968352, 16077717, 2329440, 4946834, 12459365, 9671997, 1521626,
        ];
        assert_eq!(words("openai", json, &TOKENS)[..8], plain);
        let rolled = [
            13168284, 5858563, 1960094, 16172574, 15037360, 10429200, 5576239, 1731073,
        ];
        assert_eq!(words("openai", message, &TOKENS)[..8], rolled);
        assert_eq!(flags("maryland", json), "11111100001010010100100110101");
        assert_eq!(flags("maryland", message), "00111100010111011001100110000");
    }
}
