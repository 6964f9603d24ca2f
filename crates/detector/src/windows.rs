//! How often windows were served: what weighs evidence by a provider's log.

use std::borrow::Cow;

use taggant_core::{LeafKey, Record, Result, Role, window};

use crate::detect::Response;
use crate::reader::LayerReader;

/// For every window that a layer of a mark owned in a set of responses, the number `n_w` of responses it stood in: an account's, a
/// campaign's, or everybody's. A window that a response repeats counts once, as the schemes that leave the distribution unchanged
/// mark it once.
///
/// A student that saw a window often follows its teacher there. So `n_w / (M + n_w)` weighs the evidence of a window, where `M` is
/// what the student's own pretraining counts for, in responses. It is a function of windows alone, and goes into
/// [`Collector::add_weighted`](crate::Collector::add_weighted):
///
/// ```
/// # use taggant_core::{schemes::Parameters, Record, Role, RootKey, TokenizerId};
/// # use taggant_detector::{Collector, Response, ServedWindows, WindowIndex};
/// # let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse()?);
/// # let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&key], TokenizerId::new([0; 32], 50_000)?)?;
/// let mut windows = ServedWindows::new(&record, Role::Campaign, None)?;
/// let (mut alice, mut everybody) = (WindowIndex::default(), WindowIndex::default());
/// let served = windows.of(&[5, 7, 11, 5, 7, 13])?;
/// alice.add(served);
/// everybody.add(served);
/// everybody.add(windows.of(&[5, 7, 17])?);
/// assert_eq!((alice.count(&[5, 7]), everybody.count(&[5, 7]), everybody.count(&[7, 5])), (1, 2, 0));
///
/// let mut collector = Collector::new(&record, Role::Campaign, None)?;
/// collector.add_weighted(&Response::ids(&[5, 7, 11]), |before| everybody.soft_weight(before.window(), 10.0))?;
/// # Ok::<(), taggant_core::Error>(())
/// ```
///
/// Memory is linear in the distinct windows: 12 bytes for each once [`compact`](Self::compact)ed, at most twice that before, and as much
/// again while two parts are merged.
#[derive(Clone, Debug, Default)]
pub struct WindowIndex {
    /// Each less than half as long as the one before, so there are few.
    runs: Vec<Run>,
}

/// Identities of windows, ascending, and how many responses each stood in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    identities: Vec<u64>,
    counts: Vec<u32>,
}

impl WindowIndex {
    /// Counts the windows of one more response.
    pub fn add(&mut self, served: Served<'_>) {
        if served.0.is_empty() {
            return;
        }
        self.runs.push(Run {
            identities: served.0.to_vec(),
            counts: vec![1; served.0.len()],
        });
        while let [.., before, last] = &self.runs[..] {
            if 2 * last.identities.len() < before.identities.len() {
                break;
            }
            self.merge_last();
        }
    }

    /// Merges everything into one part: the smallest and the fastest to read.
    pub fn compact(&mut self) {
        while self.runs.len() > 1 {
            self.merge_last();
        }
        if let Some(run) = self.runs.first_mut() {
            run.identities.shrink_to_fit();
            run.counts.shrink_to_fit();
        }
        self.runs.shrink_to_fit();
    }

