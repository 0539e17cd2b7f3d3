//! Overlays that grow from inside a cluster over encrypted files: what precedes the old end is copied up from there, the
//! same bytes as `qemu-img` copies, and no file behind the overlay changes.

use crate::fixture::run;
use crate::pair::{Engine, instar, qemu_img, same};
use crate::{Verdict, unless};
use libtest_mimic::{Failed, Trial};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The secrets: of most images, and of the one behind another.
const SECRETS: [&str; 4] = ["--object", "secret,id=s,data=pw", "--object", "secret,id=t,data=another one"];

/// What lies behind an overlay of 1,000 KiB: commands that make `back.img` and what it needs, its format, and the option
/// that names its secret. `CREATE` and `IO` stand for `qemu-img create` and `qemu-io` with the secrets.
const BEHIND: &[(&str, &[&str], &str, &str)] = &[
    ("LUKS", &["CREATE -f luks -o key-secret=s,iter-time=10 back.img 3M", FILL_LUKS], "luks", "key-secret=s"),
    (
        "LUKS that ends before",
        &["CREATE -f luks -o key-secret=s,iter-time=10 back.img 999k", FILL_SHORT],
        "luks",
        "key-secret=s",
    ),
    (
        "LUKS with ESSIV",
        &[
            "CREATE -f luks -o key-secret=s,iter-time=10,cipher-alg=serpent-256,cipher-mode=cbc,ivgen-alg=essiv,\
             ivgen-hash-alg=sha256,hash-alg=sha512 back.img 3M",
            FILL_LUKS,
        ],
        "luks",
        "key-secret=s",
    ),
    (
        "LUKS with a counter",
        &[
            "CREATE -f luks -o key-secret=s,iter-time=10,cipher-alg=cast5-128,cipher-mode=ctr,\
             hash-alg=ripemd160 back.img 3M",
            FILL_LUKS,
        ],
        "luks",
        "key-secret=s",
    ),
    (
        "LUKS in qcow2",
        &[
            "CREATE -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 back.img 3M",
            FILL,
        ],
        "qcow2",
        "encrypt.key-secret=s",
    ),
    (
        "LUKS in qcow2 with 32-bit vectors and subclusters",
        &[
            "CREATE -f qcow2 -o extended_l2=on,cluster_size=16k,encrypt.format=luks,encrypt.ivgen-alg=plain,\
             encrypt.key-secret=s,encrypt.iter-time=10 back.img 3M",
            "IO -c write\u{a0}-P\u{a0}7\u{a0}995k\u{a0}2560 \
             driver=qcow2,file.filename=back.img,encrypt.key-secret=s",
        ],
        "qcow2",
        "encrypt.key-secret=s",
    ),
    (
        "LUKS in qcow2 with a data file",
        &[
            "CREATE -f qcow2 -o data_file=back.data,encrypt.format=luks,encrypt.key-secret=s,\
             encrypt.iter-time=10 back.img 3M",
            FILL,
        ],
        "qcow2",
        "encrypt.key-secret=s",
    ),
    (
        "AES",
        &["CREATE -f qcow2 -o encrypt.format=aes,encrypt.key-secret=t back.img 3M", FILL_AES],
        "qcow2",
        "encrypt.key-secret=t",
    ),
    (
        "a plain overlay of AES",
        &[
            "CREATE -f qcow2 -o encrypt.format=aes,encrypt.key-secret=t lower.img 3M",
            "IO -c write\u{a0}-P\u{a0}9\u{a0}0\u{a0}3M driver=qcow2,file.filename=lower.img,encrypt.key-secret=t",
            "CREATE -f qcow2 -o extended_l2=on,backing_file=lower.img,backing_fmt=qcow2 -u back.img 3M",
            "IO -c write\u{a0}-P\u{a0}7\u{a0}990k\u{a0}2k \
             driver=qcow2,file.filename=back.img,backing.encrypt.key-secret=t",
        ],
        "qcow2",
        "backing.encrypt.key-secret=t",
    ),
    (
        "LUKS in qcow2 over LUKS",
        &[
            "CREATE -f luks -o key-secret=t,iter-time=10 lower.img 3M",
            "IO -c write\u{a0}-P\u{a0}9\u{a0}0\u{a0}3M driver=luks,file.filename=lower.img,key-secret=t",
            "CREATE -f qcow2 -o cluster_size=4k,backing_file=lower.img,backing_fmt=luks,encrypt.format=luks,\
             encrypt.key-secret=s,encrypt.iter-time=10 -u back.img 3M",
            "IO -c write\u{a0}-P\u{a0}7\u{a0}990k\u{a0}2k \
             driver=qcow2,file.filename=back.img,encrypt.key-secret=s,backing.key-secret=t",
        ],
        "qcow2",
        "encrypt.key-secret=s,backing.key-secret=t",
    ),
];

const FILL_LUKS: &str =
    "IO -c write\u{a0}-P\u{a0}7\u{a0}0\u{a0}3M driver=luks,file.filename=back.img,key-secret=s";
const FILL_SHORT: &str =
    "IO -c write\u{a0}-P\u{a0}7\u{a0}0\u{a0}999k driver=luks,file.filename=back.img,key-secret=s";
const FILL: &str =
    "IO -c write\u{a0}-P\u{a0}7\u{a0}0\u{a0}3M driver=qcow2,file.filename=back.img,encrypt.key-secret=s";
const FILL_AES: &str =
    "IO -c write\u{a0}-P\u{a0}7\u{a0}0\u{a0}3M driver=qcow2,file.filename=back.img,encrypt.key-secret=t";

