#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "tests count to a hundred"
)]

use std::io::Cursor;

use super::*;
use crate::testing::{VOCABULARY, llama, values};
use crate::{Exchange, score};

fn file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), llama(0).bytes()).unwrap();
    file
}

fn student() -> Student {
    Student::open(file().path(), |_, _| ()).unwrap()
}

fn samples() -> Vec<Sample> {
    let token = |x: &f32| ((x + 1.0) * 0.499 * VOCABULARY as f32) as u32;
    (0..5)
        .map(|number| Sample {
            prompt: values(2 + number, 70 + number as u32)
                .iter()
                .map(token)
                .collect(),
            response: values(3 + 2 * number, 80 + number as u32)
                .iter()
                .map(token)
                .collect(),
        })
        .collect()
}

fn in_order(_: usize, count: usize) -> Vec<usize> {
    (0..count).collect()
}

fn loss(student: &Student, samples: &[Sample]) -> f64 {
    let all: Vec<&Sample> = samples.iter().collect();
    let method = match student.adapters.first() {
        None => Method::Full,
        Some(adapter) => Method::Adapters {
            rank: adapter.nrows(),
        },
    };
    student.gradients(&all, &mut vec![zeros(student.trained(method)); 2])
}

/// The engine's own mean −ln p, of the file a student writes.
fn engine_loss(student: &Student, samples: &[Sample]) -> f64 {
    let path = tempfile::NamedTempFile::new().unwrap();
    student.save(path.path()).unwrap();
    let model = Llama::load(path.path(), |_, _| ()).unwrap();
    let exchanges: Vec<_> = samples
        .iter()
        .map(|sample| Exchange {
            prompt: &sample.prompt,
            response: &sample.response,
        })
        .collect();
    let (mut sum, mut count) = (0.0, 0.0);
    score(&model, &exchanges, 1, |scored| {
        sum -= scored.log_probabilities.iter().sum::<f64>();
        count += scored.log_probabilities.len() as f64;
        Ok(())
    })
    .unwrap();
    sum / count
}

/// Grouped heads, tied embedding: everything the real model has.
#[test]
fn the_loss_is_the_engines_in_memory_and_from_the_file() {
    let (student, samples) = (student(), samples());
    let [own, engine] = [loss(&student, &samples), engine_loss(&student, &samples)];
    assert!((own - engine).abs() < 1e-5, "{own} {engine}");
}

/// Directional derivatives along random directions, one for each array, against central differences.
fn check_gradients(mut student: Student, method: Method) {
    let samples = samples();
    let all: Vec<&Sample> = samples.iter().collect();
    let mut parts = vec![zeros(student.trained(method)); 2];
    student.gradients(&all, &mut parts);
    for place in 0..student.trained(method).len() {
        let gradient = parts.iter().map(|part| &part[place]).fold(
            Array2::zeros(parts[0][place].dim()),
            |sum: Array2<f32>, part| sum + part,
        );
        let direction = values(gradient.len(), place as u32);
        let slope: f64 = gradient
            .iter()
            .zip(&direction)
            .map(|(gradient, direction)| f64::from(*gradient) * f64::from(*direction))
            .sum();
        let length = (gradient.iter().map(|g| g * g).sum::<f32>()).sqrt();
        let step = 2e-3_f32;
        let mut at = |factor: f32| {
            let array = &mut student.trained_mut(method)[place];
            for (weight, direction) in array.iter_mut().zip(&direction) {
                *weight += factor * step * direction;
            }
            loss(&student, &samples)
        };
        let (above, below) = (at(1.0), at(-2.0));
        at(1.0);
        let difference = (above - below) / (2.0 * f64::from(step));
        let tolerance = 0.02 * f64::from(length) + 2e-3;
        assert!(
            (slope - difference).abs() < tolerance,
            "array {place}: {slope} against {difference}"
        );
    }
}

#[test]
fn gradients_are_those_of_the_loss() {
    check_gradients(student(), Method::Full);
    let mut adapted = student();
    adapted.adapters = adapted.new_adapters(4, 1);
    // The second of each pair begins at 0, where the first has no gradient.
    for (number, adapter) in adapted.adapters.iter_mut().enumerate() {
        let noise = values(adapter.len(), 500 + number as u32);
        adapter
            .iter_mut()
            .zip(noise)
            .for_each(|(value, noise)| *value += 0.1 * noise);
    }
    check_gradients(adapted, Method::Adapters { rank: 4 });
}

#[test]
fn training_learns_and_the_file_holds_what_was_learned() {
    for (method, rate) in [(Method::Full, 3e-3), (Method::Adapters { rank: 4 }, 1e-2)] {
        let (mut student, samples) = (student(), samples());
        let before = loss(&student, &samples);
        let settings = Settings {
            epochs: 40,
            learning_rate: rate,
            batch: 30,
            ..Settings::new(method)
        };
        let mut epochs = 0;
        student
            .train(&samples, &settings, None, &mut in_order, &mut |step, _| {
                epochs += usize::from(step.ends_epoch);
                assert!(step.positions[0] <= step.positions[1] && step.loss.is_finite());
                Ok(())
            })
            .unwrap();
        let after = loss(&student, &samples);
        assert!(after < 0.2 * before && epochs == 40, "{before} {after}");
        assert!((after - engine_loss(&student, &samples)).abs() < 1e-4);
    }
}

