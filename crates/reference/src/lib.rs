//! Taggant's byte-level contract a second time, written from `crates/core/SPEC.md` alone.
//!
//! # What it is for
//!
//! To disagree with the real implementation where one of them, or the specification, is wrong. It therefore shares
//! no code with the crates it checks, not even AES, and is slow and plain on purpose: a page of the specification
//! beside a page of this file should leave nothing to wonder about. Each item names the section that it follows.
//!
//! It holds what is a function of bytes and tokens: keys and commitments (§2), the keyed function (§3), layers,
//! embedded and scored positions, pools and identities (§4), the word and the score of a unit and what a scheme makes
//! of a distribution (§5), the tokenizer digest (§6), keyed free choices (§9), and sealed twins (§10).
//!
//! # What it does not promise
//!
//! - **Speed.** Most of §4 takes time quadratic in the length of a response, and every block of AES expands its key.
//! - **Secrecy.** Keys are printed by `Debug`, stay in memory, and index tables. Never serve anything with it.
//! - **Errors.** It panics on whatever the specification does not allow; nothing returns a `Result`.
//! - **Equal floats.** [`score()`] and [`reshape()`] are exact to the rounding of `f64`; a near tie of `gumbel/1` may
//!   fall the other way elsewhere. All else is integers and must agree bit for bit.
//! - **Completeness.** It truncates no distribution, draws no token, computes no p-value and reads no JSON: the files
//!   of §6, §7 and §8 are not here.
//! - **Stability.** It is not published, and changes whenever the specification does.

mod aes;

use std::collections::BTreeSet;

pub use aes::aes128;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// SPEC §1: token ids are below this.
pub const TOKEN_LIMIT: u32 = 1 << 21;

/// SPEC §2.3: control keys in every epoch.
pub const CONTROLS: usize = 999;

// ---------------------------------------------------------------------------------------------------------------
// §1 Conventions
// ---------------------------------------------------------------------------------------------------------------

/// SPEC §1: `u16be`.
#[expect(clippy::panic, reason = "a reference fails loudly")]
fn u16be(number: usize) -> [u8; 2] {
    match u16::try_from(number) {
        Ok(number) => number.to_be_bytes(),
        Err(_) => panic!("{number} does not fit 16 bits"),
    }
}

/// SPEC §1: `u32be`.
#[expect(clippy::panic, reason = "a reference fails loudly")]
fn u32be(number: usize) -> [u8; 4] {
    match u32::try_from(number) {
        Ok(number) => number.to_be_bytes(),
        Err(_) => panic!("{number} does not fit 32 bits"),
    }
}

/// `u16be(len) ‖ bytes`, which several messages of SPEC §2 contain.
fn with_u16_length(bytes: &[u8]) -> Vec<u8> {
    [&u16be(bytes.len())[..], bytes].concat()
}

/// SPEC §1: SHA-256.
fn sha256(message: &[u8]) -> [u8; 32] {
    Sha256::digest(message).into()
}

/// RFC 2104: HMAC with SHA-256.
#[expect(clippy::panic, reason = "HMAC takes keys of every length")]
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(message);
            mac.finalize().into_bytes().into()
        }
        Err(_) => panic!("HMAC refused a key of {} bytes", key.len()),
    }
}

/// SPEC §1: HKDF-Extract of RFC 5869 §2.2.
fn extract(salt: &[u8], ikm: &[u8]) -> [u8; 32] {
    hmac_sha256(salt, ikm)
}

/// SPEC §1: `Expand(prk, info, n)`, HKDF-Expand of RFC 5869 §2.3.
fn expand(prk: &[u8], info: &[u8], n: usize) -> Vec<u8> {
    let mut output = Vec::new();
    let mut block = Vec::new();
    let mut counter: u8 = 0;
    while output.len() < n {
        assert!(
            counter < 255,
            "HKDF-Expand ends at 255 blocks; {n} bytes were asked for"
        );
        counter += 1;
        block = hmac_sha256(prk, &[&block[..], info, &[counter]].concat()).to_vec();
        output.extend_from_slice(&block);
    }
    output.truncate(n);
    output
}

/// `Expand` to a fixed number of bytes.
fn expand_to<const N: usize>(prk: &[u8], info: &[u8]) -> [u8; N] {
    let mut output = [0; N];
    output.copy_from_slice(&expand(prk, info, N));
    output
}

// ---------------------------------------------------------------------------------------------------------------
// §2 Keys
// ---------------------------------------------------------------------------------------------------------------

/// SPEC §2.1: a leaf of the key tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The path bytes of SPEC §2.2: `family/epoch/role/id`.
    pub path: String,
    /// The leaf key.
    pub key: [u8; 32],
    /// What hides the leaf key in its commitment.
    pub salt: [u8; 32],
}

/// SPEC §2: whether a label may appear in a path.
#[must_use]
pub fn is_label(label: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || byte == b'-';
    let bytes = label.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|&byte| allowed(byte))
}

/// SPEC §2: whether a label is one of the roles.
#[must_use]
pub fn is_role(label: &str) -> bool {
    [
        "campaign",
        "account",
        "twin",
        "canary",
        "pseudonym",
        "control",
        "decoy",
    ]
    .contains(&label)
}

/// SPEC §2.1: `child(p, l)`.
fn child(parent: &[u8; 32], label: &str) -> [u8; 32] {
    expand_to(
        parent,
        &[b"taggant/v1/node", &with_u16_length(label.as_bytes())[..]].concat(),
    )
}

/// SPEC §2.1: the leaf at `family/epoch/role/id`.
///
/// # Panics
///
/// Unless the family is `forensic` or `public`, the role one of SPEC §2, and the epoch and the id labels.
#[must_use]
pub fn derive(root: &[u8; 32], family: &str, epoch: &str, role: &str, id: &str) -> Leaf {
    assert!(
        family == "forensic" || family == "public",
        "{family:?} is not a family"
    );
    assert!(is_label(epoch), "{epoch:?} is not a label");
    assert!(is_role(role), "{role:?} is not a role");
    assert!(is_label(id), "{id:?} is not a label");

    let prk = extract(b"taggant/v1", root);
    let branch = |b: &str| {
        child(
            &child(&child(&child(&child(&prk, b), family), epoch), role),
            id,
        )
    };
    Leaf {
        path: format!("{family}/{epoch}/{role}/{id}"),
        key: branch("key"),
        salt: branch("salt"),
    }
}

/// SPEC §2.2: the commitment to a leaf.
///
/// # Panics
///
/// If the path is longer than 65,535 bytes.
#[must_use]
pub fn commitment(leaf: &Leaf) -> [u8; 32] {
    let path = with_u16_length(leaf.path.as_bytes());
    sha256(&[b"taggant/v1/commit", &path[..], &leaf.salt, &leaf.key].concat())
}

/// SPEC §2.3: the sorted commitments of an epoch, those of its controls and decoys among them.
///
/// # Panics
///
/// If a name repeats, is a control's or a decoy's, or is one that [`derive()`] refuses.
#[must_use]
pub fn epoch_leaves(
    root: &[u8; 32],
    family: &str,
    epoch: &str,
    named: &[(&str, &str)],
) -> Vec<[u8; 32]> {
    let mut leaves = Vec::new();
    for (n, (role, id)) in named.iter().enumerate() {
        assert!(
            *role != "control" && *role != "decoy",
            "{role}/{id} cannot be named: the epoch adds its own"
        );
        assert!(
            !named[..n].contains(&(*role, *id)),
            "{role}/{id} is named twice"
        );
        leaves.push(commitment(&derive(root, family, epoch, role, id)));
    }
    for n in 0..CONTROLS {
        leaves.push(commitment(&derive(
            root,
            family,
            epoch,
            "control",
            &format!("{n:04}"),
        )));
    }

    let least = 2 * leaves.len();
    let mut total = 1;
    while total < least {
        total *= 2;
    }
    let decoys = total - leaves.len();
    for n in 0..decoys {
        leaves.push(commitment(&derive(
            root,
            family,
            epoch,
            "decoy",
            &format!("{n:04}"),
        )));
    }
    leaves.sort_unstable();
    leaves
}

/// SPEC §2.3: `leaf(c)`.
fn tree_leaf(content: &[u8]) -> [u8; 32] {
    sha256(&[&[0x00], content].concat())
}

/// SPEC §2.3: `node(l, r)`.
fn tree_node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[&[0x01], &left[..], right].concat())
}

