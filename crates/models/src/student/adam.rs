//! Adam (Kingma and Ba 2015) with gradients clipped to a norm.

use ndarray::Array2;

use super::{Settings, net::slice_mut, zeros};

/// How much of the last step's means remains.
const DECAY: [f32; 2] = [0.9, 0.99];
const EPSILON: f32 = 1e-8;
/// Largest norm of all gradients together.
const CLIP: f32 = 1.0;

/// Running means of gradients and of their squares.
#[derive(Debug)]
pub(super) struct Adam {
    pub(super) steps: i32,
    pub(super) means: [Vec<Array2<f32>>; 2],
    learning_rate: f32,
    warmup: usize,
}

impl Adam {
    pub(super) fn new(trained: &[Array2<f32>], settings: &Settings) -> Self {
        Self {
            steps: 0,
            means: [zeros(trained), zeros(trained)],
            learning_rate: settings.learning_rate,
            warmup: settings.warmup,
        }
    }

    /// One step against the sum of `gradients`, one list for each shard, which are 0 afterwards.
    pub(super) fn step(&mut self, trained: &mut [Array2<f32>], gradients: &mut [Vec<Array2<f32>>]) {
        let threads = gradients.len();
        let Some((sum, others)) = gradients.split_first_mut() else {
            return;
        };
        for other in others {
            for (sum, other) in sum.iter_mut().zip(other) {
                *sum += &*other;
                other.fill(0.0);
            }
        }
        self.steps += 1;
        #[expect(clippy::cast_precision_loss, reason = "steps are few")]
        let warm = (self.steps as f32 / self.warmup.max(1) as f32).min(1.0);
        let norm = sum
            .iter()
            .map(|array| array.iter().map(|x| x * x).sum::<f32>())
            .sum::<f32>()
            .sqrt();
        let clip = if norm > CLIP { CLIP / norm } else { 1.0 };
        let [first, second] = DECAY.map(|decay| 1.0 - decay.powi(self.steps));
        let rate = self.learning_rate * warm / first;

        let [means, squares] = &mut self.means;
        let mut work: Vec<_> = trained
            .iter_mut()
            .zip(sum)
            .zip(means.iter_mut().zip(squares))
            .collect();
        // Largest first, each to the thread with the least so far: about equal shares.
        work.sort_by_key(|((weights, _), _)| std::cmp::Reverse(weights.len()));
        let mut shares: Vec<(usize, Vec<_>)> = (0..threads).map(|_| (0, Vec::new())).collect();
        for item in work {
            if let Some((length, share)) = shares.iter_mut().min_by_key(|(length, _)| *length) {
                *length += item.0.0.len();
                share.push(item);
            }
        }
        std::thread::scope(|scope| {
            for (_, share) in shares {
                scope.spawn(move || {
                    for ((weights, gradient), (mean, square)) in share {
                        let means = slice_mut(mean).iter_mut().zip(slice_mut(square));
                        for ((weight, gradient), (mean, square)) in slice_mut(weights)
                            .iter_mut()
                            .zip(slice_mut(gradient))
                            .zip(means)
                        {
                            let gradient = clip * std::mem::take(gradient);
                            *mean = DECAY[0] * *mean + (1.0 - DECAY[0]) * gradient;
                            *square = DECAY[1] * *square + (1.0 - DECAY[1]) * gradient * gradient;
                            *weight -= rate * *mean / ((*square / second).sqrt() + EPSILON);
                        }
                    }
                });
            }
        });
    }
}
