//! TextSeal (read in textseal 0.0.5): its green list and Gumbel marks, which share one keyed function of 8,191 levels, and the dual-key
//! Gumbel mark of TextSeal 2, of which no package is published: that one is read from its formula alone.

use libm::log;
use taggant_core::{Error, ErrorKind, Null, Result, Scheme};

use super::Definition;
use crate::config::Fields;
use crate::contract::Contract;
use crate::law::UnitLaw;
use crate::mark::{Mark, Reading};
use crate::peer::{Counts, Rule, Statistic};

pub(crate) const GREENLIST: Definition = Definition {
    id: "textseal-greenlist",
    about: "TextSeal WatermarkConfig, watermark_type greenlist or morphmark",
    warning: Some(WARNING),
    build: |definition, fields| {
        let (key, ngram) = common(fields, "greenlist", &["greenlist", "morphmark"])?;
        let gamma = fields.share("gamma", 0.5)?;
        let counts = counts(fields)?;
        ignored(fields);
        fields.ignore(&["alpha"]);
        let list = GreenList {
            prf: Prf::new(key, ngram),
            green: some_green(gamma)?,
        };
        let law = UnitLaw::Green {
            green: u64::from(list.green),
            of: u64::from(LEVELS),
        };
        let rule = Rule {
            detector: "textseal GreenlistDetector",
            counts,
            most: None,
            statistic: Statistic::MidBinomial { gamma },
        };
        Ok(Mark::single(
            definition,
            list,
            law,
            Reading::default(),
            rule,
        ))
    },
};

pub(crate) const GUMBEL: Definition = Definition {
    id: "textseal-gumbel",
    about: "TextSeal WatermarkConfig, watermark_type gumbelmax",
    warning: Some(WARNING),
    build: |definition, fields| {
        let (key, ngram) = common(fields, "gumbelmax", &["gumbelmax"])?;
        let counts = counts(fields)?;
        ignored(fields);
        fields.ignore(&["alpha", "gamma"]);
        let rule = Rule {
            detector: "textseal GumbelmaxDetector",
            counts,
            most: None,
            statistic: Statistic::Gamma,
        };
        Ok(Mark::single(
            definition,
            Gumbel(Prf::new(key, ngram)),
            EXPONENTIAL,
            Reading::default(),
            rule,
        ))
    },
};

pub(crate) const DUAL: Definition = Definition {
    id: "textseal-dual",
    about: "TextSeal 2, dual-key gumbelmax: secret_key and secret_key + 12345",
    warning: Some(WARNING),
    build: |definition, fields| {
        /// From the first key to the second.
        const NEXT: i64 = 12_345;
        let (key, ngram) = common(fields, "gumbelmax", &["gumbelmax", "dual_gumbelmax"])?;
        let alpha = fields.share("alpha", 0.5)?;
        let counts = counts(fields)?;
        ignored(fields);
        fields.ignore(&["gamma"]);
        let weights = vec![alpha, 1.0 - alpha];
        let voice = |key| Box::new(Gumbel(Prf::new(key, ngram))) as Box<dyn Contract>;
        let variance = alpha * alpha + (1.0 - alpha) * (1.0 - alpha);
        Ok(Mark {
            definition,
            voices: vec![
                (voice(key), weights[0]),
                (voice(key.wrapping_add(NEXT)), weights[1]),
            ],
            law: UnitLaw::Exponentials {
                weights,
                slack: 0.0,
            },
            reading: Reading::default(),
            rule: Rule {
                detector: "TextSeal 2 dual-key detector",
                counts,
                most: None,
                statistic: Statistic::MatchedGamma { variance },
            },
            table: None,
        })
    },
};

const WARNING: &str = "keys and tokens enter one linear form of an unkeyed hash: keys that lie near one another write related marks, and whoever has marked text can search small \
                       keys, millions a second, so a finding excludes neither forgery nor a neighbouring key";

