use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const TEXT: &str = "The committee was asked to begin a big study. However, few people think it will \
                    help: the problem is old, the city is small, and work moves slowly.";

#[test]
fn the_asked_share_of_words_changes_and_nothing_else() {
    let count = words(TEXT).count();
    for percent in [0, 1, 10, 30, 50, 100] {
        let fraction = f64::from(percent) / 100.0;
        let edited = edit_words(TEXT, fraction, 3).unwrap();
        assert_eq!(edited.edits, share(count, fraction));
        let changed = words(TEXT)
            .zip(words(&edited.text))
            .filter(|(before, after)| before.text.to_lowercase() != after.text.to_lowercase())
            .count();
        assert_eq!(changed, edited.edits);
        let rest = |text: &str| text.replace(char::is_alphabetic, "");
        assert_eq!(rest(&edited.text), rest(TEXT));
    }
}

#[test]
fn synonyms_come_first_and_keep_the_capital() {
    let edited = edit_words("Big", 1.0, 1).unwrap();
    assert!(["Large", "Huge", "Great"].contains(&edited.text.as_str()));
}

#[test]
fn a_text_of_one_word_still_changes() {
    assert_eq!(
        edit_words("xyzzy Xyzzy", 1.0, 1).unwrap().text,
        "thing Thing"
    );
    assert_eq!(edit_words("place", 1.0, 1).unwrap().text, "thing");
    assert_eq!(edit_words("", 1.0, 1).unwrap().text, "");
}

#[test]
fn seeds_matter_and_repeat() {
    let texts: HashSet<_> = (0..20)
        .map(|seed| edit_words(TEXT, 0.3, seed).unwrap().text)
        .collect();
    assert!(texts.len() > 15);
    assert_eq!(
        inject_homoglyphs(TEXT, 0.5, 9).unwrap(),
        inject_homoglyphs(TEXT, 0.5, 9).unwrap()
    );
}

#[test]
fn injections_do_what_they_say() {
    assert_eq!(
        inject_zero_width("a b1", 1.0, 0).unwrap().text,
        "a\u{200B} b\u{200B}1\u{200B}"
    );
    assert_eq!(
        inject_homoglyphs("Axe!", 1.0, 0).unwrap().text,
        "\u{410}\u{445}\u{435}!"
    );
    assert_eq!(
        inject_fullwidth("a !", 1.0, 0).unwrap().text,
        "ａ\u{3000}！"
    );
    assert_eq!(inject_mathematical("aZ9", 1.0, 0).unwrap().text, "𝐚𝐙𝟗");
    let spaces = inject_spaces("a b", 1.0, 0).unwrap();
    assert_eq!((spaces.text.chars().count(), spaces.edits), (3, 1));
    assert!(!spaces.text.contains(' '));
    for inject in [
        inject_zero_width,
        inject_homoglyphs,
        inject_spaces,
        inject_fullwidth,
    ] {
        assert_eq!(inject(TEXT, 0.0, 0).unwrap().text, TEXT);
    }
}

#[test]
fn amounts_outside_0_to_1_are_refused() {
    for amount in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = edit_words(TEXT, amount, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        assert!(inject_zero_width(TEXT, amount, 0).is_err());
    }
    assert_eq!(
        inject_spaces(TEXT, 1.5, 0).unwrap_err().to_string(),
        "probability 1.5 is not from 0 to 1"
    );
}

/// The rate is the probability: 20,000 draws at 0.1 give 2,000 with a standard deviation of 42;
/// the seed is fixed, and six deviations leave room for any seed but one in 10^9.
#[test]
fn the_rate_is_the_probability() {
    let text = "b".repeat(20_000);
    let edits = inject_zero_width(&text, 0.1, 5).unwrap().edits;
    assert!(edits.abs_diff(2_000) < 6 * 42, "{edits}");
}

proptest! {
    #[test]
    fn any_text_is_edited_without_panic(text in "\\PC{0,60}", fraction in 0.0..=1.0_f64, seed: u64) {
        let edited = edit_words(&text, fraction, seed).unwrap();
        prop_assert!(edited.edits <= words(&text).count());
    }
}
