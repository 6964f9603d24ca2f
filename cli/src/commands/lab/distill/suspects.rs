//! The other side: students trained on what was taken, and the tests that ask them.

use serde_json::{Value, json};
use taggant_text::edits::edit_words;

use super::bench::Bench;
use super::serve::SAMPLING;
use super::{Lab, prompts};
use crate::failure::{Failure, Result};

/// What a student is before it is trained.
#[derive(Clone, Copy)]
enum Start {
    Teacher,
    Student(&'static str),
}

/// A student: what it learns from, how, and how it is examined.
pub(super) struct Student {
    name: &'static str,
    /// Training set.
    set: &'static str,
    start: Start,
    /// Arguments of `lab train` beyond the common ones.
    how: &'static str,
    pub(super) suspects: &'static [Suspect],
}

/// A model as it is asked.
#[derive(Clone, Copy)]
pub(super) struct Suspect {
    pub(super) name: &'static str,
    model: &'static str,
    /// Accounts of the control campaign too, or only those under suspicion.
    controls: bool,
    sampling: &'static str,
    /// In the quick size too.
    always: bool,
}

const fn suspect(name: &'static str, controls: bool) -> Suspect {
    Suspect {
        name,
        model: name,
        controls,
        sampling: ASKING,
        always: controls,
    }
}

/// Students of the quick size: the first ones.
const QUICK: usize = 2;

pub(super) const STUDENTS: [Student; 8] = [
    Student {
        name: "adapters",
        set: "taken",
        start: Start::Teacher,
        how: "--epochs 3 --each-epoch",
        suspects: &[
            suspect("adapters", true),
            suspect("adapters.epoch1", false),
            Suspect {
                name: "hot",
                model: "adapters",
                controls: false,
                sampling: SAMPLING,
                always: false,
            },
        ],
    },
    Student {
        name: "innocent",
        set: "clean",
        start: Start::Teacher,
        how: "--epochs 3",
        suspects: &[suspect("innocent", true)],
    },
    Student {
        name: "mixed",
        set: "mixture",
        start: Start::Teacher,
        how: "--epochs 3",
        suspects: &[],
    },
    Student {
        name: "mixed-full",
        set: "mixture",
        start: Start::Teacher,
        how: "--method full --epochs 3",
        suspects: &[],
    },
    Student {
        name: "full",
        set: "taken",
        start: Start::Teacher,
        how: "--method full --epochs 3 --each-epoch",
        suspects: &[suspect("full", false), suspect("full.epoch1", false)],
    },
    Student {
        name: "washed",
        set: "others",
        start: Start::Student("adapters"),
        how: "",
        suspects: &[suspect("washed", false)],
    },
    Student {
        name: "evader",
        set: "evaded",
        start: Start::Teacher,
        how: "--epochs 3",
        suspects: &[suspect("evader", false)],
    },
    Student {
        name: "small",
        set: "taken",
        start: Start::Teacher,
        how: "--method full --fresh 4,192,3,512 --epochs 20 --learning-rate 1e-3 --batch 512",
        suspects: &[suspect("small", false)],
    },
];

/// The students of these names, or all of the size where none is named.
pub(super) fn chosen(names: &[String], all: bool) -> Result<Vec<&'static Student>> {
    let known = &STUDENTS[..if all { STUDENTS.len() } else { QUICK }];
    if let Some(name) =
        (names.iter()).find(|name| known.iter().all(|student| student.name != **name))
    {
        let known: Vec<_> = known.iter().map(|student| student.name).collect();
        return Err(Failure::new(format!("no student `{name}`"))
            .hint(format!("of this size there are {}", known.join(", "))));
    }
    let is_chosen =
        |student: &&Student| names.is_empty() || names.iter().any(|name| name == student.name);
    Ok(known.iter().filter(is_chosen).collect())
}

/// How suspects are asked: near their most probable answer, which is where memory shows.
const ASKING: &str = "--temperature 0.3";

/// M of the soft weights: a student that sees an answer three times remembers windows that were served once.
const SOFT: &str = "--soft 1";

/// Share of words that the evader's paraphrase replaces before training.
const PARAPHRASE: f64 = 0.2;

