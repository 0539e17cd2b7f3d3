//! Small texts that scripts rely on: options of new images and of their files, JSON on the command line, options cut short,
//! empty values, nodes of the file itself. Both programs say the same and make the same files.

use crate::fixture::Fixtures;
use crate::pair::{Answer, Engine, instar, qemu_img, same};
use crate::{Verdict, trial};
use libtest_mimic::Trial;
use std::fs;
use std::path::Path;

/// Command lines; a no-break space stands for a space within a word, and words may be empty.
const ALIKE: &[&str] = &[
    // What the file system is told.
    "create -f raw -o nocow=on new.img 1M",
    "create -f raw -o nocow=off new.img 1M",
    "create -f raw -o nocow=maybe new.img 1M",
    "create -f raw -o nocow new.img 1M",
    "create -f raw -o nonocow new.img 1M",
    "create -f raw -o nocow=n,preallocation=off,extent_size_hint=64k new.img 1M",
    "create -f qcow2 -o nocow=on new.img 1M",
    "create -f qcow2 -o nocow=off new.img 1M",
    "create -f qcow2 -o nocow=yes,preallocation=metadata,extent_size_hint=64k new.img 1M",
    "create -f qcow2 -o nocow=on,data_file=new.data,data_file_raw=y new.img 1M",
    "create -f vpc -o nocow=on,extent_size_hint=64k,subformat=fixed,force_size=true new.img 1M",
    "create -f vhdx -o nocow=on,extent_size_hint=64k new.img 1M",
    "create -f vmdk -o nocow=on,extent_size_hint=64k new.img 1M",
    "create -f raw -o extent_size_hint=1M new.img 1M",
    "create -f raw -o extent_size_hint=0 new.img 1M",
    "create -f raw -o extent_size_hint=1000 new.img 1M",
    "create -f raw -o extent_size_hint=x new.img 1M",
    "create -f raw -o extent_size_hint=-1 new.img 1M",
    "create -f raw -o extent_size_hint=4G new.img 1M",
    "create -f qcow2 -o extent_size_hint=4G q.img 1M",
    // Help on options.
    "create -f qcow2 -o help",
    "create -f qcow2 -o ?",
    "create -f qcow2 -o cluster_size=4k,help",
    "create -f qcow2 -o cluster_size=4k -o help new.img",
    "create -f qcow2 -o help new.img 1M",
    "create -f qcow2 -o help q.img",
    "create -f raw -o help",
    "create -f raw -o help new.img",
    "create -f raw -o help a b c",
    "create -f raw -o help a 1x",
    "create -o help",
    "create -f vpc -o help",
    "create -f vpc -o help new.img",
    "create -f vhdx -o help",
    "create -f vhdx -o help new.img",
    "create -f vmdk -o help",
    "create -f vmdk -o help new.img",
    "create -f bogus -o help",
    "create -f raw -o help json:x",
    "create -f raw -o help bogus:x",
    "create -f qcow2 -o helpx new.img 1M",
    "create -f qcow2 -o help=on new.img 1M",
    // Lists of options, and their values.
    "create -f qcow2 -o  new.img 1M",
    "create -f qcow2 -o , new.img 1M",
    "create -f qcow2 -o cluster_size=4k, new.img 1M",
    "create -f qcow2 -u -o backing_file=a,,b,backing_fmt=raw new.img 1M",
    "create -f qcow2 -u -o backing_file=a,,,backing_fmt=raw new.img 1M",
    "create -f qcow2 -u -b a,b -F raw new.img 1M",
    "create -f qcow2 -u -o backing_file=a,, new.img 1M",
    "create -f qcow2 -o size=1M,, new.img",
    "create -f qcow2 -o si,,ze=1M new.img 1M",
    "create -f qcow2 -o =x new.img 1M",
    "create -f qcow2 -o preallocation new.img 1M",
    "create -f qcow2 -o preallocation= new.img 1M",
    "create -f qcow2 -o compat= new.img 1M",
    "create -f qcow2 -o nolazy_refcounts new.img 1M",
    "create -f qcow2 -o lazy_refcounts=yes new.img 1M",
    "create -f qcow2 -o refcount_bits=0x10 new.img 1M",
    "create -f qcow2 -o refcount_bits=020 new.img 1M",
    "create -f qcow2 -o refcount_bits=-1 new.img 1M",
    "create -f qcow2 -o refcount_bits= new.img 1M",
    "create -f raw -o size= new.img",
    "create -f raw  1M",
    "create -f raw json:x 1M",
    // A backing file without its format.
    "create -f qcow2 -b q.img new.img",
    "create -f qcow2 -o backing_file=q.img new.img 1M",
    "create -f qcow2 -u -b q.img new.img 1M",
    "create -f qcow2 -b q.img -F  new.img 1M",
    r#"create -f qcow2 -b json:{"driver":"raw","offset":512,"file.filename":"raw.img"} -F raw new.img"#,
    r#"create -f qcow2 -b json:{"driver":"raw","offset":512,"file.filename":"raw.img"} new.img"#,
    "create -f qcow2 -b q.img -F file new.img",
    // Values that are empty or missing, and options cut short.
    "resize --preallocation= raw.img 4M",
    "resize -f raw --preallocation  raw.img 4M",
    "resize -f raw --preallocation=bogus raw.img 4M",
    "resize --preallocation",
    "resize -f",
    "resize -qf",
    "resize --bogus raw.img 1M",
    "resize -qZ raw.img 1M",
    "resize -1 raw.img",
    "resize -f raw raw.img ",
    "resize -f raw raw.img +",
    "resize -f raw raw.img \u{a0}",
    "resize -f raw raw.img \u{a0}4M",
    "resize -f raw raw.img 4M\u{a0}",
    "resize -f raw raw.img +-1",
    "resize -f raw  4M",
    "resize --pre=off -f raw raw.img 4M",
    "resize --s raw.img -f raw 1000k",
    "resize --image-opts -f raw x 1x",
    "info --backing-chain=x raw.img",
    "info --b -f raw raw.img",
    "info --f raw raw.img",
    "info --output= raw.img",
    "info --output",
    "check --repair= q.img",
    "check -r bogus",
    "check -r",
    "check -T bogus nosuch",
    "create --back q.img new.img",
    "create --op size=1M new.img",
    "create -o",
    "create new.img 1M 2M",
    "--bogus",
    // Nodes of the file itself.
    "info --image-opts driver=file,filename=q.img",
    "info --backing-chain --image-opts driver=file,filename=q.img",
    "info --image-opts driver=file,filename=q.img,locking=off",
    "info --image-opts driver=file,filename=nosuch",
    "info --image-opts driver=file,file.filename=q.img",
    "info --image-opts driver=file,filename=q.img,offset=1",
    "info --image-opts driver=raw,filename=q.img",
    "info -f file q.img",
    "check -f file q.img",
    "check --image-opts driver=file,filename=q.img",
    "resize -f file raw.img +1",
    "resize -f file raw.img 1",
    "resize --image-opts driver=file,filename=raw.img 3M",
    "resize --image-opts --preallocation=metadata driver=file,filename=raw.img 3M",
    r#"info -f qcow2 json:{"driver":"raw","offset":512,"file.filename":"q.img"}"#,
    r#"info -f raw json:{"driver":"file","filename":"q.img"}"#,
    r#"resize json:{"offset":65536,"file.filename":"raw.img"} +1M"#,
    "info --image-opts offset=64k,file.filename=q.img",
    // Nothing behind an image, in old words.
    "info --image-opts driver=qcow2,file.filename=q.img,backing=",
    "info --image-opts driver=raw,file.filename=raw.img,file.backing=",
    "check --image-opts driver=qcow2,file.filename=ov.img,backing=",
    "resize --image-opts driver=qcow2,file.filename=q.img,backing= 8M",
    "info --image-opts file.filename=nosuch,backing=",
    r#"info json:{"driver":"raw","backing":null,"file.filename":"raw.img"}"#,
    "info --image-opts driver=raw,read-only=yes,file.filename=raw.img",
    "resize --image-opts driver=raw,read-only=y,file.filename=raw.img 4M",
    // Secrets come before operands.
    "info --object",
    "info --object {",
    "info --object {}",
    r#"info --object {"qom-type":"secret","id":"s","data":5}"#,
    "info --object {'qom-type':'secret','id':'s','data':'x'} raw.img",
    "info --object bogus,id=s",
];