/// RFC 6962 §2.1 over leaf hashes: the left subtree takes the largest power of two below their number.
fn subtree_root(hashes: &[[u8; 32]]) -> [u8; 32] {
    if hashes.is_empty() {
        return sha256(b"");
    }
    if hashes.len() == 1 {
        return hashes[0];
    }
    let mut split = 1;
    while 2 * split < hashes.len() {
        split *= 2;
    }
    tree_node(
        &subtree_root(&hashes[..split]),
        &subtree_root(&hashes[split..]),
    )
}

/// SPEC §2.3: the root of the RFC 6962 tree over these leaves, in this order.
#[must_use]
pub fn tree_root(leaves: &[[u8; 32]]) -> [u8; 32] {
    let hashes: Vec<[u8; 32]> = leaves.iter().map(|leaf| tree_leaf(leaf)).collect();
    subtree_root(&hashes)
}

/// SPEC §4, Layers: whether a label is the role of a layer.
fn is_layer_role(label: &str) -> bool {
    label == "campaign" || label == "account"
}

/// SPEC §2.6: a key for another system's mark.
#[must_use]
pub fn engine_key(leaf: &Leaf, format: &str, number: u8) -> [u8; 8] {
    let info = [
        &b"taggant/v1/engine"[..],
        &with_u16_length(format.as_bytes()),
        &[number],
    ]
    .concat();
    expand_to(&leaf.key, &info)
}

/// SPEC §2.4: the key of one leaf for one scheme, window and layer.
///
/// # Panics
///
/// Unless the scheme is one of SPEC §5 or `route/1`, `h` 1 to 8, and the layer `campaign` or, but for `route/1`,
/// `account`.
#[must_use]
pub fn prf_key(leaf_key: &[u8; 32], scheme: &str, h: usize, layer: &str) -> [u8; 16] {
    const WIDTHS: [u8; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
    assert!(
        ["gumbel/1", "tournament/1", "greenlist/1", "route/1"].contains(&scheme),
        "{scheme:?} is not a scheme"
    );
    assert!((1..=8).contains(&h), "a window of {h} tokens is not 1 to 8");
    assert!(
        is_layer_role(layer) && (scheme != "route/1" || layer == "campaign"),
        "{layer:?} is not the role of a layer with {scheme}"
    );
    let scheme = with_u16_length(scheme.as_bytes());
    let layer = with_u16_length(layer.as_bytes());
    expand_to(
        leaf_key,
        &[b"taggant/v1/prf", &scheme[..], &[WIDTHS[h]], &layer].concat(),
    )
}

/// SPEC §2.4: the route key of a campaign leaf, `h` being the campaign layer's window.
///
/// # Panics
///
/// If `h` is not 1 to 8.
#[must_use]
pub fn route_key(leaf_key: &[u8; 32], h: usize) -> [u8; 16] {
    prf_key(leaf_key, "route/1", h, "campaign")
}

/// SPEC §2.4: the commitment to a route key.
#[must_use]
pub fn route_commitment(route_key: &[u8; 16]) -> [u8; 32] {
    sha256(&[b"taggant/v1/route", &route_key[..]].concat())
}

// ---------------------------------------------------------------------------------------------------------------
// §3 The keyed function
// ---------------------------------------------------------------------------------------------------------------

/// SPEC §3: `X_b`, with `last` the word that follows the window.
fn last_block(k: &[u8; 16], window: &[u32], last: u32) -> [u8; 16] {
    assert!(
        (1..=8).contains(&window.len()),
        "a window of {} tokens is not 1 to 8",
        window.len()
    );
    for &token in window {
        assert!(token < TOKEN_LIMIT, "token {token} is not below 2^21");
    }

    let mut words = window.to_vec();
    words.push(last);
    let mut padded = words;
    while !padded.len().is_multiple_of(4) {
        padded.insert(0, 0xFFFF_FFFF);
    }

    // X_0 = 0 makes X_1 = AES(k, B_1 xor X_0) = AES(k, B_1).
    let mut x = [0_u8; 16];
    for group in padded.chunks(4) {
        let mut input = x;
        for (n, word) in group.iter().enumerate() {
            for (m, byte) in word.to_le_bytes().iter().enumerate() {
                input[4 * n + m] ^= byte;
            }
        }
        x = aes128(k, &input);
    }
    x
}

/// The u32le at a byte of a block.
fn u32le_at(block: &[u8; 16], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// SPEC §3: `F(k, w, c)`.
///
/// # Panics
///
/// If the window is not 1 to 8 tokens, or a token is not below 2^21.
#[must_use]
pub fn word(k: &[u8; 16], window: &[u32], candidate: u32) -> u32 {
    assert!(
        candidate < TOKEN_LIMIT,
        "candidate {candidate} is not below 2^21"
    );
    let block = last_block(k, window, candidate / 4);
    u32le_at(&block, 4 * (candidate % 4) as usize)
}

/// SPEC §3: `F(k, w, context)`.
///
/// # Panics
///
/// If the window is not 1 to 8 tokens, or a token is not below 2^21.
#[must_use]
pub fn context_word(k: &[u8; 16], window: &[u32]) -> u32 {
    u32le_at(&last_block(k, window, 0xFFFF_FFFF), 0)
}

// ---------------------------------------------------------------------------------------------------------------
// §4 Windows, layers and units
// ---------------------------------------------------------------------------------------------------------------

/// SPEC §4: one layer of a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its role and that of its leaf, `campaign` or `account`.
    pub role: String,
    /// The number of tokens in its window.
    pub window: usize,
    /// The key of SPEC §2.4 for the mark's scheme.
    pub prf_key: [u8; 16],
}

/// SPEC §5: a scheme and its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scheme {
    /// `gumbel/1`
    Gumbel,
    /// `tournament/1`
    Tournament {
        /// `m`, 1 to 32.
        depth: u32,
    },
    /// `greenlist/1`
    Greenlist {
        /// `g`, from 1.
        threshold: u32,
        /// δ, above 0.
        delta: f64,
    },
}

/// SPEC §4: what marks a response.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The scheme of every layer.
    pub scheme: Scheme,
    /// One layer, of either role, or `campaign` and `account`.
    pub layers: Vec<Layer>,
    /// The route key and the campaign's share, present exactly when there are two layers.
    pub route: Option<([u8; 16], u32)>,
}

/// SPEC §5: the id of a scheme.
#[must_use]
pub fn scheme_id(scheme: &Scheme) -> &'static str {
    match scheme {
        Scheme::Gumbel => "gumbel/1",
        Scheme::Tournament { .. } => "tournament/1",
        Scheme::Greenlist { .. } => "greenlist/1",
    }
}

/// SPEC §5: checks the parameters of a scheme. Every function that takes a scheme begins with it.
///
/// # Panics
///
/// If a parameter is outside the range of the table.
pub fn check_scheme(scheme: &Scheme) {
    match *scheme {
        Scheme::Gumbel => {}
        Scheme::Tournament { depth } => {
            assert!((1..=32).contains(&depth), "depth {depth} is not 1 to 32")
        }
        Scheme::Greenlist { threshold, delta } => {
            assert!(threshold >= 1, "threshold 0 is not 1 to 2^32 - 1");
            assert!(
                delta > 0.0 && delta.is_finite(),
                "bias {delta} is not above 0 and finite"
            );
        }
    }
}

/// SPEC §4 and §6: checks the shape of a mark. Every function that takes a mark begins with it.
///
/// # Panics
///
/// If the mark has not one layer or two, a window is not 1 to 8 tokens, a single layer is neither `campaign` nor
/// `account` or has a route, two layers have none, are not `campaign` then `account`, or the account's window is the
/// shorter, or [`check_scheme`] fails.
pub fn check_mark(mark: &Mark) {
    check_scheme(&mark.scheme);
    for layer in &mark.layers {
        assert!(
            (1..=8).contains(&layer.window),
            "a window of {} tokens is not 1 to 8",
            layer.window
        );
    }
    if mark.layers.len() == 1 {
        assert!(
            is_layer_role(&mark.layers[0].role),
            "{:?} is not the role of a layer",
            mark.layers[0].role
        );
        assert!(mark.route.is_none(), "a single layer has no route");
    } else {
        assert!(
            mark.layers.len() == 2,
            "{} layers are neither one nor two",
            mark.layers.len()
        );
        assert!(
            mark.layers[0].role == "campaign",
            "the first of two layers is campaign"
        );
        assert!(
            mark.layers[1].role == "account",
            "the second of two layers is account"
        );
        assert!(
            mark.layers[0].window <= mark.layers[1].window,
            "the account's window is the shorter"
        );
        assert!(mark.route.is_some(), "two layers need a route");
    }
}