/// Options of the overlay, and how it is resized.
const RESIZES: &[(&str, &str)] = &[
    ("compat=1.1", "5M"),
    ("compat=1.1,cluster_size=2M", "--preallocation=metadata 5M"),
    ("compat=0.10", "--preallocation=falloc 5M"),
    ("compat=1.1,extended_l2=on", "1001k"),
    ("compat=1.1", "--shrink 500K"),
];

/// One trial for each chain and resize.
pub fn trials(engine: Engine, missing: Option<&'static str>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (behind, &(what, _, format, key)) in BEHIND.iter().enumerate() {
        for &(options, resize) in RESIZES {
            let name = format!("{} copies up from {what}: {options}, {resize}", engine.name());
            let case = Case { behind, format, key, options, resize };
            trials.push(unless(missing, Trial::test(name, move || case.resized_alike(engine))));
        }
    }
    let name = format!("{} asks for the secret of what it copies up", engine.name());
    trials.push(unless(missing, Trial::test(name, move || refused_alike(engine))));
    trials
}

/// The files of each chain, without an overlay: making keys takes a while.
static MADE: [OnceLock<Result<TempDir, String>>; BEHIND.len()] = [const { OnceLock::new() }; BEHIND.len()];

fn made(behind: usize) -> Result<TempDir, Failed> {
    let dir = tempfile::tempdir()?;
    let secrets = SECRETS.map(|word| word.replace(' ', "\u{a0}")).join(" ");
    for recipe in BEHIND[behind].1 {
        let recipe = recipe.replace("CREATE", &format!("qemu-img create -q {secrets}"));
        run(dir.path(), &recipe.replace("IO", &format!("qemu-io {secrets} --image-opts")))?;
    }
    Ok(dir)
}

/// An overlay, what is behind it by its number, and how it is resized.
struct Case {
    behind: usize,
    format: &'static str,
    key: &'static str,
    options: &'static str,
    resize: &'static str,
}

impl Case {
    /// A directory with the files behind, and two overlays.
    fn make(&self) -> Result<TempDir, Failed> {
        let made = MADE[self.behind]
            .get_or_init(|| made(self.behind).map_err(|e| e.message().unwrap_or("?").to_owned()));
        let dir = tempfile::tempdir()?;
        for (path, bytes) in behind(made.as_ref()?.path())? {
            fs::write(dir.path().join(path.file_name().unwrap_or_default()), bytes)?;
        }
        for overlay in ["ours.img", "theirs.img"] {
            let Self { options, format, .. } = self;
            let create = "qemu-img create -q -u -f qcow2";
            run(dir.path(), &format!("{create} -o {options} -b back.img -F {format} {overlay} 1000k"))?;
        }
        Ok(dir)
    }

    /// The options that open an overlay.
    fn overlay(&self, file: &str) -> String {
        let keys: Vec<_> = self.key.split(',').map(|key| format!("backing.{key}")).collect();
        format!("driver=qcow2,file.filename={file},{}", keys.join(","))
    }

    fn resized_alike(&self, engine: Engine) -> Verdict {
        let dir = self.make()?;
        let dir = dir.path();
        let before = behind(dir)?;
        let overlays = ["ours.img", "theirs.img"].map(|file| self.overlay(file));
        let [ours, theirs] = overlays.each_ref().map(|overlay| {
            let words = ["resize"].into_iter().chain(SECRETS).chain(["--image-opts"]);
            let words = words.chain(self.resize.split(' ').rev().skip(1)).collect::<Vec<_>>();
            [words, vec![overlay, self.resize.rsplit(' ').next().unwrap_or_default()]].concat()
        });
        let answer = instar(dir, engine, &ours)?;
        same(&ours, &answer, &qemu_img(dir, &theirs)?)?;
        if answer.code != Some(0) || behind(dir)? != before {
            return Err(format!("no success, or another file has changed: {answer:?}").into());
        }
        let [ours, theirs] = overlays.each_ref().map(String::as_str);
        let compare = [["compare", "-s"].as_slice(), &SECRETS, &["--image-opts", ours, theirs]].concat();
        let check = [["check", "-q"].as_slice(), &SECRETS, &["--image-opts", ours]].concat();
        for args in [compare, check] {
            let answer = qemu_img(dir, &args)?;
            if answer.code != Some(0) {
                return Err(format!("{args:?}: {answer:?}").into());
            }
        }
        Ok(())
    }
}

/// All files but the overlays.
fn behind(dir: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, Failed> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !path.ends_with("ours.img") && !path.ends_with("theirs.img") {
            all.push((path.clone(), fs::read(path)?));
        }
    }
    all.sort();
    Ok(all)
}

/// No secret, and one that does not open the file, of an overlay that needs it.
fn refused_alike(engine: Engine) -> Verdict {
    let (_, _, format, _) = BEHIND[0];
    for key in ["key-secret=u", "key-secret=t", "driver=luks"] {
        let case = Case { behind: 0, format, key, options: "compat=1.1", resize: "5M" };
        let dir = case.make()?;
        let before = fs::read(dir.path().join("ours.img"))?;
        let overlay = case.overlay("ours.img");
        let args = [["resize"].as_slice(), &SECRETS, &["--image-opts", &overlay, "5M"]].concat();
        let ours = instar(dir.path(), engine, &args)?;
        let unchanged = fs::read(dir.path().join("ours.img"))? == before;
        same(&args, &ours, &qemu_img(dir.path(), &args)?)?;
        if ours.code != Some(1) || !unchanged {
            return Err(format!("no refusal, or a change: {ours:?}").into());
        }
    }
    Ok(())
}
