use proptest::prelude::*;

use super::*;
use crate::edits;

/// Folds, and checks that folding again changes nothing.
fn folded(text: &str) -> String {
    let once = fold(text);
    let twice = fold(&once.text);
    assert_eq!(twice.text, once.text, "not idempotent: {text:?}");
    assert!(twice.changes.is_empty(), "{text:?}");
    assert_eq!(once.changes.is_empty(), once.text == text, "{text:?}");
    once.text.into_owned()
}

fn stays(text: &str) {
    let folded = fold(text);
    assert_eq!(folded.text, text);
    assert!(matches!(folded.text, Cow::Borrowed(_)));
}

/// What people write in other languages, and what they write in English with other things in it.
#[test]
fn legitimate_text_comes_back_unchanged() {
    let texts = [
        "Plain ASCII, with \"quotes\" and -- dashes...\n\n\tTabs too.",
        "Naïve façade — Ærøskøbing, Łódź, Đà Nẵng, ﷼ 5–7 °C, £3 ½ m² № 4 ™ © µm",
        "Все люди рождаются свободными: «Они» — „лапки“ и “другие”… А я с ней.",
        "сор и ареал\nСорос\nа у х",
        "Об’єкт, ґанок, їжак. Її об’єм – 5 м³.",
        "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι· ΑΒΓ, «ναι» – “όχι”…",
        "Բոլոր մարդիկ ծնվում են ազատ ու հավասար։",
        "人人生而自由，在尊严和权利上一律平等。“你好”……——《书》！",
        "我们用ＡＢＣ和PyTorch训练１２３个模型（很快）。",
        "\u{3000}\u{3000}第一段。\n\u{3000}\u{3000}第二段……",
        "Ｔシャツ、ﾃｽﾄ、２０２６年の「東京」・大阪〜名古屋。第Ⅱ章",
        "모든 인간은 태어날 때부터 자유로우며",
        "يولد جميع الناس أحرارًا \u{200F}متساوين\u{200E} في C++.",
        "שלום \u{200F}עולם (C++)\u{200E}!",
        "می\u{200C}خواهم و نمی\u{200C}روم",
        "क्\u{200D}ष और क्\u{200C}ष, श्री",
        "ක්\u{200D}ර",
        "ភាសា\u{200B}ខ្មែរ และ ภาษา\u{200B}ไทย",
        "ᠮᠣᠩᠭᠣᠯ\u{202F}ᠤᠨ ᠪᠢ\u{180B}",
        "葛\u{E0100}城 and 葛\u{FE00}",
        "👨\u{200D}👩\u{200D}👧\u{200D}👦 🏳\u{FE0F}\u{200D}🌈 ❤\u{FE0F}\u{200D}🔥 ☎\u{FE0E} 👍🏽 👩🏽\u{200D}🚀 🇩🇪",
        "1\u{FE0F}\u{20E3} #\u{FE0F}\u{20E3} ©\u{FE0F} ™\u{FE0F} ℹ\u{FE0F}",
        "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F} 🏴\u{200D}☠\u{FE0F}",
        "TNFα, NFκB and hν in μm; the α-helix, Δx → 0, π ≈ 3.14",
        "IT-отдел использует Wi-Fi и SQLзапросы; COVID",
        "① ② ³ ½ Ⓜ x₂ → y ≠ z − 1 • item · a/b ⁄",
        "\u{0}\u{7}\u{1b}[31m\u{85}",
        "",
    ];
    for text in texts {
        stays(text);
    }
}

#[test]
fn each_kind_is_counted() {
    let text = "“a”\u{a0}b\u{200b}c\u{200e} d\u{2011}e…\r\nﬁx e\u{301} p\u{430}n \u{2028}";
    let folded = fold(text);
    assert_eq!(folded.text, "\"a\" bc d-e...\nfix é pan \n");
    let changes = Changes {
        invisible: 1,
        bidirectional: 1,
        spaces: 1,
        line_breaks: 2,
        quotes: 2,
        dashes: 1,
        ellipses: 1,
        compatibility: 1,
        accents: 1,
        confusables: 1,
    };
    assert_eq!(folded.changes, changes);
    assert_eq!(changes.total(), 12);
}

#[test]
fn invisible_characters_without_a_purpose_go() {
    for c in [
        '\u{AD}',
        '\u{34F}',
        '\u{115F}',
        '\u{180B}',
        '\u{180E}',
        '\u{200B}',
        '\u{200C}',
        '\u{200D}',
        '\u{200E}',
        '\u{202E}',
        '\u{2060}',
        '\u{2064}',
        '\u{2069}',
        '\u{206A}',
        '\u{3164}',
        '\u{FE00}',
        '\u{FE0F}',
        '\u{FEFF}',
        '\u{FFA0}',
        '\u{FFF9}',
        '\u{E0041}',
        '\u{E0100}',
        '\u{E0FFF}',
    ] {
        assert_eq!(folded(&format!("{c}a{c}b {c} c{c}")), "ab  c", "{c:?}");
        assert_eq!(folded(&format!("ж{c}и")), "жи", "{c:?}");
    }
    // Overrides are never orthography, not even in right-to-left text.
    assert_eq!(folded("שלום\u{202E}abc"), "שלוםabc");
    // One joiner is orthography, more are a message.
    assert_eq!(folded("می\u{200C}\u{200C}\u{200B}\u{200C}خ"), "می\u{200C}خ");
    assert_eq!(folded("👍\u{FE0F}\u{FE0E}\u{FE0F}!"), "👍\u{FE0F}!");
    assert_eq!(folded("👍\u{200D}x"), "👍x");
    // A flag's tags may not spell anything else.
    assert_eq!(folded("🏴\u{E0068}\u{E0069}\u{E007F}"), "🏴");
    assert_eq!(folded("1\u{FE0F}2"), "12");
}