/// SPEC §4: the window of position `i` for `h`, or `None` where it does not exist.
///
/// # Panics
///
/// If `i` lies beyond the end of the sequence.
#[must_use]
pub fn window(sequence: &[u32], i: usize, h: usize) -> Option<&[u32]> {
    assert!(
        i <= sequence.len(),
        "position {i} lies beyond {} tokens",
        sequence.len()
    );
    if i >= h {
        Some(&sequence[i - h..i])
    } else {
        None
    }
}

/// SPEC §4, Identity: `mix(z)`, modulo 2^64.
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// SPEC §4, Identity: the identity of a window, 1 to 8 tokens, or of a unit, a window and its token.
///
/// # Panics
///
/// If the tokens are not 1 to 9, or one is not below 2^21.
#[must_use]
pub fn identity(tokens: &[u32]) -> u64 {
    assert!(
        (1..=9).contains(&tokens.len()),
        "{} tokens are neither a window nor a unit",
        tokens.len()
    );
    let mut x: u64 = 0;
    for &t in tokens {
        assert!(t < TOKEN_LIMIT, "token {t} is not below 2^21");
        x = mix(x.wrapping_add(u64::from(t)).wrapping_add(1));
    }
    x
}

/// SPEC §4, Identity: whether two windows of one layer are the same, which different tokens can be.
fn same(a: &[u32], b: &[u32]) -> bool {
    identity(a) == identity(b)
}

/// SPEC §4, Layers: the layer that owns position `i` of a response, which may be the position of its next token.
///
/// # Panics
///
/// On a mark that [`check_mark`] refuses, a position beyond the next token's, or a token that is not below 2^21.
#[must_use]
pub fn owner(mark: &Mark, response: &[u32], i: usize) -> Option<usize> {
    check_mark(mark);
    let Some((route, share)) = mark.route else {
        window(response, i, mark.layers[0].window)?;
        return Some(0);
    };
    let campaign_window = window(response, i, mark.layers[0].window)?;
    if context_word(&route, campaign_window) < share {
        Some(0)
    } else if i >= mark.layers[1].window {
        Some(1)
    } else {
        None
    }
}

/// SPEC §4, Embedding: the layer that marks the next token, or `None` where it is sampled plainly. The next token may
/// be the stop token; the prompt plays no part.
///
/// # Panics
///
/// As [`owner`].
#[must_use]
pub fn embeds(mark: &Mark, response_so_far: &[u32]) -> Option<usize> {
    let i = response_so_far.len();
    let layer = owner(mark, response_so_far, i)?;
    if matches!(mark.scheme, Scheme::Greenlist { .. }) {
        return Some(layer);
    }
    let h = mark.layers[layer].window;
    let current = &response_so_far[i - h..i];
    for j in h..i {
        if same(&response_so_far[j - h..j], current)
            && owner(mark, response_so_far, j) == Some(layer)
        {
            return None;
        }
    }
    Some(layer)
}

/// SPEC §4, Scoring: every scored position of a response with the layer that owns it. The prompt is empty if it is
/// not known. Every earlier window of prompt and response counts, those across the boundary and those at positions
/// that another layer or none owns among them.
///
/// # Panics
///
/// As [`owner`].
#[must_use]
pub fn scored(mark: &Mark, prompt: &[u32], response: &[u32]) -> Vec<(usize, usize)> {
    check_mark(mark);
    let s = [prompt, response].concat();
    let mut positions = Vec::new();
    for i in 0..response.len() {
        let Some(layer) = owner(mark, response, i) else {
            continue;
        };
        let h = mark.layers[layer].window;
        let current = &response[i - h..i];
        let mut occurred = false;
        for j in h..prompt.len() + i {
            if same(&s[j - h..j], current) {
                occurred = true;
            }
        }
        if !occurred {
            positions.push((i, layer));
        }
    }
    positions
}

/// SPEC §4, Units: the distinct units among the scored positions of a pool of (prompt, response) rows, each as
/// (row, position, layer) of the first position that is scored. Rows share units, not windows.
///
/// # Panics
///
/// As [`owner`].
#[must_use]
pub fn pooled(mark: &Mark, rows: &[(Vec<u32>, Vec<u32>)]) -> Vec<(usize, usize, usize)> {
    let mut seen = BTreeSet::new();
    let mut units = Vec::new();
    for (row, (prompt, response)) in rows.iter().enumerate() {
        for (position, layer) in scored(mark, prompt, response) {
            let h = mark.layers[layer].window;
            // The window and its token.
            let unit = (layer, identity(&response[position - h..=position]));
            if seen.insert(unit) {
                units.push((row, position, layer));
            }
        }
    }
    units
}

/// SPEC §4 and §5: the word of the unit that a layer has at a position of a response.
///
/// # Panics
///
/// On a mark that [`check_mark`] refuses, a layer it has not, a position without a token or without a window for that
/// layer, or a token that is not below 2^21.
#[must_use]
pub fn unit_word(mark: &Mark, layer: usize, response: &[u32], position: usize) -> u32 {
    check_mark(mark);
    assert!(layer < mark.layers.len(), "the mark has no layer {layer}");
    let layer = &mark.layers[layer];
    assert!(
        position < response.len(),
        "position {position} has no token"
    );
    assert!(
        position >= layer.window,
        "position {position} has no window of {} tokens",
        layer.window
    );
    word(
        &layer.prf_key,
        &response[position - layer.window..position],
        response[position],
    )
}

// ---------------------------------------------------------------------------------------------------------------
// §5 Schemes
// ---------------------------------------------------------------------------------------------------------------

const TWO_TO_32: f64 = 4_294_967_296.0;

/// SPEC §5: whether bit `l` of a word is one; bit 0 is the least significant.
fn bit(word: u32, l: u32) -> bool {
    (word >> l) & 1 == 1
}

/// SPEC §5: the score of a unit with this word.
///
/// # Panics
///
/// On a scheme that [`check_scheme`] refuses.
#[must_use]
pub fn score(scheme: &Scheme, word: u32) -> f64 {
    check_scheme(scheme);
    match *scheme {
        // ln_1p(−y) is ln(1 − y) without the loss of digits for a small y.
        Scheme::Gumbel => -(-f64::from(word) / TWO_TO_32).ln_1p(),
        Scheme::Tournament { depth } => {
            let mut ones: u32 = 0;
            for l in 0..depth {
                if bit(word, l) {
                    ones += 1;
                }
            }
            f64::from(ones)
        }
        Scheme::Greenlist { threshold, .. } => {
            if word < threshold {
                1.0
            } else {
                0.0
            }
        }
    }
}

/// SPEC §5.1, `weighted`: the score of a unit of `tournament/1` of depth `m`.
#[must_use]
pub fn weighted_score(m: u32, word: u32) -> f64 {
    let alpha = |l: u32| {
        if m == 1 {
            1.0
        } else {
            10.0 - 9.0 * f64::from(l) / f64::from(m - 1)
        }
    };
    let mut total = 0.0;
    for l in 0..m {
        total += alpha(l);
    }
    let mut score = 0.0;
    for l in 0..m {
        if bit(word, l) {
            score += alpha(l) / total * f64::from(m);
        }
    }
    score
}

/// SPEC §5.1, `maximin`: the score of a unit of `gumbel/1`.
#[must_use]
pub fn maximin_score(word: u32) -> f64 {
    let r = (f64::from(word / (1 << 22)) + 0.5) / 1024.0;
    (r.powf(1.0 / 9.0) + r.powi(9)).ln()
}

/// SPEC §5.2: decoy key `i` of seed `s` for windows of `h` tokens.
#[must_use]
pub fn decoy(s: u64, h: u8, i: u32) -> [u8; 16] {
    let mut message = b"taggant/v1/decoy".to_vec();
    message.extend(s.to_be_bytes());
    message.push(h);
    let digest = Sha256::digest(&message);
    let mut source = [0; 16];
    source.copy_from_slice(&digest[..16]);
    let mut block = [0xFF; 16];
    block[4..8].copy_from_slice(&i.to_le_bytes());
    block[8..12].copy_from_slice(&0_u32.to_le_bytes());
    aes128(&source, &block)
}

/// SPEC §5, Embedding: what a scheme makes of a distribution.
#[derive(Clone, Debug, PartialEq)]
pub enum Reshaped {
    /// The scheme chose this candidate.
    Chosen(usize),
    /// The token is drawn from this distribution.
    Weights(Vec<f64>),
}

