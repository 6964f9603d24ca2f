//! Batched generation; what chooses the tokens is the caller's.

use taggant_core::{Error, ErrorKind, Result};

use crate::{
    Answers, Model,
    fanout::{Desk, fan_out},
    session::{check_prompt, in_common, in_vocabulary},
};

/// How much to generate at once. None of it changes what is generated, except the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most tokens of a response.
    pub max_new_tokens: usize,
    /// Rows in flight over all threads. Speed levels off at about 32 for each thread; memory
    /// grows with every row (SmolLM2-135M: 45 KiB a token and 192 KiB of logits).
    pub batch: usize,
    /// Threads that compute, each with its own share of the rows.
    pub threads: usize,
}

impl Limits {
    /// Responses of at most `max_new_tokens`, 32 at a time, on one thread.
    #[must_use]
    pub fn new(max_new_tokens: usize) -> Self {
        Self {
            max_new_tokens,
            batch: 32,
            threads: 1,
        }
    }

    /// The same limits with `batch` rows in flight.
    #[must_use]
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// The same limits with `threads` threads.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}

/// A finished row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// Which prompt it answers.
    pub row: usize,
    /// The chosen tokens, without the stop token.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub stop: Stop,
}

/// Why a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// The chooser chose this stop token.
    Token(u32),
    /// The response reached its greatest length.
    Length,
}

/// Generates a response to every prompt.
///
/// `chooser(row)` makes the chooser of a row: a function from the logits of the next token, one
/// value for each id, to the id it chooses. It runs on a worker thread and sees its row's logits
/// in order. `done` receives each response on the calling thread as soon as it is complete, so in
/// no particular order. Rows that finish make room for the next prompts.
///
/// A response depends on the model, its prompt and its chooser, never on the limits or on the
/// other prompts. What a prompt has in common with one that is being answered is read once.
///
/// ```
/// use taggant_models::{Limits, Toy, generate};
///
/// let model = Toy::new(100, 64);
/// let greedy = |logits: &[f32]| {
///     let best = (0..100).max_by(|a, b| logits[*a as usize].total_cmp(&logits[*b as usize]));
///     Ok(best.unwrap_or(0))
/// };
/// generate(&model, &[vec![1, 2], vec![3]], Limits::new(5), |_| Ok(greedy), |response| {
///     assert_eq!(response.tokens.len(), 5);
///     Ok(())
/// })?;
/// # Ok::<(), taggant_core::Error>(())
/// ```
///
/// # Errors
/// Before any work: [`Parameter`](ErrorKind::Parameter) for an empty prompt or a limit of zero,
/// [`Token`](ErrorKind::Token) for an id outside the vocabulary,
/// [`Limit`](ErrorKind::Limit) for a prompt that leaves no room for `max_new_tokens`. Later: the
/// first error of `chooser`, of a chooser or of `done`, which ends the run; errors that belong to
/// a row name it.
pub fn generate<P, F, C, D>(
    model: &dyn Model,
    prompts: &[P],
    limits: Limits,
    chooser: F,
    done: D,
) -> Result<()>
where
    P: AsRef<[u32]> + Sync,
    F: Fn(usize) -> Result<C> + Sync,
    C: FnMut(&[f32]) -> Result<u32>,
    D: FnMut(Response) -> Result<()>,
{
    for (name, value) in [
        ("max_new_tokens", limits.max_new_tokens),
        ("batch", limits.batch),
        ("threads", limits.threads),
    ] {
        if value == 0 {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("{name} is 0; at least 1 is needed"),
            ));
        }
    }
    for (row, prompt) in prompts.iter().enumerate() {
        check_prompt(model, prompt.as_ref(), limits.max_new_tokens)
            .map_err(|e| e.context(format_args!("row {row}")))?;
    }
    let share = limits.batch.min(prompts.len()).div_ceil(limits.threads);
    fan_out(
        prompts.len(),
        limits.threads,
        |desk| work(model, prompts, limits.max_new_tokens, share, &chooser, desk),
        done,
    )
}

/// A row in flight.
struct Row<C> {
    index: usize,
    /// Tokens of its prompt that it had from another row when it joined.
    shared: usize,
    tokens: Vec<u32>,
    chooser: C,
}

