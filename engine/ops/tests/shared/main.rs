//! Resizing images with internal snapshots and persistent bitmaps, against the `qemu-img` of this machine:
//! the same content, map, snapshots and bitmaps; a clean check; every snapshot still there, and usable.
//! Without `qemu-img` every trial is ignored.

#![allow(clippy::unwrap_used)]

mod bits;
mod disk;
#[path = "../common/made.rs"]
mod made;
#[path = "../common/share.rs"]
mod share;

use instar_ops::{Preallocation, ResizeError};
use libtest_mimic::{Arguments, Failed, Trial};
use made::Made;
use serde_json::Value;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How much longer a file may be than what `qemu-img` makes of it, in clusters: one for each table that
/// was moved before its old place was free.
const LONGER: u64 = 4;

/// An image and what becomes of it.
#[derive(Clone)]
struct Case {
    name: String,
    /// `-o` of `qemu-img create`.
    options: String,
    /// What is done to it: commands of `qemu-io`, or of `qemu-img` after a `!`, `IMG` being the image.
    steps: &'static [&'static str],
    /// Sizes in bytes: the first to create it, the others to resize it to.
    sizes: Vec<u64>,
    preallocation: (&'static str, Preallocation),
}

const OFF: (&str, Preallocation) = ("off", Preallocation::Off);
const M: u64 = 1 << 20;
const WRITES: [&str; 4] = ["write -P 1 0 1M", "write -P 2 7M 700k", "write -P 3 12M 3M", "write -P 4 24M 8M"];
const SNAPSHOTS: &[&str] = &[
    WRITES[0],
    WRITES[1],
    WRITES[2],
    WRITES[3],
    "!snapshot -c one IMG",
    "write -P 5 13M 64k",
    "!snapshot -c two IMG",
    "write -P 6 14M 200k",
    "write -P 7 30M 1M",
];
const SHARED: &[&str] = &[WRITES[0], WRITES[1], WRITES[2], WRITES[3], "!snapshot -c one IMG"];
const THINNED: &[&str] = &[
    WRITES[2],
    "!snapshot -c one IMG",
    WRITES[0],
    "!snapshot -c two IMG",
    WRITES[3],
    "!snapshot -d one IMG",
];
const COMPRESSED: &[&str] = &[
    "write -c -P 1 12M 2M",
    "write -c -P 2 14M 1M",
    "write -P 9 15M 1M",
    "!snapshot -c one IMG",
    "write -P 3 13M 100k",
];
const ZEROS: &[&str] =
    &[WRITES[2], WRITES[3], "write -z 13M 1M", "!snapshot -c one IMG", "write -z -u 25M 1M"];
const BITMAPS: &[&str] = &[
    WRITES[0],
    "!bitmap --add IMG coarse",
    "!bitmap --add -g 512 IMG fine",
    "!bitmap --add -g 4k IMG off",
    "!bitmap --add -g 1M IMG empty",
    WRITES[2],
    "!bitmap --disable IMG off",
    WRITES[1],
    WRITES[3],
    "!bitmap --clear IMG empty",
];
const BOTH: &[&str] = &[
    WRITES[0],
    WRITES[2],
    "!snapshot -c one IMG",
    "!bitmap --add -g 512 IMG fine",
    "write -P 9 13M 64k",
    WRITES[3],
];

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let sizes: [&[u64]; 5] = [
        &[32 * M, 13 * M],
        &[32 * M, 13 * M + 512 * 77, 5 * M],
        &[32 * M, 40 * M, 12 * M, 512],
        &[32 * M, 14 * M, 96 * M, 2048 * M],
        &[32 * M, 32 * M],
    ];
    let steps: [(&str, &'static [&'static str]); 7] = [
        ("snapshots", SNAPSHOTS),
        ("shared", SHARED),
        ("thinned", THINNED),
        ("compressed", COMPRESSED),
        ("zeros", ZEROS),
        ("bitmaps", BITMAPS),
        ("both", BOTH),
    ];
    for (kind, steps) in steps {
        for options in options() {
            for (i, sizes) in sizes.iter().enumerate() {
                if options == SMALLEST && i % 2 == 1 {
                    // qemu-img takes minutes to let a larger disk of such clusters go.
                    continue;
                }
                if kind == "compressed" && options.contains("refcount_bits") {
                    // Too many compressed clusters in one of the host.
                    continue;
                }
                if kind == "snapshots" && options.contains("refcount_bits=2") {
                    // Going back to one of two snapshots takes a third reference for a moment.
                    continue;
                }
                let name = format!("{kind}::{options}::{i}");
                all.push(Case {
                    name,
                    options: options.to_owned(),
                    steps,
                    sizes: sizes.to_vec(),
                    preallocation: OFF,
                });
            }
        }
    }
    all.extend(preallocated());
    all
}