/// SPEC §5, Embedding: acts on the distribution `p` over candidates in ascending order of id, with their words.
///
/// # Panics
///
/// On a scheme that [`check_scheme`] refuses, different numbers of probabilities and words, probabilities that are
/// negative, not finite or do not sum to one within 1e-4, or a bias δ so large that `e^δ` overflows.
#[must_use]
pub fn reshape(scheme: &Scheme, p: &[f64], words: &[u32]) -> Reshaped {
    check_scheme(scheme);
    assert!(
        p.len() == words.len(),
        "{} probabilities, {} words",
        p.len(),
        words.len()
    );
    assert!(
        p.iter().all(|&p| p >= 0.0 && p.is_finite()),
        "a probability is negative or not finite"
    );
    let sum: f64 = p.iter().sum();
    assert!((sum - 1.0).abs() < 1e-4, "probabilities sum to {sum}");

    match *scheme {
        Scheme::Gumbel => {
            let mut best = 0;
            let mut best_value = f64::NEG_INFINITY;
            for c in 0..p.len() {
                if p[c] <= 0.0 {
                    continue;
                }
                let u = (f64::from(words[c]) + 0.5) / TWO_TO_32;
                let value = p[c].ln() - (-u.ln()).ln();
                if value > best_value {
                    best = c;
                    best_value = value;
                }
            }
            Reshaped::Chosen(best)
        }
        Scheme::Tournament { depth } => {
            let mut p = p.to_vec();
            for l in 0..depth {
                let g: Vec<f64> = words
                    .iter()
                    .map(|&x| if bit(x, l) { 1.0 } else { 0.0 })
                    .collect();
                let mut mean = 0.0;
                for d in 0..p.len() {
                    mean += p[d] * g[d];
                }
                for c in 0..p.len() {
                    p[c] *= 1.0 + g[c] - mean;
                }
            }
            Reshaped::Weights(p)
        }
        Scheme::Greenlist { threshold, delta } => {
            let factor = delta.exp();
            assert!(factor.is_finite(), "e^{delta} overflows");
            let mut p = p.to_vec();
            for c in 0..p.len() {
                if words[c] < threshold {
                    p[c] *= factor;
                }
            }
            let sum: f64 = p.iter().sum();
            for weight in &mut p {
                *weight /= sum;
            }
            Reshaped::Weights(p)
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------
// §6 Mark record
// ---------------------------------------------------------------------------------------------------------------

/// SPEC §6: whether an id has an entry, given what the vocabulary spells there. `[PAD<id>]` of its own id is none.
fn is_entry(id: usize, spelled: Option<&str>) -> bool {
    match spelled {
        None => false,
        Some(spelled) => spelled != format!("[PAD{id}]"),
    }
}

/// SPEC §6: the tokenizer digest. `tokens[id]` is what the vocabulary spells at an id, added tokens included, `None`
/// where it has nothing.
///
/// # Panics
///
/// If `V` is not 2 to 2^21 (SPEC §1), or a count or a length does not fit 32 bits.
#[must_use]
pub fn tokenizer_digest(tokens: &[Option<&str>], merges: &[(&str, &str)]) -> [u8; 32] {
    let mut v = 0;
    for (id, &spelled) in tokens.iter().enumerate() {
        if is_entry(id, spelled) {
            v = id + 1;
        }
    }
    assert!(
        (2..=1 << 21).contains(&v),
        "a vocabulary of {v} tokens is not 2 to 2^21"
    );

    let mut message = b"taggant/v1/tokenizer".to_vec();
    message.extend(u32be(v));
    for (id, &spelled) in tokens[..v].iter().enumerate() {
        let entry = match spelled {
            Some(spelled) if is_entry(id, Some(spelled)) => spelled,
            _ => "",
        };
        message.extend(u32be(entry.len()));
        message.extend(entry.as_bytes());
    }
    message.extend(u32be(merges.len()));
    for (left, right) in merges {
        let merge = format!("{left} {right}");
        message.extend(u32be(merge.len()));
        message.extend(merge.as_bytes());
    }
    sha256(&message)
}

// ---------------------------------------------------------------------------------------------------------------
// §9 Keyed free choices
// ---------------------------------------------------------------------------------------------------------------

/// SPEC §9: `canary`, of the leaf key of a canary leaf.
#[must_use]
pub fn canary(leaf_key: &[u8; 32]) -> [u8; 32] {
    expand_to(leaf_key, b"taggant/v1/canary")
}

/// SPEC §9: decoy `i` of seed `s`.
#[must_use]
pub fn canary_decoy(s: u64, i: u64) -> [u8; 32] {
    sha256(
        &[
            b"taggant/v1/canary/decoy",
            &s.to_be_bytes()[..],
            &i.to_be_bytes(),
        ]
        .concat(),
    )
}

/// SPEC §9: the words of a slot that were not taken yet.
struct SlotWords {
    canary: [u8; 32],
    slot: Vec<u8>,
    taken: usize,
}

impl SlotWords {
    fn new(canary: &[u8; 32], slot: &[u8]) -> Self {
        assert!(
            (1..=65_535).contains(&slot.len()),
            "a slot id of {} bytes is not 1 to 65,535",
            slot.len()
        );
        Self {
            canary: *canary,
            slot: slot.to_vec(),
            taken: 0,
        }
    }

    fn next(&mut self) -> u64 {
        let block = expand(
            &self.canary,
            &[
                b"taggant/v1/canary/slot",
                &with_u16_length(&self.slot)[..],
                &u32be(self.taken / 4),
            ]
            .concat(),
            32,
        );
        let at = 8 * (self.taken % 4);
        self.taken += 1;
        block[at..at + 8]
            .iter()
            .fold(0, |word, &byte| word << 8 | u64::from(byte))
    }

    /// SPEC §9: `below(n)`.
    fn below(&mut self, n: u64) -> u64 {
        let multiple = (1_u128 << 64) / u128::from(n) * u128::from(n);
        loop {
            let word = self.next();
            if u128::from(word) < multiple {
                return word % n;
            }
        }
    }
}

/// SPEC §9: the choice among `fillers`.
///
/// # Panics
///
/// If there are no fillers, or the slot id is not 1 to 65,535 bytes.
#[must_use]
pub fn canary_choice(canary: &[u8; 32], slot: &[u8], fillers: u32) -> u64 {
    SlotWords::new(canary, slot).below(u64::from(fillers))
}

/// SPEC §9: the weighted choice.
///
/// # Panics
///
/// If the weights have the sum 0, or the slot id is not 1 to 65,535 bytes.
#[must_use]
pub fn canary_weighted_choice(canary: &[u8; 32], slot: &[u8], weights: &[u32]) -> usize {
    let sum = |weights: &[u32]| weights.iter().map(|&w| u64::from(w)).sum::<u64>();
    let number = SlotWords::new(canary, slot).below(sum(weights));
    let mut filler = 0;
    while sum(&weights[..=filler]) <= number {
        filler += 1;
    }
    filler
}

/// SPEC §9: the order of `n` items.
///
/// # Panics
///
/// If there are more than 65,536 items, or the slot id is not 1 to 65,535 bytes.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "numbers below the number of items"
)]
pub fn canary_order(canary: &[u8; 32], slot: &[u8], n: usize) -> Vec<usize> {
    assert!(n <= 65_536, "{n} items are more than 65,536");
    let mut words = SlotWords::new(canary, slot);
    let mut a: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        let j = words.below(i as u64 + 1) as usize;
        a.swap(i, j);
    }
    a
}

// ---------------------------------------------------------------------------------------------------------------
// §10 Sealed twins
// ---------------------------------------------------------------------------------------------------------------

/// SPEC §10: `exchange`.
fn exchange_bytes(id: &[u8]) -> Vec<u8> {
    assert!(
        (1..=1024).contains(&id.len()),
        "an id of {} bytes is not 1 to 1,024",
        id.len()
    );
    with_u16_length(id)
}

/// SPEC §10: checks the number of drafts.
fn check_drafts(n: usize) {
    assert!((1..=1024).contains(&n), "{n} drafts are not 1 to 1,024");
}

/// SPEC §10.1: `x_c mod n` for the first `x_c` below the largest multiple of `n`.
#[expect(clippy::panic, reason = "a reference fails loudly")]
fn choose(n: usize, x: impl Fn(u32) -> u64) -> usize {
    let n = n as u128;
    let limit = n * ((1_u128 << 64) / n);
    for c in 0..=u32::MAX {
        let x = u128::from(x(c));
        if x < limit {
            return match usize::try_from(x % n) {
                Ok(served) => served,
                Err(_) => panic!("a remainder of {n} does not fit"),
            };
        }
    }
    panic!("2^32 words in a row were turned away")
}

/// SPEC §10.1: `served`.
///
/// # Panics
///
/// Unless the id has 1 to 1,024 bytes and there are 1 to 1,024 drafts.
#[must_use]
pub fn served(leaf_key: &[u8; 32], id: &[u8], n: usize) -> usize {
    check_drafts(n);
    let exchange = exchange_bytes(id);
    choose(n, |c| {
        u64::from_be_bytes(expand_to(
            leaf_key,
            &[
                b"taggant/v1/serve",
                &exchange[..],
                &u32be(n),
                &c.to_be_bytes(),
            ]
            .concat(),
        ))
    })
}

