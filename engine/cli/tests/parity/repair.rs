//! `check -r`: both programs repair a copy of the same damage, and must say and leave the same. Files whose metadata
//! is nonsense are repaired or refused within bounds.

use crate::fixture::Fixtures;
use crate::pair::{Answer, Engine, instar, qemu_img, same};
use crate::{Verdict, trial};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// Cluster size of the images here.
const CLUSTER: u64 = 1 << 16;
/// Bit 63 of a table entry: the refcount of what it names is exactly one.
const COPIED: u64 = 1 << 63;
/// Where `q.img` has its refcount table, refcount block, L1 table, L2 table and first data.
const REFCOUNT_TABLE: u64 = CLUSTER;
const REFCOUNT_BLOCK: u64 = 2 * CLUSTER;
const L1: u64 = 3 * CLUSTER;
const L2: u64 = 4 * CLUSTER;
const DATA: u64 = 5 * CLUSTER;
/// Header fields: L1 table, refcount table, incompatible features.
const L1_FIELD: u64 = 40;
const TABLE_FIELD: u64 = 48;
const FEATURES: u64 = 72;

/// What is done to a copy of `q.img`.
type Damage = (&'static str, fn(&File) -> std::io::Result<()>);

/// What both repair alike, or both leave alone. Where the old refcount block is lost, qemu-img uses its place for the new one.
const DAMAGE: [Damage; 13] = [
    ("nothing", |_| Ok(())),
    ("a leak", leak),
    ("a refcount that is too high", |f| count(f, 6, 2)),
    ("a refcount that is too low", |f| word(f, L2 + 8, COPIED | DATA)),
    ("a leak and a refcount that is too low", |f| word(f, L2 + 8, COPIED | DATA).and_then(|()| leak(f))),
    ("a COPIED flag that is missing", |f| word(f, L2, DATA)),
    ("a COPIED flag that is missing in the L1 table", |f| word(f, L1, L2)),
    ("the dirty bit", |f| word(f, FEATURES, 1)),
    ("the dirty bit and a leak", |f| word(f, FEATURES, 1).and_then(|()| leak(f))),
    ("the corrupt bit", |f| word(f, FEATURES, 2)),
    ("the corrupt bit and an entry past the end", |f| {
        word(f, FEATURES, 2).and_then(|()| word(f, L2, COPIED | 1 << 40))
    }),
    ("an entry past the end", |f| word(f, L2, COPIED | 1 << 40)),
    ("a used cluster with refcount 0", |f| count(f, 5, 0)),
];

/// What a program's metadata may say to have a repair read, write or wait without end. The length of the file that it is in
/// comes first.
const NONSENSE: [(u64, Damage); 13] = [
    (0, ("no refcount block", |f| word(f, REFCOUNT_TABLE, 0))),
    (0, ("an L1 table that names itself", |f| word(f, L1, COPIED | L1))),
    (0, ("an L1 table past the end", |f| word(f, L1_FIELD, 1 << 40))),
    (0, ("a refcount table past the end", |f| word(f, TABLE_FIELD, 1 << 50))),
    (0, ("a refcount table that is too long", |f| f.write_all_at(&u32::MAX.to_be_bytes(), TABLE_FIELD + 8))),
    (
        0,
        ("a refcount table of the greatest length", |f| {
            f.write_all_at(&128_u32.to_be_bytes(), TABLE_FIELD + 8)
        }),
    ),
    (0, ("a refcount block far out", |f| word(f, REFCOUNT_TABLE, 1 << 55))),
    (0, ("a refcount block that is the table", |f| word(f, REFCOUNT_TABLE, REFCOUNT_TABLE))),
    (0, ("random bytes for refcounts", |f| f.write_all_at(&noise(), REFCOUNT_BLOCK))),
    (0, ("random bytes for an L2 table", |f| f.write_all_at(&noise(), L2))),
    (
        0,
        ("random bytes for an L1 table and no refcounts", |f| {
            word(f, REFCOUNT_TABLE, 0).and_then(|()| f.write_all_at(&noise(), L1))
        }),
    ),
    (
        1 << 42,
        ("data 4 TiB out and no refcounts", |f| {
            word(f, REFCOUNT_TABLE, 0).and_then(|()| word(f, L2, COPIED | ((1 << 42) - CLUSTER)))
        }),
    ),
    (
        1 << 42,
        ("every entry somewhere in 4 TiB", |f| {
            (0..CLUSTER / 8)
                .try_for_each(|i| word(f, L2 + 8 * i, COPIED | (i * 0x0800_0000) & !(CLUSTER - 1)))
        }),
    ),
];

/// How long a repair of nonsense may take where several run at a time.
const DEADLINE: Duration = Duration::from_secs(120);
/// The greatest refcount table, and blocks for all that the L2 table of `q.img` can name: 8192 of a cluster each, and a few.
const MOST_ADDED: u64 = (8 << 20) + 8400 * CLUSTER;

/// The trials for `engine`.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let mut trials = Vec::new();
    for what in ["leaks", "all"] {
        for damage in DAMAGE {
            for output in ["human", "json"] {
                let name = format!("{} check -r {what} --output={output}: {}", engine.name(), damage.0);
                trials.push(trial(name, move |f| alike(f, engine, what, output, damage)));
            }
        }
        for (len, damage) in NONSENSE {
            let name = format!("{} hostile: check -r {what} with {}", engine.name(), damage.0);
            trials.push(trial(name, move |f| bounded(f, engine, what, len, damage)));
        }
    }
    trials
}

