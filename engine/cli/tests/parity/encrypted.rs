//! Encrypted images: the same answers as `qemu-img`, and the same disk behind the same passphrase.

use crate::pair::{Engine, instar, qemu_img, same};
use crate::{Verdict, unless};
use libtest_mimic::{Failed, Trial};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;

/// The secret of all images.
const SECRET: [&str; 2] = ["--object", "secret,id=s,data=pw"];

/// Images: a file, its format and the options of `create`.
const IMAGES: &[(&str, &str, &str)] = &[
    ("q.img", "qcow2", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"),
    ("a.img", "qcow2", "encrypt.format=aes,encrypt.key-secret=s"),
    ("l.img", "luks", "key-secret=s,iter-time=10"),
    (
        "essiv.img",
        "luks",
        "key-secret=s,iter-time=10,cipher-alg=serpent-256,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,\
         hash-alg=sha512",
    ),
    (
        "cast5.img",
        "luks",
        "key-secret=s,iter-time=10,cipher-alg=cast5-128,cipher-mode=ctr,hash-alg=ripemd160",
    ),
    ("twofish.img", "luks", "key-secret=s,iter-time=10,cipher-alg=twofish-192,hash-alg=sha1"),
    (
        "ecb.img",
        "luks",
        "key-secret=s,iter-time=10,cipher-alg=aes-128,cipher-mode=ecb,ivgen-alg=plain,hash-alg=md5",
    ),
];

/// Overlays of 1 MiB, each with what it has for a backing file, and that file's format.
const OVERLAYS: &[(&str, &str, &str)] = &[
    ("ov-luks.img", "l.img", "luks"),
    ("ov-qcow2.img", "q.img", "qcow2"),
    ("ov-aes.img", "a.img", "qcow2"),
    (
        "ov-json.img",
        r#"json:{"driver":"luks","key-secret":"s","file":{"driver":"file","filename":"l.img"}}"#,
        "luks",
    ),
    ("ov-flat.img", r#"json:{"driver":"qcow2","encrypt.key-secret":"s","file.filename":"q.img"}"#, "qcow2"),
    ("ov-ov.img", "ov-luks.img", "qcow2"),
];

/// Command lines of which the answer counts.
const ANSWERS: &[&str] = &[
    "resize q.img 8M",
    "resize a.img 8M",
    "resize l.img 8M",
    "resize --object secret,id=s,data=pw --image-opts driver=qcow2,file.filename=q.img,encrypt.key-secret=x 8M",
    "resize --object secret,id=s,data=no --image-opts driver=qcow2,file.filename=q.img,encrypt.key-secret=s 8M",
    "resize --object secret,id=s,data=no --image-opts driver=luks,file.filename=l.img,key-secret=s 8M",
    "resize --object secret,id=s,data=pw --image-opts driver=luks,file.filename=l.img,key-secret=x 8M",
    "resize --object secret,id=s,data=pw --image-opts driver=luks,file.filename=q.img,key-secret=s 8M",
    "resize --object secret,id=s,data=pw --image-opts driver=qcow2,file.filename=q.img,encrypt.format=aes,\
     encrypt.key-secret=s 8M",
    "resize --object secret,id=s,data=pw --image-opts driver=qcow2,file.filename=plain.img,encrypt.format=luks,\
     encrypt.key-secret=s 8M",
    "resize --object secret,id=s,data=pw --image-opts driver=luks,file.filename=l.img,key-secret=s 1000001",
    "resize --object secret,id=s,data=pw --image-opts driver=luks,file.filename=l.img,key-secret=s \
     9223372035781033984",
    "resize --object secret,id=s,data=pw --image-opts --preallocation metadata \
     driver=luks,file.filename=l.img,key-secret=s 8M",
    "resize --object secret,id=s --image-opts driver=luks,file.filename=l.img,key-secret=s 8M",
    "resize --object secret,id=s,file=none --image-opts driver=luks,file.filename=l.img,key-secret=s 8M",
    "resize --object secret,id=s,data=c*c=,format=base64 --image-opts driver=luks,file.filename=l.img 8M",
    "resize --image-opts driver=luks,file.filename=none,key-secret=s 8M",
    "resize --image-opts l.img 8M",
    "check q.img",
    "check l.img",
    "check --object secret,id=s,data=pw --image-opts driver=luks,file.filename=l.img,key-secret=s",
    "check --object secret,id=s,data=pw --image-opts driver=qcow2,file.filename=q.img,encrypt.key-secret=s",
    "info q.img",
    "info a.img",
    "info l.img",
    "info essiv.img",
    "info cast5.img",
    "info --image-opts driver=qcow2,file.filename=q.img,encrypt.key-secret=s",
    "info ov-luks.img",
    "info --backing-chain ov-luks.img",
    "info --backing-chain ov-json.img",
    "info --image-opts driver=qcow2,file.filename=ov-luks.img,backing.key-secret=s",
    "resize ov-luks.img 8M",
    "resize ov-qcow2.img 8M",
    "resize ov-aes.img 8M",
    "resize ov-json.img 8M",
    "resize ov-ov.img 8M",
    "resize --object secret,id=s,data=pw ov-luks.img 8M",
    "resize --object secret,id=s,data=pw ov-json.img 8M",
    "resize --object secret,id=s,data=pw ov-flat.img 8M",
    "resize --object secret,id=s,data=no ov-json.img 8M",
    "resize --object secret,id=s,data=no ov-flat.img 8M",
    "resize --object secret,id=s,data=no --image-opts driver=qcow2,file.filename=ov-luks.img,backing.key-secret=s 8M",
    "resize --object secret,id=s,data=pw --image-opts driver=qcow2,file.filename=ov-luks.img,backing.key-secret=x 8M",
    "resize --object secret,id=s,data=pw --image-opts driver=qcow2,file.filename=ov-qcow2.img,\
     backing.encrypt.key-secret=x 8M",
    "resize --object secret,id=s,data=pw --image-opts driver=qcow2,file.filename=ov-qcow2.img 8M",
];

/// Resizes that succeed: the file, the options of its driver, further options, the size.
const RESIZES: &[(&str, &str, &str, &str)] = &[
    ("q.img", "driver=qcow2,encrypt.key-secret=s", "-q", "64M"),
    ("q.img", "driver=qcow2,encrypt.key-secret=s", "--shrink", "1M"),
    ("q.img", "encrypt.key-secret=s,encrypt.format=luks", "-q", "+1G"),
    ("a.img", "driver=qcow2,encrypt.key-secret=s", "-q", "1G"),
    ("a.img", "driver=qcow2,encrypt.key-secret=s", "--shrink", "1M"),
    ("l.img", "driver=luks,key-secret=s", "-q", "8M"),
    ("l.img", "driver=luks,key-secret=s", "--shrink", "1000001"),
    ("l.img", "driver=luks,key-secret=s", "--preallocation=falloc", "8M"),
    ("l.img", "driver=luks,key-secret=s", "--preallocation=full", "8M"),
    ("essiv.img", "driver=luks,key-secret=s", "-q", "8M"),
    ("cast5.img", "driver=luks,key-secret=s", "-q", "8M"),
    ("twofish.img", "driver=luks,key-secret=s", "-q", "8M"),
    ("ecb.img", "key-secret=s", "-q", "8M"),
    ("ov-luks.img", "driver=qcow2,backing.key-secret=s", "-q", "8M"),
    ("ov-luks.img", "driver=qcow2,backing.key-secret=s", "--preallocation=metadata", "8M"),
    ("ov-luks.img", "driver=qcow2,backing.key-secret=s", "--shrink", "512k"),
    ("ov-luks.img", "driver=qcow2,backing.driver=luks,backing.key-secret=s", "-q", "2M"),
    ("ov-qcow2.img", "driver=qcow2,backing.encrypt.key-secret=s", "-q", "8M"),
    ("ov-aes.img", "driver=qcow2,backing.encrypt.key-secret=s", "--preallocation=full", "3M"),
    ("ov-ov.img", "driver=qcow2,backing.backing.key-secret=s", "-q", "8M"),
];

/// Headers that lie: an offset in the image, and what is put there.
const HOSTILE: &[(u64, &[u8])] = &[
    (8, &[b'x'; 32]),
    (8, b"blowfish\0"),
    (40, b"xts\0"),
    (72, b"whirlpool\0"),
    (104, &[0, 0, 0, 1]),
    (108, &[0xff; 4]),
    (108, &[0, 0, 0, 0]),
    (164, &[0; 4]),
    (212, &[0; 4]),
    (248, &[0xff; 4]),
    (252, &[0xff; 4]),
];

static ORIGINALS: LazyLock<Result<TempDir, String>> =
    LazyLock::new(|| originals().map_err(|e| e.message().unwrap_or("?").to_owned()));

fn originals() -> Result<TempDir, Failed> {
    let dir = tempfile::tempdir()?;
    for (file, format, options) in IMAGES {
        let mut args = vec!["create", "-q"];
        args.extend(SECRET);
        args.extend(["-f", format, "-o", options, file, "4M"]);
        must(Command::new("qemu-img").args(args).current_dir(dir.path()))?;
        let key = if *format == "luks" { "key-secret" } else { "encrypt.key-secret" };
        let opts = format!("driver={format},file.filename={file},{key}=s");
        let write = ["-c", "write -P 90 0 300k", "-c", "write -P 165 3M 64k", "--image-opts", &opts];
        must(Command::new("qemu-io").args(SECRET).args(write).current_dir(dir.path()))?;
    }
    must(
        Command::new("qemu-img").args(["create", "-qf", "qcow2", "plain.img", "4M"]).current_dir(dir.path()),
    )?;
    for (file, backing, format) in OVERLAYS {
        let args = ["create", "-qf", "qcow2", "-u", "-b", backing, "-F", format, file, "1M"];
        must(Command::new("qemu-img").args(args).current_dir(dir.path()))?;
    }
    Ok(dir)
}

fn must(command: &mut Command) -> Result<(), Failed> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn copy() -> Result<TempDir, Failed> {
    let (from, to) = (ORIGINALS.as_ref()?, tempfile::tempdir()?);
    for entry in fs::read_dir(from.path())? {
        let entry = entry?;
        fs::copy(entry.path(), to.path().join(entry.file_name()))?;
    }
    Ok(to)
}

/// One trial for each command line, resize and header.
pub fn trials(engine: Engine, missing: Option<&'static str>) -> Vec<Trial> {
    let name = engine.name();
    let mut trials: Vec<_> = ANSWERS
        .iter()
        .map(|line| Trial::test(format!("{name} with encryption: {line}"), move || answers(engine, line)))
        .collect();
    trials.extend(RESIZES.iter().map(|&case| {
        let (file, opts, flags, size) = case;
        let what = format!("{name} resizes behind a passphrase: {file} {opts} {flags} {size}");
        Trial::test(what, move || resizes(engine, case))
    }));
    trials.extend(HOSTILE.iter().map(|&(at, bytes)| {
        Trial::test(format!("{name} meets a LUKS header with {bytes:x?} at {at}"), move || {
            hostile(engine, at, bytes)
        })
    }));
    trials.into_iter().map(|trial| unless(missing, trial)).collect()
}

/// Space on the host is not compared.
fn without_space(text: &str) -> String {
    text.lines().filter(|line| !line.contains("disk size: ")).flat_map(|line| [line, "\n"]).collect()
}

fn answers(engine: Engine, line: &str) -> Verdict {
    let args: Vec<&str> = line.split_whitespace().collect();
    let (here, there) = (copy()?, copy()?);
    let (mut ours, mut theirs) = (instar(here.path(), engine, &args)?, qemu_img(there.path(), &args)?);
    (ours.out, theirs.out) = (without_space(&ours.out), without_space(&theirs.out));
    same(&args, &ours, &theirs)
}

fn resizes(engine: Engine, (file, opts, flags, size): (&str, &str, &str, &str)) -> Verdict {
    let (here, there) = (copy()?, copy()?);
    let image = format!("{opts},file.filename={file}");
    let [object, secret] = SECRET;
    let args = ["resize", object, secret, "--image-opts", flags, &image, size];
    let (ours, theirs) = (instar(here.path(), engine, &args)?, qemu_img(there.path(), &args)?);
    same(&args, &ours, &theirs)?;
    if theirs.code != Some(0) {
        return Err(format!("not a success: {theirs:?}").into());
    }
    same_disk(here.path(), there.path(), (file, opts))
}

/// Both files hold the same disk for somebody with the passphrase.
fn same_disk(here: &Path, there: &Path, (file, opts): (&str, &str)) -> Verdict {
    let [ours, theirs] =
        [here, there].map(|dir| format!("{opts},file.filename={}", dir.join(file).display()));
    must(Command::new("qemu-img").arg("compare").args(["-s"]).args(SECRET).args([
        "--image-opts",
        &ours,
        &theirs,
    ]))?;
    if file == "l.img" {
        let [ours, theirs] = [here, there].map(|dir| fs::metadata(dir.join(file)).map(|m| m.len()));
        if ours? != theirs? {
            return Err("the files differ in length".into());
        }
    }
    Ok(())
}

/// As `qemu-img` refuses it, or at least refused in one line.
fn hostile(engine: Engine, at: u64, bytes: &[u8]) -> Verdict {
    let dir = copy()?;
    fs::File::options().write(true).open(dir.path().join("l.img"))?.write_all_at(bytes, at)?;
    let [object, secret] = SECRET;
    let args =
        ["resize", object, secret, "--image-opts", "driver=luks,file.filename=l.img,key-secret=s", "8M"];
    let ours = instar(dir.path(), engine, &args)?;
    let refused =
        ours.code == Some(1) && ours.err.lines().count() == 1 && ours.err.contains("Could not open");
    if refused { Ok(()) } else { Err(format!("{ours:?}").into()) }
}
