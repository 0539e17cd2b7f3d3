//! Hostile images through info, check and resize, in this process: no panic, no job without an end, and memory that does not
//! grow with their number.
//!
//!     cargo run --release -p oracle-targets --example hostile -- 10000000 [SEED [SECONDS]]
//!
//! Images are the seeds of every format with up to a dozen changes. A finding ends nothing: one image of each kind is kept
//! in `out/hostile`, and the list printed in the end. With SECONDS as a third word it stops after that time, whatever the number.

use instar_ops::Format;
use oracle_case::seed::SplitMix64;
use oracle_targets::{Findings, Passed, gauntlet};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Changes of an image, at most.
const CHANGES: usize = 12;
/// Most memory in KiB that the process may have had, for each thread: 16 MiB are scratch, as much are pages that are kept,
/// the rest is what the largest image and the largest resize take.
const MOST_MEMORY: u64 = 128 << 10;
/// Values that end ranges.
const EDGES: [u64; 8] = [0, 1, 511, 512, 1 << 16, u32::MAX as u64, 1 << 62, u64::MAX];
const FORMATS: [(&str, Format); 7] = [
    ("raw", Format::Raw),
    ("qcow2", Format::Qcow2),
    ("qed", Format::Qed),
    ("luks", Format::Luks),
    ("vhd", Format::Vhd),
    ("vhdx", Format::Vhdx),
    ("vmdk", Format::Vmdk),
];

type Seeds = Vec<(Format, Vec<Vec<u8>>)>;

/// What all workers share.
struct Campaign {
    seeds: Seeds,
    seed: u64,
    images: u64,
    until: Option<Instant>,
    next: AtomicU64,
    findings: Findings,
}

/// How many images a worker took, and how many of them came through each operation.
type Totals = [u64; 4];

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let images: u64 = words.next().ok_or("how many images?")?.parse()?;
    let seed = words.next().map_or(Ok(1), |word| word.parse())?;
    let begun = Instant::now();
    let until = words.next().map(|word| word.parse()).transpose()?.map(|s| begun + Duration::from_secs(s));
    let (next, findings) = (AtomicU64::new(0), Findings::new(Path::new("out/hostile"))?);
    let campaign = Campaign { seeds: seeds()?, seed, images, until, next, findings };
    let threads = std::thread::available_parallelism()?.get() as u64;
    let totals = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| campaign.work())).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| "a worker died")?.map_err(Box::<dyn Error>::from))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let sum = |n: usize| totals.iter().map(|totals| totals[n]).sum::<u64>();
    let (images, seconds, memory) = (sum(0), begun.elapsed().as_secs_f64(), peak_memory()?);
    println!(
        "{images} hostile images: info described {}, {} were checked, {} resized; \
         {seconds:.0} s, {:.0} a second, at most {} MiB",
        sum(1),
        sum(2),
        sum(3),
        images as f64 / seconds,
        memory >> 10
    );
    let found = campaign.findings.report();
    found.iter().for_each(|finding| println!("{finding}"));
    if !found.is_empty() {
        return Err(format!("{} kinds of findings", found.len()).into());
    }
    println!("nothing panicked or hung");
    match memory <= MOST_MEMORY * threads {
        true => Ok(()),
        false => Err(format!("that is more than {} MiB", (MOST_MEMORY * threads) >> 10).into()),
    }
}

impl Campaign {
    /// Takes images until there are no more or the time is over.
    fn work(&self) -> std::io::Result<Totals> {
        let mut totals = [0; 4];
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.images || self.until.is_some_and(|until| Instant::now() > until) {
                return Ok(totals);
            }
            let (format, data) = image(&self.seeds, self.seed.wrapping_mul(1 << 40).wrapping_add(number));
            let name = format!("{format:?}").to_lowercase();
            let passed = self.findings.catch(&name, &data, |data| gauntlet(format, data))?;
            let Passed { info, check, resize } = passed.unwrap_or_default();
            for (total, one) in totals.iter_mut().zip([true, info, check, resize]) {
                *total += u64::from(one);
            }
        }
    }
}

/// The image of this number, which depends on nothing else.
fn image(seeds: &Seeds, number: u64) -> (Format, Vec<u8>) {
    let mut rng = SplitMix64::new(number);
    let mut below = |most: usize| usize::try_from(rng.below(most.max(1) as u64)).unwrap_or(0);
    let (format, seeds) = &seeds[below(seeds.len())];
    let mut data = seeds[below(seeds.len())].clone();
    for _ in 0..=below(CHANGES) {
        let at = below(data.len());
        match below(4) {
            0 => data[at] = u8::try_from(below(256)).unwrap_or(0),
            1 => data[at] ^= 1 << below(8),
            2 => {
                let word = EDGES[below(EDGES.len())].wrapping_add(below(2) as u64).to_be_bytes();
                let width = 1 << below(4);
                data.iter_mut().skip(at).zip(&word[8 - width..]).for_each(|(to, from)| *to = *from);
            }
            _ => {
                let (from, len) = (below(data.len()), below(16));
                let part: Vec<u8> = data.iter().skip(from).take(len).copied().collect();
                data.iter_mut().skip(at).zip(part).for_each(|(to, from)| *to = from);
            }
        }
    }
    (*format, data)
}

/// What is kept for the targets of each format.
fn seeds() -> Result<Seeds, Box<dyn Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    let mut all = Vec::new();
    for (name, format) in FORMATS {
        let mut seeds = Vec::new();
        for target in ["open", "resize"] {
            let Ok(dir) = std::fs::read_dir(corpus.join(format!("{target}_{name}"))) else { continue };
            for entry in dir {
                seeds.push(std::fs::read(entry?.path())?);
            }
        }
        seeds.sort();
        all.push((format, seeds));
    }
    Ok(all)
}

/// The most memory in KiB that this process has had.
fn peak_memory() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