/// `1 − r` is one of 1/8191, …, 8191/8191, each equally likely, so it is stochastically above a uniform number and its `−ln` below an
/// exponential variable.
const EXPONENTIAL: UnitLaw = UnitLaw::Exponential { slack: 0.0 };

/// Values of the keyed function.
pub(crate) const LEVELS: u16 = 8191;

/// What each place of a window weighs in the linear form, oldest first.
const PLACES: [u64; 10] = [
    10_000_019, 10_000_247, 10_000_439, 10_000_643, 10_000_747, 10_000_867, 10_000_993, 10_001_213,
    10_001_357, 10_001_501,
];
const TOKEN: u64 = 100_000_007;
const KEY: u64 = 500_001_713;
const SCALE: u64 = 15_485_863;
const MIX: u64 = 40_499;

/// Longest window that the engine has weights for.
pub(crate) const LONGEST: usize = PLACES.len();

/// Key and tokens in a window.
fn common(
    fields: &mut Fields,
    default: &'static str,
    types: &[&'static str],
) -> Result<(i64, usize)> {
    let _ = fields.choice("watermark_type", default, types)?;
    #[expect(clippy::cast_possible_truncation, reason = "in range")]
    let key = fields.key(
        "secret_key",
        None,
        i128::from(i64::MIN)..=i128::from(i64::MAX),
    )? as i64;
    let ngram = fields.size("ngram", Some(1), 1..=LONGEST as u64)?;
    Ok((key, ngram))
}

/// What the engine counts once, from one position later than it could. Its `GreenlistDetector` and `GumbelmaxDetector` obey only where they are given a set to remember in.
fn counts(fields: &mut Fields) -> Result<Counts> {
    Ok(
        match fields.choice("scoring_method", "v2", &["none", "v1", "v2"])? {
            "none" => Counts::Late(&Counts::All),
            "v1" => Counts::Late(&Counts::Windows),
            _ => Counts::Late(&Counts::Units),
        },
    )
}

/// What marks or trains, and does not read.
fn ignored(fields: &mut Fields) {
    fields.ignore(&[
        "method",
        "delta",
        "depth",
        "after_topp",
        "k_morphmark",
        "p_0",
        "chunk_size",
        "num_drafts",
        "base_watermark",
        "attenuation",
        "attenuation_weight",
        "backprop_on_nonzero",
    ]);
}

/// The window's and the token's part of the linear form, oldest first; the key's is [`shift`].
#[inline(always)]
pub(crate) fn form(window: &[u32], token: u32) -> u64 {
    let window = window
        .iter()
        .zip(PLACES)
        .map(|(&token, place)| u64::from(token).wrapping_mul(place));
    window.fold(u64::from(token).wrapping_mul(TOKEN), u64::wrapping_add)
}

/// The key's part of the linear form.
#[inline(always)]
pub(crate) fn shift(key: i64) -> u64 {
    key.cast_unsigned().wrapping_mul(KEY)
}

/// The value of a linear form, below [`LEVELS`].
#[inline(always)]
pub(crate) fn level(form: u64) -> u16 {
    let hash = form.wrapping_mul(SCALE.wrapping_mul(MIX)).cast_signed();
    #[expect(clippy::cast_possible_truncation, reason = "a remainder")]
    let level = (hash ^ hash >> 13).rem_euclid(i64::from(LEVELS)) as u16;
    level
}

/// The engine's uniform number, in its single precision.
fn uniform(level: u16) -> f32 {
    f32::from(level) / f32::from(LEVELS)
}

/// [`green`], if some values are and some are not.
fn some_green(gamma: f64) -> Result<u16> {
    let green = green(gamma);
    if (1..LEVELS).contains(&green) {
        return Ok(green);
    }
    Err(Error::new(
        ErrorKind::Parameter,
        format!(
            "`gamma` {gamma} of textseal-greenlist makes {green} of {LEVELS} values green; there must be some, and not all"
        ),
    ))
}

/// How many values are green: the engine compares in single precision.
pub(crate) fn green(gamma: f64) -> u16 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the engine rounds to single precision"
    )]
    let gamma = gamma as f32;
    (0..LEVELS)
        .find(|&level| uniform(level) >= gamma)
        .unwrap_or(LEVELS)
}

