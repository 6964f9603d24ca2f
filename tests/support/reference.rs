//! The reference implementation's view of a scenario.

use serde_json::{Map, Value};
use taggant_reference as reference;

use crate::vectors::unhex;

/// A scheme as a record writes it.
#[must_use]
pub fn scheme(fields: &Map<String, Value>) -> reference::Scheme {
    let number = |name: &str| fields[name].as_f64().unwrap();
    match fields["id"].as_str().unwrap() {
        "gumbel/1" => reference::Scheme::Gumbel,
        "tournament/1" => reference::Scheme::Tournament {
            depth: number("depth") as u32,
        },
        "greenlist/1" => reference::Scheme::Greenlist {
            threshold: fields["threshold"].as_u64().unwrap() as u32,
            delta: number("delta"),
        },
        other => panic!("the reference does not know {other}"),
    }
}

/// The mark of one layer (campaign) or two (campaign, account) under the leaves `e/campaign/c` and `e/account/a` of a root.
#[must_use]
pub fn mark(root: &str, fields: &Map<String, Value>, windows: &[usize]) -> reference::Mark {
    let root: [u8; 32] = unhex(root);
    let scheme = scheme(fields);
    let id = reference::scheme_id(&scheme);
    let leaves = [("campaign", "c"), ("account", "a")];
    let layers: Vec<_> = leaves
        .iter()
        .zip(windows)
        .map(|((role, name), &window)| reference::Layer {
            role: (*role).to_owned(),
            window,
            prf_key: reference::prf_key(
                &reference::derive(&root, "forensic", "e", role, name).key,
                id,
                window,
                role,
            ),
        })
        .collect();
    let campaign = reference::derive(&root, "forensic", "e", "campaign", "c");
    let route =
        (windows.len() == 2).then(|| (reference::route_key(&campaign.key, windows[0]), 1 << 31));
    reference::Mark {
        scheme,
        layers,
        route,
    }
}
