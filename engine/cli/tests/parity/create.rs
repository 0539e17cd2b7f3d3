//! New images that name other files, or get space at once: the same words, the same bytes in the header, the
//! same content, and the same files beside them.

use crate::fixture::{Fixtures, run};
use crate::pair::{Engine, instar, qemu_img, same};
use crate::{Verdict, trial};
use libtest_mimic::{Failed, Trial};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Images that both make of the fixtures.
const MADE: &[&str] = &[
    "create -f qcow2 -b raw.img -F raw new.img",
    "create --object secret,id=s,data=x -f qcow2 new.img 1M",
    "create -f qcow2 -b odd.raw -F raw new.img",
    "create -f qcow2 -b raw.img -F raw new.img 3M",
    "create -f qcow2 -b raw.img -F raw new.img 1000",
    "create -f qcow2 -b q.img -F qcow2 new.img",
    "create -f qcow2 -b q.img -F raw new.img",
    "create -f qcow2 -b file:q.img -F qcow2 new.img",
    "create -q -f qcow2 -b sub/ov.img -F qcow2 new.img",
    "create -f qcow2 -b ../raw.img -F raw sub/new.img",
    "create -f qcow2 -b ov.img -F qcow2 -o compat=0.10 new.img",
    "create -f qcow2 -b ov.img -F qcow2 -o compat=0.10,cluster_size=512 new.img",
    "create -f qcow2 -o backing_file=q.img,backing_fmt=qcow2,size=1M new.img",
    "create -f qcow2 -o backing_file=q.img,backing_fmt=qcow2 -b raw.img -F raw new.img",
    "create -f qcow2 -b nosuch -F vmdk -u new.img 5M",
    "create -f qcow2 -b nosuch -F raw -u new.img 0",
    "create -f qcow2 -b raw.img -F raw -o extended_l2=on,preallocation=metadata new.img",
    "create -f qcow2 -b raw.img -F raw -o extended_l2=on,preallocation=falloc new.img 2M",
    "create -f qcow2 -b raw.img -F raw -o extended_l2=on,preallocation=full new.img 2M",
    "create -f qcow2 -o data_file=new.data new.img 3M",
    "create -f qcow2 -o data_file=raw.img new.img 3M",
    "create -f qcow2 -o data_file=new.data new.img 1000",
    "create -f qcow2 -o data_file=new.data new.img 0",
    "create -f qcow2 -o data_file=sub/new.data,data_file_raw=on sub/new.img 3M",
    "create -f qcow2 -o data_file=new.data,data_file_raw new.img 3M",
    "create -f qcow2 -o data_file=new.data,data_file_raw=off,lazy_refcounts=on,cluster_size=512 new.img 3M",
    "create -f qcow2 -o data_file=new.data,preallocation=metadata new.img 3M",
    "create -f qcow2 -o data_file=new.data,preallocation=falloc new.img 3M",
    "create -f qcow2 -o data_file=new.data,preallocation=full new.img 3M",
    "create -f qcow2 -o data_file=new.data,extended_l2=on,cluster_size=16k -b raw.img -F raw new.img",
    "create -f raw -o preallocation=off new.img 1001",
    "create -f raw -o preallocation=falloc new.img 1001",
    "create -f raw -o preallocation=full new.img 3M",
];