/// SPEC §10.2: `salt_j`.
///
/// # Panics
///
/// Unless the id has 1 to 1,024 bytes.
#[must_use]
pub fn twin_salt(leaf_salt: &[u8; 32], id: &[u8], j: usize) -> [u8; 32] {
    let exchange = exchange_bytes(id);
    expand_to(
        leaf_salt,
        &[b"taggant/v1/twin-salt", &exchange[..], &u32be(j)].concat(),
    )
}

/// SPEC §10.2: a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Draft {
    /// Text.
    Text(String),
    /// Token ids.
    Tokens(Vec<u32>),
}

/// SPEC §10.2: `draft_j`.
fn draft_bytes(draft: &Draft) -> Vec<u8> {
    match draft {
        Draft::Text(text) => [&[0x00], text.as_bytes()].concat(),
        Draft::Tokens(tokens) => {
            let mut bytes = vec![0x01];
            for token in tokens {
                bytes.extend_from_slice(&token.to_be_bytes());
            }
            bytes
        }
    }
}

/// SPEC §10.2: `twin_j`.
///
/// # Panics
///
/// Unless the id has 1 to 1,024 bytes.
#[must_use]
pub fn twin_commitment(id: &[u8], j: usize, salt: &[u8; 32], draft: &Draft) -> [u8; 32] {
    sha256(
        &[
            b"taggant/v1/twin",
            &exchange_bytes(id)[..],
            &u32be(j),
            salt,
            &draft_bytes(draft),
        ]
        .concat(),
    )
}

/// SPEC §10.2: `commitment`.
///
/// # Panics
///
/// Unless id, account and number of drafts are as in SPEC §10.
#[must_use]
pub fn exchange_commitment(id: &[u8], account: &[u8], twins: &[[u8; 32]]) -> [u8; 32] {
    check_drafts(twins.len());
    assert!(
        account.len() <= 1024,
        "an account of {} bytes is longer than 1,024",
        account.len()
    );
    sha256(
        &[
            b"taggant/v1/exchange",
            &exchange_bytes(id)[..],
            &with_u16_length(account),
            &u32be(twins.len()),
            &twins.concat(),
        ]
        .concat(),
    )
}

/// SPEC §10.2: the root over a batch.
#[must_use]
pub fn batch_root(commitments: &[[u8; 32]]) -> [u8; 32] {
    let mut leaves = commitments.to_vec();
    leaves.sort_unstable();
    tree_root(&leaves)
}