/// What follows `json:` in a name that is no good, or just so.
const JSON: &[&str] = &[
    "",
    "{",
    "}",
    "{}",
    r#"{"a"#,
    r#"{"a""#,
    r#"{"a":1,}"#,
    r#"{"a" 1}"#,
    r#"{"a" 1 ;}"#,
    r#"{"a":1 "b":2}"#,
    r#"{"a":[1 2]}"#,
    r#"{"a":[1,2}}"#,
    "{a:1}",
    "{1:2}",
    "{'driver':'raw','file.filename':'raw.img'}",
    r#"{"driver":"raw","file":{"driver":"file","filename":"raw.img"}}x"#,
    r#"{"driver":"raw","driver":"raw","file.filename":"raw.img"}"#,
    r#"{"a":.5}"#,
    r#"{"a":-01}"#,
    r#"{"a":1.}"#,
    r#"{"a":1e+}"#,
    r#"{"a":True}"#,
    r#"{"a":tru}"#,
    r#"{"a":%s}"#,
    r#"{"a":"\q"}"#,
    r#"{"a":"\u12"}"#,
    r#"{"a":"\ud800"}"#,
    r#"{"a":"\u0041","b":"é"}"#,
    "[",
    "[]",
    "null",
    r#"{"driver":null,"file.filename":"raw.img"}"#,
    r#"{"driver":"raw","file":null}"#,
    r#"{"driver":"raw","file.filename":"raw.img","size":1e3}"#,
    r#"{"driver":"raw","file.filename":"raw.img","size":-512}"#,
    r#"{"driver":"raw","file.filename":"raw.img","cache":{"direct":false}}"#,
    r#"{"driver":"raw","":"x","file.filename":"raw.img"}"#,
];