/// `−ln(1 − r)`. Of the exact fraction: the engine's is off by the rounding of its single precision, 2.5e-4 at the largest.
pub(crate) fn surprise(level: u16) -> f64 {
    -log(f64::from(LEVELS - level) / f64::from(LEVELS))
}

struct Prf {
    shift: u64,
    ngram: usize,
}

impl Prf {
    fn new(key: i64, ngram: usize) -> Self {
        Self {
            shift: shift(key),
            ngram,
        }
    }

    #[inline(always)]
    fn levels(
        &self,
        tokens: &[u32],
        positions: &[u32],
        out: &mut [u32],
        word: impl Fn(u16) -> u32,
    ) {
        for (out, &position) in out.iter_mut().zip(positions) {
            let end = position as usize;
            *out = word(level(
                form(&tokens[end - self.ngram..end], tokens[end]).wrapping_add(self.shift),
            ));
        }
    }
}

impl std::fmt::Debug for Prf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prf")
            .field("ngram", &self.ngram)
            .finish_non_exhaustive()
    }
}

/// Words are 1 where the token is green.
#[derive(Debug)]
struct GreenList {
    prf: Prf,
    /// Values below are green.
    green: u16,
}

impl Scheme for GreenList {
    fn id(&self) -> &'static str {
        "textseal/greenlist"
    }

    fn window(&self) -> usize {
        self.prf.ngram
    }

    fn words(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]) {
        self.prf.levels(tokens, positions, out, |level| {
            u32::from(level < self.green)
        });
    }

    /// To the nearest 2^-32; the exact share is in the unit's law.
    fn null(&self) -> Null {
        Null::Binomial {
            trials: 1,
            threshold: ((u64::from(self.green) << 32) + u64::from(LEVELS) / 2) / u64::from(LEVELS),
        }
    }

    fn score(&self, words: &[u32]) -> f64 {
        words.iter().map(|&word| f64::from(word)).sum()
    }
}

impl Contract for GreenList {
    /// The key is added to the linear form, so units of one form are one unit under every key.
    fn name(&self, window: &[u32], token: u32) -> u64 {
        form(window, token)
    }

    fn shifted(&self, name: u64, shift: u64) -> Option<u32> {
        let form = name.wrapping_add(self.prf.shift).wrapping_add(shift);
        Some(u32::from(level(form) < self.green))
    }
}

/// Words are values of the keyed function.
#[derive(Debug)]
struct Gumbel(Prf);

#[expect(clippy::cast_possible_truncation, reason = "below 8191")]
fn level_of(word: u32) -> u16 {
    word as u16
}

impl Scheme for Gumbel {
    fn id(&self) -> &'static str {
        "textseal/gumbelmax"
    }

    fn window(&self) -> usize {
        self.0.ngram
    }

    fn words(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]) {
        self.0.levels(tokens, positions, out, u32::from);
    }

    fn null(&self) -> Null {
        Null::Exponential
    }

    fn scores(&self, words: &[u32], out: &mut [f64]) {
        for (out, &word) in out.iter_mut().zip(words) {
            *out = surprise(level_of(word));
        }
    }

    fn score(&self, words: &[u32]) -> f64 {
        words.iter().map(|&word| surprise(level_of(word))).sum()
    }
}

impl Contract for Gumbel {
    /// As of the green list.
    fn name(&self, window: &[u32], token: u32) -> u64 {
        form(window, token)
    }

    fn shifted(&self, name: u64, shift: u64) -> Option<u32> {
        let form = name.wrapping_add(self.0.shift).wrapping_add(shift);
        Some(u32::from(level(form)))
    }