/// The new area takes entries of the straddling table, which a snapshot has, too. Not with `metadata`: what
/// is a hole then depends on the file system. Not with bitmaps: qemu-img shows stale bytes there.
fn preallocated() -> Vec<Case> {
    use Preallocation::{Falloc, Full};
    let mut all = Vec::new();
    for mode in [("falloc", Falloc), ("full", Full)] {
        for (kind, steps) in [("shared", SHARED), ("snapshots", SNAPSHOTS)] {
            for options in ["cluster_size=4k", "cluster_size=64k", "cluster_size=16k,extended_l2=on"] {
                let name = format!("preallocated::{kind}::{}::{options}", mode.0);
                let sizes = vec![32 * M, 33 * M, 40 * M + 512];
                let options = options.to_owned();
                all.push(Case { name, options, steps, sizes, preallocation: mode });
            }
        }
    }
    all
}

/// An L2 table of these covers 32 KiB.
const SMALLEST: &str = "cluster_size=512";

fn options() -> [&'static str; 7] {
    [
        SMALLEST,
        "cluster_size=4k,refcount_bits=2",
        "cluster_size=4k,refcount_bits=64",
        "cluster_size=64k,refcount_bits=4",
        "cluster_size=64k",
        "cluster_size=16k,extended_l2=on,refcount_bits=8",
        "cluster_size=2M,refcount_bits=32",
    ]
}

fn main() {
    let args = Arguments::from_args();
    let absent =
        ["qemu-img", "qemu-io"].into_iter().find(|tool| Command::new(tool).arg("-V").output().is_err());
    let trials = cases().into_iter().map(|case| match absent {
        Some(tool) => {
            Trial::test(format!("{} (no {tool} here)", case.name), || Ok(())).with_ignored_flag(true)
        }
        None => Trial::test(case.name.clone(), move || run(&case).map_err(|e| Failed::from(e.to_string()))),
    });
    let others: [(&str, Check); 4] = [
        ("refused::bitmap_in_use", bitmap_in_use),
        ("refused::bitmap_too_large", bitmap_too_large),
        ("refused::snapshots_of_version_2", snapshots_of_version_2),
        ("planted::faults_are_found", faults_are_found),
    ];
    let others = others.map(|(name, run)| {
        Trial::test(name, move || run().map_err(|e| Failed::from(e.to_string())))
            .with_ignored_flag(absent.is_some())
    });
    libtest_mimic::run(&args, share::share(trials).into_iter().chain(others).collect()).exit();
}

type Check = fn() -> Outcome;
type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn run(case: &Case) -> Outcome {
    let dir = tempfile::tempdir()?;
    let (ours, theirs) = build(case, dir.path())?;
    let cluster = qemu(&["info", "--output=json", text(&ours)])?;
    let cluster =
        serde_json::from_str::<Value>(&cluster)?["cluster-size"].as_u64().ok_or("no cluster size")?;
    for size in &case.sizes[1..] {
        let (mode, preallocation) = case.preallocation;
        disk::engine_resize(&ours, *size, preallocation)?;
        let mode = format!("--preallocation={mode}");
        qemu(&["resize", "-q", "--shrink", &mode, text(&theirs), &size.to_string()])?;
        compare(&ours, &theirs).map_err(|e| format!("after {size}: {e}"))?;
        let (have, want) = (ours.metadata()?.len(), theirs.metadata()?.len());
        let bound = want + LONGER * cluster;
        if have > bound {
            return Err(format!("after {size}: {have} bytes, qemu-img has {want}").into());
        }
    }
    for snapshot in snapshots(&ours)? {
        // An image with bitmaps goes back to no snapshot.
        let steps: &[&str] = if bits::bitmaps(&ours)?.is_empty() { &["-a", "-d"] } else { &["-d"] };
        for step in steps {
            qemu(&["snapshot", step, &snapshot, text(&ours)])?;
            qemu(&["snapshot", step, &snapshot, text(&theirs)])?;
            compare(&ours, &theirs).map_err(|e| format!("snapshot {step} {snapshot}: {e}"))?;
        }
    }
    Ok(())
}

