//! Refusals and messages: the same exit code and the same lines on the same stream.

use crate::pair::{Engine, instar, qemu_img, same};
use crate::{Verdict, fixture::Fixtures, trial};
use libtest_mimic::Trial;

/// Command lines that both programs must answer alike, to the letter. Nothing is changed by them.
const ALIKE: &[&str] = &[
    "resize",
    "resize raw.img",
    "resize raw.img 1M 2M",
    "resize -f raw raw.img 1x",
    "resize -f raw nosuch 1x",
    "resize -f raw raw.img 2MiB",
    "resize -f raw raw.img +16E",
    "resize -f raw nosuch 1M",
    "resize nosuch 1M",
    "resize -f bogus raw.img 1M",
    "resize json:[] 1M",
    "resize json:{} 1M",
    r#"resize json:{"driver":"qcow2"} 1M"#,
    r#"resize json:{"driver":"bogus","file.filename":"q.img"} 1M"#,
    r#"resize json:{"driver":"qcow2","file":"q.img"} 1M"#,
    r#"resize json:{"driver":"qcow2","file.filename":"q.img","bogus":1} 1M"#,
    r#"resize json:{"driver":"qcow2","file.filename":"q.img","read-only":true} 1M"#,
    r#"resize json:{"driver":"qcow2","file.filename":"nosuch.img"} 1M"#,
    "resize -f raw sub 1M",
    "resize fifo 1M",
    "resize -f qcow2 fifo 1M",
    "resize -f raw /dev/null 1M",
    "resize foo:bar 1M",
    "resize --preallocation=bogus nosuch 1M",
    "resize --image-opts -f raw raw.img 1M",
    "resize -f raw raw.img 0",
    "resize -f raw --shrink raw.img -1M",
    "resize -f raw --shrink raw.img -2M",
    "resize -f raw raw.img 512k",
    "resize -f raw raw.img -512k",
    "resize -f raw raw.img -- -512k",
    "resize raw.img 512k",
    "resize -q -f raw raw.img 512k",
    "resize -f raw --preallocation falloc raw.img 1M",
    "resize -f raw --preallocation full --shrink raw.img 512k",
    "resize -f raw --preallocation metadata raw.img 2M",
    "resize -f raw raw.img 9223372036854775807",
    "resize -f raw odd.raw 1002",
    "resize -f qcow2 raw.img 2M",
    "resize -f qcow2 q.img 1M",
    "resize -f qcow2 q.img 5000001",
    "resize -f qcow2 --shrink q.img 0",
    "resize -f qcow2 --preallocation metadata q.img 4M",
    "resize -f qcow2 small.img 1T",
    "resize -f qcow2 corrupt.img 8M",
    "resize -f qcow2 unknown.img 8M",
    "resize short.qcow2 1M",
    "info",
    "info a b",
    "info nosuch",
    "info foo:bar",
    "info sub",
    "info -f bogus raw.img",
    "info -f qcow2 raw.img",
    "info --output=xml raw.img",
    "info unknown.img",
    "check",
    "check nosuch",
    "check --output=xml q.img",
    "check -f raw raw.img",
    "check raw.img",
    "check --output=json raw.img",
    "check -f qcow2 raw.img",
    "check short.qcow2",
    "create",
    "create new.img",
    "create -f bogus new.img 1M",
    "create -f qcow2 -o foo=1 new.img 1M",
    "create -f qcow2 -o size=3M new.img 1M",
    "create -f qcow2 -o size=abc new.img",
    "create -f qcow2 -o cluster_size=513 new.img 1M",
    "create -f qcow2 -o cluster_size=abc new.img 1M",
    "create -f qcow2 -o refcount_bits=3 new.img 1M",
    "create -f qcow2 -o refcount_bits=abc new.img 1M",
    "create -f qcow2 -o compat=9 new.img 1M",
    "create -f qcow2 -o lazy_refcounts=maybe new.img 1M",
    "create -f qcow2 -o compression_type=lz new.img 1M",
    "create -f qcow2 -o preallocation=lz new.img 1M",
    "create -f qcow2 -o compat=0.10,lazy_refcounts=on new.img 1M",
    "create -f qcow2 -o compat=0.10,refcount_bits=8 new.img 1M",
    "create -f qcow2 -o compat=0.10,extended_l2=on new.img 1M",
    "create -f qcow2 -o compat=0.10,compression_type=zstd new.img 1M",
    "create -f qcow2 -o cluster_size=8k,extended_l2=on new.img 1M",
    "create -f qcow2 -o cluster_size=512 new.img 1T",
    "create -f qcow2 -o ,size=1M new.img",
    "create -f raw -o cluster_size=4k new.img 1M",
    "create -f qcow2 new.img 8E",
    "create -f qcow2 new.img 7E",
    "create -f qcow2 nodir/new.img 1M",
    "create -f qcow2 sub 1M",
    "create -f raw sub 1M",
    "bogus",
];

/// Command lines that both must refuse with the same code, in words of their own.
const REFUSED: &[&str] = &[
    "resize -f raw --shrink -512k raw.img",
    "resize -f raw raw.img -.5M",
    "resize -f raw raw.img -+5M",
    "resize -f raw raw.img 8E",
    "resize -f raw raw.img 18446744073709551615",
    "resize -f raw raw.img +9223372036854775807",
    "resize --bogus raw.img 1M",
    "resize -x raw.img 1M",
    "resize -f",
    "create -f qcow2 new.img abc",
    "create -f qcow2 -o size=1M new.img 1M 2M",
    "create -f raw new.img 9223372036854775807",
];

/// One trial for each command line.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let name = |line: &str| format!("{} says: {line}", engine.name());
    let alike = ALIKE.iter().map(|&line| trial(name(line), move |f| answers_alike(f, engine, line)));
    let refused = REFUSED.iter().map(|&line| trial(name(line), move |f| both_refuse(f, engine, line)));
    alike.chain(refused).collect()
}

fn answers_alike(fixtures: &Fixtures, engine: Engine, line: &str) -> Verdict {
    let args: Vec<&str> = line.split(' ').collect();
    let theirs = qemu_img(fixtures.copy()?.path(), &args)?;
    let before = tree(fixtures)?;
    let ours = instar(fixtures.path(), engine, &args)?;
    same(&args, &ours, &theirs)?;
    match before == tree(fixtures)? {
        true => Ok(()),
        false => Err("a refusal changed a file".into()),
    }
}

fn both_refuse(fixtures: &Fixtures, engine: Engine, line: &str) -> Verdict {
    let args: Vec<&str> = line.split(' ').collect();
    let theirs = qemu_img(fixtures.copy()?.path(), &args)?;
    let before = tree(fixtures)?;
    let ours = instar(fixtures.path(), engine, &args)?;
    let fine = ours.code == Some(1) && !ours.err.is_empty() && ours.code == theirs.code;
    match fine && before == tree(fixtures)? {
        true => Ok(()),
        false => Err(format!("instar:   {ours:?}\nqemu-img: {theirs:?}").into()),
    }
}

/// Names and contents of the fixtures' files.
fn tree(fixtures: &Fixtures) -> Result<Vec<(String, Vec<u8>)>, std::io::Error> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(fixtures.path())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name, std::fs::read(entry.path())?));
        }
    }
    files.sort();
    Ok(files)
}