/// Command lines that both refuse in the same words.
const REFUSED: &[&str] = &[
    "create --object secret,id=s -f qcow2 new.img 1M",
    "create -f qcow2 -b raw.img new.img",
    "create -f qcow2 -b q.img new.img 1M",
    "create -f qcow2 -b raw.img -F qcow2 new.img",
    "create -f qcow2 -b nosuch -F qcow2 new.img 5M",
    "create -f qcow2 -b nosuch -F qcow2 sub/new.img 5M",
    "create -f qcow2 -b nosuch new.img 5M",
    "create -f qcow2 -b nosuch -F qcow2 -u new.img",
    "create -f qcow2 -b nosuch -u new.img 5M",
    "create -f qcow2 -b raw.img -F foo new.img",
    "create -f qcow2 -b raw.img -F foo -u new.img 5M",
    "create -f qcow2 -b sub -F raw new.img",
    "create -f qcow2 -b lost.img -F qcow2 new.img",
    "create -f qcow2 -b q.img -F qcow2 q.img",
    "create -f qcow2 -b  -F raw new.img 1M",
    "create -f qcow2 -F raw new.img 1M",
    "create -f qcow2 -u new.img",
    "create -f raw -b raw.img -F raw new.img 1M",
    "create -f raw -F raw new.img 1M",
    "create -f raw -o backing_file=raw.img new.img 1M",
    "create -f raw -o preallocation=foo new.img 1M",
    "create -f qcow2 -b raw.img -F raw -o size=1M new.img 1M",
    "create -f qcow2 -b raw.img -F raw -o preallocation=metadata new.img",
    "create -f qcow2 -b raw.img -F raw -o preallocation=full,compat=0.10,lazy_refcounts=on -u new.img 1M",
    "create -f qcow2 -o data_file_raw=on new.img 3M",
    "create -f qcow2 -o data_file=new.data,data_file_raw=on -b raw.img -F raw new.img 3M",
    "create -f qcow2 -o data_file=new.data,compat=0.10 new.img 3M",
    "create -f qcow2 -o data_file=nodir/new.data new.img 3M",
    "create -f qcow2 -o data_file= new.img 3M",
    "create -f qcow2 -o data_file_raw=maybe new.img 3M",
];

/// Lengths of a backing file's name, and the options of the image: the longest names that fit, and those
/// that do not.
const NAMES: &[(usize, &str)] = &[
    (1023, "cluster_size=64k"),
    (1024, "cluster_size=64k"),
    (376, "cluster_size=512"),
    (377, "cluster_size=512"),
    (416, "cluster_size=512,compat=0.10"),
    (417, "cluster_size=512,compat=0.10"),
];

/// Images whose files are not to be overwritten by one that has them behind it. `qemu-img` does that.
const BEHIND: &[&str] = &[
    "create -f qcow2 -b ./q.img -F qcow2 q.img",
    "create -f qcow2 -b sub/ov.img -F qcow2 raw.img",
    "create -f qcow2 -b q.img -F qcow2 -o data_file=./q.img new.img",
    "create -f qcow2 -b df.img -F qcow2 data.raw",
];

/// The trials.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let mut trials = Vec::new();
    for &line in MADE {
        trials.push(trial(format!("{} makes: {line}", engine.name()), move |f| made_alike(f, engine, line)));
    }
    for &line in REFUSED {
        let name = format!("{} does not make: {line}", engine.name());
        trials.push(trial(name, move |f| refused_alike(f, engine, line)));
    }
    for &(len, options) in NAMES {
        let name = format!("{} names {len} bytes: {options}", engine.name());
        trials.push(trial(name, move |f| named_alike(f, engine, len, options)));
    }
    for &line in BEHIND {
        let name = format!("{} keeps what is behind: {line}", engine.name());
        trials.push(trial(name, move |f| kept(f, engine, line)));
    }
    trials
}

/// What is left to compare of the files that a command line has made.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    /// The first cluster, if it is qcow2, without what depends on where tables lie.
    header: Vec<u8>,
    /// `check` and `map`, host offsets left out.
    check: String,
    map: String,
    /// The data file, or a raw image.
    data: Option<Data>,
}

/// A file that is a disk.
#[derive(Debug, PartialEq, Eq)]
struct Data {
    /// Its length in bytes.
    len: usize,
    /// Whether they are all zeros.
    zeros: bool,
    /// Whether it has space on the host, but for the first block, which `qemu-img` always writes.
    space: bool,
}

/// Units of `st_blocks` in a block of the file system.
const FIRST_BLOCK: u64 = 8;

