//! Pipelines of `tokenizer.json` files that this crate's own encoder runs.
//!
//! The four or five that most published models have. They are compared field by field: a file
//! that asks for anything else goes to the `tokenizers` crate, which knows everything but is
//! several times slower, and stops splitting in white space of a million characters, where its
//! regular expressions give up.

use serde_json::{Value, json};

use super::split::{GPT_2, LLAMA_3, QWEN_2};

/// The name GGUF files have for the normaliser and the pre-tokenizer of a file.
pub(super) fn known(normalizer: &Value, pre_tokenizer: &Value) -> Option<&'static str> {
    let nfc = match normalizer {
        Value::Null => false,
        other => (*other == json!({"type": "NFC"})).then_some(true)?,
    };
    let steps = match pre_tokenizer["type"].as_str()? {
        "Sequence" => pre_tokenizer["pretokenizers"].as_array()?.as_slice(),
        _ => std::slice::from_ref(pre_tokenizer),
    };
    match steps {
        [bytes] if splits_bytes(bytes) && !nfc => Some("gpt-2"),
        [digits, bytes] if is_digits(digits) && splits_bytes(bytes) && !nfc => Some("smollm"),
        [split, bytes] if maps_bytes(bytes) => {
            let pattern = pattern(split)?;
            match nfc {
                false if pattern == published(LLAMA_3) => Some("llama-bpe"),
                false if pattern == published(GPT_2) => Some("gpt-2"),
                false if pattern == published(QWEN_2) => Some("stablelm2"),
                true if pattern == published(QWEN_2) => Some("qwen2"),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A pattern as files have it: with the look-ahead that the splitter does by hand.
fn published(pattern: &str) -> String {
    format!(r"{pattern}(?!\S)|\s+")
}

fn is_digits(step: &Value) -> bool {
    *step == json!({"type": "Digits", "individual_digits": true})
}

/// GPT-2's pattern, then its alphabet.
fn splits_bytes(step: &Value) -> bool {
    is_byte_level(step) && step.get("use_regex").is_none_or(|yes| *yes == true)
}

/// The alphabet only.
fn maps_bytes(step: &Value) -> bool {
    is_byte_level(step) && step["use_regex"] == false
}

fn is_byte_level(step: &Value) -> bool {
    step["type"] == "ByteLevel" && step["add_prefix_space"] == false
}

fn pattern(step: &Value) -> Option<&str> {
    let known =
        step["type"] == "Split" && step["behavior"] == "Isolated" && step["invert"] == false;
    step["pattern"]["Regex"].as_str().filter(|_| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(use_regex: bool) -> Value {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
    }

    fn split(pattern: &str) -> Value {
        json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
    }

    fn sequence(steps: &[Value]) -> Value {
        json!({"type": "Sequence", "pretokenizers": steps})
    }

    /// The patterns as Llama 3 and Qwen 2 publish them.
    #[test]
    fn published_files_are_recognised() {
        let llama = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        let qwen = llama.replace("{1,3}", "");
        let nfc = json!({"type": "NFC"});
        let digits = json!({"type": "Digits", "individual_digits": true});
        let cases = [
            (
                Value::Null,
                sequence(&[split(llama), bytes(false)]),
                Some("llama-bpe"),
            ),
            (
                nfc.clone(),
                sequence(&[split(&qwen), bytes(false)]),
                Some("qwen2"),
            ),
            (
                Value::Null,
                sequence(&[split(&qwen), bytes(false)]),
                Some("stablelm2"),
            ),
            (Value::Null, bytes(true), Some("gpt-2")),
            (
                Value::Null,
                sequence(&[digits.clone(), bytes(true)]),
                Some("smollm"),
            ),
            // One thing different in each.
            (nfc.clone(), sequence(&[split(llama), bytes(false)]), None),
            (nfc, bytes(true), None),
            (json!({"type": "Lowercase"}), bytes(true), None),
            (Value::Null, bytes(false), None),
            (Value::Null, sequence(&[split(llama), bytes(true)]), None),
            (Value::Null, sequence(&[split(r"\s+"), bytes(false)]), None),
            (Value::Null, sequence(&[digits, bytes(false)]), None),
            (Value::Null, Value::Null, None),
        ];
        for (normalizer, pre_tokenizer, name) in cases {
            assert_eq!(known(&normalizer, &pre_tokenizer), name, "{pre_tokenizer}");
        }
    }
}
