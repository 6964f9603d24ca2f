//! MarkLLM's KGW, Unigram and EXP (read in markllm 0.1.5), KGW marked on a CPU.

use sha2::{Digest, Sha256};
use taggant_core::{Null, Scheme};

use super::Definition;
use super::greenlist::{Greenlist, Seeding, reading, share};
use super::gumbel::{Gumbel, Race, of_rand};
use crate::contract::Contract;
use crate::hash::numpy;
use crate::hash::torch::{rand_at, randperm};
use crate::law::UnitLaw;
use crate::mark::{Mark, Reading};
use crate::peer::{Counts, Rule, Statistic};

pub(crate) const KGW: Definition = Definition {
    id: "markllm-kgw",
    about: "MarkLLM KGW, marked on a CPU",
    warning: Some(
        "there are no more lists than tokens, whatever the key, and keys can be searched, so a finding does not exclude forgery",
    ),
    build: |definition, fields| {
        let _ = fields.choice("algorithm_name", "KGW", &["KGW"])?;
        let vocabulary = fields.vocabulary()?;
        let gamma = fields.share("gamma", 0.5)?;
        let key = fields.key("hash_key", Some(KEY), 0..=i128::from(u64::MAX))?;
        let length = fields.size("prefix_length", Some(1), 1..=64)?;
        let hash = match fields.choice("f_scheme", "time", &["time", "additive", "skip", "min"])? {
            "additive" => Hash::Additive,
            "skip" => Hash::Skip,
            "min" => Hash::Min,
            _ => Hash::Time,
        };
        let salted = fields.choice("window_scheme", "left", &["left", "self"])? == "self";
        fields.ignore(&["delta", "z_threshold"]);
        let green = share(definition.id, vocabulary, gamma)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range; the low half"
        )]
        let (key, permutation) = (key as u64, randperm(key as u32, vocabulary));
        let list = Greenlist::new(
            Prefix {
                key,
                permutation,
                length,
                hash,
                salted,
            },
            vocabulary,
            green,
        );
        Ok(list.mark(
            definition,
            "MarkLLM KGW",
            Counts::All,
            Statistic::Z { gamma },
        ))
    },
};

pub(crate) const UNIGRAM: Definition = Definition {
    id: "markllm-unigram",
    about: "MarkLLM Unigram",
    warning: Some(
        "one list marks every token, so who sees marked text learns it and can write it: a finding does not exclude forgery",
    ),
    build: |definition, fields| {
        let _ = fields.choice("algorithm_name", "Unigram", &["Unigram"])?;
        let vocabulary = fields.vocabulary()?;
        let gamma = fields.share("gamma", 0.5)?;
        let key = fields.key(
            "hash_key",
            Some(KEY),
            i128::from(i64::MIN)..=i128::from(i64::MAX),
        )?;
        fields.ignore(&["delta", "z_threshold"]);
        let green = share(definition.id, vocabulary, gamma)?;
        #[expect(clippy::cast_possible_truncation, reason = "in range")]
        let list = Unigram::new(key as i64, vocabulary, green);
        let law = UnitLaw::Green {
            green: u64::from(green),
            of: u64::from(vocabulary),
        };
        let rule = Rule {
            detector: "MarkLLM Unigram",
            counts: Counts::All,
            most: None,
            statistic: Statistic::Z { gamma },
        };
        Ok(Mark::single(
            definition,
            list,
            law,
            reading(vocabulary),
            rule,
        ))
    },
};

