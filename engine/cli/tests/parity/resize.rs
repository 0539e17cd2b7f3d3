//! Resizes that succeed: the same answer, and an image that `qemu-img` describes as its own.

use crate::pair::{Engine, instar, qemu_img, same};
use crate::{Verdict, fixture::Fixtures, trial};
use libtest_mimic::Trial;
use std::path::Path;

/// Command lines, and the file that they change or make.
const CASES: &[(&str, &str)] = &[
    ("resize -f raw raw.img 2M", "raw.img"),
    ("resize raw.img 2M", "raw.img"),
    ("resize -q raw.img 2M", "raw.img"),
    ("resize -q -f raw raw.img 2M", "raw.img"),
    ("resize -f raw raw.img +1.5k", "raw.img"),
    ("resize -f raw raw.img 1M", "raw.img"),
    ("resize -f raw raw.img -0", "raw.img"),
    ("resize -f raw --shrink raw.img -512k", "raw.img"),
    ("resize --shrink -f raw raw.img 100001", "raw.img"),
    ("resize raw.img 3M -f raw", "raw.img"),
    ("resize --shrink -f raw -- raw.img -512k", "raw.img"),
    ("resize --shrink -f raw raw.img -- -512k", "raw.img"),
    ("resize -f raw --prealloc falloc raw.img 2M", "raw.img"),
    ("resize -f raw --prealloc=full raw.img 2M", "raw.img"),
    ("resize --format=raw file:raw.img 2M", "raw.img"),
    ("resize -f raw odd.raw +1", "odd.raw"),
    ("resize -f raw odd.raw 1024", "odd.raw"),
    ("resize -f raw --shrink odd.raw -24", "odd.raw"),
    ("resize -f raw nothing.raw 5000", "nothing.raw"),
    ("resize q.img 64M", "q.img"),
    ("resize -f qcow2 q.img +4M", "q.img"),
    ("resize -f qcow2 q.img 4M", "q.img"),
    ("resize -f qcow2 --shrink q.img 1M", "q.img"),
    ("resize -f qcow2 q.img 1T", "q.img"),
    ("resize -f qcow2 v2.img 2G", "v2.img"),
    ("resize -f qcow2 ext.img 1G", "ext.img"),
    ("resize -f qcow2 small.img 40M", "small.img"),
    (r#"resize json:{"driver":"qcow2","file":{"driver":"file","filename":"q.img"}} 64M"#, "q.img"),
    (r#"resize -f raw json:{"driver":"qcow2","backing":null,"file.filename":"q.img"} 64M"#, "q.img"),
    (r#"resize json:{"file.filename":"raw.img"} 2M"#, "raw.img"),
    (r#"resize json:{"driver":"file","filename":"raw.img"} 2M"#, "raw.img"),
    ("create -f raw new.img 1001", "new.img"),
    ("create new.img 1M", "new.img"),
    ("create -q new.img 1M", "new.img"),
    ("create -f raw raw.img 64k", "raw.img"),
    ("create -f qcow2 new.img 1M", "new.img"),
    ("create -f qcow2 new.img 1.3k", "new.img"),
    ("create -f qcow2 new.img 0", "new.img"),
    ("create -f qcow2 q.img 1M", "q.img"),
    ("create -f qcow2 -o size=1G,cluster_size=4k new.img", "new.img"),
    ("create -f qcow2 -o compat=0.10 new.img 1M", "new.img"),
    ("create -f qcow2 -o compat=v2 -o size=1M new.img", "new.img"),
    ("create -f qcow2 -o preallocation=off,lazy_refcounts new.img 1M", "new.img"),
    ("create -f qcow2 -o extended_l2=on,compression_type=zstd,refcount_bits=64 new.img 10G", "new.img"),
];

/// One trial for each command line.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let each = CASES.iter().map(|&(line, file)| {
        let name = format!("{} does: {line}", engine.name());
        trial(name, move |f| does_alike(f, engine, line, file))
    });
    each.collect()
}

fn does_alike(fixtures: &Fixtures, engine: Engine, line: &str, file: &str) -> Verdict {
    let args: Vec<&str> = line.split(' ').collect();
    let (here, there) = (fixtures.copy()?, fixtures.copy()?);
    let theirs = qemu_img(there.path(), &args)?;
    let ours = instar(here.path(), engine, &args)?;
    same(&args, &ours, &theirs)?;
    if theirs.code != Some(0) {
        return Err(format!("not a success: {theirs:?}").into());
    }
    let (ours, theirs) = (described(here.path(), file)?, described(there.path(), file)?);
    match ours == theirs {
        true => Ok(()),
        false => Err(format!("instar's:   {ours}\nqemu-img's: {theirs}").into()),
    }
}

/// What `qemu-img` says of a file; a raw image's length counts too. How much space it takes and how
/// long a file with metadata is are the oracle's to judge.
fn described(dir: &Path, file: &str) -> Result<serde_json::Value, libtest_mimic::Failed> {
    let format = if file.ends_with(".raw") || std::fs::read(dir.join(file))?.get(..3) != Some(b"QFI") {
        "raw"
    } else {
        "qcow2"
    };
    let info = qemu_img(dir, &["info", "-f", format, "--output=json", file])?;
    let mut info: serde_json::Value = serde_json::from_str(&info.out)?;
    if let Some(fields) = info.as_object_mut() {
        fields.remove("actual-size");
        fields.remove("children");
        if format == "raw" {
            let len = dir.join(file).metadata()?.len();
            fields.insert("length".to_owned(), len.into());
        }
    }
    Ok(info)
}
