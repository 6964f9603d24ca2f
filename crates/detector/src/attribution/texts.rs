//! Accounts that are said to have been served the same texts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Shorter texts coincide by chance.
const SHORT: usize = 80;

/// A text of more accounts than this is boilerplate.
const BOILERPLATE: usize = 64;

/// This many common texts, and this part of the texts of the account that has fewer, are no coincidence.
const FEWEST: usize = 5;
const PART: usize = 10;

/// For each account, the others that share its texts, in the order of names.
///
/// `served` has the account and the text of each exchange whose drafts are not all alike. Two accounts share their texts if at least five
/// texts of 80 or more bytes, and a tenth of those of the account that has fewer, are common to both. A text of more than 64 accounts is
/// boilerplate and does not count.
///
/// Drafts that were drawn for two accounts do not coincide like that. Where they do, somebody copied one account's answers into the
/// record of another, or both asked the same of a model that had little to choose; in neither case can twins tell who passed a text on.
#[must_use]
pub fn same_texts<'a>(
    served: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut holders: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for (account, text) in served {
        if text.len() >= SHORT {
            holders.entry(text).or_default().insert(account);
        }
    }
    let mut texts: HashMap<&str, usize> = HashMap::new();
    let mut common: HashMap<(&str, &str), usize> = HashMap::new();
    for accounts in holders.values() {
        for &account in accounts {
            *texts.entry(account).or_default() += 1;
        }
        if accounts.len() > BOILERPLATE {
            continue;
        }
        for &one in accounts {
            for &other in accounts.range(one..).skip(1) {
                *common.entry((one, other)).or_default() += 1;
            }
        }
    }
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for ((one, other), count) in common {
        let fewer = texts[one].min(texts[other]);
        if count >= FEWEST && count * PART >= fewer {
            found.entry(one).or_default().insert(other);
            found.entry(other).or_default().insert(one);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(number: usize) -> String {
        format!("{number} {}", "word ".repeat(20))
    }

    #[test]
    fn copies_are_found_and_coincidences_are_not() {
        let texts: Vec<String> = (0..300).map(long).collect();
        let mut served: Vec<(&str, &str)> = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            served.push((["a", "b", "c"][number / 100], text));
            // Four of a's texts are c's as well, ten are b's, and everybody says yes.
            match number {
                0..4 => served.push(("c", text)),
                4..14 => served.push(("b", text)),
                _ => served.push(("d", "Yes.")),
            }
        }
        let found = same_texts(served);
        assert_eq!(found.len(), 2);
        assert!(found["a"].contains("b") && found["b"].contains("a"));
        // Boilerplate is nobody's.
        let names: Vec<String> = (0..100).map(|number| format!("e{number}")).collect();
        let served = names
            .iter()
            .flat_map(|name| texts[..20].iter().map(move |text| (&name[..], &text[..])));
        assert!(same_texts(served).is_empty());
        assert!(same_texts([]).is_empty());
    }
}