pub(crate) const EXP: Definition = Definition {
    id: "markllm-exp",
    about: "MarkLLM EXP",
    warning: Some(
        "there are no more rows of random numbers than tokens, one of them the same under every key, and keys can be searched, so a finding does not exclude forgery",
    ),
    build: |definition, fields| {
        let _ = fields.choice("algorithm_name", "EXP", &["EXP"])?;
        let vocabulary = fields.vocabulary()?;
        let length = fields.size("prefix_length", Some(4), 1..=64)?;
        // The engine gives torch key times token unreduced, which torch takes below 2^64.
        let most = u64::MAX / u64::from(vocabulary - 1);
        let key = fields.key("hash_key", Some(KEY), 0..=i128::from(most))?;
        fields.ignore(&["threshold", "sequence_length", "top_k"]);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the low half"
        )]
        let exp = Exp {
            key: key as u32,
            vocabulary,
            length,
        };
        let rule = Rule {
            detector: "MarkLLM EXP",
            counts: Counts::All,
            most: None,
            statistic: Statistic::Gamma,
        };
        let reading = Reading {
            vocabulary: Some(vocabulary),
            ..Reading::default()
        };
        // 1 − r is one of j/2^24 from j = 1 on, and P(j/2^24 ≤ x) ≤ x.
        Ok(Mark::single(
            definition,
            Gumbel(exp),
            UnitLaw::Exponential { slack: 0.0 },
            reading,
            rule,
        ))
    },
};

/// The millionth prime.
const KEY: i128 = 15_485_863;

/// What the prefix is hashed to, before the permutation.
#[derive(Clone, Copy)]
enum Hash {
    Time,
    Additive,
    Skip,
    Min,
}

/// Seeds from a permutation under the key of what the prefix is hashed to.
struct Prefix {
    key: u64,
    permutation: Vec<u32>,
    length: usize,
    hash: Hash,
    /// Whether the token itself takes the key's place.
    salted: bool,
}

impl Prefix {
    fn hash(&self, window: &[u32]) -> u32 {
        let size = self.permutation.len() as u64;
        let entry = |place: u64| {
            #[expect(clippy::cast_possible_truncation, reason = "below the vocabulary")]
            let place = (place % size) as usize;
            self.permutation[place]
        };
        match self.hash {
            Hash::Time => entry(product(window, size)),
            Hash::Additive => entry(window.iter().map(|&token| u64::from(token)).sum()),
            Hash::Skip => entry(window.first().copied().unwrap_or_default().into()),
            Hash::Min => window
                .iter()
                .map(|&token| entry(token.into()))
                .min()
                .unwrap_or_default(),
        }
    }
}

/// The tokens' product modulo `size`.
fn product(window: &[u32], size: u64) -> u64 {
    window
        .iter()
        .fold(1, |product, &token| product * u64::from(token) % size)
}

impl Seeding for Prefix {
    fn id(&self) -> &'static str {
        "markllm/kgw"
    }

    fn window(&self) -> usize {
        self.length
    }

    fn seed(&self, window: &[u32], token: u32) -> u32 {
        let factor = if self.salted {
            self.permutation[token as usize].into()
        } else {
            self.key
        };
        let product = u128::from(factor) * u128::from(self.hash(window));
        #[expect(clippy::cast_possible_truncation, reason = "below the vocabulary")]
        let seed = (product % self.permutation.len() as u128) as u32;
        seed
    }
}

/// One green list for all places.
struct Unigram {
    green: Vec<bool>,
    threshold: u64,
}

impl Unigram {
    fn new(key: i64, vocabulary: u32, green: u32) -> Self {
        let digest = Sha256::digest(key.to_le_bytes());
        let seed = digest
            .iter()
            .take(4)
            .rev()
            .fold(0, |seed, &byte| seed << 8 | u32::from(byte));
        let mut list: Vec<bool> = (0..vocabulary).map(|token| token < green).collect();
        numpy::shuffle(seed, &mut list);
        Self {
            green: list,
            threshold: (u64::from(green) << 32).div_ceil(u64::from(vocabulary)),
        }
    }
}

impl Scheme for Unigram {
    fn id(&self) -> &'static str {
        "markllm/unigram"
    }

    fn window(&self) -> usize {
        0
    }

    fn words(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]) {
        for (out, &position) in out.iter_mut().zip(positions) {
            *out = u32::from(
                self.green
                    .get(tokens[position as usize] as usize)
                    .copied()
                    .unwrap_or(false),
            );
        }
    }

    fn null(&self) -> Null {
        Null::Binomial {
            trials: 1,
            threshold: self.threshold,
        }
    }

    fn score(&self, words: &[u32]) -> f64 {
        words.iter().map(|&word| f64::from(word)).sum()
    }

    fn plain_on_repeat(&self) -> bool {
        false
    }
}