    /// All windows in one ascending part.
    pub(crate) fn ascending(&self) -> Cow<'_, Run> {
        match &self.runs[..] {
            [only] => Cow::Borrowed(only),
            _ => {
                let mut whole = self.clone();
                whole.compact();
                Cow::Owned(whole.runs.pop().unwrap_or_default())
            }
        }
    }

    fn merge_last(&mut self) {
        if let (Some(last), Some(before)) = (self.runs.pop(), self.runs.pop()) {
            self.runs.push(before.merged(&last));
        }
    }

    /// `n_w`: the number of responses that a window stood in; at most 2^32 − 1.
    #[must_use]
    pub fn count(&self, window: &[u32]) -> u32 {
        let identity = window::identity(window);
        let counts = self.runs.iter().map(|run| run.count(identity));
        counts.fold(0, u32::saturating_add)
    }

    /// `n_w / (m + n_w)`: from 0 for a window that was never served towards 1; `m` is above 0.
    #[must_use]
    pub fn soft_weight(&self, window: &[u32], m: f64) -> f64 {
        match self.count(window) {
            0 => 0.0,
            count => f64::from(count) / (m + f64::from(count)),
        }
    }

    /// Number of distinct windows, exact once [`compact`](Self::compact)ed and an upper bound before.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.identities.len()).sum()
    }

    /// Whether no window was served.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let held = |run: &Run| {
            size_of::<u64>() * run.identities.capacity() + size_of::<u32>() * run.counts.capacity()
        };
        size_of::<Self>()
            + size_of::<Run>() * self.runs.capacity()
            + self.runs.iter().map(held).sum::<usize>()
    }
}

impl Run {
    fn count(&self, identity: u64) -> u32 {
        match self.identities.binary_search(&identity) {
            Ok(place) => self.counts[place],
            Err(_) => 0,
        }
    }

    fn merged(&self, other: &Self) -> Self {
        let room = self.identities.len() + other.identities.len();
        let mut run = Self {
            identities: Vec::with_capacity(room),
            counts: Vec::with_capacity(room),
        };
        let (mut left, mut right) = (self.entries().peekable(), other.entries().peekable());
        loop {
            let (identity, count) = match (left.peek(), right.peek()) {
                (Some(&(a, n)), Some(&(b, m))) if a == b => {
                    left.next();
                    right.next();
                    (a, n.saturating_add(m))
                }
                (Some(&(a, n)), Some(&(b, _))) if a < b => {
                    left.next();
                    (a, n)
                }
                (Some(&entry), None) => {
                    left.next();
                    entry
                }
                (_, Some(&entry)) => {
                    right.next();
                    entry
                }
                (None, None) => break,
            };
            run.identities.push(identity);
            run.counts.push(count);
        }
        run.identities.shrink_to_fit();
        run.counts.shrink_to_fit();
        run
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (u64, u32)> {
        self.identities
            .iter()
            .copied()
            .zip(self.counts.iter().copied())
    }
}

/// The distinct windows that a layer owned in one response.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a>(&'a [u64]);

/// Finds the windows that one layer of a mark owns in responses. One serves any number of indexes.
#[derive(Debug)]
pub struct ServedWindows {
    reader: LayerReader,
    identities: Vec<u64>,
}

impl ServedWindows {
    /// The windows of the layer `role` of `record`. A record of two layers needs the campaign key to tell whose a window is.
    ///
    /// # Errors
    /// As [`Collector::new`](crate::Collector::new).
    pub fn new(record: &Record, role: Role, campaign: Option<&LeafKey>) -> Result<Self> {
        Ok(Self {
            reader: LayerReader::new(record, role, campaign)?,
            identities: Vec::new(),
        })
    }

    /// The windows of one response, as it was served.
    ///
    /// # Errors
    /// As [`Detector::row`](crate::Detector::row).
    pub fn of(&mut self, response: &[u32]) -> Result<Served<'_>> {
        let found = self.reader.read(&Response::ids(response))?;
        self.identities.clear();
        self.identities
            .extend(found.positions.iter().map(|&position| {
                let end = position as usize;
                window::identity(&response[end - found.window..end])
            }));
        self.identities.sort_unstable();
        Ok(Served(&self.identities))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use taggant_core::schemes::Parameters;
    use taggant_core::{Partition, RootKey, TokenizerId};

    use super::*;
    use crate::random::Random;

    fn key(path: &str) -> LeafKey {
        RootKey::from_bytes([7; 32]).derive(&path.parse().unwrap())
    }