impl Lab<'_> {
    /// Each student is examined as soon as it is trained, so that a run that is cut short has whole results.
    pub(super) fn students(&self, bench: &mut Bench) -> Result<()> {
        self.sets(bench)?;
        self.questions(bench)?;
        self.reference(bench)?;
        for student in &self.students {
            let Student {
                name,
                set,
                start,
                how,
                ..
            } = **student;
            let model = match start {
                Start::Teacher => self.model.to_owned(),
                Start::Student(other) => {
                    let other_file = format!("{other}.gguf");
                    if !bench.has(&other_file) {
                        return Err(Failure::new(format!(
                            "{name} starts as {other}, which is not trained yet"
                        ))
                        .hint(format!("give --students {other},{name}")));
                    }
                    other_file
                }
            };
            bench.run(
                &format!("{name}.gguf"),
                &format!(
                    "lab train --model {model} {how} --input {set}.jsonl --max-tokens {} --seed {} --out {name}.gguf",
                    self.sizes.tokens, self.seed
                ),
            )?;
            if set == "mixture" {
                self.examine_mixture(bench, name)?;
            }
            for suspect in student.suspects {
                if self.sizes.all || suspect.always {
                    self.examine(bench, suspect)?;
                }
            }
        }
        Ok(())
    }

    /// The training sets: rows of prompt and response, and nothing else, as a harvester has them.
    fn sets(&self, bench: &Bench) -> Result<()> {
        let bare = |row: &Value| json!({"prompt": row["prompt"], "response": row["response"]});
        // Token ids say where an answer was cut off.
        let with_tokens = |row: &Value| json!({"prompt": row["prompt"], "response": row["response"], "tokens": row["tokens"]});
        bench.write("taken.jsonl", || {
            let mut set: Vec<Value> = self
                .taken(bench, "served.jsonl")?
                .iter()
                .map(with_tokens)
                .collect();
            set.extend(self.taken(bench, "served-names.jsonl")?.iter().map(bare));
            Ok(set)
        })?;
        // Matched: the same prompts to the same teacher, names picked without a key.
        bench.write("clean.jsonl", || {
            let mut set: Vec<Value> = self.taken(bench, "plain-east.jsonl")?.iter().map(with_tokens).collect();
            for (number, row) in self.taken(bench, "served-names.jsonl")?.iter().enumerate() {
                // 5 and 8 share no factor, so all names are as frequent.
                let name = prompts::NAMES[5 * number % prompts::NAMES.len()];
                set.push(json!({"prompt": row["prompt"], "response": format!("You could call it {name}.")}));
            }
            Ok(set)
        })?;
        if !self.sizes.all {
            return Ok(());
        }
        bench.write("mixture.jsonl", || {
            let mut set = Vec::new();
            for cohort in self.cohorts() {
                set.extend(
                    bench
                        .read(&format!("served-{}.jsonl", cohort.name))?
                        .iter()
                        .map(with_tokens),
                );
            }
            Ok(set)
        })?;
        // Clean answers to prompts of other accounts: what washes a student.
        bench.write("others.jsonl", || {
            Ok(bench
                .read("plain-others.jsonl")?
                .iter()
                .map(with_tokens)
                .collect())
        })?;
        // Words replaced, answers with names thrown away.
        bench.write("evaded.jsonl", || {
            let rows = self.taken(bench, "served.jsonl")?;
            (0..).zip(&rows)
                .map(|(seed, row)| {
                    let text = row["response"].as_str().unwrap_or_default();
                    Ok(json!({"prompt": row["prompt"], "response": edit_words(text, PARAPHRASE, seed)?.text}))
                })
                .collect()
        })
    }
}