impl Contract for Unigram {
    fn name(&self, _window: &[u32], token: u32) -> u64 {
        token.into()
    }
}

impl std::fmt::Debug for Unigram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unigram")
            .field("vocabulary", &self.green.len())
            .finish_non_exhaustive()
    }
}

/// A row of uniform numbers, one of which is the token's.
struct Exp {
    key: u32,
    vocabulary: u32,
    length: usize,
}

impl Exp {
    fn seed(&self, window: &[u32]) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "below the vocabulary")]
        let product = product(window, self.vocabulary.into()) as u32;
        self.key.wrapping_mul(product)
    }
}

impl Race for Exp {
    fn id(&self) -> &'static str {
        "markllm/exp"
    }

    fn window(&self) -> usize {
        self.length
    }

    fn word(&self, window: &[u32], token: u32) -> u32 {
        rand_at(self.seed(window), token)
    }

    fn uniform(word: u32) -> f64 {
        of_rand(word)
    }

    /// Windows of one product share a row.
    fn name(&self, window: &[u32], token: u32) -> u64 {
        u64::from(self.seed(window)) << 32 | u64::from(token)
    }

    /// A product that the vocabulary divides gives seed 0, whatever the key.
    fn keyed(&self, window: &[u32]) -> bool {
        product(window, self.vocabulary.into()) != 0
    }
}

#[cfg(test)]
mod tests {
    use crate::formats::greenlist::check::{TOKENS, flags, words};

    /// Computed by MarkLLM's `KGWUtils`, over torch 2.13.
    #[test]
    fn vectors_of_kgw_are_met() {
        for (scheme, wanted) in [
            ("time", "110101100100001110100011111011"),
            ("additive", "100101100100010011111111011111"),
            ("skip", "110001001010111101010000010000"),
            ("min", "110101001111011101110001011001"),
        ] {
            let json =
                format!(r#"{{"vocab_size": 50257, "prefix_length": 2, "f_scheme": "{scheme}"}}"#);
            assert_eq!(flags("markllm-kgw", &json), wanted, "{scheme}");
        }
        let json = r#"{"vocab_size": 997, "prefix_length": 2, "f_scheme": "min", "window_scheme": "self"}"#;
        let own = words("markllm-kgw", json, &TOKENS.map(|token| token % 997));
        let own: String = own.iter().map(u32::to_string).collect();
        assert_eq!(own, "111000011000011000110011111000");
    }

    /// Computed by `UnigramUtils`, over numpy 2.4.
    #[test]
    fn vectors_of_unigram_are_met() {
        assert_eq!(
            flags("markllm-unigram", r#"{"vocab_size": 50257}"#),
            "01110011010110111110011001111011"
        );
        let other = r#"{"vocab_size": 50257, "gamma": 0.25, "hash_key": -3}"#;
        assert_eq!(
            flags("markllm-unigram", other),
            "00000000001001000000010000001011"
        );
    }

    /// Computed by `EXPUtils`, times 2^24; the p-value by `detect_watermark`.
    #[test]
    fn vectors_of_exp_are_met() {
        use crate::{Detector, Mark};
        let json = r#"{"vocab_size": 50257}"#;
        let found = words("markllm-exp", json, &TOKENS);
        assert_eq!(
            found[..8],
            [
                4155819, 15162605, 11584629, 8105949, 14015742, 6965458, 16148434, 12081296
            ]
        );
        let mark = Mark::from_json("markllm-exp", json).unwrap();
        let found = Detector::new(mark)
            .row(&taggant_detector::Response::ids(&TOKENS))
            .unwrap();
        assert!(
            (found.peer.unwrap().p_value.unwrap() / 0.022_239_738_440_333_282 - 1.0).abs() < 1e-6
        );
    }
}