pub fn trials(engine: Engine) -> Vec<Trial> {
    let name = |line: &str| format!("{} in few words: {line}", engine.name());
    let lines = ALIKE.iter().map(|line| trial(name(line), move |f| alike(f, engine, line)));
    let json = JSON.iter().map(|text| {
        let line = format!("info json:{}", text.replace(' ', "\u{a0}"));
        trial(name(&line.clone()), move |f| alike(f, engine, &line))
    });
    lines.chain(json).collect()
}

/// What new images cannot be told here is not in the help on options either.
fn without_encryption(mut answer: Answer) -> Answer {
    let lines = answer.out.lines().filter(|line| !line.starts_with("  encrypt"));
    answer.out = lines.flat_map(|line| [line, "\n"]).collect();
    answer
}

fn alike(fixtures: &Fixtures, engine: Engine, line: &str) -> Verdict {
    let words: Vec<String> = line.split(' ').map(|word| word.replace('\u{a0}', " ")).collect();
    let args: Vec<&str> = words.iter().map(String::as_str).collect();
    let there = fixtures.copy()?;
    let theirs = without_encryption(qemu_img(there.path(), &args)?);
    same(&args, &instar(fixtures.path(), engine, &args)?, &theirs)?;
    let (ours, theirs) = (files(fixtures.path())?, files(there.path())?);
    match ours == theirs {
        true => Ok(()),
        false => Err(format!("instar's files:   {ours:?}\nqemu-img's: {theirs:?}").into()),
    }
}

/// Names and lengths of the files.
fn files(dir: &Path) -> Result<Vec<(String, u64)>, std::io::Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()));
    }
    files.sort();
    Ok(files)
}
