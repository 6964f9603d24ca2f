//! A short list of words that may stand for each other.

/// Groups of interchangeable words; each word is in one group.
const GROUPS: [&[&str]; 60] = [
    &["also", "additionally", "too"],
    &["about", "approximately", "around", "roughly"],
    &["answer", "reply", "response"],
    &["ask", "inquire", "request"],
    &["bad", "poor", "awful"],
    &["because", "since", "as"],
    &["begin", "start", "commence"],
    &["big", "large", "huge", "great"],
    &["buy", "purchase", "acquire"],
    &["change", "alter", "modify"],
    &["city", "town"],
    &["clear", "plain", "obvious"],
    &["cold", "chilly", "cool"],
    &["create", "make", "produce"],
    &["crucial", "important", "vital", "essential"],
    &["difficult", "hard", "tough"],
    &["easy", "simple"],
    &["end", "finish", "conclude"],
    &["enjoy", "like", "love"],
    &["enough", "sufficient"],
    &["example", "instance", "case"],
    &["explain", "describe", "clarify"],
    &["fast", "quick", "rapid", "swift"],
    &["few", "several", "some"],
    &["find", "discover", "locate"],
    &["get", "obtain", "receive"],
    &["give", "offer", "provide"],
    &["goal", "aim", "purpose"],
    &["good", "fine", "nice"],
    &["happy", "glad", "pleased"],
    &["help", "assist", "aid"],
    &["house", "home"],
    &["however", "but", "yet", "though"],
    &["idea", "thought", "notion"],
    &["kind", "sort", "type"],
    &["main", "chief", "primary", "key"],
    &["many", "numerous", "countless"],
    &["method", "way", "approach"],
    &["mistake", "error", "fault"],
    &["move", "shift", "travel"],
    &["need", "require"],
    &["new", "recent", "fresh"],
    &["now", "currently", "today"],
    &["often", "frequently", "regularly"],
    &["old", "ancient", "aged"],
    &["part", "piece", "portion"],
    &["people", "persons", "folks"],
    &["problem", "issue", "trouble"],
    &["quickly", "rapidly", "swiftly"],
    &["reduce", "lower", "decrease"],
    &["result", "outcome", "effect"],
    &["say", "state", "tell"],
    &["see", "view", "notice"],
    &["show", "demonstrate", "display"],
    &["small", "little", "tiny"],
    &["strong", "powerful", "robust"],
    &["think", "believe", "suppose"],
    &["thus", "therefore", "hence", "so"],
    &["use", "utilize", "employ"],
    &["work", "labor", "function"],
];

/// Words for texts that have no other word of their own.
pub(super) const COMMON: [&str; 2] = ["thing", "place"];

/// What `word`, in lower case, may be replaced by.
pub(super) fn of(word: &str) -> Vec<&'static str> {
    GROUPS
        .iter()
        .find(|group| group.contains(&word))
        .map(|group| {
            group
                .iter()
                .copied()
                .filter(|&other| other != word)
                .collect()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_word_is_in_one_group_and_has_another() {
        let mut seen = HashSet::new();
        for group in GROUPS {
            assert!(group.len() > 1);
            for &word in group {
                assert!(seen.insert(word), "{word}");
                assert!(!of(word).contains(&word));
            }
        }
        assert!(of("aardvark").is_empty());
    }
}