/// One thread's part: a session of up to `share` rows, refilled as they finish.
fn work<P: AsRef<[u32]>, C: FnMut(&[f32]) -> Result<u32>>(
    model: &dyn Model,
    prompts: &[P],
    max_new_tokens: usize,
    share: usize,
    chooser: &impl Fn(usize) -> Result<C>,
    desk: &Desk<'_, Response>,
) -> Result<()> {
    let mut session = model.session();
    let mut rows: Vec<Row<C>> = Vec::new();
    let mut waiting = None;
    while !desk.is_stopped() {
        let read = rows.len();
        while rows.len() < share
            && let Some(index) = waiting.take().or_else(|| desk.take())
        {
            // The last token is never shared: it is asked what follows.
            let begins = |row: &Row<C>| {
                let own = prompts[index].as_ref();
                in_common(own, prompts[row.index].as_ref()).min(own.len() - 1)
            };
            let (known, coming) = rows.split_at(read);
            let best = known.iter().map(begins).enumerate().max_by_key(|(_, n)| *n);
            let (from, shared) = best.unwrap_or((0, 0));
            if coming.iter().map(begins).max() > Some(shared) {
                // After this step more of it is known.
                waiting = Some(index);
                break;
            }
            if shared > 0 {
                session.fork(from, shared)?;
            } else {
                session.open();
            }
            rows.push(Row {
                index,
                shared,
                tokens: Vec::new(),
                chooser: chooser(index).map_err(|e| e.context(format_args!("row {index}")))?,
            });
        }
        if rows.is_empty() {
            break;
        }
        let inputs: Vec<&[u32]> = rows
            .iter()
            .map(|row| match row.tokens.last_chunk::<1>() {
                Some(last) => last,
                None => &prompts[row.index].as_ref()[row.shared..],
            })
            .collect();
        let logits = session.advance(&inputs, Answers::Last)?;

        let mut stops = Vec::with_capacity(rows.len());
        for (row, logits) in rows.iter_mut().zip(logits.chunks_exact(model.vocabulary())) {
            let stop = step(model, row, logits, max_new_tokens)
                .map_err(|e| e.context(format_args!("row {}", row.index)))?;
            stops.push(stop);
        }
        let keep: Vec<bool> = stops.iter().map(Option::is_none).collect();
        session.retain(&keep)?;
        let mut stops = stops.into_iter();
        rows = rows
            .into_iter()
            .filter_map(|row| match stops.next().flatten() {
                None => Some(row),
                Some(stop) => {
                    desk.finish(Response {
                        row: row.index,
                        tokens: row.tokens,
                        stop,
                    });
                    None
                }
            })
            .collect();
    }
    Ok(())
}

