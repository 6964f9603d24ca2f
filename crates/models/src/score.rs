//! What a model thinks of text that exists already.

use taggant_core::{Error, ErrorKind, Result};

use crate::{
    Answers, Model,
    fanout::fan_out,
    pointwise,
    reader::Reader,
    session::{check_prompt, check_tokens},
};

/// Tokens scored in one call of the model: enough to use it well, and 64 · 49,152 logits are
/// 12 MiB.
const CHUNK: usize = 64;

/// A prompt and the response that was given to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange<'a> {
    /// What came before; at least one token.
    pub prompt: &'a [u32],
    /// What is scored.
    pub response: &'a [u32],
}

/// The log-probabilities of a response.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Scored {
    /// Which exchange it belongs to.
    pub row: usize,
    /// ln p of each response token under the model at temperature 1, given all before it.
    pub log_probabilities: Vec<f64>,
}

impl Scored {
    /// `e` to the mean negative log-probability; NaN for an empty response.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        let sum: f64 = self.log_probabilities.iter().sum();
        #[expect(
            clippy::cast_precision_loss,
            reason = "responses are far below 2^52 tokens"
        )]
        let mean = sum / self.log_probabilities.len() as f64;
        libm::exp(-mean)
    }
}

/// Scores every response, on `threads` threads; `done` receives each result on the calling
/// thread, in order of completion. What a prompt has in common with the one before it is read once.
///
/// The logits behind the scores are, to the last bit, those that [`generate`](crate::generate())
/// would show to a chooser.
///
/// ```
/// use taggant_models::{Exchange, Toy, score};
///
/// let model = Toy::new(100, 64);
/// let exchange = Exchange { prompt: &[1], response: &[2, 3, 4] };
/// score(&model, &[exchange], 1, |scored| {
///     assert_eq!(scored.log_probabilities.len(), 3);
///     Ok(())
/// })?;
/// # Ok::<(), taggant_core::Error>(())
/// ```
///
/// # Errors
/// As [`score_with`].
pub fn score(
    model: &dyn Model,
    exchanges: &[Exchange<'_>],
    threads: usize,
    mut done: impl FnMut(Scored) -> Result<()>,
) -> Result<()> {
    score_with(
        model,
        exchanges,
        threads,
        |_| Ok(Vec::new()),
        |scores: &mut Vec<f64>, token, logits| {
            // Checked against the vocabulary before any work.
            scores.push(f64::from(logits[token as usize]) - log_sum_exp(logits));
            Ok(())
        },
        |row, log_probabilities| {
            done(Scored {
                row,
                log_probabilities,
            })
        },
    )
}

/// [`score`] with the whole next-token distribution in view.
///
/// `start(row)` makes the state of an exchange; `visit` sees it with each response token and the
/// logits that the model had for its place; `done` receives the state when the response is
/// through. `start` and `visit` run on a worker thread, each exchange on one and in order, so a
/// state that is folded up over rows in their own order gives the same sums on any number of
/// threads.
///
/// # Errors
/// Before any work: [`Parameter`](ErrorKind::Parameter) for an empty prompt or no threads,
/// [`Token`](ErrorKind::Token) for an id outside the vocabulary, [`Limit`](ErrorKind::Limit) for
/// an exchange longer than the context. Later: the first error of `start`, `visit` or `done`.
/// Errors that belong to a row name it.
pub fn score_with<T: Send>(
    model: &dyn Model,
    exchanges: &[Exchange<'_>],
    threads: usize,
    start: impl Fn(usize) -> Result<T> + Sync,
    visit: impl Fn(&mut T, u32, &[f32]) -> Result<()> + Sync,
    done: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let visit = |state: &mut T, token, [logits]: [&[f32]; 1]| visit(state, token, logits);
    score_beside([model], exchanges, threads, start, visit, done)
}

/// [`score_with`] for several models that read the same exchanges side by side: `visit` sees the logits of all of them for a place at once,
/// so that whole distributions can be compared and none has to be kept.
///
/// # Errors
/// As [`score_with`], for every model.
pub fn score_beside<const N: usize, T: Send>(
    models: [&dyn Model; N],
    exchanges: &[Exchange<'_>],
    threads: usize,
    start: impl Fn(usize) -> Result<T> + Sync,
    visit: impl Fn(&mut T, u32, [&[f32]; N]) -> Result<()> + Sync,
    mut done: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    check_threads(threads)?;
    for (row, exchange) in exchanges.iter().enumerate() {
        for model in models {
            check_prompt(model, exchange.prompt, exchange.response.len())
                .and_then(|()| check_tokens(model, exchange.response))
                .map_err(|e| e.context(format_args!("row {row}")))?;
        }
    }
    // One exchange at a time is batch enough: its tokens go through the model together.
    let through = |row: usize, readers: &mut [Reader<'_>; N]| -> Result<T> {
        let Exchange { prompt, response } = exchanges[row];
        let mut state = start(row)?;
        // The prompt's last token is what the first response token follows.
        let mut inputs = prompt.to_vec();
        inputs.extend(response);
        inputs.pop();
        let (before, inputs) = inputs.split_at(prompt.len() - 1);
        let mut sessions = Vec::with_capacity(N);
        for reader in readers {
            sessions.push(reader.read(before)?);
        }
        for (inputs, tokens) in inputs.chunks(CHUNK).zip(response.chunks(CHUNK)) {
            let mut all: [&[f32]; N] = [&[]; N];
            for (logits, session) in all.iter_mut().zip(&mut sessions) {
                *logits = session.advance(&[inputs], Answers::All)?;
            }
            for (place, token) in tokens.iter().enumerate() {
                let at = |model: usize| {
                    let vocabulary = models[model].vocabulary();
                    &all[model][place * vocabulary..(place + 1) * vocabulary]
                };
                visit(&mut state, *token, std::array::from_fn(at))?;
            }
        }
        Ok(state)
    };
    fan_out(
        exchanges.len(),
        threads,
        |desk| {
            let mut readers = models.map(Reader::new);
            while !desk.is_stopped()
                && let Some(row) = desk.take()
            {
                let state =
                    through(row, &mut readers).map_err(|e| e.context(format_args!("row {row}")))?;
                desk.finish((row, state));
            }
            Ok(())
        },
        |(row, state)| done(row, state),
    )
}

/// `ln Σ e^logit`: what turns a logit into a log-probability by subtraction. Good to 1e-7.
///
/// ```
/// assert!((taggant_models::log_sum_exp(&[0.0, 0.0]) - 2.0_f64.ln()).abs() < 1e-6);
/// ```
#[must_use]
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    pointwise::log_sum_exp(logits)
}

/// Scores several responses to each prompt, as [`score`] does; `done` receives the number of a prompt and the scores of its responses in
/// order. A prompt is read once for all of them.
///
/// # Errors
/// As [`score`].
pub fn score_drafts(
    model: &dyn Model,
    prompts: &[(&[u32], Vec<&[u32]>)],
    threads: usize,
    mut done: impl FnMut(usize, Vec<Scored>) -> Result<()>,
) -> Result<()> {
    check_threads(threads)?;
    for (row, (prompt, drafts)) in prompts.iter().enumerate() {
        let longest = drafts.iter().map(|draft| draft.len()).max().unwrap_or(0);
        check_prompt(model, prompt, longest)
            .and_then(|()| {
                drafts
                    .iter()
                    .try_for_each(|draft| check_tokens(model, draft))
            })
            .map_err(|e| e.context(format_args!("row {row}")))?;
    }
    let through = |number: usize, reader: &mut Reader<'_>| -> Result<Vec<Scored>> {
        let (prompt, drafts) = &prompts[number];
        let (last, before) = prompt.split_last().unwrap_or((&0, &[]));
        let session = reader.read(before)?;
        for _ in 1..drafts.len() {
            session.fork(0, before.len())?;
        }
        let inputs: Vec<Vec<u32>> = drafts
            .iter()
            .map(|draft| {
                let before = draft.split_last().map_or(&[][..], |(_, before)| before);
                // Nothing is asked of an empty draft.
                std::iter::once(last)
                    .chain(before)
                    .take(draft.len())
                    .copied()
                    .collect()
            })
            .collect();
        let mut own: Vec<Vec<f64>> = vec![Vec::new(); drafts.len()];
        let longest = inputs.iter().map(Vec::len).max().unwrap_or(0);
        let step = (CHUNK / drafts.len().max(1)).max(1);
        for from in (0..longest).step_by(step) {
            let part = |tokens: &[u32]| from.min(tokens.len())..(from + step).min(tokens.len());
            let now: Vec<&[u32]> = inputs.iter().map(|input| &input[part(input)]).collect();
            let logits = session.advance(&now, Answers::All)?;
            let mut logits = logits.chunks_exact(model.vocabulary());
            for (draft, own) in drafts.iter().zip(&mut own) {
                for (token, logits) in draft[part(draft)].iter().zip(&mut logits) {
                    // Checked against the vocabulary before any work.
                    own.push(f64::from(logits[*token as usize]) - log_sum_exp(logits));
                }
            }
        }
        Ok(own
            .into_iter()
            .enumerate()
            .map(|(row, log_probabilities)| Scored {
                row,
                log_probabilities,
            })
            .collect())
    };
    fan_out(
        prompts.len(),
        threads,
        |desk| {
            let mut reader = Reader::new(model);
            while !desk.is_stopped()
                && let Some(number) = desk.take()
            {
                let scored = through(number, &mut reader)
                    .map_err(|e| e.context(format_args!("row {number}")))?;
                desk.finish((number, scored));
            }
            Ok(())
        },
        |(number, scored)| done(number, scored),
    )
}

fn check_threads(threads: usize) -> Result<()> {
    if threads == 0 {
        return Err(Error::new(
            ErrorKind::Parameter,
            "threads is 0; at least 1 is needed",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Toy;

    proptest! {
        /// Against the definition: one session a token, softmax in f64.
        #[test]
        fn scores_are_log_probabilities(
            texts in prop::collection::vec(
                (prop::collection::vec(0..20_u32, 1..5), prop::collection::vec(0..20_u32, 0..150)),
                0..6,
            ),
            // As the prompts of a chat begin.
            common in prop::collection::vec(0..20_u32, 0..4),
            threads in 1..4_usize,
        ) {
            let model = Toy::new(20, 200);
            let texts: Vec<_> = texts
                .into_iter()
                .map(|(prompt, response)| ([common.clone(), prompt].concat(), response))
                .collect();
            let exchanges: Vec<Exchange<'_>> = texts
                .iter()
                .map(|(prompt, response)| Exchange { prompt, response })
                .collect();
            let mut scores = vec![None; texts.len()];
            score(&model, &exchanges, threads, |scored| {
                scores[scored.row] = Some(scored.log_probabilities);
                Ok(())
            })
            .unwrap();
            for ((prompt, response), scores) in texts.iter().zip(scores) {
                let scores = scores.unwrap();
                prop_assert_eq!(scores.len(), response.len());
                let mut row = prompt.clone();
                for (token, score) in response.iter().zip(scores) {
                    let mut session = model.session();
                    session.open();
                    let logits = session.advance(&[&row], Answers::Last).unwrap();
                    let sum: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
                    let want = f64::from(logits[*token as usize]) - sum.ln();
                    prop_assert!((score - want).abs() < 1e-6, "{} {}", score, want);
                    row.push(*token);
                }
            }
        }
    }

    #[test]
    fn perplexity_is_the_inverse_geometric_mean() {
        let scored = |log_probabilities| Scored {
            row: 0,
            log_probabilities,
        };
        let halves = scored(vec![0.5_f64.ln(), 0.125_f64.ln()]);
        assert!((halves.perplexity() - 4.0).abs() < 1e-12);
        assert!(scored(vec![]).perplexity().is_nan());
    }

    #[test]
    fn a_visitor_sees_every_distribution_and_its_error_names_the_row() {
        let model = Toy::new(10, 20);
        let exchange = Exchange {
            prompt: &[1],
            response: &[2, 3, 4],
        };
        let mut counts = Vec::new();
        score_with(
            &model,
            &[exchange; 3],
            2,
            |row| Ok((row, 0)),
            |(_, count), _, logits| {
                assert_eq!(logits.len(), 10);
                *count += 1;
                Ok(())
            },
            |row, (started, count)| {
                assert_eq!(row, started);
                counts.push(count);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(counts, [3, 3, 3]);

        let refuse = |_: &mut (), token, _: &[f32]| match token {
            3 => Err(Error::new(ErrorKind::Logits, "no")),
            _ => Ok(()),
        };
        let error = score_with(&model, &[exchange], 1, |_| Ok(()), refuse, |_, ()| Ok(()));
        assert_eq!(error.unwrap_err().to_string(), "row 0: no");
    }

    /// Two models side by side show what each shows alone, longer responses than a chunk included.
    #[test]
    fn models_beside_each_other_are_models_alone() {
        let models = [Toy::new(10, 400), Toy::new(20, 300)];
        let response: Vec<u32> = (0..150).map(|place| place * 7 % 10).collect();
        let exchange = Exchange {
            prompt: &[1, 2],
            response: &response,
        };
        let alone = models.each_ref().map(|model| {
            let mut seen = Vec::new();
            let keep = |seen: &mut Vec<f32>, _, logits: &[f32]| {
                seen.extend(logits);
                Ok(())
            };
            let done = |_, found| {
                seen = found;
                Ok(())
            };
            score_with(model, &[exchange], 1, |_| Ok(Vec::new()), keep, done).unwrap();
            seen
        });
        let [first, second] = &models;
        let mut beside = Default::default();
        score_beside(
            [first as &dyn Model, second],
            &[exchange],
            1,
            |_| Ok([Vec::new(), Vec::new()]),
            |seen: &mut [Vec<f32>; 2], _, logits| {
                for (seen, logits) in seen.iter_mut().zip(logits) {
                    seen.extend(logits);
                }
                Ok(())
            },
            |_, seen| {
                beside = seen;
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(beside, alone);
        let long = Exchange {
            prompt: &[1; 200],
            response: &response,
        };
        let refused = score_beside(
            [first as &dyn Model, second],
            &[long],
            1,
            |_| Ok(()),
            |(), _, _| Ok(()),
            |_, ()| Ok(()),
        );
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Limit);
    }

    #[test]
    fn drafts_score_as_they_do_alone() {
        let model = Toy::new(30, 200);
        let prompts = [
            vec![1],
            vec![2, 3, 4, 5],
            vec![2, 3, 9],
            vec![2, 3],
            vec![1],
        ];
        let drafts: Vec<Vec<u32>> = [0, 1, 5, 40, 150]
            .map(|length| (0..length).map(|i| i * 7 % 30).collect())
            .into();
        let work: Vec<(&[u32], Vec<&[u32]>)> = prompts
            .iter()
            .map(|prompt| (&prompt[..], drafts.iter().map(Vec::as_slice).collect()))
            .collect();
        let mut together = vec![Vec::new(); prompts.len()];
        score_drafts(&model, &work, 1, |number, scored| {
            together[number] = scored
                .into_iter()
                .map(|scored| scored.log_probabilities)
                .collect();
            Ok(())
        })
        .unwrap();
        for (prompt, together) in prompts.iter().zip(together) {
            let exchanges: Vec<_> = drafts
                .iter()
                .map(|response| Exchange { prompt, response })
                .collect();
            let mut alone = vec![Vec::new(); drafts.len()];
            score(&model, &exchanges, 1, |scored| {
                alone[scored.row] = scored.log_probabilities;
                Ok(())
            })
            .unwrap();
            assert_eq!(together, alone);
        }
        assert!(score_drafts(&model, &[(&[], vec![])], 1, |_, _| Ok(())).is_err());
        assert!(score_drafts(&model, &[(&[1], vec![&[30]])], 1, |_, _| Ok(())).is_err());
    }

    #[test]
    fn exchanges_are_checked_before_any_work() {
        let model = Toy::new(10, 8);
        for (prompt, response, threads, kind) in [
            (&[][..], &[1][..], 1, ErrorKind::Parameter),
            (&[1], &[1], 0, ErrorKind::Parameter),
            (&[10], &[1], 1, ErrorKind::Token),
            (&[1], &[10], 1, ErrorKind::Token),
            (&[1, 2], &[0; 7], 1, ErrorKind::Limit),
        ] {
            let exchange = Exchange { prompt, response };
            let error = score(&model, &[exchange], threads, |_| Ok(())).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}
