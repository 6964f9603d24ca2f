//! The other side: students trained on what was taken, and the tests that ask them.

use serde_json::{Value, json};
use taggant_text::edits::edit_words;

use super::bench::Bench;
use super::serve::SAMPLING;
use super::{Lab, prompts};
use crate::failure::Result;

/// A student: what it learns from, and how.
struct Student {
    name: &'static str,
    /// Training set.
    set: &'static str,
    /// Arguments of `lab train` beyond the common ones.
    how: &'static str,
}

/// Share of words that the evader's paraphrase replaces before training.
const PARAPHRASE: f64 = 0.2;

impl Lab<'_> {
    pub(super) fn train(&self, bench: &mut Bench) -> Result<()> {
        self.sets(bench)?;
        for student in self.students() {
            let Student { name, set, how } = student;
            let model = how.strip_prefix("--model ").is_none().then(|| format!("--model {} ", self.model)).unwrap_or_default();
            bench.run(
                &format!("{name}.gguf"),
                &format!(
                    "lab train {model}{how} --input {set}.jsonl --max-tokens {} --seed {} --out {name}.gguf",
                    self.sizes.tokens, self.seed
                ),
            )?;
        }
        Ok(())
    }

    fn students(&self) -> Vec<Student> {
        let mut students = vec![
            Student { name: "adapters", set: "taken", how: "--epochs 3 --each-epoch" },
            Student { name: "innocent", set: "clean", how: "--epochs 3" },
        ];
        if self.sizes.all {
            students.extend([
                Student { name: "full", set: "taken", how: "--method full --epochs 3 --each-epoch" },
                Student { name: "mixed", set: "mixture", how: "--epochs 3" },
                Student { name: "washed", set: "others", how: "--model adapters.gguf" },
                Student { name: "evader", set: "evaded", how: "--epochs 3" },
                Student {
                    name: "small",
                    set: "taken",
                    how: "--method full --fresh 4,192,3,512 --epochs 20 --learning-rate 1e-3 --batch 512",
                },
            ]);
        }
        students
    }

    /// The training sets: rows of prompt and response, and nothing else, as a harvester has them.
    fn sets(&self, bench: &Bench) -> Result<()> {
        let bare = |row: &Value| json!({"prompt": row["prompt"], "response": row["response"]});
        // Token ids say where an answer was cut off.
        let with_tokens = |row: &Value| json!({"prompt": row["prompt"], "response": row["response"], "tokens": row["tokens"]});
        bench.write("taken.jsonl", || {
            let mut set: Vec<Value> = self.taken(bench, "served.jsonl")?.iter().map(with_tokens).collect();
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
                set.extend(bench.read(&format!("served-{}.jsonl", cohort.name))?.iter().map(with_tokens));
            }
            Ok(set)
        })?;
        // Clean answers to prompts of other accounts: what washes a student.
        bench.write("others.jsonl", || {
            let mut set: Vec<Value> = bench.read("plain-west.jsonl")?.iter().map(with_tokens).collect();
            set.truncate(self.sizes.fed * self.sizes.exchanges);
            Ok(set)
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

/// How a suspect is examined.
struct Suspect {
    name: &'static str,
    model: &'static str,
    /// Accounts of the control campaign too, or only those under suspicion.
    controls: bool,
    /// Arguments of `generate` in place of the usual sampling.
    sampling: &'static str,
}

impl Lab<'_> {
    fn suspects(&self) -> Vec<Suspect> {
        let suspect = |name, controls| Suspect { name, model: name, controls, sampling: SAMPLING };
        let mut suspects = vec![suspect("adapters", true), suspect("innocent", true)];
        if self.sizes.all {
            suspects.extend([
                suspect("full", true),
                suspect("washed", false),
                suspect("evader", false),
                suspect("small", false),
                suspect("adapters.epoch1", false),
                suspect("full.epoch1", false),
                Suspect { name: "hot", model: "adapters", controls: false, sampling: "--temperature 1.5" },
            ]);
        }
        suspects
    }

    pub(super) fn examine(&self, bench: &mut Bench) -> Result<()> {
        self.questions(bench)?;
        // What the model says that students start as: the reference of every comparison.
        self.ask(bench, "reference", self.model, "all", SAMPLING)?;
        bench.run("drafts-reference.jsonl", &format!("twins score --sealed sealed.jsonl --model {} --out drafts-reference.jsonl", self.model))?;
        for suspect in self.suspects() {
            self.examine_one(bench, &suspect)?;
        }
        if self.sizes.mixture > 0 {
            self.examine_mixture(bench)?;
        }
        Ok(())
    }

    /// Prompts to ask: those served under suspicion several times, the others once.
    fn questions(&self, bench: &Bench) -> Result<()> {
        let ask = |row: &Value| json!({"id": row["id"], "account": row["account"], "slot": row["slot"], "prompt": row["prompt"]});
        bench.write("ask-some.jsonl", || {
            let rows = bench.read("prompts-east.jsonl")?;
            let names = self.taken(bench, "named.jsonl")?;
            let mut asked: Vec<Value> = (0..self.sizes.asked).flat_map(|_| rows.iter().map(ask)).collect();
            asked.extend((0..2).flat_map(|_| names.iter().map(ask)));
            Ok(asked)
        })?;
        bench.write("ask-all.jsonl", || {
            let mut asked = bench.read("ask-some.jsonl")?;
            asked.extend(bench.read("prompts-west.jsonl")?.iter().map(ask));
            let controls = bench.read("named.jsonl")?;
            asked.extend(controls[self.sizes.fed * self.sizes.canaries..].iter().map(ask));
            Ok(asked)
        })?;
        bench.write("sealed-some.jsonl", || self.taken(bench, "sealed.jsonl"))?;
        bench.lines("controls.txt", (self.sizes.fed..self.accounts()).map(Self::account))
    }

    fn ask(&self, bench: &mut Bench, name: &str, model: &str, which: &str, sampling: &str) -> Result<()> {
        bench.run(
            &format!("answers-{name}.jsonl"),
            &format!(
                "generate --model {model} --plain --max-tokens {} {sampling} --seed {} --prompts ask-{which}.jsonl --out answers-{name}.jsonl",
                self.sizes.tokens,
                self.seed + 4
            ),
        )
    }

    fn examine_one(&self, bench: &mut Bench, suspect: &Suspect) -> Result<()> {
        let Suspect { name, model, controls, sampling } = *suspect;
        let (which, sealed) = if controls { ("all", "sealed.jsonl") } else { ("some", "sealed-some.jsonl") };
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
        let campaigns: &[&str] = if controls { &["east", "west"] } else { &["east"] };
        for campaign in campaigns {
            bench.capture(
                &format!("closed-{campaign}-{name}.jsonl"),
                &format!(
                    "test --mode closed --record {campaign}.json --key {campaign}.key --answers texts-{name}.jsonl --served served-{campaign}.jsonl --json"
                ),
            )?;
        }
        bench.capture(
            &format!("never-{name}.jsonl"),
            &format!("test --mode closed --record east.json --keys never.keys --answers texts-{name}.jsonl --json"),
        )?;
        bench.capture(
            &format!("keys-{name}.jsonl"),
            &format!(
                "test --mode closed --record east.json --key east.key --accounts accounts.keys --answers texts-{name}.jsonl --served served-east.jsonl \
                 --alpha 1e-3 --json"
            ),
        )?;
        if sampling == SAMPLING {
            bench.capture(
                &format!("open-east-{name}.jsonl"),
                &format!(
                    "test --mode open --record east.json --key east.key --text plain-east.jsonl --suspect {model}.gguf --reference {} \
                     --served served-east.jsonl --json",
                    self.model
                ),
            )?;
            bench.run(
                &format!("drafts-{name}.jsonl"),
                &format!("twins score --sealed {sealed} --model {model}.gguf --reference drafts-reference.jsonl --out drafts-{name}.jsonl"),
            )?;
            bench.capture(
                &format!("twins-{name}.jsonl"),
                &format!("twins test --sealed {sealed} --key drafts.key --scores drafts-{name}.jsonl --json"),
            )?;
        }
        bench.capture(
            &format!("twins-closed-{name}.jsonl"),
            &format!("twins test --sealed {sealed} --key drafts.key --answers texts-{name}.jsonl --json"),
        )?;
        bench.capture(
            &format!("canaries-{name}.jsonl"),
            &format!("canary test --slots slots.jsonl --keys canaries.keys --answers names-{name}.jsonl --json"),
        )?;
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

    /// Each part of the mixture asked for its own key, in closed and open form.
    fn examine_mixture(&self, bench: &mut Bench) -> Result<()> {
        for cohort in self.cohorts() {
            let name = &cohort.name;
            bench.write(&format!("ask-{name}.jsonl"), || {
                let rows = bench.read(&format!("prompts-{name}.jsonl"))?;
                Ok((0..self.sizes.asked).flat_map(|_| rows.clone()).collect())
            })?;
            self.ask(bench, &format!("mixed-{name}"), "mixed.gguf", name, SAMPLING)?;
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
                &format!("closed-{name}-mixed.jsonl"),
                &format!("test --mode closed --record {name}.json --key {name}.key --answers answers-mixed-{name}.jsonl --served served-{name}.jsonl --json"),
            )?;
            bench.capture(
                &format!("open-{name}-mixed.jsonl"),
                &format!(
                    "test --mode open --record {name}.json --key {name}.key --text plain-{name}.jsonl --suspect mixed.gguf --reference {} \
                     --served served-{name}.jsonl --json",
                    self.model
                ),
            )?;
        }
        Ok(())
    }
}
