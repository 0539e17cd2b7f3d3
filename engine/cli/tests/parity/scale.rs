//! Large images: what they hold is the same afterwards, read by qemu-img.

use crate::Verdict;
use crate::pair::{Answer, Engine, instar, qemu_img};
use libtest_mimic::Trial;
use std::path::Path;
use std::process::Command;

/// The trials for `engine`.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let populated =
        Trial::test(format!("{} scale: a populated 1 TiB image doubles", engine.name()), move || {
            doubles(engine)
        });
    vec![populated]
}

fn doubles(engine: Engine) -> Verdict {
    let dir = tempfile::tempdir()?;
    let at = dir.path();
    done(&qemu_img(at, &["create", "-q", "-f", "qcow2", "disk.img", "1T"])?)?;
    populate(at)?;
    std::fs::copy(at.join("disk.img"), at.join("before.img"))?;
    let answer = instar(at, engine, &["resize", "--stats", "-f", "qcow2", "disk.img", "2T"])?;
    done(&answer)?;
    if engine == Engine::Kvm && !["exits: ", "time in guest: "].iter().all(|line| answer.err.contains(line)) {
        return Err(format!("{answer:?}").into());
    }
    done(&qemu_img(at, &["check", "-q", "-f", "qcow2", "disk.img"])?)?;
    let same = qemu_img(at, &["compare", "-f", "qcow2", "-F", "qcow2", "disk.img", "before.img"])?;
    if same.code == Some(0) && same.out.contains("Images are identical.") {
        return Ok(());
    }
    Err(format!("{same:?}").into())
}

/// 200 writes of a pattern all over the disk.
fn populate(dir: &Path) -> Verdict {
    const STEP: u64 = (1 << 40) / 200 / 512 * 512;
    let mut command = Command::new("qemu-io");
    command.args(["-f", "qcow2"]).current_dir(dir);
    for i in 0..200 {
        command.args(["-c", &format!("write -q -P {} {} 70k", i + 1, i * STEP)]);
    }
    done(&Answer::from(command.arg("disk.img").output()?))
}

fn done(answer: &Answer) -> Verdict {
    if answer.code == Some(0) { Ok(()) } else { Err(format!("{answer:?}").into()) }
}
