//! Hostile images through info, check and resize, in this process: no panic, no job without an end, and memory that does not
//! grow with their number.
//!
//!     cargo run --release -p oracle-targets --example hostile -- 10000000 [SEED]
//!
//! Images are the seeds of every format with up to a dozen changes. One that finds something is kept, and its path printed.

use instar_ops::Format;
use oracle_case::seed::SplitMix64;
use oracle_targets::{Passed, gauntlet};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

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

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let images: u64 = words.next().ok_or("how many images?")?.parse()?;
    let seed = words.next().map_or(Ok(1), |word| word.parse())?;
    let seeds = seeds()?;
    let threads = std::thread::available_parallelism()?.get() as u64;
    let (begun, next) = (Instant::now(), AtomicU64::new(0));
    let totals = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| work(&seeds, seed, images, &next))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| "a worker died")?)
            .collect::<Result<Vec<_>, _>>()
    })?;
    let sum = |what: fn(&[u64; 3]) -> u64| totals.iter().map(what).sum::<u64>();
    let (info, check, resize) = (sum(|t| t[0]), sum(|t| t[1]), sum(|t| t[2]));
    let (seconds, memory) = (begun.elapsed().as_secs_f64(), peak_memory()?);
    println!(
        "{images} hostile images: info described {info}, {check} were checked, {resize} resized, nothing panicked or hung; \
         {seconds:.0} s, {:.0} a second, at most {} MiB",
        images as f64 / seconds,
        memory >> 10
    );
    match memory <= MOST_MEMORY * threads {
        true => Ok(()),
        false => Err(format!("that is more than {} MiB", (MOST_MEMORY * threads) >> 10).into()),
    }
}

/// Takes images until there are no more, and says how many came through each operation.
fn work(seeds: &Seeds, seed: u64, images: u64, next: &AtomicU64) -> Result<[u64; 3], String> {
    let mut totals = [0; 3];
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= images {
            return Ok(totals);
        }
        let (format, data) = image(seeds, seed.wrapping_mul(1 << 40).wrapping_add(number));
        let Ok(passed) = std::panic::catch_unwind(|| gauntlet(format, &data)) else {
            next.store(images, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("hostile-{format:?}-{seed}-{number}"));
            std::fs::write(&path, &data).map_err(|error| error.to_string())?;
            return Err(format!("the panic is above: {}", path.display()));
        };
        let Passed { info, check, resize } = passed;
        for (total, one) in totals.iter_mut().zip([info, check, resize]) {
            *total += u64::from(one);
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
