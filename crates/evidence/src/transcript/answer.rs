//! The answer in what an OpenAI-compatible server sends.

use serde::Deserialize;

#[derive(Deserialize)]
struct Body {
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    completion_tokens: Option<u64>,
}

/// The text of the first choice and the tokens it was counted as; nothing for a body that is no answer. A choice without content, as models that refuse
/// give it, is an empty text.
#[must_use]
pub fn answer_text(body: &[u8]) -> Option<(String, Option<u64>)> {
    let body: Body = serde_json::from_slice(body).ok()?;
    let choice = body.choices.into_iter().next()?;
    let text = match (choice.message, choice.text) {
        (Some(message), None) => message.content.unwrap_or_default(),
        (None, Some(text)) => text,
        _ => return None,
    };
    Some((text, body.usage.and_then(|usage| usage.completion_tokens)))
}
