//! The engine on real weights: SmolLM2-135M-Instruct, Q4_1.

#[cfg(test)]
mod tests {
    use std::{fs, io::Cursor, sync::Mutex};
    use taggant_tests::model::{model, path};

    use taggant_core::ErrorKind;
    use taggant_models::{
        Exchange, Limits, Llama, Response, conformance, generate, score, score_with,
    };

    /// Token sequences with the log-probabilities that `data/smollm2.py` computed in f64.
    fn oracle() -> Vec<(Vec<u32>, Vec<f64>)> {
        let sequences = include_str!("data/smollm2.txt").split("\n\n");
        sequences
            .map(|lines| {
                let mut sequence = (Vec::new(), Vec::new());
                for line in lines.lines() {
                    let mut fields = line.split(' ');
                    sequence.0.push(fields.next().unwrap().parse().unwrap());
                    sequence.1.extend(fields.map(|x| x.parse::<f64>().unwrap()));
                }
                sequence
            })
            .collect()
    }

    fn greedy(logits: &[f32]) -> u32 {
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        u32::try_from(best.unwrap().0).unwrap()
    }

    #[test]
    fn log_probabilities_match_an_independent_f64_computation() {
        let model = model();
        let oracle = oracle();
        let exchanges: Vec<Exchange<'_>> = oracle
            .iter()
            .map(|(tokens, _)| Exchange {
                prompt: &tokens[..1],
                response: &tokens[1..],
            })
            .collect();
        let (mut worst, mut sum, mut count) = (0.0_f64, 0.0, 0_u32);
        score(model, &exchanges, 2, |scored| {
            let want = &oracle[scored.row].1;
            assert_eq!(scored.log_probabilities.len(), want.len());
            for (got, want) in scored.log_probabilities.iter().zip(want) {
                worst = worst.max((got - want).abs());
                sum += (got - want).abs();
                count += 1;
            }
            Ok(())
        })
        .unwrap();
        println!(
            "{count} positions: max {worst:.2e}, mean {:.2e}",
            sum / f64::from(count)
        );
        // Measured 8.2e-6 and 1.3e-6: f32 sums against f64 ones.
        assert!(count > 300 && worst < 5e-5, "{worst:e}");
    }

    #[test]
    fn the_model_keeps_the_contract() {
        let model = model();
        conformance::check(model).unwrap();
    }

    /// The same tokens and the same bits of every logit in any batch and on any threads, with
    /// prompts of different lengths; and scoring the result sees those bits again.
    #[test]
    fn a_row_is_the_same_in_every_batch() {
        let model = model();
        let text = &oracle()[1].0;
        let prompts: Vec<Vec<u32>> = (0..32)
            .map(|i| text[i..i + 1 + i * 5 % 23].to_vec())
            .collect();
        // The bits of a row's logits, folded into one number.
        let fold = |hash: u64, logits: &[f32]| {
            let mix =
                |hash: u64, x: &f32| (hash ^ u64::from(x.to_bits())).wrapping_mul(0x100_0000_01B3);
            logits.iter().fold(hash, mix)
        };
        let run = |count: usize, batch: usize, threads: usize| {
            let hashes = Mutex::new(vec![0; count]);
            let mut responses: Vec<Response> = Vec::new();
            let limits = Limits::new(12).with_batch(batch).with_threads(threads);
            let chooser = |row: usize| {
                let hashes = &hashes;
                Ok(move |logits: &[f32]| {
                    let mut hashes = hashes.lock().unwrap();
                    hashes[row] = fold(hashes[row], logits);
                    Ok(greedy(logits))
                })
            };
            generate(model, &prompts[..count], limits, chooser, |response| {
                responses.push(response);
                Ok(())
            })
            .unwrap();
            responses.sort_by_key(|response| response.row);
            (responses, hashes.into_inner().unwrap())
        };
        let (responses, hashes) = run(32, 1, 1);
        for (batch, threads) in [(3, 1), (8, 1), (32, 1), (32, 2), (7, 3)] {
            let (others, other_hashes) = run(32, batch, threads);
            assert_eq!(responses, others, "batch {batch}, {threads} threads");
            assert_eq!(hashes, other_hashes, "batch {batch}, {threads} threads");
        }

        let exchanges: Vec<Exchange<'_>> = (prompts.iter().zip(&responses))
            .map(|(prompt, response)| Exchange {
                prompt,
                response: &response.tokens,
            })
            .collect();
        let visit = |(hash, tokens): &mut (u64, Vec<u32>), token, logits: &[f32]| {
            *hash = fold(*hash, logits);
            tokens.push(token);
            Ok(())
        };
        score_with(
            model,
            &exchanges,
            2,
            |_| Ok((0, Vec::new())),
            visit,
            |row, (hash, tokens)| {
                assert_eq!(tokens, responses[row].tokens);
                if tokens.len() == 12 {
                    assert_eq!(hash, hashes[row], "row {row}");
                }
                Ok(())
            },
        )
        .unwrap();
    }

    #[test]
    fn a_real_file_cut_anywhere_is_a_format_error() {
        let path = path();
        let bytes = fs::read(path).unwrap();
        let ends = (0..64)
            .map(|i| i * 31)
            .chain((0..40).map(|i| bytes.len() / 40 * i));
        for end in ends.chain([bytes.len() - 1]) {
            let cut = Cursor::new(&bytes[..end]);
            let error = Llama::from_reader(cut, |_, _| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format, "cut at {end}: {error}");
        }
    }

    #[test]
    fn the_model_answers_a_question() {
        let model = model();
        // The chat template around "What is the capital of France?", from llama.cpp's tokenizer.
        let prompt = [
            1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198,
        ];
        let mut answer = Vec::new();
        let chooser = |_| Ok(|logits: &[f32]| Ok(greedy(logits)));
        generate(model, &[prompt], Limits::new(20), chooser, |response| {
            answer = response.tokens;
            Ok(())
        })
        .unwrap();
        // "The capital of France is Paris.", and the stop token, which llama.cpp chooses too.
        assert_eq!(answer, [504, 3575, 282, 4649, 314, 7042, 30]);
    }
}