#[test]
fn spaces_and_line_breaks_become_plain() {
    let spaces = "\u{A0}\u{1680}\u{2000}\u{2005}\u{200A}\u{202F}\u{205F}\u{3000}\u{2800}";
    assert_eq!(
        folded(&format!("a{spaces}b")),
        format!("a{}b", " ".repeat(9))
    );
    assert_eq!(
        folded("a\r\nb\rc\r\r\nd\u{2028}e\u{2029}f\n"),
        "a\nb\nc\n\nd\ne\nf\n"
    );
    // Spaces fold in every line, ideographic ones only in Latin lines.
    assert_eq!(
        folded("да\u{A0}нет 中\u{A0}文\u{3000}"),
        "да нет 中 文\u{3000}"
    );
}

#[test]
fn typographic_quotes_fold_in_latin_lines_only() {
    assert_eq!(
        folded("‘It’s’ “fine”, „oder“ ‚nicht‘?"),
        "'It's' \"fine\", \"oder\" 'nicht'?"
    );
    assert_eq!(folded("“one” …\n“два”…\n“…”"), "\"one\" ...\n“два”…\n“…”");
    // A symbol does not make a line foreign, and dashes stay.
    assert_eq!(
        folded("The “α” term — a small one – matters"),
        "The \"α\" term — a small one – matters"
    );
    assert_eq!(folded("«guillemets» stay"), "«guillemets» stay");
}

#[test]
fn mixed_words_fold_in_any_line_if_they_can_be_latin() {
    assert_eq!(
        folded("Это cервер p\u{430}ypal, да"),
        "Это cервер paypal, да"
    );
    assert_eq!(
        folded("中文中文 h\u{435}llo ｈello 𝐡ello"),
        "中文中文 hello hello hello"
    );
    assert_eq!(
        folded("中文中文中文 ｈｅｌｌｏ Windows１０"),
        "中文中文中文 ｈｅｌｌｏ Windows１０"
    );
    assert_eq!(
        folded("Ꭺpple \u{555}range ꓐanana \u{39F}live"),
        "Apple Orange Banana Olive"
    );
}

/// Both found by the property below.
#[test]
fn folding_makes_no_new_mixed_words() {
    // A Greek letter made Latin makes its word a mixed one.
    folded("\u{43E}\u{391}“\u{43E}\u{43E}иé\u{43E}\u{43E}\u{43E}");
    // `‛` parts words; the apostrophe it becomes would join them.
    assert_eq!(folded("иⅣ“a‛\u{43E}“\u{43E}oéa"), "иIV\"a'\u{43E}\"ooéa");
}

#[test]
fn words_of_look_alikes_go_by_their_line() {
    assert_eq!(
        folded("this is \u{430} test of \u{441}\u{43E}\u{440}"),
        "this is a test of cop"
    );
    // The same word beside unmistakable Cyrillic is Russian.
    assert_eq!(
        folded("the word \u{441}\u{43E}\u{440}, or литр, in this line"),
        "the word \u{441}\u{43E}\u{440}, or литр, in this line"
    );
    // Greek letters do not vouch for Cyrillic ones.
    assert_eq!(
        folded("for every α in the list there is \u{430} β"),
        "for every α in the list there is a β"
    );
    // A line without Latin letters goes by the text.
    assert_eq!(
        folded("title\n\u{421}\u{41E}\u{420}\u{415}\n"),
        "title\nCOPE\n"
    );
    assert_eq!(
        folded("title\n\u{421}\u{41E}\u{420}\nдля"),
        "title\n\u{421}\u{41E}\u{420}\nдля"
    );
    stays("\u{441}\u{43E}\u{440}");
}

#[test]
fn other_forms_become_plain() {
    assert_eq!(folded("Ｆｕｌｌ　ｗｉｄｔｈ！"), "Full width!");
    assert_eq!(
        folded("𝐁𝐨𝐥𝐝 𝑖𝑡𝑎ℎ𝑖𝑐 𝒮𝒸𝓇𝒾𝓅𝓉 𝔉𝔯𝔞𝔨𝔱𝔲𝔯 ℂ𝕠𝕞 𝚖𝚘𝚗𝚘 𝟘𝟙"),
        "Bold itahic Script Fraktur Com mono 01"
    );
    assert_eq!(
        folded("of\u{FB01}ce \u{FB05}yle ⅩⅣ \u{212A}"),
        "office style XIV K"
    );
    assert_eq!(folded("！？"), "!?");
    // Greek in mathematical form is mathematics.
    assert_eq!(folded("let 𝛼 be"), "let 𝛼 be");
}

