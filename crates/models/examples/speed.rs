use taggant_models::student::*;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    for method in [Method::Full, Method::Adapters { rank: 16 }] {
        let mut st = Student::open(path.as_ref(), |_, _| ()).unwrap();
        let samples: Vec<Sample> = (0..64u32)
            .map(|i| Sample {
                prompt: (0..20).map(|j| 100 + i * 37 + j * 11).collect(),
                response: (0..35).map(|j| 500 + i * 91 + j * 13).collect(),
            })
            .collect();
        let t = std::time::Instant::now();
        let mut last = t;
        st.train(
            &samples,
            &Settings {
                epochs: 1,
                ..Settings::new(method)
            },
            None,
            &mut |_, n| (0..n).collect(),
            &mut |s, _| {
                println!(
                    "{method:?} {:?} loss {:.3} {:.2}s",
                    s.positions,
                    s.loss,
                    last.elapsed().as_secs_f64()
                );
                last = std::time::Instant::now();
                Ok(())
            },
        )
        .unwrap();
        println!("{:.1} positions/s", 64.0 * 55.0 / t.elapsed().as_secs_f64());
    }
}