/// Saved in the middle with the adapters still apart.
#[test]
fn a_student_saved_in_training_is_the_adapted_model() {
    let (mut student, samples) = (student(), samples());
    let settings = Settings {
        epochs: 5,
        batch: 30,
        learning_rate: 1e-2,
        ..Settings::new(Method::Adapters { rank: 4 })
    };
    student
        .train(
            &samples,
            &settings,
            None,
            &mut in_order,
            &mut |step, student| {
                if step.ends_epoch {
                    let [own, engine] = [loss(student, &samples), engine_loss(student, &samples)];
                    assert!((own - engine).abs() < 1e-4, "{own} {engine}");
                }
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn a_training_that_was_cut_short_goes_on_to_the_same_weights() {
    let samples = samples();
    for method in [Method::Full, Method::Adapters { rank: 2 }] {
        let settings = Settings {
            epochs: 6,
            batch: 20,
            ..Settings::new(method)
        };
        let mut whole = student();
        let mut steps = 0;
        whole
            .train(&samples, &settings, None, &mut in_order, &mut |_, _| {
                steps += 1;
                Ok(())
            })
            .unwrap();

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        let mut first = student();
        let cut = Some((path.as_path(), Duration::ZERO));
        let mut heard = 0;
        let stopped = first.train_saving(&samples, &settings, cut, &mut in_order, &mut |_, _| {
            heard += 1;
            match heard {
                4 => Err(Error::new(ErrorKind::Io, "cut short")),
                _ => Ok(()),
            }
        });
        assert!(stopped.is_err());

        let mut second = student();
        let mut seen = 0;
        second
            .train(
                &samples,
                &settings,
                Some(&path),
                &mut in_order,
                &mut |_, _| {
                    seen += 1;
                    Ok(())
                },
            )
            .unwrap();
        assert_eq!(seen, steps - 3);
        assert_eq!(second.weights, whole.weights);

        let other = Settings {
            learning_rate: 2e-4,
            ..settings
        };
        let error = student()
            .train(&samples, &other, Some(&path), &mut in_order, &mut |_, _| {
                Ok(())
            })
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
    }
}

#[test]
fn a_new_student_runs_in_the_engine_and_learns() {
    let file = file();
    let mut state = 5;
    let mut random = || uniform(&mut state) + uniform(&mut state) + uniform(&mut state) - 1.5;
    let size = Size {
        layers: 2,
        width: 48,
        heads: 3,
        feed_forward: 64,
    };
    let mut student = Student::new(file.path(), size, &mut || 2.0 * random()).unwrap();
    let samples = samples();
    let before = loss(&student, &samples);
    // Nothing known: every token about as likely as any other.
    assert!(
        (before - f64::from(VOCABULARY).ln()).abs() < 0.3,
        "{before}"
    );
    assert!((before - engine_loss(&student, &samples)).abs() < 1e-4);
    let settings = Settings {
        epochs: 60,
        learning_rate: 1e-2,
        batch: 100,
        ..Settings::new(Method::Full)
    };
    student
        .train(&samples, &settings, None, &mut in_order, &mut |_, _| Ok(()))
        .unwrap();
    assert!(loss(&student, &samples) < 0.3 * before);

    let odd = Size { width: 50, ..size };
    assert_eq!(
        Student::new(file.path(), odd, &mut || 0.0)
            .unwrap_err()
            .kind(),
        ErrorKind::Parameter
    );
}

#[test]
fn bad_samples_and_settings_are_refused_before_any_work() {
    let good = Sample {
        prompt: vec![1],
        response: vec![2],
    };
    let settings = Settings::new(Method::Full);
    for (samples, settings, kind, message) in [
        (vec![], settings, ErrorKind::Parameter, "no samples"),
        (
            vec![Sample {
                prompt: vec![],
                ..good.clone()
            }],
            settings,
            ErrorKind::Parameter,
            "sample 0: the prompt",
        ),
        (
            vec![
                good.clone(),
                Sample {
                    response: vec![70],
                    ..good.clone()
                },
            ],
            settings,
            ErrorKind::Token,
            "sample 1: token 70",
        ),
        (
            vec![Sample {
                response: vec![2; 80],
                ..good.clone()
            }],
            settings,
            ErrorKind::Limit,
            "sample 0: 81 tokens",
        ),
        (
            vec![good.clone()],
            Settings {
                epochs: 0,
                ..settings
            },
            ErrorKind::Parameter,
            "epochs is 0",
        ),
        (
            vec![good.clone()],
            Settings {
                learning_rate: f32::NAN,
                ..settings
            },
            ErrorKind::Parameter,
            "learning rate NaN",
        ),
        (
            vec![good.clone()],
            Settings {
                method: Method::Adapters { rank: 0 },
                ..settings
            },
            ErrorKind::Parameter,
            "rank is 0",
        ),
    ] {
        let error = student()
            .train(&samples, &settings, None, &mut in_order, &mut |_, _| Ok(()))
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn a_saved_header_reads_back_whole() {
    let file = file();
    let path = tempfile::NamedTempFile::new().unwrap();
    student().save(path.path()).unwrap();
    let [before, after] = [file.path(), path.path()].map(|path| Gguf::open(path).unwrap());
    assert!(before.metadata().eq(after.metadata()));
    let names = |gguf: &Gguf| {
        let mut names: Vec<_> = gguf
            .tensors()
            .iter()
            .map(|tensor| (tensor.name.clone(), tensor.dimensions.clone()))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&before), names(&after));
    let bytes = std::fs::read(path.path()).unwrap();
    assert!(Llama::from_reader(Cursor::new(&bytes[..bytes.len() - 40]), |_, _| ()).is_err());
}
