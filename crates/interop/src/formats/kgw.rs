//! Hugging Face transformers' `WatermarkingConfig` (`WatermarkLogitsProcessor` and `WatermarkDetector`, read in 5.24), marked on a CPU.
//!
//! Its detector drops a leading beginning-of-sequence token, which responses do not have; give it none.

use taggant_core::Result;

use super::Definition;
use super::greenlist::{Greenlist, Seeding, Table, reduced, share};
use crate::config::Fields;
use crate::peer::{Counts, Statistic};

pub(crate) const LEFTHASH: Definition = Definition {
    id: "hf-kgw-lefthash",
    about: "transformers WatermarkingConfig, seeding_scheme lefthash, marked on a CPU",
    warning: Some(
        "the list depends on the low 32 bits of key times token, token 0 gives one list under every key, and keys can be searched, so a finding does not exclude forgery",
    ),
    build: |definition, fields| {
        let common = Common::take(fields, "lefthash")?;
        let key = fields.key("hashing_key", Some(KEY), 0..=i128::from(u64::MAX))?;
        let green = share(definition.id, common.vocabulary, common.ratio)?;
        let seeding = |key| Lefthash {
            key,
            width: common.width,
        };
        let list =
            Greenlist::new(seeding(key), common.vocabulary, green).probed_by(seeding(key ^ OTHER));
        Ok(list.mark(
            definition,
            DETECTOR,
            Counts::All,
            Statistic::Z {
                gamma: common.ratio,
            },
        ))
    },
};

pub(crate) const SELFHASH: Definition = Definition {
    id: "hf-kgw-selfhash",
    about: "transformers WatermarkingConfig, seeding_scheme selfhash, marked on a CPU",
    warning: Some(
        "lists depend on 32 bits of a product of table entries with a key that can be searched, so a finding does not exclude forgery",
    ),
    build: |definition, fields| {
        let common = Common::take(fields, "selfhash")?;
        let key = fields.key("hashing_key", Some(KEY), 0..=i128::from(i64::MAX))?;
        let green = share(definition.id, common.vocabulary, common.ratio)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range; the low half"
        )]
        let (key, table) = (key as i64, Table::new(key as u32));
        let list = Greenlist::new(
            Selfhash {
                key,
                table,
                width: common.width,
            },
            common.vocabulary,
            green,
        );
        Ok(list.mark(
            definition,
            DETECTOR,
            Counts::All,
            Statistic::Z {
                gamma: common.ratio,
            },
        ))
    },
};

/// The millionth prime.
const KEY: i128 = 15_485_863;
/// What tells another key from a key: odd, so that every token but 0 seeds otherwise.
const OTHER: i128 = 1;
const DETECTOR: &str = "transformers WatermarkDetector";

/// Fields of both schemes.
struct Common {
    vocabulary: u32,
    ratio: f64,
    width: usize,
}

impl Common {
    fn take(fields: &mut Fields, scheme: &'static str) -> Result<Self> {
        let _ = fields.choice("seeding_scheme", scheme, &[scheme])?;
        fields.ignore(&["bias"]);
        Ok(Self {
            vocabulary: fields.vocabulary()?,
            ratio: fields.share("greenlist_ratio", 0.25)?,
            width: fields.size("context_width", Some(1), 1..=64)?,
        })
    }
}

/// Seeds from the last token alone; the engine only asks that the whole context be there.
struct Lefthash {
    key: i128,
    width: usize,
}

impl Seeding for Lefthash {
    fn id(&self) -> &'static str {
        "hf/lefthash"
    }

    fn window(&self) -> usize {
        self.width
    }

    fn seed(&self, window: &[u32], _token: u32) -> u32 {
        reduced(self.key * i128::from(window.last().copied().unwrap_or_default()))
    }
}

/// Seeds from the context, of which the token itself is the last: the least product with the token's hash, as a signed number.
struct Selfhash {
    key: i64,
    table: Table,
    width: usize,
}

impl Seeding for Selfhash {
    fn id(&self) -> &'static str {
        "hf/selfhash"
    }

    fn window(&self) -> usize {
        self.width - 1
    }

    fn seed(&self, window: &[u32], token: u32) -> u32 {
        let own = self.table.hash(i64::from(token));
        let product = |&token: &u32| {
            self.key
                .wrapping_mul(self.table.hash(i64::from(token)))
                .wrapping_mul(own)
        };
        let least = window.iter().map(product).fold(product(&token), i64::min);
        reduced(i128::from(least))
    }
}

#[cfg(test)]
mod tests {
    use crate::formats::greenlist::check::flags;

    /// Computed by `_get_greenlist_ids` of transformers 5.24 over torch 2.13.
    #[test]
    fn vectors_of_transformers_are_met() {
        let left = |rest: &str| {
            flags(
                "hf-kgw-lefthash",
                &format!(r#"{{"vocab_size": 50257{rest}}}"#),
            )
        };
        assert_eq!(left(""), "1100000000100000000010010100000");
        assert_eq!(
            left(r#", "hashing_key": 18446744073709551615"#),
            "1000100100000001010000100000100"
        );
        assert_eq!(
            left(r#", "hashing_key": 42, "greenlist_ratio": 0.5, "context_width": 4"#),
            "1000101110011000001011001111"
        );
        let own = |rest: &str| {
            flags(
                "hf-kgw-selfhash",
                &format!(r#"{{"vocab_size": 50257{rest}}}"#),
            )
        };
        assert_eq!(own(""), "00000000000100000110000010101100");
        assert_eq!(
            own(r#", "context_width": 4"#),
            "00010000110000100100011101100"
        );
        assert_eq!(
            own(r#", "hashing_key": 9223372036854775783, "context_width": 2"#),
            "1010000100000000100001000000101"
        );
    }

    /// Its detector over the tokens and their first ten again.
    #[test]
    fn the_detector_of_transformers_is_told() {
        use crate::formats::greenlist::check::TOKENS;
        use crate::{Detector, Mark};
        let tokens = [&TOKENS[..], &TOKENS[..10]].concat();
        let mark = Mark::from_json("hf-kgw-lefthash", r#"{"vocab_size": 50257}"#).unwrap();
        let found = Detector::new(mark)
            .row(&taggant_detector::Response::ids(&tokens))
            .unwrap();
        let peer = found.peer.unwrap();
        // Of 32 different pairs one follows token 0, where the key has no say.
        assert_eq!((peer.units, peer.score, found.units), (41, 8.0, 31));
        assert!((peer.z.unwrap() + 0.811_502_67).abs() < 1e-8);
        assert!((peer.p_value.unwrap() - 0.791_461_47).abs() < 1e-8);
    }
}