impl Data {
    fn read(path: &Path) -> Result<Self, Failed> {
        let bytes = std::fs::read(path)?;
        let space = path.metadata()?.blocks() > FIRST_BLOCK;
        Ok(Self { len: bytes.len(), zeros: bytes.iter().all(|byte| *byte == 0), space })
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn made_alike(fixtures: &Fixtures, engine: Engine, line: &str) -> Verdict {
    let theirs = fixtures.copy()?;
    let args = words(line);
    let answer = instar(fixtures.path(), engine, &args)?;
    same(&args, &answer, &qemu_img(theirs.path(), &args)?)?;
    if answer.code != Some(0) {
        return Err(format!("not made: {answer:?}").into());
    }
    let name = if line.contains("sub/new.img") { "sub/new.img" } else { "new.img" };
    let (ours, theirs) = (made(fixtures.path(), name, line)?, made(theirs.path(), name, line)?);
    if ours == theirs { Ok(()) } else { Err(format!("instar:   {ours:?}\nqemu-img: {theirs:?}").into()) }
}

fn made(dir: &Path, name: &str, line: &str) -> Result<Made, Failed> {
    if line.contains("-f raw") {
        let data = Some(Data::read(&dir.join(name))?);
        return Ok(Made { header: Vec::new(), check: String::new(), map: String::new(), data });
    }
    let mut header = vec![0; 1024];
    let len = if line.contains("cluster_size=512") { 512 } else { 1024 };
    File::open(dir.join(name))?.read_at(&mut header[..len], 0)?;
    // L1 table and refcount table (specification, "Header") may lie elsewhere.
    header[40..60].fill(0);
    // Not every backing file that is named is there.
    let opens = !line.contains(" -u ");
    let check = if opens { describe(dir, &["check", name])? } else { String::new() };
    let map = if opens { describe(dir, &["map", "--output=json", name])? } else { String::new() };
    let beside =
        line.split_once("data_file=").map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or_default());
    let data = beside.map(|path| Data::read(&dir.join(path))).transpose()?;
    Ok(Made { header, check, map, data })
}

/// What `qemu-img` says of an image, without the offsets of the clusters.
fn describe(dir: &Path, args: &[&str]) -> Result<String, Failed> {
    let answer = qemu_img(dir, args)?;
    if answer.code != Some(0) {
        return Err(format!("{args:?}: {answer:?}").into());
    }
    let lines = answer.out.lines().filter(|line| !line.starts_with("Image end offset"));
    Ok(lines.map(|line| line.split(", \"offset\"").next().unwrap_or_default().to_owned() + "\n").collect())
}

fn refused_alike(fixtures: &Fixtures, engine: Engine, line: &str) -> Verdict {
    run(fixtures.path(), "qemu-img create -q -f qcow2 -b nosuch -F raw -u lost.img 2M")?;
    let theirs = fixtures.copy()?;
    let args = words(line);
    let ours = instar(fixtures.path(), engine, &args)?;
    same(&args, &ours, &qemu_img(theirs.path(), &args)?)?;
    let left = |name: &str| fixtures.path().join(name).exists();
    match ours.code == Some(1) && !left("new.img") && !left("sub/new.img") && !left("new.data") {
        true => Ok(()),
        false => Err(format!("no refusal, or something is left: {ours:?}").into()),
    }
}

fn named_alike(fixtures: &Fixtures, engine: Engine, len: usize, options: &str) -> Verdict {
    let name = "x".repeat(len);
    let line = format!("create -f qcow2 -o {options} -b {name} -F raw -u new.img 1M");
    let args = words(&line);
    let theirs = fixtures.copy()?;
    let ours = instar(fixtures.path(), engine, &args)?;
    same(&args, &ours, &qemu_img(theirs.path(), &args)?)?;
    if ours.code == Some(0) {
        let (ours, theirs) =
            (made(fixtures.path(), "new.img", &line)?, made(theirs.path(), "new.img", &line)?);
        return if ours == theirs { Ok(()) } else { Err(format!("{ours:?}\n{theirs:?}").into()) };
    }
    Ok(())
}

fn kept(fixtures: &Fixtures, engine: Engine, line: &str) -> Verdict {
    let names = ["q.img", "raw.img", "data.raw"].map(|name| fixtures.path().join(name));
    let read = || names.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>();
    let before = read()?;
    let answer = instar(fixtures.path(), engine, &words(line))?;
    let refused = answer.code == Some(1) && answer.err.contains("is behind the image that is to be created");
    match refused && read()? == before && !fixtures.path().join("new.img").exists() {
        true => Ok(()),
        false => Err(format!("{answer:?}").into()),
    }
}
