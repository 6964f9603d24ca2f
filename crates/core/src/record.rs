//! The mark record (SPEC.md §6): what a detector must know, and never a key.

use crate::error::{Error, ErrorKind, Result};
use crate::key::{LeafKey, Role};
use crate::mark::window_byte;
use crate::partition::route_commitment;
use crate::prf::{MAX_VOCABULARY, MAX_WINDOW, Prf};
use crate::scheme::Scheme;
use crate::schemes::Parameters;
use crate::score::Score;
use crate::simd::vectorise;

/// Which tokenizer the token ids belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenizerId {
    /// The digest of SPEC.md §6.
    pub digest: [u8; 32],
    /// Number of token ids.
    pub vocabulary: usize,
}

impl TokenizerId {
    /// A tokenizer's digest and vocabulary size.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless the vocabulary has 2 to 2^21 tokens.
    pub fn new(digest: [u8; 32], vocabulary: usize) -> Result<Self> {
        if !(2..=MAX_VOCABULARY).contains(&vocabulary) {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("vocabulary of {vocabulary} tokens; 2 to {MAX_VOCABULARY} are supported"),
            ));
        }
        Ok(Self { digest, vocabulary })
    }

    /// Checks that ids are in the vocabulary.
    ///
    /// # Errors
    /// [`ErrorKind::Token`], naming the first that is not.
    pub fn check(&self, tokens: &[u32]) -> Result<()> {
        let largest = vectorise(
            #[inline(always)]
            || tokens.iter().fold(0, |largest, &token| token.max(largest)),
        );
        if tokens.is_empty() || (largest as usize) < self.vocabulary {
            return Ok(());
        }
        let place = tokens
            .iter()
            .position(|&token| token as usize >= self.vocabulary);
        let place = place.unwrap_or_default();
        Err(Error::new(
            ErrorKind::Token,
            format!(
                "token id {} at position {place} is not in the vocabulary of {} tokens",
                tokens[place], self.vocabulary
            ),
        ))
    }
}

/// One layer of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerRecord {
    /// `campaign` or `account`.
    pub role: Role,
    /// Tokens in a window.
    pub window: usize,
    /// Commitment of the layer's leaf key.
    pub key: [u8; 32],
}

/// How two layers share the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteRecord {
    /// Share of windows that the campaign layer owns, times 2^32.
    pub share: u32,
    /// Commitment of the route key.
    pub key: [u8; 32],
}

/// What was marked, how, and by which keys; never the keys.
///
/// ```
/// use taggant_core::schemes::Parameters;
/// use taggant_core::{Record, RootKey, TokenizerId};
///
/// let east = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse()?);
/// let tokenizer = TokenizerId::new([0; 32], 49_152)?;
/// let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&east], tokenizer)?;
/// assert_eq!(record.layers()[0].key, east.commitment());
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub(crate) profile: Option<String>,
    pub(crate) scheme: Parameters,
    pub(crate) score: Score,
    pub(crate) layers: Vec<LayerRecord>,
    pub(crate) route: Option<RouteRecord>,
    pub(crate) tokenizer: TokenizerId,
}

/// Half of the windows.
const EVEN_SHARE: u32 = 1 << 31;

impl Record {
    /// The record of a mark under one key, or under a campaign key and an account key that share the windows evenly.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] when the window is not 1 to 8 tokens; [`ErrorKind::Key`] when the keys are not one key or a
    /// campaign key and an account key of one family.
    pub fn new(
        scheme: Parameters,
        window: usize,
        keys: &[&LeafKey],
        tokenizer: TokenizerId,
    ) -> Result<Self> {
        let route = match keys {
            [campaign, _] if campaign.path().role() == Role::Campaign => Some(RouteRecord {
                share: EVEN_SHARE,
                key: route_commitment(campaign, window),
            }),
            _ => None,
        };
        if keys.iter().any(|key| key.family() != keys[0].family()) {
            return Err(Error::new(
                ErrorKind::Key,
                "the keys of one mark must be of one family; forensic and public keys never mix",
            ));
        }
        let layers = keys
            .iter()
            .map(|key| LayerRecord {
                role: key.path().role(),
                window,
                key: key.commitment(),
            })
            .collect();
        Self {
            profile: None,
            scheme,
            score: Score::Sum,
            layers,
            route,
            tokenizer,
        }
        .checked()
    }

    /// The same record with a profile label, which has no effect on detection.
    #[must_use]
    pub fn with_profile(mut self, profile: &str) -> Self {
        self.profile = Some(profile.to_owned());
        self
    }

    /// The same record with another primary statistic than the sum.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] when it is not a statistic of the scheme.
    pub fn with_score(mut self, score: Score) -> Result<Self> {
        self.score = score;
        self.checked()
    }

    /// The record if it keeps the rules of SPEC.md §4 and §6.
    pub(crate) fn checked(self) -> Result<Self> {
        self.score.check(self.scheme.id())?;
        let roles: Vec<Role> = self.layers.iter().map(|layer| layer.role).collect();
        match roles[..] {
            [Role::Campaign | Role::Account] if self.route.is_none() => {}
            [Role::Campaign, Role::Account] if self.route.is_some_and(|route| route.share > 0) => {}
            _ => {
                let roles: Vec<_> = roles.iter().map(|role| role.name()).collect();
                return Err(Error::new(
                    ErrorKind::Key,
                    format!(
                        "a mark has a campaign or an account layer, or a campaign layer and then an account layer with a \
                         route; this one has: {}",
                        if roles.is_empty() {
                            "none".to_owned()
                        } else {
                            roles.join(", ")
                        }
                    ),
                ));
            }
        }
        if let Some(layer) = self
            .layers
            .iter()
            .find(|layer| !(1..=MAX_WINDOW).contains(&layer.window))
        {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!(
                    "window of {} tokens; 1 to {MAX_WINDOW} are supported",
                    layer.window
                ),
            ));
        }
        if let [campaign, account] = self.layers[..]
            && account.window < campaign.window
        {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!(
                    "account window of {} tokens is shorter than the campaign window of {}, which routes it",
                    account.window, campaign.window
                ),
            ));
        }
        Ok(self)
    }

    /// The profile's label, if one was chosen.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The scheme and its parameters.
    #[must_use]
    pub fn scheme(&self) -> &Parameters {
        &self.scheme
    }

    /// The statistic that is primary.
    #[must_use]
    pub fn score(&self) -> Score {
        self.score
    }

    /// The scheme of `layer` under `key`, which the record need not name: for scoring many keys.
    #[must_use]
    pub fn keyed(&self, layer: &LayerRecord, key: &LeafKey) -> Box<dyn Scheme> {
        let prf_key = key.prf_key(self.scheme.id(), window_byte(layer.window), layer.role);
        self.scheme.keyed(Prf::new(&prf_key, layer.window))
    }

    /// The layers: one, or campaign and account.
    #[must_use]
    pub fn layers(&self) -> &[LayerRecord] {
        &self.layers
    }

    /// How two layers share the windows; `None` with one layer.
    #[must_use]
    pub fn route(&self) -> Option<&RouteRecord> {
        self.route.as_ref()
    }

    /// The tokenizer whose ids were marked.
    #[must_use]
    pub fn tokenizer(&self) -> &TokenizerId {
        &self.tokenizer
    }
}