/// Lets a row choose its next token; says why it ends, if it does.
fn step<C: FnMut(&[f32]) -> Result<u32>>(
    model: &dyn Model,
    row: &mut Row<C>,
    logits: &[f32],
    max_new_tokens: usize,
) -> Result<Option<Stop>> {
    let token = (row.chooser)(logits)?;
    if !in_vocabulary(model, token) {
        return Err(Error::new(
            ErrorKind::Token,
            format!(
                "the chooser chose token {token}, which is not below the vocabulary of {}",
                model.vocabulary()
            ),
        ));
    }
    if model.stop_tokens().contains(&token) {
        return Ok(Some(Stop::Token(token)));
    }
    row.tokens.push(token);
    Ok((row.tokens.len() >= max_new_tokens).then_some(Stop::Length))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;
    use crate::{Session, Toy};

    fn greedy(logits: &[f32]) -> u32 {
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        u32::try_from(best.unwrap().0).unwrap()
    }

    /// All responses in order of rows.
    fn run(model: &dyn Model, prompts: &[Vec<u32>], limits: Limits) -> Vec<Response> {
        let mut responses = Vec::new();
        let choose = |logits: &[f32]| Ok(greedy(logits));
        generate(
            model,
            prompts,
            limits,
            |_| Ok(choose),
            |response| {
                responses.push(response);
                Ok(())
            },
        )
        .unwrap();
        responses.sort_by_key(|response| response.row);
        responses
    }

    /// Generation by its definition, one row at a time.
    fn plain(model: &dyn Model, prompt: &[u32], max_new_tokens: usize) -> (Vec<u32>, Stop) {
        let mut session = model.session();
        session.open();
        let mut tokens = Vec::new();
        let mut logits = session.advance(&[prompt], Answers::Last).unwrap();
        loop {
            let token = greedy(logits);
            if model.stop_tokens().contains(&token) {
                return (tokens, Stop::Token(token));
            }
            tokens.push(token);
            if tokens.len() == max_new_tokens {
                return (tokens, Stop::Length);
            }
            logits = session.advance(&[&[token]], Answers::Last).unwrap();
        }
    }

    proptest! {
        #[test]
        fn a_response_depends_on_its_prompt_alone(
            some in prop::collection::vec((prop::collection::vec(0..30_u32, 1..9), 1..4_usize), 0..20),
            common in prop::collection::vec(0..30_u32, 0..3),
            max_new_tokens in 1..30_usize,
            batch in 1..50_usize,
            threads in 1..6_usize,
        ) {
            // Prompts that repeat, as those of drafts do, and begin alike, as those of a chat do.
            let prompts: Vec<Vec<u32>> = some
                .into_iter()
                .flat_map(|(prompt, times)| vec![[common.clone(), prompt].concat(); times])
                .collect();
            let model = Toy::new(30, 40).with_stop_tokens(&[4, 9]);
            let limits = Limits::new(max_new_tokens).with_batch(batch).with_threads(threads);
            let responses = run(&model, &prompts, limits);
            prop_assert_eq!(responses.len(), prompts.len());
            for ((row, response), prompt) in responses.into_iter().enumerate().zip(&prompts) {
                prop_assert_eq!(response.row, row);
                let (tokens, stop) = plain(&model, prompt, max_new_tokens);
                prop_assert_eq!(response.tokens, tokens);
                prop_assert_eq!(response.stop, stop);
            }
        }
    }

    #[test]
    fn a_chooser_sees_its_own_row_in_order() {
        let model = Toy::new(20, 50);
        let prompts: Vec<Vec<u32>> = (0..9).map(|i| vec![i, i + 1]).collect();
        let seen = Mutex::new(vec![Vec::new(); 9]);
        let limits = Limits::new(7).with_batch(4).with_threads(2);
        let chooser = |row: usize| {
            let seen = &seen;
            Ok(move |logits: &[f32]| {
                seen.lock().unwrap()[row].push(logits.to_vec());
                Ok(greedy(logits))
            })
        };
        generate(&model, &prompts, limits, chooser, |_| Ok(())).unwrap();
        for (prompt, seen) in prompts.iter().zip(seen.into_inner().unwrap()) {
            let mut row = prompt.clone();
            assert_eq!(seen.len(), 7);
            for logits in seen {
                let mut session = model.session();
                session.open();
                assert_eq!(session.advance(&[&row], Answers::Last).unwrap(), logits);
                row.push(greedy(&logits));
            }
        }
    }

    #[test]
    fn errors_end_the_run_and_name_the_row() {
        let model = Toy::new(20, 50);
        let prompts = vec![vec![1]; 6];
        let limits = Limits::new(5).with_batch(3).with_threads(2);
        let failing = |row: usize| {
            Ok(move |logits: &[f32]| match row {
                4 => Err(Error::new(ErrorKind::Logits, "no distribution")),
                _ => Ok(greedy(logits)),
            })
        };
        let error = generate(&model, &prompts, limits, failing, |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Logits);
        assert_eq!(error.to_string(), "row 4: no distribution");

        let wild = |_| Ok(|_: &[f32]| Ok(20));
        let error = generate(&model, &[[1]], limits, wild, |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Token);
        assert!(
            error
                .to_string()
                .starts_with("row 0: the chooser chose token 20"),
            "{error}"
        );

        let fine = |_| Ok(|logits: &[f32]| Ok(greedy(logits)));
        let full = |_| Err(Error::new(ErrorKind::Io, "disk full"));
        let error = generate(&model, &prompts, limits, fine, full).unwrap_err();
        assert_eq!(error.to_string(), "disk full");
    }

    /// A model that must not be asked.
    #[derive(Debug)]
    struct Untouchable;

    impl Model for Untouchable {
        fn vocabulary(&self) -> usize {
            10
        }

        fn context(&self) -> usize {
            16
        }

        fn stop_tokens(&self) -> &[u32] {
            &[]
        }

        fn session(&self) -> Box<dyn Session + '_> {
            panic!("work before the checks")
        }
    }

    #[test]
    fn limits_are_checked_before_any_work() {
        let good = Limits::new(8);
        let fits = vec![1; 8];
        for (prompt, limits, kind, message) in [
            (
                vec![1; 9],
                good,
                ErrorKind::Limit,
                "row 1: a prompt of 9 tokens and 8 more: 17 tokens do not fit the context of 16",
            ),
            (
                vec![],
                good,
                ErrorKind::Parameter,
                "row 1: the prompt is empty; at least 1 token is needed",
            ),
            (
                vec![10],
                good,
                ErrorKind::Token,
                "row 1: token 10 is not below the vocabulary of 10",
            ),
            (
                vec![1],
                Limits::new(0),
                ErrorKind::Parameter,
                "max_new_tokens is 0; at least 1 is needed",
            ),
            (
                vec![1],
                good.with_batch(0),
                ErrorKind::Parameter,
                "batch is 0; at least 1 is needed",
            ),
            (
                vec![1],
                good.with_threads(0),
                ErrorKind::Parameter,
                "threads is 0; at least 1 is needed",
            ),
            (
                vec![1],
                Limits::new(usize::MAX),
                ErrorKind::Limit,
                "row 0: ",
            ),
        ] {
            let chooser = |_| Ok(|_: &[f32]| Ok(0));
            let prompts = [fits.clone(), prompt];
            let error = generate(&Untouchable, &prompts, limits, chooser, |_| Ok(())).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }
}
