//! Goes through what is asked, several requests at once, within the plan's budget.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use taggant_core::{Error, ErrorKind, Result};
use taggant_evidence::transcript::{Answer, Ending, Failure, NoAnswer, Transcript, answer_text};
use taggant_evidence::{Asked, Plan, Time};

use crate::door::{Door, Miss, Reply, Request};
use crate::pace::{Pace, backoff};

/// How hard to try. None of it changes what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Requests at once, at least 1.
    pub at_once: usize,
    /// Requests a minute, at most; as fast as they are answered if there is no limit.
    pub per_minute: Option<u32>,
    /// Attempts at a question before it is left, at least 1.
    pub tries: u32,
    /// Wait before a question's second attempt; doubled for each after it.
    pub backoff: Duration,
    /// Failures in a row, over all questions, after which something is wrong with the door and not with a question. Being told to slow down does not count.
    pub patience: u32,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            at_once: 4,
            per_minute: None,
            tries: 5,
            backoff: Duration::from_secs(1),
            patience: 20,
        }
    }
}

/// How far a collection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Questions: suspects × prompts × answers.
    pub questions: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Attempts so far.
    pub attempts: u64,
    /// Tokens that may have been spent.
    pub tokens: u64,
}

/// How a collection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Every question was answered, and the transcript is closed.
    Complete,
    /// The plan's budget does not cover another attempt, and the transcript is closed.
    Budget,
    /// Some questions were left after as many attempts as are allowed; another run tries them again.
    Unanswered,
    /// Too many failures in a row, of which this is the last; another run goes on.
    Failing(Failure),
}

/// What threads share.
struct Shared<'a> {
    transcript: Transcript,
    /// The first question that was not taken up in this run.
    next: u64,
    /// Questions to be tried again, and when.
    again: VecDeque<(Instant, u64)>,
    /// Failed attempts at a question in this run.
    tries: BTreeMap<u64, u32>,
    under_way: usize,
    in_a_row: u32,
    pace: Pace,
    ended: Option<Ended>,
    fault: Option<Error>,
    progress: &'a mut (dyn FnMut(&Progress) + Send),
}

/// What a thread is to do.
enum Turn {
    Ask { place: u64 },
    Wait(Duration),
    Stop,
}

/// What all threads read.
struct Office<'a> {
    asked: &'a Asked,
    plan: &'a Plan,
    doors: &'a [&'a dyn Door],
    effort: Effort,
    now: &'a (dyn Fn() -> Result<Time> + Sync),
    salt: &'a (dyn Fn() -> Result<[u8; 32]> + Sync),
}

/// Asks every question that the transcript has no answer to. `now` is the clock and `salt` gives random bytes.
///
/// Returns the transcript and how it ended. Whatever ends it, every attempt is in it.
///
/// # Errors
/// [`ErrorKind::Mismatch`] when plan, transcript and doors do not belong together or the transcript is closed, [`ErrorKind::Parameter`] for an effort of nothing;
/// those of `now` and `salt`, and of writing the transcript.
#[expect(
    clippy::too_many_arguments,
    reason = "each is another thing: what is asked, of whom, how, and what the system gives"
)]
pub fn collect(
    transcript: Transcript,
    asked: &Asked,
    plan: &Plan,
    doors: &[&dyn Door],
    effort: Effort,
    now: &(dyn Fn() -> Result<Time> + Sync),
    salt: &(dyn Fn() -> Result<[u8; 32]> + Sync),
    mut progress: impl FnMut(&Progress) + Send,
) -> Result<(Transcript, Ended)> {
    check(&transcript, asked, plan, doors, effort)?;
    let office = Office {
        asked,
        plan,
        doors,
        effort,
        now,
        salt,
    };
    let shared = Mutex::new(Shared {
        transcript,
        next: 0,
        again: VecDeque::new(),
        tries: BTreeMap::new(),
        under_way: 0,
        in_a_row: 0,
        pace: Pace::new(effort.per_minute, Instant::now()),
        ended: None,
        fault: None,
        progress: &mut progress,
    });
    let turned = Condvar::new();
    thread::scope(|scope| {
        for _ in 0..effort.at_once {
            scope.spawn(|| office.work(&shared, &turned));
        }
    });
    let mut shared = shared
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(fault) = shared.fault {
        return Err(fault);
    }
    let ended = shared.ended.unwrap_or(Ended::Unanswered);
    let ending = match ended {
        Ended::Complete => Some(Ending::Complete),
        Ended::Budget => Some(Ending::Budget),
        Ended::Unanswered | Ended::Failing(_) => None,
    };
    if let Some(ending) = ending {
        shared.transcript.close(ending, None, now()?)?;
    }
    Ok((shared.transcript, ended))
}