/// That resizing to `size` is refused for the reason `why`, and changes nothing.
fn refused(path: &Path, size: u64, why: &ResizeError) -> Outcome {
    let before = std::fs::read(path)?;
    let answer = disk::engine_resize(path, size, Preallocation::Off).err().map(|e| e.to_string());
    same("answer", &answer, &Some(why.to_string()))?;
    same("file", &(std::fs::read(path)? == before), &true)
}

fn case(options: &str, steps: &'static [&'static str]) -> Case {
    Case { name: String::new(), options: options.to_owned(), steps, sizes: vec![32 * M], preallocation: OFF }
}

fn bitmap_in_use() -> Outcome {
    let dir = tempfile::tempdir()?;
    let (path, _) = build(&case("cluster_size=4k", BITMAPS), dir.path())?;
    bits::change(&path, "off", |entry| entry[15] |= 1)?;
    for size in [M, 32 * M, 64 * M] {
        refused(&path, size, &ResizeError::BitmapInUse { index: 2 })?;
        let theirs = qemu(&["resize", "-q", "--shrink", text(&path), &size.to_string()]);
        let words = "Bitmap 'off' is inconsistent and cannot be used";
        same("qemu-img", &theirs.is_err_and(|e| e.to_string().contains(words)), &true)?;
    }
    Ok(())
}

/// `qemu-img` resizes such an image, and loses the bitmap.
fn bitmap_too_large() -> Outcome {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("image.qcow2");
    qemu(&["create", "-q", "-f", "qcow2", text(&path), "1T"])?;
    qemu(&["bitmap", "--add", "-g", "512", text(&path), "b"])?;
    disk::engine_resize(&path, 2 << 40, Preallocation::Off)?;
    refused(&path, (2 << 40) + 512, &ResizeError::BitmapTooLarge { index: 0 })
}

fn snapshots_of_version_2() -> Outcome {
    let dir = tempfile::tempdir()?;
    let (path, theirs) = build(&case("compat=0.10", SHARED), dir.path())?;
    for size in [M, 64 * M] {
        refused(&path, size, &ResizeError::SnapshotsV2)?;
        let said = qemu(&["resize", "-q", "--shrink", text(&theirs), &size.to_string()]);
        let words = ResizeError::SnapshotsV2.to_string();
        same("qemu-img", &said.is_err_and(|e| e.to_string().contains(&words)), &true)?;
    }
    Ok(())
}

/// A bit that is wrong in a bitmap, a byte that is wrong on the disk, and a flag are all found.
fn faults_are_found() -> Outcome {
    let dir = tempfile::tempdir()?;
    let (ours, theirs) = build(&case("cluster_size=4k", BOTH), dir.path())?;
    compare(&ours, &theirs)?;
    let good = std::fs::read(&ours)?;
    bits::change(&ours, "fine", |entry| entry[15] ^= 2)?;
    same("a flag", &compare(&ours, &theirs).is_err(), &true)?;
    std::fs::write(&ours, &good)?;
    bits::flip_data(&ours, "fine")?;
    same("a bit", &compare(&ours, &theirs).is_err(), &true)?;
    std::fs::write(&ours, &good)?;
    tool("qemu-io", &["-f", "qcow2", "-c", "write -P 8 12M 512", text(&ours)])?;
    same("a sector", &compare(&ours, &theirs).is_err(), &true)
}

/// Options, steps and size of an image.
type Recipe = (String, &'static [&'static str], u64);