fn word(file: &File, at: u64, value: u64) -> std::io::Result<()> {
    file.write_all_at(&value.to_be_bytes(), at)
}

/// Sets a refcount of 16 bits.
fn count(file: &File, cluster: u64, value: u16) -> std::io::Result<()> {
    file.write_all_at(&value.to_be_bytes(), REFCOUNT_BLOCK + 2 * cluster)
}

fn leak(file: &File) -> std::io::Result<()> {
    file.set_len(13 * CLUSTER)?;
    count(file, 12, 1)
}

fn noise() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..CLUSTER).map(|_| next()).collect()
}

/// A directory with nothing but the damaged image.
fn damaged(fixtures: &Fixtures, (_, damage): Damage) -> Result<tempfile::TempDir, Failed> {
    let dir = tempfile::tempdir()?;
    let image = dir.path().join("q.img");
    fs::copy(fixtures.path().join("q.img"), &image)?;
    damage(&File::options().read(true).write(true).open(&image)?)?;
    Ok(dir)
}

fn alike(fixtures: &Fixtures, engine: Engine, what: &str, output: &str, damage: Damage) -> Verdict {
    let (here, there) = (damaged(fixtures, damage)?, damaged(fixtures, damage)?);
    let output = format!("--output={output}");
    let args = ["check", "-f", "qcow2", "-r", what, &output, "q.img"];
    let ours = comparable(instar(here.path(), engine, &args)?)?;
    let theirs = comparable(qemu_img(there.path(), &args)?)?;
    same(&args, &ours, &theirs)?;
    // What is left is the same, too, and the guest sees the same.
    let after = ["check", "-f", "qcow2", "q.img"];
    same(&after, &qemu_img(here.path(), &after)?.sorted(), &qemu_img(there.path(), &after)?.sorted())?;
    let compare = ["compare", "-U", "-f", "qcow2", "-F", "qcow2"].map(str::to_owned).into_iter();
    let images = [here.path(), there.path()].map(|dir| dir.join("q.img").display().to_string());
    let compare: Vec<String> = compare.chain(images).collect();
    let compare: Vec<&str> = compare.iter().map(String::as_str).collect();
    match ours.code == Some(0) && qemu_img(here.path(), &compare)?.code != Some(0) {
        true => Err("the guest sees something else than after qemu-img's repair".into()),
        false => Ok(()),
    }
}

/// Neither the order of findings nor that of keys means anything.
fn comparable(answer: Answer) -> Result<Answer, Failed> {
    let mut answer = answer.sorted();
    if answer.out.starts_with('{') {
        answer.out = serde_json::from_str::<Value>(&answer.out)?.to_string();
    }
    Ok(answer)
}

/// It ends in time, with an exit code of a check, and the file has not become much longer. What cannot be repaired at all
/// is refused with one line.
fn bounded(fixtures: &Fixtures, engine: Engine, what: &str, len: u64, damage: Damage) -> Verdict {
    let dir = damaged(fixtures, damage)?;
    let image = dir.path().join("q.img");
    if len > 0 {
        File::options().write(true).open(&image)?.set_len(len)?;
    }
    let before = fs::metadata(&image)?;
    let bytes = head(&image)?;
    let begun = Instant::now();
    let answer = instar(dir.path(), engine, &["check", "-f", "qcow2", "-r", what, "q.img"])?;
    if begun.elapsed() > DEADLINE {
        return Err(format!("it took {:?}", begun.elapsed()).into());
    }
    let after = fs::metadata(&image)?;
    let blocks = |n: u64| n * 512;
    if after.len() > before.len() + MOST_ADDED
        || blocks(after.blocks()) > blocks(before.blocks()) + MOST_ADDED
    {
        return Err(format!("{} bytes became {}", before.len(), after.len()).into());
    }
    let errors: Vec<&str> = answer.err.lines().filter(|line| line.starts_with("qemu-img: ")).collect();
    let fine = match answer.code {
        Some(0 | 2 | 3) => errors.is_empty(),
        Some(1) if answer.out.is_empty() => {
            errors.len() == 1 && (answer.err.lines().count() > 1 || head(&image)? == bytes)
        }
        Some(1) => errors.len() == 1,
        _ => false,
    };
    let shown = |text: &str| text.chars().take(600).collect::<String>();
    match fine {
        true => Ok(()),
        false => Err(format!("{:?} {} {}", answer.code, shown(&answer.err), shown(&answer.out)).into()),
    }
}

/// The part of a file that has metadata.
fn head(image: &Path) -> Result<Vec<u8>, Failed> {
    let mut bytes = vec![0; usize::try_from(fs::metadata(image)?.len().min(16 * CLUSTER))?];
    File::open(image)?.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