fn check(
    transcript: &Transcript,
    asked: &Asked,
    plan: &Plan,
    doors: &[&dyn Door],
    effort: Effort,
) -> Result<()> {
    if effort.at_once == 0 || effort.tries == 0 || effort.patience == 0 {
        return Err(Error::new(
            ErrorKind::Parameter,
            "requests at once, tries and patience are at least 1",
        ));
    }
    let story = transcript.story();
    let of_plan = story.opened().is_some_and(|opened| {
        opened.plan == asked.plan() && opened.max_tokens == plan.sampling.max_tokens
    });
    let count = (doors.len() as u64) * asked.questions().len() as u64 * u64::from(asked.answers());
    if !of_plan || doors.len() != plan.suspects.len() || story.questions().count() != count {
        return Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "a transcript of {} questions, and {count} of {} suspects under the plan",
                story.questions().count(),
                doors.len()
            ),
        ));
    }
    if story.closed().is_some() {
        return Err(Error::new(
            ErrorKind::Mismatch,
            "the transcript is closed: nothing more is asked under this plan",
        ));
    }
    Ok(())
}

impl Office<'_> {
    /// One thread: takes turns until nothing is left.
    fn work(&self, shared: &Mutex<Shared<'_>>, turned: &Condvar) {
        let mut state = lock(shared);
        loop {
            match self.turn(&mut state) {
                Turn::Stop => break,
                Turn::Wait(time) => {
                    state = turned
                        .wait_timeout(state, time)
                        .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
                }
                Turn::Ask { place } => {
                    state.under_way += 1;
                    let sent = self.send(&mut state, place);
                    let outcome = match sent {
                        Ok((attempt, suspect, body)) => {
                            drop(state);
                            let begun = Instant::now();
                            let asking = Asking { shared, turned };
                            let reply = self.doors[suspect].ask(&body);
                            // It came back.
                            std::mem::forget(asking);
                            let time =
                                u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                            state = lock(shared);
                            self.keep(&mut state, place, attempt, reply, time)
                        }
                        Err(error) => Err(error),
                    };
                    state.under_way -= 1;
                    if let Err(error) = outcome {
                        state.fault.get_or_insert(error);
                    }
                    let done = state.done();
                    (state.progress)(&done);
                    turned.notify_all();
                }
            }
        }
        turned.notify_all();
    }

    fn turn(&self, state: &mut Shared<'_>) -> Turn {
        if state.fault.is_some() || state.ended.is_some() {
            return Turn::Stop;
        }
        let now = Instant::now();
        let due = state.again.iter().map(|(due, _)| *due).min();
        let ready = due.filter(|due| *due <= now);
        let questions = state.transcript.story().questions();
        while state.next < questions.count() && questions.is_answered(state.next) {
            state.next += 1;
        }
        let fresh = state.next < questions.count();
        if ready.is_none() && !fresh {
            return match due {
                Some(due) => Turn::Wait(due - now),
                // A question under way may have to be asked again.
                None if state.under_way > 0 => Turn::Wait(Duration::from_secs(1)),
                None => {
                    let complete = questions.answered() == questions.count();
                    state.ended = Some(if complete {
                        Ended::Complete
                    } else {
                        Ended::Unanswered
                    });
                    Turn::Stop
                }
            };
        }
        let story = state.transcript.story();
        let budget = self.plan.budget;
        if story.attempts() >= budget.requests
            || story.spent().saturating_add(story.most()) > budget.tokens
        {
            // Answers under way may turn out shorter than they could be.
            if state.under_way > 0 {
                return Turn::Wait(Duration::from_secs(1));
            }
            state.ended = Some(Ended::Budget);
            return Turn::Stop;
        }
        let wait = state.pace.wait(now);
        if !wait.is_zero() {
            return Turn::Wait(wait);
        }
        state.pace.take(now);
        let place =
            match ready.and_then(|ready| state.again.iter().position(|(due, _)| *due == ready)) {
                Some(at) => state
                    .again
                    .remove(at)
                    .map_or(state.next, |(_, place)| place),
                None => {
                    state.next += 1;
                    state.next - 1
                }
            };
        Turn::Ask { place }
    }

    /// Writes down that a question is asked; it may be asked when this returns.
    fn send(&self, state: &mut Shared<'_>, place: u64) -> Result<(u64, usize, Vec<u8>)> {
        let (suspect, prompt, answer) = state
            .transcript
            .story()
            .questions()
            .at(place)
            .ok_or_else(|| Error::new(ErrorKind::Mismatch, format!("question {place} is none")))?;
        let question = &self.asked.questions()[prompt as usize];
        let body = self.doors[suspect as usize].body(&Request {
            prompt: &question.prompt,
            seed: question.seeds[answer as usize],
            sampling: &self.plan.sampling,
        });
        let attempt = state.transcript.send(
            (suspect, prompt, answer),
            &body,
            (self.salt)()?,
            (self.now)()?,
        )?;
        Ok((attempt, suspect as usize, body))
    }

    /// Writes down what came of it.
    fn keep(
        &self,
        state: &mut Shared<'_>,
        place: u64,
        attempt: u64,
        reply: std::result::Result<Reply, Miss>,
        milliseconds: u64,
    ) -> Result<()> {
        let (salt, time) = ((self.salt)()?, (self.now)()?);
        match reply {
            Ok(Reply { body, headers }) => {
                state.in_a_row = 0;
                let tokens = answer_text(&body).and_then(|(_, tokens)| tokens);
                let answer = Answer {
                    body: &body,
                    tokens,
                    headers,
                    milliseconds,
                };
                state
                    .transcript
                    .answered(attempt, answer, salt, time)
                    .map(drop)
            }
            Err(miss) => {
                let outcome = NoAnswer {
                    cause: miss.cause,
                    status: miss.status,
                    body: miss.body.as_deref(),
                    headers: miss.headers.clone(),
                    milliseconds,
                };
                state.transcript.failed(attempt, outcome, salt, time)?;
                self.consider(state, place, &miss);
                Ok(())
            }
        }
    }

    /// Decides whether a question is asked again, and whether any is.
    fn consider(&self, state: &mut Shared<'_>, place: u64, miss: &Miss) {
        let now = Instant::now();
        if let Some(wait) = miss.wait {
            state.pace.hold(now, wait);
        }
        if miss.cause != Failure::Throttled {
            state.in_a_row += 1;
        }
        if state.in_a_row >= self.effort.patience {
            state.ended = Some(Ended::Failing(miss.cause));
        }
        let tries = state.tries.entry(place).or_insert(0);
        *tries += 1;
        let worth = !matches!(miss.cause, Failure::Refused | Failure::Unreadable);
        if worth && *tries < self.effort.tries {
            let wait = backoff(self.effort.backoff, *tries);
            state.again.push_back((now + wait, place));
        }
    }
}

impl Shared<'_> {
    fn done(&self) -> Progress {
        let story = self.transcript.story();
        Progress {
            questions: story.questions().count(),
            answered: story.answers(),
            attempts: story.attempts(),
            tokens: story.spent(),
        }
    }
}

/// A request under way. Dropped by a door that panics: nobody waits for its answer then.
struct Asking<'a, 'b> {
    shared: &'a Mutex<Shared<'b>>,
    turned: &'a Condvar,
}

impl Drop for Asking<'_, '_> {
    fn drop(&mut self) {
        lock(self.shared).fault.get_or_insert_with(|| {
            Error::new(
                ErrorKind::Unsupported,
                "a door panicked; its request counts as under way",
            )
        });
        self.turned.notify_all();
    }
}

/// A thread that panicked left the transcript as it is on the disk, which is what counts.
fn lock<'a, 'b>(shared: &'a Mutex<Shared<'b>>) -> MutexGuard<'a, Shared<'b>> {
    shared
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
