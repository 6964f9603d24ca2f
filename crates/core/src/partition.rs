//! Which layer owns which position (SPEC.md §4). A function of windows, and of no key of a layer that marks.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{LeafKey, Role};
use crate::mark::window_byte;
use crate::prf::Prf;
use crate::record::Record;

/// How the positions of a response are shared among a mark's layers.
#[derive(Debug)]
pub struct Partition {
    windows: Vec<usize>,
    route: Option<Route>,
}

#[derive(Debug)]
struct Route {
    prf: Prf,
    share: u32,
}

impl Partition {
    /// The partition of a record's layers. One layer owns every position and needs no key; two need the campaign key, from which the
    /// route key comes.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when a record of two layers comes without a campaign key.
    pub fn new(record: &Record, campaign: Option<&LeafKey>) -> Result<Self> {
        let windows: Vec<usize> = record.layers().iter().map(|layer| layer.window).collect();
        let route = match (record.route(), campaign) {
            (None, _) => None,
            (Some(route), Some(campaign)) => Some(Route {
                prf: Prf::new(&route_key(campaign, windows[0]), windows[0]),
                share: route.share,
            }),
            (Some(_), None) => {
                return Err(Error::new(
                    ErrorKind::Mismatch,
                    "the campaign key is missing; it is needed to tell which windows carry which mark",
                ));
            }
        };
        Ok(Self { windows, route })
    }

    /// The layer that owns `position` of a response: its index in the record, or `None` near the beginning, where the window would
    /// reach out of the response.
    #[must_use]
    pub fn owner(&self, response: &[u32], position: usize) -> Option<usize> {
        let first = self.windows[0];
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
    pub fn split(&self, response: &[u32], words: &mut Vec<u32>, owned: &mut [&mut Vec<u32>]) {
        let first = self.windows[0];
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
        (position >= self.windows[layer]).then_some(layer)
    }
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
