//! Executions of a target a second of processor time, on one core: its seeds, each with a few bytes changed, over and over.
//!
//!     cargo run --release -p oracle-targets --example rate -- resize_qcow2 10

use oracle_case::seed::SplitMix64;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes that are changed, at most.
const CHANGES: u64 = 3;
/// Executions between two looks at the clock.
const BATCH: u32 = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let name = words.next().ok_or("which target?")?;
    let seconds = words.next().map_or(Ok(10), |word| word.parse())?;
    let target = oracle_targets::Target::named(&name).ok_or("there is no such target")?;
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(&name);
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(corpus)? {
        seeds.push(std::fs::read(entry?.path())?);
    }
    seeds.sort();
    let mut rng = SplitMix64::new(1);
    let (begun, mut runs) = (Instant::now(), 0_u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..BATCH {
            let mut data = seeds[usize::try_from(rng.below(seeds.len() as u64))?].clone();
            for _ in 0..rng.below(CHANGES + 1) {
                let at = usize::try_from(rng.below(data.len().max(1) as u64))?;
                if let Some(byte) = data.get_mut(at) {
                    *byte = u8::try_from(rng.below(256))?;
                }
            }
            let ran = std::panic::catch_unwind(|| (target.run)(&data));
            if ran.is_err() {
                let file = std::env::temp_dir().join(format!("{name}.finding"));
                std::fs::write(&file, &data)?;
                return Err(format!("the panic is above: {}", file.display()).into());
            }
            runs += 1;
        }
    }
    let rate = runs as f64 / processor_time()?.as_secs_f64();
    println!("{name}: {runs} executions of {} seeds, {rate:.0} a second of processor time", seeds.len());
    if name.starts_with("resize_") {
        println!("{:.0}% of them were no refusals", 100.0 * oracle_targets::resized() as f64 / runs as f64);
    }
    Ok(())
}

/// What this process has had of the processor; others may have had the rest of the time.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().ok_or("no time")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
