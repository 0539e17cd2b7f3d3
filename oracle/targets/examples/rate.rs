//! Executions of a target a second of processor time, on one core: its seeds, each with a few bytes changed, over and over.
//!
//!     cargo run --release -p oracle-targets --example rate -- resize_qcow2 10 [DIRECTORY OF SEEDS]
//!
//! A finding ends nothing: one input of each kind is kept in `out/rate`, and the list printed in the end.

use oracle_case::seed::SplitMix64;
use oracle_targets::Findings;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes that are changed, at most.
const CHANGES: u64 = 3;
/// Executions between two looks at the clock.
const BATCH: u32 = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let name = words.next().ok_or("which target?")?;
    let seconds = words.next().map_or(Ok(10), |word| word.parse())?;
    // Other seeds than those of the tree may be named.
    let corpus = words.next().map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(&name),
        PathBuf::from,
    );
    let target = oracle_targets::Target::named(&name).ok_or("there is no such target")?;
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(corpus)? {
        seeds.push(std::fs::read(entry?.path())?);
    }
    seeds.sort();
    let mut rng = SplitMix64::new(1);
    let findings = Findings::new(Path::new("out/rate"))?;
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
            findings.catch(&name, &data, target.run)?;
            runs += 1;
        }
    }
    let rate = runs as f64 / processor_time()?.as_secs_f64();
    println!("{name}: {runs} executions of {} seeds, {rate:.0} a second of processor time", seeds.len());
    if name.starts_with("resize_") {
        println!("{:.0}% of them were no refusals", 100.0 * oracle_targets::resized() as f64 / runs as f64);
    }
    let found = findings.report();
    found.iter().for_each(|finding| println!("{finding}"));
    if found.is_empty() { Ok(()) } else { Err(format!("{} kinds of findings", found.len()).into()) }
}

/// What this process has had of the processor; others may have had the rest of the time.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().ok_or("no time")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
