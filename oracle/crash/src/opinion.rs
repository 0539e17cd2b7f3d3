//! What a real qemu-img makes of what a crash left.

use std::ops::RangeInclusive;
use std::path::Path;

use instar_ops::Format;
use oracle_case::Content;
use oracle_case::child::{Ending, Tool};
use oracle_judge::subject::{IMAGE, Ran, run_tool};
use serde_json::Value;

use crate::image::Image;
use crate::judge::{Bad, Good, Step};

/// The largest disk that is compared as a whole, in bytes: qemu-img takes its time over what is not allocated.
const MOST_COMPARED: u64 = 1 << 30;
/// Exit code of `qemu-img check` for leaks and nothing else.
const LEAKS: Ending = Ending::Exit(3);

/// Asks `qemu_img` in the directory `dir`, which is its own: it must open `image` at the size that is `good`, find the leaks
/// that are there and nothing else, free them, resize again, and then read `content` if there is any.
///
/// # Errors
/// What it does not like.
pub fn second_opinion(
    qemu_img: &Tool,
    dir: &Path,
    image: &Image,
    step: &Step,
    good: &Good,
    content: Option<&Content>,
) -> Result<(), Bad> {
    let broken = |e: std::io::Error| Bad::new("qemu-img", e.to_string());
    std::fs::create_dir_all(dir).map_err(broken)?;
    image.store(&dir.join(IMAGE)).map_err(broken)?;
    let format = match step.format {
        Format::Raw => "raw",
        Format::Qcow2 => "qcow2",
    };
    let ask = |verb: &str, words: &[&str]| {
        let args = [verb, "-f", format].into_iter().chain(words.iter().copied());
        run_tool(qemu_img, dir, args).map_err(|e| Bad::new("qemu-img", e.to_string()))
    };
    let info = json(&accepted("info", ask("info", &["--output=json", IMAGE])?)?)?;
    let size = if good.is_new { step.new } else { step.old };
    let seen = info["virtual-size"].as_u64();
    let expected = if step.format == Format::Raw { size.next_multiple_of(512) } else { size };
    if seen != Some(expected) {
        return Err(Bad::new("qemu-size", format!("qemu-img info says {seen:?} bytes, not {expected}")));
    }
    if step.format == Format::Qcow2 {
        checked(&ask("check", &["--output=json", IMAGE])?, good.leaks..=good.leaks)?;
        if good.leaks > 0 {
            accepted("check -r leaks", ask("check", &["-r", "leaks", IMAGE])?)?;
            checked(&ask("check", &["--output=json", IMAGE])?, 0..=0)?;
        }
    }
    let new = step.new.to_string();
    accepted("resize", ask("resize", &["--shrink", IMAGE, &new])?)?;
    if step.format == Format::Qcow2 {
        checked(&ask("check", &["--output=json", IMAGE])?, 0..=good.leaks_past_end)?;
    }
    let Some(content) = content.filter(|content| content.size() <= MOST_COMPARED) else {
        return Ok(());
    };
    let mut expected = Image::default();
    content
        .extents()
        .iter()
        .for_each(|e| expected.write(e.offset, &vec![e.byte; crate::image::to_usize(e.len)]));
    expected.set_len(content.size());
    expected.store(&dir.join("expected")).map_err(broken)?;
    accepted("compare", ask("compare", &["-F", "raw", IMAGE, "expected"])?).map(|_| ())
}

fn accepted(what: &str, ran: Ran) -> Result<Ran, Bad> {
    if ran.success() {
        return Ok(ran);
    }
    Err(Bad::new("qemu-img", format!("qemu-img {what}: {} {}", ran.summary(), ran.stdout.trim())))
}

fn json(ran: &Ran) -> Result<Value, Bad> {
    serde_json::from_str(&ran.stdout).map_err(|e| Bad::new("qemu-img", format!("{e}: {}", ran.summary())))
}

fn checked(ran: &Ran, leaks: RangeInclusive<u64>) -> Result<(), Bad> {
    let answer = json(ran)?;
    let count = |name: &str| answer[name].as_u64().unwrap_or(0);
    if count("corruptions") + count("check-errors") > 0 || !(ran.success() || ran.ending == LEAKS) {
        return Err(Bad::new(
            "qemu-check",
            format!("qemu-img check: {} {}", ran.summary(), ran.stdout.trim()),
        ));
    }
    if !leaks.contains(&count("leaks")) {
        return Err(Bad::new(
            "qemu-leaks",
            format!("qemu-img check finds {} leaks, not {leaks:?}", count("leaks")),
        ));
    }
    Ok(())
}