/// Many trials begin with the same image.
static MADE: Made<Recipe> = Made::new();

/// Makes the image, twice.
fn build(case: &Case, dir: &Path) -> Outcome<(PathBuf, PathBuf)> {
    let (ours, theirs) = (dir.join("ours.qcow2"), dir.join("theirs.qcow2"));
    let recipe = (case.options.clone(), case.steps, case.sizes[0]);
    MADE.copy(recipe, dir, |dir| make(case, &dir.join("ours.qcow2")))?;
    std::fs::copy(&ours, &theirs)?;
    Ok((ours, theirs))
}

fn make(case: &Case, image: &Path) -> Outcome {
    qemu(&["create", "-q", "-f", "qcow2", "-o", &case.options, text(image), &case.sizes[0].to_string()])?;
    for step in case.steps {
        match step.strip_prefix('!') {
            Some(command) => {
                let words = command.split(' ').map(|word| if word == "IMG" { text(image) } else { word });
                drop(qemu(&words.collect::<Vec<_>>())?);
            }
            None => drop(tool("qemu-io", &["-f", "qcow2", "-c", step, text(image)])?),
        }
    }
    Ok(())
}

/// That both images are the same to whoever uses them.
fn compare(ours: &Path, theirs: &Path) -> Outcome {
    qemu(&["check", "-q", text(ours)])?;
    qemu(&["compare", "-q", text(ours), text(theirs)])?;
    let map =
        |path: &Path| -> Outcome<Vec<Value>> { Ok(merged(&qemu(&["map", "--output=json", text(path)])?)?) };
    same("map", &map(ours)?, &map(theirs)?)?;
    same("info", &info(ours)?, &info(theirs)?)?;
    let (have, want) = (bits::bitmaps(ours)?, bits::bitmaps(theirs)?);
    for (name, bitmap) in &have {
        if bitmap.stray {
            return Err(format!("bitmap {name} has bits behind the end").into());
        }
        let other = want.get(name).ok_or("a bitmap too many")?;
        if (bitmap.flags, &bitmap.bytes) != (other.flags, &other.bytes) {
            return Err(format!("bitmap {name} differs").into());
        }
    }
    same("number of bitmaps", &have.len(), &want.len())
}

/// A map without places in the file, neighbours of the same kind as one.
fn merged(json: &str) -> serde_json::Result<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    for mut extent in serde_json::from_str::<Vec<Value>>(json)? {
        extent.as_object_mut().unwrap().remove("offset");
        let kind = |e: &Value| ["zero", "data", "present", "compressed"].map(|name| e[name].clone());
        match all.last_mut().filter(|last| kind(last) == kind(&extent)) {
            Some(last) => {
                last["length"] =
                    (last["length"].as_u64().unwrap() + extent["length"].as_u64().unwrap()).into()
            }
            None => all.push(extent),
        }
    }
    Ok(all)
}

/// What `qemu-img info` says, apart from names and lengths of files.
fn info(path: &Path) -> Outcome<Value> {
    let mut info: Value = serde_json::from_str(&qemu(&["info", "--output=json", text(path)])?)?;
    let object = info.as_object_mut().unwrap();
    ["filename", "actual-size", "children"].iter().for_each(|name| drop(object.remove(*name)));
    Ok(info)
}

fn snapshots(path: &Path) -> Outcome<Vec<String>> {
    let info = info(path)?;
    let all = info["snapshots"].as_array().cloned().unwrap_or_default();
    Ok(all.iter().map(|snapshot| snapshot["name"].as_str().unwrap().to_owned()).collect())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, theirs: &T) -> Outcome {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: {ours:?}\ntheirs: {theirs:?}").into()) }
}

fn qemu(args: &[&str]) -> Outcome<String> {
    tool("qemu-img", args)
}

fn tool(name: &str, args: &[&str]) -> Outcome<String> {
    let out = Command::new(name).args(args).output()?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    if !out.status.success() || said.contains("failed") {
        return Err(format!("{name} {args:?}: {said}{}", String::from_utf8_lossy(&out.stderr)).into());
    }
    Ok(said)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