#[test]
fn accents_join_latin_letters() {
    assert_eq!(
        folded("cafe\u{301} Vie\u{323}\u{302}t A\u{30A}"),
        "café Việt Å"
    );
    assert_eq!(
        folded("и\u{306} \u{301}e x\u{301}"),
        "и\u{306} \u{301}e x\u{301}"
    );
    // After a look-alike became Latin, the accent finds its letter.
    assert_eq!(folded("caf\u{435}\u{301}"), "café");
}

const ENGLISH: &str = "It was a dark and stormy night; I, for one, expected a quiet evening. \
    “Explore, my dear,” she said — O Captain! — and paid £5 for 12 apples…\n\n\
    A naïve plan\nI\n1234 !?\n\tdef f(x): return x_1 + 'é'\n";

#[test]
fn injections_into_english_leave_no_trace() {
    let clean = folded(ENGLISH);
    for (name, inject) in [
        (
            "zero width",
            edits::inject_zero_width as fn(&str, f64, u64) -> Result<_, _>,
        ),
        ("homoglyphs", edits::inject_homoglyphs),
        ("spaces", edits::inject_spaces),
        ("fullwidth", edits::inject_fullwidth),
        ("mathematical", edits::inject_mathematical),
    ] {
        for probability in [0.01, 0.1, 0.3, 1.0] {
            for seed in 0..50 {
                let injected = inject(ENGLISH, probability, seed).unwrap().text;
                assert_eq!(folded(&injected), clean, "{name} {probability} {seed}");
            }
        }
    }
}

#[test]
fn ten_megabytes_on_one_line_take_linear_time() {
    // A quadratic pass would need hours for any of these.
    for unit in [
        "word ",
        "wоrd\u{200b} ",
        "сор ",
        "\u{200b}",
        "\u{200e}",
        "“",
        "e\u{301}",
        "\u{301}",
        "中，",
        "👨\u{200D}",
        "\u{E0067}",
        "می\u{200C}",
        "ﬁ",
        "\r",
        "a\u{FE0F}",
        "ж a\u{430} ",
    ] {
        let text = unit.repeat(10_000_000 / unit.len());
        let once = fold(&text);
        assert!(once.text.len() <= 10_000_000);
    }
}

/// Characters that some rule looks at, mixed with ordinary ones.
fn tricky() -> impl Strategy<Value = String> {
    let chars: Vec<char> = "aeopIAx zZ019#*.,'-\n\r\t_éßαπΩоасеАВиярΑΒΣοօՏҮᎪꓐ中の한ابשלกខक्ɑ“”‘’„…–—‐‑‒\
        。，「ＡｂＩ１！　𝐀𝑎𝛼𝟙ℎℹ№Ⅳﬁ\u{AD}\u{A0}\u{2003}\u{202F}\u{1680}\u{2800}\u{2801}\u{180E}\u{180B}ᠮ\u{115F}ᄀ\
        \u{200B}\u{200C}\u{200D}\u{200E}\u{202E}\u{2028}\u{2060}\u{FE00}\u{FE0F}\u{20E3}\u{E0100}\u{FEFF}\
        \u{301}\u{308}\u{323}\u{34F}ב👍🏽❤🏴\u{E0067}\u{E0062}\u{E007F}🇩葛\u{2019}\u{201B}\u{2024}·ʼ"
        .chars()
        .collect();
    proptest::collection::vec(prop::sample::select(chars), 0..24)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn folding_is_idempotent(text in tricky()) {
        let once = fold(&text);
        let twice = fold(&once.text);
        prop_assert_eq!(&twice.text, &once.text);
        prop_assert!(twice.changes.is_empty());
        prop_assert_eq!(once.changes.is_empty(), once.text == text.as_str());
    }

    #[test]
    fn folding_any_text_is_idempotent(text in "\\PC{0,40}") {
        let once = fold(&text).text.into_owned();
        prop_assert_eq!(&fold(&once).text, &once);
    }

    /// On ASCII text with a letter that is not a look-alike in it, every injection is undone.
    #[test]
    fn injections_are_undone(
        text in "[ -~\n]{0,60}[b-bd-df-hj-nq-w]",
        probability in 0.0..=1.0_f64,
        seed: u64,
    ) {
        for inject in [
            edits::inject_zero_width,
            edits::inject_homoglyphs,
            edits::inject_spaces,
            edits::inject_fullwidth,
            edits::inject_mathematical,
        ] {
            let injected = inject(&text, probability, seed).unwrap().text;
            prop_assert_eq!(&fold(&injected).text, &text);
        }
        // One after the other, too.
        let injected = edits::inject_homoglyphs(&text, probability, seed).unwrap().text;
        let injected = edits::inject_spaces(&injected, probability, seed).unwrap().text;
        let injected = edits::inject_zero_width(&injected, probability, seed).unwrap().text;
        prop_assert_eq!(&fold(&injected).text, &text);
    }
}
