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

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Asks {
    /// The prompt.
    pub prompt: String,
    /// Temperature.
    pub temperature: f64,
    /// Nucleus.
    pub top_p: f64,
    /// Most tokens of the answer.
    pub max_tokens: u64,
    /// The seed.
    pub seed: u64,
    /// The model, where the door has several.
    pub model: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestBody {
    model: Option<String>,
    messages: Option<Vec<Turn>>,
    prompt: Option<String>,
    temperature: f64,
    top_p: f64,
    max_tokens: u64,
    seed: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    role: String,
    content: String,
}

/// What a request asks for; nothing for a body that asks for anything else, such as a conversation of several turns.
#[must_use]
pub fn request_terms(body: &[u8]) -> Option<Asks> {
    let body: RequestBody = serde_json::from_slice(body).ok()?;
    let prompt = match (body.messages, body.prompt) {
        (Some(turns), None) => {
            let [turn] = <[Turn; 1]>::try_from(turns).ok()?;
            (turn.role == "user").then_some(turn.content)?
        }
        (None, Some(prompt)) => prompt,
        _ => return None,
    };
    Some(Asks {
        prompt,
        temperature: body.temperature,
        top_p: body.top_p,
        max_tokens: body.max_tokens,
        seed: body.seed,
        model: body.model,
    })
}