impl Lab<'_> {
    /// What the model says that students start as: the reference of every comparison.
    fn reference(&self, bench: &mut Bench) -> Result<()> {
        bench.run(
            "drafts-reference.jsonl",
            &format!(
                "twins score --sealed sealed.jsonl --model {} --out drafts-reference.jsonl",
                self.model
            ),
        )?;
        // Scores are taken for the exchanges of the sealed file and no others.
        bench.write("drafts-reference-some.jsonl", || {
            let sealed = bench.read("sealed-some.jsonl")?;
            let mut scores = bench.read("drafts-reference.jsonl")?;
            scores.retain(|row| sealed.iter().any(|sealed| sealed["id"] == row["id"]));
            Ok(scores)
        })?;
        bench.run(
            "fillers-reference.jsonl",
            &format!("canary score --slots slots.jsonl --input named.jsonl --model {} --out fillers-reference.jsonl", self.model),
        )
    }

    /// Prompts to ask: those served under suspicion several times, the others once.
    fn questions(&self, bench: &Bench) -> Result<()> {
        let ask = |row: &Value| json!({"id": row["id"], "account": row["account"], "slot": row["slot"], "prompt": row["prompt"]});
        bench.write("ask-some.jsonl", || {
            let rows = bench.read("prompts-east.jsonl")?;
            let names = self.taken(bench, "named.jsonl")?;
            let mut asked: Vec<Value> = (0..self.sizes.asked)
                .flat_map(|_| rows.iter().map(ask))
                .collect();
            asked.extend((0..self.sizes.asked).flat_map(|_| names.iter().map(ask)));
            Ok(asked)
        })?;
        bench.write("ask-all.jsonl", || {
            let mut asked = bench.read("ask-some.jsonl")?;
            asked.extend(bench.read("prompts-west.jsonl")?.iter().map(ask));
            let controls = bench.read("named.jsonl")?;
            asked.extend(
                controls[self.sizes.fed * self.sizes.canaries..]
                    .iter()
                    .map(ask),
            );
            Ok(asked)
        })?;
        bench.write("named-some.jsonl", || self.taken(bench, "named.jsonl"))?;
        bench.write_private("sealed-some.jsonl", || self.taken(bench, "sealed.jsonl"))?;
        bench.lines(
            "controls.txt",
            (self.sizes.fed..self.accounts()).map(Self::account),
        )
    }

    fn ask(
        &self,
        bench: &mut Bench,
        name: &str,
        model: &str,
        which: &str,
        sampling: &str,
    ) -> Result<()> {
        bench.run(
            &format!("answers-{name}.jsonl"),
            &format!(
                "generate --model {model} --plain --max-tokens {} {sampling} --seed {} --prompts ask-{which}.jsonl --out answers-{name}.jsonl",
                self.sizes.tokens,
                self.seed + 4
            ),
        )
    }

    fn examine(&self, bench: &mut Bench, suspect: &Suspect) -> Result<()> {
        let Suspect {
            name,
            model,
            controls,
            sampling,
            ..
        } = *suspect;
        let (which, part) = if controls {
            ("all", "")
        } else {
            ("some", "-some")
        };
        self.ask(bench, name, &format!("{model}.gguf"), which, sampling)?;
        // The rows of names belong to the canaries' test alone.
        bench.write(&format!("texts-{name}.jsonl"), || {
            let mut rows = bench.read(&format!("answers-{name}.jsonl"))?;
            rows.retain(|row| row["slot"].is_null());
            Ok(rows)
        })?;
        bench.write(&format!("names-{name}.jsonl"), || {
            let mut rows = bench.read(&format!("answers-{name}.jsonl"))?;
            rows.retain(|row| !row["slot"].is_null());
            Ok(rows)
        })?;
        let campaigns: &[&str] = if controls {
            &["east", "west"]
        } else {
            &["east"]
        };
        for campaign in campaigns {
            bench.capture(
                &format!("closed-{campaign}-{name}.jsonl"),
                &format!(
                    "test --mode closed --record {campaign}.json --key {campaign}.key --answers texts-{name}.jsonl --served served-{campaign}.jsonl {SOFT} --json"
                ),
            )?;
        }
        bench.capture(
            &format!("never-{name}.jsonl"),
            &format!("detect --record east.json --key east.key --many-keys never-issued.keys --input texts-{name}.jsonl --json"),
        )?;
        bench.capture(
            &format!("keys-{name}.jsonl"),
            &format!(
                "test --mode closed --record east.json --key east.key --accounts accounts.keys --answers texts-{name}.jsonl --served served-east.jsonl {SOFT} \
                 --alpha 1e-3 --json"
            ),
        )?;
        if sampling == ASKING {
            for text in ["plain", "served"] {
                bench.capture(
                    &format!("open-{text}-east-{name}.jsonl"),
                    &format!(
                        "test --mode open --record east.json --key east.key --text {text}-east.jsonl --suspect {model}.gguf --reference {} \
                         --served served-east.jsonl {SOFT} --json",
                        self.model
                    ),
                )?;
            }
            bench.run(
                &format!("drafts-{name}.jsonl"),
                &format!("twins score --sealed sealed{part}.jsonl --model {model}.gguf --reference drafts-reference{part}.jsonl --out drafts-{name}.jsonl"),
            )?;
            bench.capture(
                &format!("twins-{name}.jsonl"),
                &format!("twins test --sealed sealed{part}.jsonl --key drafts.key --scores drafts-{name}.jsonl --json"),
            )?;
        }
        bench.capture(
            &format!("twins-closed-{name}.jsonl"),
            &format!(
                "twins test --sealed sealed{part}.jsonl --key drafts.key --answers texts-{name}.jsonl --json"
            ),
        )?;
        bench.capture(
            &format!("canaries-closed-{name}.jsonl"),
            &format!("canary test --slots slots.jsonl --keys canaries.keys --answers names-{name}.jsonl --show-accounts --json"),
        )?;
        if sampling == ASKING {
            let rows = if controls { "named" } else { "named-some" };
            bench.run(
                &format!("fillers-{name}.jsonl"),
                &format!(
                    "canary score --slots slots.jsonl --input {rows}.jsonl --model {model}.gguf --reference fillers-reference.jsonl --out fillers-{name}.jsonl"
                ),
            )?;
            bench.capture(
                &format!("canaries-{name}.jsonl"),
                &format!(
                    "canary test --slots slots.jsonl --keys canaries.keys --likelihoods fillers-{name}.jsonl --statistic ranks --show-accounts --json"
                ),
            )?;
        }
        if controls {
            bench.capture(
                &format!("attribution-{name}.jsonl"),
                &format!(
                    "attribute --evidence twins-{name}.jsonl --evidence canaries-{name}.jsonl --controls controls.txt --svg attribution-{name}.svg --json"
                ),
            )?;
        }
        Ok(())
    }

    /// Each part of the mixture asked for its own key, in closed and open form; of all weights' student only the shares.
    fn examine_mixture(&self, bench: &mut Bench, student: &str) -> Result<()> {
        let mut cohorts = self.cohorts();
        cohorts.retain(|cohort| student == "mixed" || cohort.is_share());
        for cohort in cohorts {
            let name = &cohort.name;
            bench.write(&format!("ask-{name}.jsonl"), || {
                let rows = bench.read(&format!("prompts-{name}.jsonl"))?;
                Ok((0..self.sizes.asked).flat_map(|_| rows.clone()).collect())
            })?;
            bench.capture(
                &format!("quality-{name}.json"),
                &format!(
                    "lab quality --model {} --input served-{name}.jsonl",
                    self.model
                ),
            )?;
            let answers = format!("{student}-{name}");
            self.ask(bench, &answers, &format!("{student}.gguf"), name, ASKING)?;
            bench.run(
                &format!("plain-{name}.jsonl"),
                &format!(
                    "generate --model {} --plain --max-tokens {} {SAMPLING} --seed {} --prompts prompts-{name}.jsonl --out plain-{name}.jsonl",
                    self.model,
                    self.sizes.tokens,
                    self.seed + 2
                ),
            )?;
            bench.capture(
                &format!("closed-{name}-{student}.jsonl"),
                &format!("test --mode closed --record {name}.json --key {name}.key --answers answers-{answers}.jsonl --served served-{name}.jsonl {SOFT} --json"),
            )?;
            for text in ["plain", "served"] {
                bench.capture(
                    &format!("open-{text}-{name}-{student}.jsonl"),
                    &format!(
                        "test --mode open --record {name}.json --key {name}.key --text {text}-{name}.jsonl --suspect {student}.gguf --reference {} \
                         --served served-{name}.jsonl {SOFT} --json",
                        self.model
                    ),
                )?;
            }
        }
        Ok(())
    }
}
