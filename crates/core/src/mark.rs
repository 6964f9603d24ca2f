//! A mark: a record with its keys, ready to embed or to score.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{LeafKey, Role};
use crate::prf::Prf;
use crate::record::Record;
use crate::scheme::Scheme;

/// One layer under its key.
#[derive(Debug)]
pub struct Layer {
    role: Role,
    window: usize,
    scheme: Option<Box<dyn Scheme>>,
}

impl Layer {
    /// `campaign` or `account`.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Tokens in a window.
    #[must_use]
    pub fn window(&self) -> usize {
        self.window
    }

    /// The scheme under the layer's key; `None` when that key was not given.
    #[must_use]
    pub fn scheme(&self) -> Option<&dyn Scheme> {
        self.scheme.as_deref()
    }
}

#[derive(Debug)]
struct Route {
    prf: Prf,
    share: u32,
}

/// A record with its keys.
///
/// Embedding and detection build the same `Mark` from the same record, so they cannot disagree about windows, layers or words.
#[derive(Debug)]
pub struct Mark {
    record: Record,
    route: Option<Route>,
    layers: Vec<Layer>,
}

impl Mark {
    /// Unites a record and its keys, in any order. A two-layer mark can be scored with the campaign key alone.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when a key is not one that the record commits to, or is missing.
    pub fn new(record: &Record, keys: &[&LeafKey]) -> Result<Self> {
        for key in keys {
            let role = key.path().role();
            let named = record.layers().iter().find(|layer| layer.role == role);
            let fault = match named {
                None => format!("the record has no {role} layer"),
                Some(layer) if layer.key != key.commitment() => format!(
                    "the record's {role} layer commits to {}…, this key's commitment is {}…",
                    short(&layer.key),
                    short(&key.commitment())
                ),
                Some(_) => continue,
            };
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!("key {} does not belong to this record: {fault}", key.path()),
            ));
        }
        Self::control(record, keys)
    }

    /// Unites a record with keys it does not name: a control. Roles still say which key serves which layer, except that a key of
    /// any other role serves the first layer.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when no key, two keys for a layer, or an account key without the campaign key are given.
    pub fn control(record: &Record, keys: &[&LeafKey]) -> Result<Self> {
        let mut of_layer: Vec<Option<&LeafKey>> = vec![None; record.layers().len()];
        for key in keys {
            let role = key.path().role();
            let index = record
                .layers()
                .iter()
                .position(|layer| layer.role == role)
                .unwrap_or(0);
            if of_layer[index].replace(key).is_some() {
                return Err(Error::new(
                    ErrorKind::Mismatch,
                    format!(
                        "two keys were given for the {} layer; it has one",
                        record.layers()[index].role
                    ),
                ));
            }
        }
        let Some(first) = of_layer[0] else {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "the {} key is missing; it is needed to tell which windows carry which mark",
                    record.layers()[0].role
                ),
            ));
        };
        let layers = record
            .layers()
            .iter()
            .zip(of_layer)
            .map(|(layer, key)| Layer {
                role: layer.role,
                window: layer.window,
                scheme: key.map(|key| {
                    let key =
                        key.prf_key(record.scheme().id(), window_byte(layer.window), layer.role);
                    record.scheme().keyed(Prf::new(&key, layer.window))
                }),
            });
        Ok(Self {
            layers: layers.collect(),
            route: record.route().map(|route| Route {
                prf: Prf::new(
                    &route_key(first, record.layers()[0].window),
                    record.layers()[0].window,
                ),
                share: route.share,
            }),
            record: record.clone(),
        })
    }

    /// The record this mark was made from.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The layers: one, or campaign and account.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layer that owns `position` of a response: an index into [`layers`](Self::layers), or `None` near the beginning, where
    /// the window would reach out of the response.
    #[must_use]
    pub fn owner(&self, response: &[u32], position: usize) -> Option<usize> {
        let first = self.layers[0].window;
        if position < first {
            return None;
        }
        let Some(route) = &self.route else {
            return Some(0);
        };
        let word = route.prf.context(&response[position - first..position]);
        self.routed(word, position)
    }

    /// Every position of `response` that a layer owns, ascending, into that layer's list; `words` is working memory.
    /// Agrees with [`owner`](Self::owner).
    ///
    /// # Panics
    /// Unless there is one list for each layer.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "callers bound responses by 2^32 tokens"
    )]
    pub fn partition(&self, response: &[u32], words: &mut Vec<u32>, owned: &mut [&mut Vec<u32>]) {
        let first = self.layers[0].window;
        let positions = first as u32..response.len().max(first) as u32;
        owned[0].clear();
        owned[0].extend(positions);
        let (Some(route), [campaign, account]) = (&self.route, owned) else {
            return;
        };
        words.resize(campaign.len(), 0);
        route.prf.contexts(response, campaign, words);
        account.resize(campaign.len(), 0);
        let (mut campaigns, mut accounts) = (0, 0);
        for (index, &word) in words.iter().enumerate() {
            // Written to both and kept in one: the layer is a coin flip, and a branch would be mispredicted every other time.
            let position = campaign[index];
            let layer = self.routed(word, position as usize);
            campaign[campaigns] = position;
            account[accounts] = position;
            campaigns += usize::from(layer == Some(0));
            accounts += usize::from(layer == Some(1));
        }
        campaign.truncate(campaigns);
        account.truncate(accounts);
    }

    fn routed(&self, word: u32, position: usize) -> Option<usize> {
        let share = self.route.as_ref().map_or(0, |route| route.share);
        let layer = usize::from(word >= share);
        (position >= self.layers[layer].window).then_some(layer)
    }
}

fn window_byte(window: usize) -> u8 {
    u8::try_from(window).unwrap_or(u8::MAX)
}

fn route_key(campaign: &LeafKey, window: usize) -> Zeroizing<[u8; 16]> {
    campaign.prf_key(domain::ROUTE_SCHEME, window_byte(window), Role::Campaign)
}

/// `SHA-256("taggant/v1/route" ‖ route key)`.
pub(crate) fn route_commitment(campaign: &LeafKey, window: usize) -> [u8; 32] {
    let key = route_key(campaign, window);
    Sha256::new()
        .chain_update(domain::ROUTE)
        .chain_update(*key)
        .finalize()
        .into()
}

/// The first eight hex digits: enough to tell commitments apart in a message.
fn short(commitment: &[u8; 32]) -> String {
    base16ct::lower::encode_string(&commitment[..4])
}