/// SPEC §10.3: decoy choice `i` of seed `s` for exchange `e`.
///
/// # Panics
///
/// Unless there are 1 to 1,024 drafts.
#[must_use]
pub fn decoy_choice(s: u64, i: u32, e: u32, n: usize) -> usize {
    check_drafts(n);
    let digest = sha256(&[&b"taggant/v1/twin-decoy"[..], &s.to_be_bytes()].concat());
    let mut source = [0; 16];
    source.copy_from_slice(&digest[..16]);
    choose(n, |c| {
        let mut input = [0xFF; 16];
        input[0..4].copy_from_slice(&c.to_le_bytes());
        input[4..8].copy_from_slice(&i.to_le_bytes());
        input[8..12].copy_from_slice(&e.to_le_bytes());
        let block = aes128(&source, &input);
        let mut word = [0; 8];
        word.copy_from_slice(&block[..8]);
        u64::from_le_bytes(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes from hexadecimal.
    pub(crate) fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        assert_eq!(hex.len(), 2 * N);
        let mut output = [0; N];
        for (n, byte) in output.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap();
        }
        output
    }

    /// 00 01 02 …
    fn counting<const N: usize>() -> [u8; N] {
        let mut output = [0; N];
        for n in 1..N {
            output[n] = output[n - 1] + 1;
        }
        output
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    // Pinned values without another source were computed from SPEC.md with Python's hashlib and hmac and with
    // OpenSSL's HKDF-Expand and AES-128-CBC.

    // --- §1 and §2 ---

    #[test]
    fn hkdf_matches_rfc_5869() {
        // Test case 1.
        let prk = extract(&bytes::<13>("000102030405060708090a0b0c"), &[0x0b; 22]);
        assert_eq!(
            prk,
            bytes("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        );
        let okm = expand(&prk, &bytes::<10>("f0f1f2f3f4f5f6f7f8f9"), 42);
        assert_eq!(
            okm,
            bytes::<42>(
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
            )
        );
        // Test case 3: no salt, no info.
        let prk = extract(b"", &[0x0b; 22]);
        assert_eq!(
            prk,
            bytes("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04")
        );
        assert_eq!(
            expand(&prk, b"", 42),
            bytes::<42>(
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
            )
        );
    }

    #[test]
    fn labels() {
        for label in ["a", "0", "2026-12", "a.b_c-D", &"x".repeat(64)] {
            assert!(is_label(label), "{label}");
        }
        for label in ["", ".a", "-a", "_a", "a b", "a/b", "é", &"x".repeat(65)] {
            assert!(!is_label(label), "{label}");
        }
    }

    #[test]
    fn a_leaf_and_all_that_comes_from_it() {
        let leaf = derive(&counting(), "forensic", "2026-12", "campaign", "east");
        assert_eq!(leaf.path, "forensic/2026-12/campaign/east");
        assert_eq!(
            leaf.key,
            bytes("99449942665952851aa9309cefce5c799a3ffb9d9215d365966da9cf063a38dc")
        );
        assert_eq!(
            leaf.salt,
            bytes("9e41bfe118502d8082fb7ea4fb0e1880f6dfb38bf63ef46df31cccc6233a5e13")
        );
        assert_eq!(
            commitment(&leaf),
            bytes("888a14c3d25f9284986b7342ee4d71c80735242582077b33235f0a1131fd3637")
        );
        assert_eq!(
            prf_key(&leaf.key, "gumbel/1", 2, "campaign"),
            bytes("21884d2cf41f3811fb57d06c98ec1731")
        );
        let route = route_key(&leaf.key, 2);
        assert_eq!(route, bytes("ce9b350a1db0e76950bd1a450e1a2c52"));
        assert_eq!(
            route_commitment(&route),
            bytes("4fc3c572dd1cea7ad5ec4d03f8ac50f9e7cd70afa3a82f295e2c819831e9fdb3")
        );
    }

    #[test]
    fn every_part_of_a_path_and_of_a_purpose_changes_the_key() {
        let root = counting();
        let leaves = [
            derive(&root, "forensic", "e", "account", "a"),
            derive(&root, "public", "e", "account", "a"),
            derive(&root, "forensic", "f", "account", "a"),
            derive(&root, "forensic", "e", "campaign", "a"),
            derive(&root, "forensic", "e", "account", "b"),
        ];
        let keys: BTreeSet<[u8; 32]> = leaves
            .iter()
            .flat_map(|leaf| [leaf.key, leaf.salt])
            .collect();
        assert_eq!(keys.len(), 10);

        let key = &leaves[0].key;
        let purposes = [
            prf_key(key, "gumbel/1", 2, "account"),
            prf_key(key, "tournament/1", 2, "account"),
            prf_key(key, "gumbel/1", 3, "account"),
            prf_key(key, "gumbel/1", 2, "campaign"),
            route_key(key, 2),
        ];
        assert_eq!(BTreeSet::from(purposes).len(), 5);
    }

    #[test]
    #[should_panic(expected = "not a family")]
    fn a_third_family_is_refused() {
        let _ = derive(&counting(), "private", "e", "account", "a");
    }

    #[test]
    #[should_panic(expected = "not a role")]
    fn an_unknown_role_is_refused() {
        let _ = derive(&counting(), "public", "e", "route", "a");
    }

    #[test]
    #[should_panic(expected = "not the role of a layer")]
    fn the_role_of_a_leaf_that_is_no_layers_is_refused() {
        let _ = prf_key(&counting(), "gumbel/1", 2, "canary");
    }

    #[test]
    #[should_panic(expected = "not the role of a layer with route/1")]
    fn a_route_of_the_account_is_refused() {
        let _ = prf_key(&counting(), "route/1", 2, "account");
    }

    #[test]
    #[should_panic(expected = "not a scheme")]
    fn an_unknown_scheme_is_refused() {
        let _ = prf_key(&counting(), "gumbel/2", 2, "account");
    }

    #[test]
    fn trees_built_by_hand() {
        let leaves: [[u8; 32]; 5] = [[1; 32], [2; 32], [3; 32], [4; 32], [5; 32]];
        let mut l = Vec::new();
        for leaf in &leaves {
            let mut message = vec![0];
            message.extend(leaf);
            l.push(sha256(&message));
        }
        let join = |a: &[u8; 32], b: &[u8; 32]| {
            let mut message = vec![1];
            message.extend(a);
            message.extend(b);
            sha256(&message)
        };
        assert_eq!(tree_root(&leaves[..1]), l[0]);
        let ab = join(&l[0], &l[1]);
        assert_eq!(tree_root(&leaves[..2]), ab);
        assert_eq!(tree_root(&leaves[..3]), join(&ab, &l[2]));
        let abcd = join(&ab, &join(&l[2], &l[3]));
        assert_eq!(tree_root(&leaves[..4]), abcd);
        assert_eq!(tree_root(&leaves), join(&abcd, &l[4]));
    }

    #[test]
    fn trees_match_the_certificate_transparency_vectors() {
        // The vectors of the Certificate Transparency code base, whose leaves have different lengths.
        let leaves: [&[u8]; 8] = [
            b"",
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[
                0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
                0x6e, 0x6f,
            ],
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let hashes: Vec<[u8; 32]> = leaves.iter().map(|leaf| tree_leaf(leaf)).collect();
        for (n, root) in roots.iter().enumerate() {
            assert_eq!(subtree_root(&hashes[..n]), bytes(root), "{n} leaves");
        }
        assert_eq!(tree_root(&[]), bytes(roots[0]));
    }

    #[test]
    fn epochs() {
        let root = counting();
        let check = |named: &[(&str, &str)], size: usize, expected: &str| {
            let leaves = epoch_leaves(&root, "forensic", "2026-12", named);
            assert_eq!(leaves.len(), size);
            assert!(leaves.windows(2).all(|pair| pair[0] < pair[1]));
            for (role, id) in named {
                assert!(
                    leaves.contains(&commitment(&derive(&root, "forensic", "2026-12", role, id)))
                );
            }
            assert_eq!(tree_root(&leaves), bytes(expected));
        };
        check(
            &[],
            2048,
            "01660261370c44323f052caf47d00d16e53d86d3070359f93bea3c44f8e73dc4",
        );
        check(
            &[("account", "a-1"), ("campaign", "east")],
            2048,
            "46fbe687f5e0a89da74009dddf7edb47f1442ed7c771447383ea4ec5d0695b73",
        );
        // 25 names and 999 controls still fit half of 2048; one more does not.
        let ids: Vec<String> = (0..26).map(|n| format!("a{n}")).collect();
        let names: Vec<(&str, &str)> = ids.iter().map(|id| ("account", id.as_str())).collect();
        assert_eq!(
            epoch_leaves(&root, "forensic", "2026-12", &names[..25]).len(),
            2048
        );
        check(
            &names,
            4096,
            "edf4021a070f53b66d2adac155976838afd5e1d3bc897df408f091627c85fa1a",
        );
    }

    #[test]
    #[should_panic(expected = "named twice")]
    fn a_name_given_twice_is_refused() {
        let _ = epoch_leaves(
            &counting(),
            "forensic",
            "e",
            &[("account", "a"), ("account", "a")],
        );
    }

    // --- §3 ---

    #[test]
    fn one_block_by_hand() {
        let k = counting();
        // h = 1: two words of padding, then the token 0x0001_0203, then ⌊0x0004_0506 / 4⌋ = 0x0001_0141.
        let block = aes128(&k, &bytes("ffffffffffffffff0302010041010100"));
        // 0x0004_0506 mod 4 is 2: the third word.
        let expected = u32::from_le_bytes([block[8], block[9], block[10], block[11]]);
        assert_eq!(word(&k, &[0x0001_0203], 0x0004_0506), expected);
        // h = 3: no padding; four neighbouring candidates share the block.
        let block = aes128(&k, &bytes("01000000020000000300000002000000"));
        for (n, candidate) in [8, 9, 10, 11].into_iter().enumerate() {
            let expected = u32::from_le_bytes([
                block[4 * n],
                block[4 * n + 1],
                block[4 * n + 2],
                block[4 * n + 3],
            ]);
            assert_eq!(word(&k, &[1, 2, 3], candidate), expected);
        }
        // The context.
        let block = aes128(&k, &bytes("ffffffff0100000002000000ffffffff"));
        assert_eq!(
            context_word(&k, &[1, 2]),
            u32::from_le_bytes([block[0], block[1], block[2], block[3]])
        );
    }

    #[test]
    fn two_blocks_by_hand() {
        let k = counting();
        let first = aes128(&k, &bytes("ffffffffffffffffffffffff01000000"));
        let mut second: [u8; 16] = bytes("02000000030000000400000005000000");
        for n in 0..16 {
            second[n] ^= first[n];
        }
        let block = aes128(&k, &second);
        assert_eq!(
            word(&k, &[1, 2, 3, 4], 21),
            u32::from_le_bytes([block[4], block[5], block[6], block[7]])
        );
    }

    #[test]
    fn windows_of_every_length() {
        let k = counting();
        let tokens = [1, 20, 300, 4_000, 50_000, 600_000, 2_097_151, 8];
        // The words of candidates 0, 5 and 2^21 − 1, and of the context.
        let words: [[u32; 4]; 8] = [
            [0x3a59_1a89, 0x7396_4d36, 0x2eac_6084, 0xb1d0_1597],
            [0x8a9f_e78d, 0x26d6_7636, 0x55a2_d557, 0x07b8_5e18],
            [0xd0ce_8112, 0x3866_05a5, 0x74da_55f6, 0x4366_e179],
            [0x2ccd_4d80, 0x36f7_b4ac, 0xf7d3_fcf5, 0xaa7d_3894],
            [0xf1f2_5795, 0x4b1a_e676, 0xffbc_5d0f, 0xb16a_6c4a],
            [0xe472_f19b, 0xbd7b_f985, 0x492c_e9db, 0x3eb8_ef21],
            [0x0243_c982, 0x9e8e_74f8, 0x0dac_a82c, 0x7984_3a5d],
            [0x5c9f_ffc7, 0x400a_ebb9, 0x072d_0011, 0x7dc3_6640],
        ];
        for (n, expected) in words.into_iter().enumerate() {
            let w = &tokens[..=n];
            assert_eq!(
                [
                    word(&k, w, 0),
                    word(&k, w, 5),
                    word(&k, w, 2_097_151),
                    context_word(&k, w)
                ],
                expected,
                "h = {}",
                n + 1
            );
        }
    }

    #[test]
    #[should_panic(expected = "not 1 to 8")]
    fn a_window_of_nine_is_refused() {
        let _ = word(&counting(), &[0; 9], 0);
    }

    #[test]
    #[should_panic(expected = "not below 2^21")]
    fn a_token_too_large_is_refused() {
        let _ = word(&counting(), &[TOKEN_LIMIT], 0);
    }

    // --- §4 ---

    fn one_layer(h: usize) -> Mark {
        let layer = Layer {
            role: "campaign".to_owned(),
            window: h,
            prf_key: [1; 16],
        };
        Mark {
            scheme: Scheme::Gumbel,
            layers: vec![layer],
            route: None,
        }
    }

    /// A campaign of window 1 and an account of window 2. Under this route key and share, the windows [0] and [1]
    /// belong to the account, [2] and [3] to the campaign.
    fn two_layers() -> Mark {
        let campaign = Layer {
            role: "campaign".to_owned(),
            window: 1,
            prf_key: [1; 16],
        };
        let account = Layer {
            role: "account".to_owned(),
            window: 2,
            prf_key: [2; 16],
        };
        Mark {
            scheme: Scheme::Gumbel,
            layers: vec![campaign, account],
            route: Some((counting(), 1 << 31)),
        }
    }

    const GREENLIST: Scheme = Scheme::Greenlist {
        threshold: 1 << 30,
        delta: 2.0,
    };

    #[test]
    fn existing_windows() {
        let r = [10, 11, 12];
        assert_eq!(window(&r, 0, 1), None);
        assert_eq!(window(&r, 1, 1), Some(&[10][..]));
        assert_eq!(window(&r, 1, 2), None);
        assert_eq!(window(&r, 2, 2), Some(&[10, 11][..]));
        assert_eq!(window(&r, 3, 2), Some(&[11, 12][..]));
        assert_eq!(window(&r, 3, 3), Some(&[10, 11, 12][..]));
    }

    #[test]
    fn mix_matches_splitmix64() {
        // The generator of Steele, Lea and Flood 2014 mixes multiples of this number, from a seed.
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let outputs =
            |seed: u64| [1, 2, 3, 4].map(|n: u64| mix(seed.wrapping_add(n.wrapping_mul(STEP))));
        assert_eq!(
            outputs(0),
            [
                0xe220_a839_7b1d_cdaf,
                0x6e78_9e6a_a1b9_65f4,
                0x06c4_5d18_8009_454f,
                0xf88b_b8a8_724c_81ec
            ]
        );
        assert_eq!(
            outputs(1_234_567),
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431
            ]
        );
    }

    #[test]
    fn identities_of_every_length() {
        let tokens = [1, 20, 300, 4_000, 50_000, 600_000, 2_097_151, 8, 7];
        let identities = [
            0xdbd2_3897_3a2b_148a,
            0x542a_73d8_b629_0c14,
            0xbe58_fe49_d553_15fd,
            0x11ed_8662_9a69_1790,
            0x118a_4314_a71e_89b5,
            0xbc08_62b0_0220_d9d4,
            0x60fa_f680_322e_4669,
            0x6c86_431e_575a_f43c,
            0x33ac_8abb_193f_4bd0,
        ];
        for (n, expected) in identities.into_iter().enumerate() {
            assert_eq!(identity(&tokens[..=n]), expected, "{} tokens", n + 1);
        }
        // Token 0 counts, and so does the order.
        assert_eq!(identity(&[0]), 0x5692_161d_100b_05e5);
        assert_eq!(identity(&[0, 0]), 0xd9bf_17d1_13f3_8956);
        assert_eq!(identity(&[5, 1]), 0xa99c_3e09_cb59_5bb6);
        assert_eq!(identity(&[1, 5]), 0xb1c6_6dc9_b6c1_db68);
        assert_eq!(identity(&[2_097_151; 9]), 0xc8d8_ca57_20a3_b7a7);
    }

    #[test]
    #[should_panic(expected = "neither a window nor a unit")]
    fn an_identity_of_nothing_is_refused() {
        let _ = identity(&[]);
    }

    #[test]
    #[should_panic(expected = "not below 2^21")]
    fn an_identity_of_a_token_too_large_is_refused() {
        let _ = identity(&[1, TOKEN_LIMIT]);
    }

    /// Three tokens each, found by search, that have one identity.
    const COLLISION: [[u32; 3]; 2] = [[1451, 2066, 21_296], [162, 2935, 0]];

    #[test]
    fn identities_decide_what_is_the_same() {
        assert_eq!(identity(&COLLISION[0]), identity(&COLLISION[1]));

        // As windows of three, the second is the first again.
        let response = [COLLISION[0], COLLISION[1], [9; 3]].concat();
        let mut mark = one_layer(3);
        assert_eq!(
            scored(&mark, &[], &response),
            [(3, 0), (4, 0), (5, 0), (7, 0), (8, 0)]
        );
        assert_eq!(scored(&mark, &COLLISION[0], &[162, 2935, 0, 9]), []);
        assert_eq!(embeds(&mark, &response[..6]), None);
        mark.scheme = GREENLIST;
        assert_eq!(embeds(&mark, &response[..6]), Some(0));

        // As units of a window of two, they count once in a pool.
        let rows = COLLISION.map(|row| (vec![], row.to_vec()));
        assert_eq!(pooled(&one_layer(2), &rows), [(0, 2, 0)]);
        // Cut into units of a window of one, they share nothing.
        assert_eq!(
            pooled(&one_layer(1), &rows),
            [(0, 1, 0), (0, 2, 0), (1, 1, 0), (1, 2, 0)]
        );
    }

    #[test]
    fn one_layer_owns_every_window() {
        let mark = one_layer(2);
        let owners: Vec<_> = (0..=4).map(|i| owner(&mark, &[9, 9, 9, 9], i)).collect();
        assert_eq!(owners, [None, None, Some(0), Some(0), Some(0)]);
    }

    #[test]
    fn one_layer_may_be_the_accounts() {
        let mut mark = one_layer(1);
        mark.layers[0].role = "account".to_owned();
        assert_eq!(owner(&mark, &[9], 1), Some(0));
    }

    #[test]
    #[should_panic(expected = "not the role of a layer")]
    fn one_layer_of_another_role_is_refused() {
        let mut mark = one_layer(1);
        mark.layers[0].role = "twin".to_owned();
        let _ = owner(&mark, &[9], 1);
    }

    const RESPONSE: [u32; 7] = [0, 2, 1, 0, 2, 1, 3];

    #[test]
    fn the_route_assigns_positions() {
        let mark = two_layers();
        let route: Vec<u32> = [0, 1, 2, 3]
            .iter()
            .map(|&token| context_word(&counting(), &[token]))
            .collect();
        assert_eq!(route, [0x8bb6_58ac, 0xb1d0_1597, 0x1484_629e, 0x03ae_98f8]);

        // 0: no window. 1: [0] is the account's, but its own window of two does not exist. 2: [2]. 3: [1]. 4: [0].
        // 5: [2]. 6: [1]. 7, the next token's: [3].
        let owners: Vec<_> = (0..=7).map(|i| owner(&mark, &RESPONSE, i)).collect();
        assert_eq!(
            owners,
            [
                None,
                None,
                Some(0),
                Some(1),
                Some(1),
                Some(0),
                Some(1),
                Some(0)
            ]
        );

        // The share is exclusive: [2] has the word 0x1484_629e.
        let mut mark = mark;
        mark.route = Some((counting(), 0x1484_629e));
        assert_eq!(owner(&mark, &RESPONSE, 2), Some(1));
        mark.route = Some((counting(), 0x1484_629f));
        assert_eq!(owner(&mark, &RESPONSE, 2), Some(0));
        mark.route = Some((counting(), 0));
        assert_eq!(owner(&mark, &RESPONSE, 2), Some(1));
    }

    #[test]
    fn repeated_windows_are_embedded_by_the_greenlist_only() {
        let mut mark = two_layers();
        let embedded =
            |mark: &Mark| -> Vec<_> { (0..=7).map(|i| embeds(mark, &RESPONSE[..i])).collect() };
        // At 5 the campaign's [2] repeats, at 6 the account's [2, 1].
        assert_eq!(
            embedded(&mark),
            [None, None, Some(0), Some(1), Some(1), None, None, Some(0)]
        );
        mark.scheme = Scheme::Tournament { depth: 30 };
        assert_eq!(
            embedded(&mark),
            [None, None, Some(0), Some(1), Some(1), None, None, Some(0)]
        );
        mark.scheme = GREENLIST;
        assert_eq!(
            embedded(&mark),
            [
                None,
                None,
                Some(0),
                Some(1),
                Some(1),
                Some(0),
                Some(1),
                Some(0)
            ]
        );
    }

    #[test]
    fn a_layer_compares_its_own_windows() {
        // [1] before 3 and before 5 are one campaign window, but the account's are [2, 1] and [3, 1].
        let mark = two_layers();
        let response = [0, 2, 1, 3, 1, 0];
        assert_eq!(embeds(&mark, &response[..5]), Some(1));
        assert_eq!(
            scored(&mark, &[], &response),
            [(2, 0), (3, 1), (4, 0), (5, 1)]
        );
    }

    #[test]
    fn repeats_in_the_response_are_not_scored() {
        assert_eq!(
            scored(&one_layer(1), &[], &[5, 5, 5, 6, 7, 6, 1]),
            [(1, 0), (4, 0), (5, 0)]
        );
        assert_eq!(scored(&one_layer(2), &[], &[7, 7, 7, 7]), [(2, 0)]);
        assert_eq!(
            scored(&two_layers(), &[], &RESPONSE),
            [(2, 0), (3, 1), (4, 1)]
        );
        // No scheme scores a repeat, not even one that marks it.
        let mut mark = two_layers();
        mark.scheme = GREENLIST;
        assert_eq!(scored(&mark, &[], &RESPONSE), [(2, 0), (3, 1), (4, 1)]);
    }

    #[test]
    fn windows_of_the_prompt_are_not_scored() {
        // The last window of the prompt ends where the response starts, at j = |p|.
        assert_eq!(scored(&one_layer(1), &[4, 5], &[5, 6, 7]), [(2, 0)]);
        assert_eq!(scored(&one_layer(2), &[5, 6], &[5, 6, 7]), []);
        // A prompt shorter than the window has no window of its own.
        assert_eq!(scored(&one_layer(2), &[5], &[5, 6, 7]), [(2, 0)]);
    }

    #[test]
    fn windows_across_the_boundary_are_not_scored() {
        // s = 7 | 7 7 7 7: the first window of two straddles the boundary and is the response's.
        assert_eq!(scored(&one_layer(2), &[7], &[7, 7, 7, 7]), []);
        // s = 1 2 | 3 9 2 3 4: [2, 3] straddles; at 4 it is refused, [3, 9] and [9, 2] are scored.
        assert_eq!(
            scored(&one_layer(2), &[1, 2], &[3, 9, 2, 3, 4]),
            [(2, 0), (3, 0)]
        );
        // s = 9 1 | 0 2 1 0 2 1 3: [1, 0], the account's at 4, straddles.
        assert_eq!(scored(&two_layers(), &[9, 1], &RESPONSE), [(2, 0), (3, 1)]);
        // s = 2 1 | 0 2 1 0 2 1 3: [2], [2, 1] and, straddling, [1, 0].
        assert_eq!(scored(&two_layers(), &[2, 1], &RESPONSE), []);
    }

    #[test]
    fn the_first_occurrence_of_a_unit_counts_in_a_pool() {
        let rows = [
            (vec![], vec![1, 2, 3]),
            // ([1], 2) again, ([2], 4) is new.
            (vec![], vec![1, 2, 4]),
            // ([1], 3) is not scored, because of the prompt …
            (vec![1], vec![1, 3]),
            // … so this is its first occurrence.
            (vec![], vec![1, 3]),
        ];
        assert_eq!(
            pooled(&one_layer(1), &rows),
            [(0, 1, 0), (0, 2, 0), (1, 2, 0), (3, 1, 0)]
        );

        let rows = [(vec![], RESPONSE.to_vec()), (vec![], vec![0, 2, 1, 3])];
        // Of the second row, ([2], 1) is known and ([2, 1], 3) is new.
        assert_eq!(
            pooled(&two_layers(), &rows),
            [(0, 2, 0), (0, 3, 1), (0, 4, 1), (1, 3, 1)]
        );
    }

    #[test]
    fn the_word_of_a_unit() {
        let mark = two_layers();
        assert_eq!(unit_word(&mark, 0, &RESPONSE, 2), word(&[1; 16], &[2], 1));
        assert_eq!(
            unit_word(&mark, 1, &RESPONSE, 3),
            word(&[2; 16], &[2, 1], 0)
        );
    }

    #[test]
    #[should_panic(expected = "the account's window is the shorter")]
    fn an_account_window_that_is_shorter_is_refused() {
        let mut mark = two_layers();
        mark.layers[0].window = 3;
        let _ = owner(&mark, &RESPONSE, 0);
    }

    // --- §5 ---

    #[test]
    fn scores() {
        assert!(close(score(&Scheme::Gumbel, 0), 0.0));
        assert!(score(&Scheme::Gumbel, 0).is_sign_positive());
        assert!(close(
            score(&Scheme::Gumbel, 1 << 31),
            std::f64::consts::LN_2
        ));
        assert!(close(
            score(&Scheme::Gumbel, u32::MAX),
            32.0 * std::f64::consts::LN_2
        ));

        assert!(close(score(&Scheme::Tournament { depth: 1 }, 0b1011), 1.0));
        assert!(close(score(&Scheme::Tournament { depth: 3 }, 0b1011), 2.0));
        assert!(close(
            score(&Scheme::Tournament { depth: 32 }, u32::MAX),
            32.0
        ));

        assert!(close(score(&GREENLIST, (1 << 30) - 1), 1.0));
        assert!(close(score(&GREENLIST, 1 << 30), 0.0));
    }

    fn chosen(p: &[f64], words: &[u32]) -> usize {
        match reshape(&Scheme::Gumbel, p, words) {
            Reshaped::Chosen(c) => c,
            Reshaped::Weights(_) => panic!("gumbel/1 chooses"),
        }
    }

    fn weights(scheme: &Scheme, p: &[f64], words: &[u32]) -> Vec<f64> {
        match reshape(scheme, p, words) {
            Reshaped::Weights(weights) => weights,
            Reshaped::Chosen(_) => panic!("this scheme draws"),
        }
    }

    #[test]
    fn gumbel_chooses() {
        assert_eq!(chosen(&[0.5, 0.5], &[1, 2]), 1);
        assert_eq!(chosen(&[0.5, 0.5], &[2, 2]), 0);
        assert_eq!(chosen(&[0.0, 1.0], &[u32::MAX, 0]), 1);
        assert_eq!(chosen(&[1.0, 0.0], &[0, u32::MAX]), 0);
        // The resolution of a word: 2^−39 loses with the best word even to the worst.
        let tiny = 2.0_f64.powi(-39);
        assert_eq!(chosen(&[tiny, 1.0 - tiny], &[u32::MAX, 0]), 1);
        // ln 0.9 − ln(−ln 0.5) = 0.261; ln 0.1 − ln(−ln u) is 0.437 at u = 0.9375 and −0.289 at u = 0.875.
        assert_eq!(chosen(&[0.9, 0.1], &[1 << 31, 0xF000_0000]), 1);
        assert_eq!(chosen(&[0.9, 0.1], &[1 << 31, 0xE000_0000]), 0);
    }

    #[test]
    fn tournament_rounds_by_hand() {
        // Round 0: g = 1 0 1, mean 3/4. Round 1: g = 0 1 0, mean 1/16. Every number is exact in binary.
        let p = [0.5, 0.25, 0.25];
        let words = [0b01, 0b10, 0b01];
        let one = reshape(&Scheme::Tournament { depth: 1 }, &p, &words);
        assert_eq!(one, Reshaped::Weights(vec![0.625, 0.0625, 0.3125]));
        let two = reshape(&Scheme::Tournament { depth: 2 }, &p, &words);
        assert_eq!(
            two,
            Reshaped::Weights(vec![0.585_937_5, 0.121_093_75, 0.292_968_75])
        );
    }

    #[test]
    fn tournament_keeps_the_distribution_on_average() {
        let p = [0.5, 0.3, 0.2];
        let mut mean = [0.0; 3];
        for pattern in 0..64_u32 {
            let words = [pattern % 4, pattern / 4 % 4, pattern / 16];
            for (c, weight) in weights(&Scheme::Tournament { depth: 2 }, &p, &words)
                .iter()
                .enumerate()
            {
                mean[c] += weight / 64.0;
            }
        }
        for c in 0..3 {
            assert!(close(mean[c], p[c]), "{mean:?}");
        }
    }

    #[test]
    fn greenlist_tilts_by_hand() {
        let scheme = Scheme::Greenlist {
            threshold: 10,
            delta: 3.0_f64.ln(),
        };
        let weights = weights(&scheme, &[0.5, 0.5], &[9, 10]);
        assert!(
            close(weights[0], 0.75) && close(weights[1], 0.25),
            "{weights:?}"
        );
    }

    // --- §6 ---

    #[test]
    fn tokenizer_digests() {
        let merges = [("Ġ", "t"), ("Ġt", "he")];
        let tokens = [Some("<s>"), None, Some("Ġthe"), Some("é")];
        let digest = tokenizer_digest(&tokens, &merges);
        assert_eq!(
            digest,
            bytes("35ec1d7e69ceedf8b914f5aeb17a5b1ef7ef70d79819b6d75dfca3ca735301ba")
        );
        // A tokenizer without merges.
        assert_eq!(
            tokenizer_digest(&[Some("a"), Some("b")], &[]),
            bytes("b4c7e06efa58a9271b14cd2005b27168c753588ad0ba14e22165e04579bba8c9")
        );

        // Padding counts as no entry, at the end and before a token; no entry at the end counts for `V`.
        let padded = [&tokens[..], &[Some("[PAD4]"), Some("[PAD5]")]].concat();
        assert_eq!(tokenizer_digest(&padded, &merges), digest);
        let sparse = [&tokens[..], &[None, Some("[PAD5]"), None]].concat();
        assert_eq!(tokenizer_digest(&sparse, &merges), digest);
        let inner = [Some("<s>"), Some("[PAD1]"), Some("Ġthe"), Some("é")];
        assert_eq!(tokenizer_digest(&inner, &merges), digest);

        // What spells another id, or its own in another way, is an entry.
        for other in ["[PAD5]", "[PAD04]", "[PAD 4]", "[pad4]", "[PAD]", "[PAD4] "] {
            let last = [&tokens[..], &[Some(other)]].concat();
            assert_ne!(tokenizer_digest(&last, &merges), digest, "{other}");
        }
        let inner = [Some("<s>"), Some("[PAD2]"), Some("Ġthe"), Some("é")];
        assert_ne!(tokenizer_digest(&inner, &merges), digest);
    }

    #[test]
    #[should_panic(expected = "a vocabulary of 1 tokens")]
    fn a_vocabulary_of_one_token_is_refused() {
        let _ = tokenizer_digest(&[Some("a"), Some("[PAD1]")], &[]);
    }
}