    fn record(keys: &[&LeafKey]) -> Record {
        let tokenizer = TokenizerId::new([0; 32], 1000).unwrap();
        Record::new(Parameters::new("gumbel", &[]).unwrap(), 2, keys, tokenizer).unwrap()
    }

    /// 40 responses in which few tokens are common, as in language.
    fn responses() -> Vec<Vec<u32>> {
        let mut random = Random(5);
        let mut token = || {
            let skewed = random.uniform().powi(4) * 300.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to 300"
            )]
            let token = skewed as u32;
            token
        };
        (0..40)
            .map(|length| (0..5 * length).map(|_| token()).collect())
            .collect()
    }

    #[test]
    fn counts_are_those_of_a_plain_map_compacted_or_not() {
        let record = record(&[&key("e/campaign/a")]);
        let mut windows = ServedWindows::new(&record, Role::Campaign, None).unwrap();
        let mut index = WindowIndex::default();
        let mut plain: HashMap<Vec<u32>, u32> = HashMap::new();
        for response in responses() {
            index.add(windows.of(&response).unwrap());
            // A window has a token after it: the response's last two tokens are none.
            let whole = response.len().saturating_sub(1);
            let mut own: Vec<&[u32]> = response[..whole].windows(2).collect();
            own.sort_unstable();
            own.dedup();
            for window in own {
                *plain.entry(window.to_vec()).or_default() += 1;
            }
        }
        assert!(plain.values().any(|&count| count > 20) && plain.len() > 1000);
        assert!(index.runs.len() < 12 && index.len() <= 2 * plain.len());
        for _ in 0..2 {
            for (window, &count) in &plain {
                assert_eq!(index.count(window), count, "{window:?}");
                let weight = index.soft_weight(window, 3.0);
                assert!((weight - f64::from(count) / (3.0 + f64::from(count))).abs() < 1e-15);
            }
            assert_eq!(index.count(&[999, 999]), 0);
            assert!(index.soft_weight(&[999, 999], 0.0).abs() < 1e-300);
            index.compact();
        }
        assert_eq!((index.len(), index.runs.len()), (plain.len(), 1));
        assert_eq!(
            index.bytes(),
            12 * plain.len() + size_of::<Run>() + size_of::<WindowIndex>()
        );
    }

    #[test]
    fn two_layers_share_the_windows_and_need_the_route() {
        let (campaign, account) = (key("e/campaign/a"), key("e/account/b"));
        let record = record(&[&campaign, &account]);
        assert!(ServedWindows::new(&record, Role::Account, None).is_err());
        assert!(ServedWindows::new(&record, Role::Twin, Some(&campaign)).is_err());
        let [mut first, mut second] = [Role::Campaign, Role::Account]
            .map(|role| ServedWindows::new(&record, role, Some(&campaign)).unwrap());
        let (mut ours, mut theirs) = (WindowIndex::default(), WindowIndex::default());
        let partition = Partition::new(&record, Some(&campaign)).unwrap();
        for response in responses() {
            ours.add(first.of(&response).unwrap());
            theirs.add(second.of(&response).unwrap());
        }
        let mut owned = [0, 0];
        for response in responses() {
            for position in 2..response.len() {
                let window = &response[position - 2..position];
                let counts = [ours.count(window), theirs.count(window)];
                let owner = partition.owner(&response, position).unwrap();
                assert!(counts[owner] > 0 && counts[1 - owner] == 0);
                owned[owner] += 1;
            }
        }
        assert!(owned.iter().all(|&count| count > 1000));
    }

    #[test]
    fn tokens_outside_the_vocabulary_are_refused() {
        let record = record(&[&key("e/campaign/a")]);
        let mut windows = ServedWindows::new(&record, Role::Campaign, None).unwrap();
        assert!(windows.of(&[1, 2, 1000]).is_err());
        assert!(windows.of(&[1, 2]).unwrap().0.is_empty());
    }
}