    fn raw(&self, word: u32) -> f64 {
        f64::from(uniform(level_of(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: [u32; 10] = [464, 3290, 318, 257, 922, 3290, 11, 50_256, 0, 128_255];

    fn levels(key: i64, ngram: usize) -> Vec<u32> {
        let positions: Vec<u32> = (u32::try_from(ngram).unwrap()..10).collect();
        let mut out = vec![0; positions.len()];
        Gumbel(Prf::new(key, ngram)).words(&TOKENS, &positions, &mut out);
        out
    }

    /// Of `_hash` in textseal 0.0.5 under torch 2.13.
    #[test]
    fn the_levels_are_those_of_the_package() {
        assert_eq!(
            levels(42, 2),
            [5149, 5776, 1149, 4987, 450, 4325, 2599, 7927]
        );
        assert_eq!(
            levels(1234, 2),
            [316, 4008, 1680, 34, 4119, 1697, 832, 6864]
        );
        assert_eq!(
            levels(0, 1),
            [572, 6015, 6472, 1258, 7327, 6065, 7786, 7619, 2041]
        );
        assert_eq!(
            levels(4_611_686_018_427_387_909, 3),
            [4087, 213, 3611, 3531, 7590, 8136, 4738]
        );
        assert!((f64::from(uniform(5149)) - 0.628_616_750_240_325_9).abs() < 1e-16);
        assert!((f64::from(uniform(5776)) - 0.705_164_194_107_055_7).abs() < 1e-16);
    }

    /// Counts of `arange(8191).float() / 8191 < gamma`; the fourth is a share at which double precision would count one more.
    #[test]
    fn green_shares_are_those_of_single_precision() {
        for (gamma, count) in [
            (0.25, 2048),
            (0.1, 820),
            (0.5, 4096),
            (1149.0 / 8191.0, 1149),
            (0.3, 2458),
        ] {
            assert_eq!(green(gamma), count, "{gamma}");
        }
    }

    #[test]
    fn the_key_enters_linearly() {
        let unit = form(&[318, 257], 922);
        assert_eq!(level(unit.wrapping_add(shift(42))), 1149);
        assert_eq!(shift(-1).wrapping_add(shift(1)), 0);
        // Scores lie below an exponential variable: at every level the share at least so high is at most e^-score.
        for level in 0..LEVELS {
            assert!(
                f64::from(LEVELS - level) / f64::from(LEVELS)
                    <= libm::exp(-surprise(level)) + 1e-15
            );
        }
    }

    /// Fixed rows under 400 keys drawn at random: p-values at most alpha about as often as alpha says.
    #[test]
    fn p_values_are_uniform_over_keys() {
        use crate::Detector;
        use taggant_detector::Response;
        let mut state = 5_u64;
        let mut random = move || {
            state = taggant_core::window::extend(state, 1);
            state
        };
        let tokens: Vec<u32> = (0..300)
            .map(|_| u32::try_from(random() % 50_257).unwrap())
            .collect();
        for (format, extra) in [
            ("textseal-greenlist", r#", "gamma": 0.25"#),
            ("textseal-gumbel", ""),
            ("textseal-dual", ""),
        ] {
            let values: Vec<f64> = (0..400)
                .map(|_| {
                    let json = format!(r#"{{"secret_key": {}, "ngram": 2{extra}}}"#, random() >> 2);
                    let found = Detector::new(Mark::from_json(format, &json).unwrap())
                        .row(&Response::ids(&tokens))
                        .unwrap();
                    assert!(found.exact && found.units == 298);
                    found.p_value.get()
                })
                .collect();
            // 400 trials: 20 and 200 expected; five deviations are 22 and 50.
            let below = |alpha: f64| values.iter().filter(|&&p| p <= alpha).count();
            assert!(
                below(0.05) <= 42 && (150..=250).contains(&below(0.5)),
                "{format}: {} {}",
                below(0.05),
                below(0.5)
            );
        }
    }
}
