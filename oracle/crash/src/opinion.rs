//! What a real qemu-img makes of what a crash left.

mod blocks;

use std::ops::RangeInclusive;
use std::path::Path;

use instar_ops::Format;
use oracle_case::Content;
use oracle_case::child::{Ending, Tool};
use oracle_case::secret::SECRET;
use oracle_judge::subject::{IMAGE, Ran, run_tool};
use serde_json::Value;

use crate::image::Image;
use crate::judge::{Bad, Good, Step};

/// The largest disk that is compared as a whole, in bytes: qemu-img takes its time over what is not allocated.
const MOST_COMPARED: u64 = 1 << 30;
/// Exit code of `qemu-img check` for leaks and nothing else.
const LEAKS: Ending = Ending::Exit(3);

/// What an image must be to qemu-img.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Its format.
    pub format: Format,
    /// Its size in bytes.
    pub size: u64,
    /// The size in bytes that it can be resized to.
    pub new: u64,
    /// Clusters that are leaked.
    pub leaks: u64,
    /// Clusters past the end of the file with a refcount: leaks as soon as the file reaches them.
    pub leaks_past_end: u64,
    /// Whether it has bitmaps. qemu-img writes all of them anew whenever it changes something else, and where the file ends in a
    /// leak it loses the clusters of these.
    pub bitmaps: bool,
    /// Whether a bitmap is in use, so that it refuses to resize the image.
    pub in_use: bool,
    /// Whether it was not closed properly, so that a check says nothing before a resize has repaired it.
    pub unclean: bool,
    /// Whether it is opened with a passphrase.
    pub encrypted: bool,
}

impl Expected {
    /// What follows from a good state of a resize.
    #[must_use]
    pub const fn of(step: &Step, good: &Good) -> Self {
        Self {
            format: step.format,
            size: good.size,
            new: step.new,
            leaks: good.leaks,
            leaks_past_end: good.leaks_past_end,
            bitmaps: good.bitmaps,
            in_use: good.in_use,
            unclean: good.unclean,
            encrypted: step.encrypted,
        }
    }
}

/// Asks `qemu_img` in the directory `dir`, which is its own: it must open `image` at its size, find the leaks that are there
/// and nothing else, free them (`check -r leaks`) so that none is left, resize again, free what that made a leak, and then
/// read `content` if there is any. An image with a bitmap in use it must not resize. What it resizes no image of, it looks at
/// as it is: then `content` is what the image holds now.
///
/// # Errors
/// What it does not like.
pub fn second_opinion(
    qemu_img: &Tool,
    dir: &Path,
    image: &Image,
    expected: &Expected,
    content: Option<&Content>,
) -> Result<(), Bad> {
    let broken = |e: std::io::Error| Bad::new("qemu-img", e.to_string());
    std::fs::create_dir_all(dir).map_err(broken)?;
    image.store(&dir.join(IMAGE)).map_err(broken)?;
    image.beside().store(dir).map_err(broken)?;
    if crate::blocks::knows(expected.format) {
        return blocks::second_opinion(qemu_img, dir, expected, content);
    }
    let own = if expected.bitmaps { u64::MAX } else { 0 };
    let asked = Asked { qemu_img, dir, format: expected.format, encrypted: expected.encrypted, own };
    let info = json(&asked.accepted("info", &["--output=json", IMAGE])?)?;
    let seen = info["virtual-size"].as_u64();
    let size = if is_plain(expected.format) { expected.size.next_multiple_of(512) } else { expected.size };
    if seen != Some(size) {
        return Err(Bad::new("qemu-size", format!("qemu-img info says {seen:?} bytes, not {size}")));
    }
    if !expected.unclean {
        asked.freed(expected.leaks..=expected.leaks)?;
    }
    if expected.in_use {
        let ran = asked.ask("resize", &["--shrink", IMAGE, &expected.new.to_string()])?;
        return match ran.success() {
            false => Ok(()),
            true => Err(Bad::new("qemu-img", "qemu-img resizes an image with a bitmap in use")),
        };
    }
    asked.accepted("resize", &["--shrink", IMAGE, &expected.new.to_string()])?;
    asked.freed(0..=expected.leaks_past_end.max(own))?;
    asked.compared(content)
}

/// A qemu-img and where the image is.
struct Asked<'a> {
    qemu_img: &'a Tool,
    dir: &'a Path,
    format: Format,
    encrypted: bool,
    /// Leaks that it may make itself.
    own: u64,
}

impl Asked<'_> {
    fn ask(&self, verb: &str, words: &[&str]) -> Result<Ran, Bad> {
        let format = match self.format {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
            Format::Vhd => "vpc",
            Format::Vhdx => "vhdx",
            Format::Vmdk => "vmdk",
            Format::Qed => "qed",
            Format::Luks => "luks",
        };
        let mut args: Vec<String> = vec![verb.into()];
        if self.encrypted {
            args.extend(["--object", SECRET, "--image-opts"].map(Into::into));
            let word = |word: &&str| if *word == IMAGE { sealed(format) } else { (*word).to_owned() };
            args.extend(words.iter().map(word));
        } else {
            args.extend(["-f".into(), format.into()]);
            args.extend(words.iter().map(|word| (*word).to_owned()));
        }
        run_tool(self.qemu_img, self.dir, args).map_err(|e| Bad::new("qemu-img", e.to_string()))
    }

    /// That it reads `content`, if there is any and it is not too large.
    fn compared(&self, content: Option<&Content>) -> Result<(), Bad> {
        let Some(content) = content.filter(|content| content.size() <= MOST_COMPARED) else {
            return Ok(());
        };
        let mut expected = Image::default();
        content
            .extents()
            .iter()
            .for_each(|e| expected.write(e.offset, &vec![e.byte; crate::image::to_usize(e.len)]));
        expected.set_len(content.size());
        expected.store(&self.dir.join("expected")).map_err(|e| Bad::new("qemu-img", e.to_string()))?;
        if self.encrypted {
            return self.accepted("compare", &[IMAGE, "driver=raw,file.filename=expected"]).map(|_| ());
        }
        self.accepted("compare", &["-F", "raw", IMAGE, "expected"]).map(|_| ())
    }

    fn accepted(&self, verb: &str, words: &[&str]) -> Result<Ran, Bad> {
        accepted(verb, self.ask(verb, words)?)
    }

    /// The check finds so many leaks and nothing else, and none once they are freed. Where none is found, there is
    /// nothing to free: refcounts past the end of the file are no leaks to any check.
    fn freed(&self, leaks: RangeInclusive<u64>) -> Result<(), Bad> {
        if is_plain(self.format) {
            return Ok(());
        }
        if checked(&self.ask("check", &["--output=json", IMAGE])?, leaks)? > 0 {
            self.accepted("check", &["-r", "leaks", IMAGE])?;
            checked(&self.ask("check", &["--output=json", IMAGE])?, 0..=self.own)?;
        }
        Ok(())
    }
}

/// Whether the length of the file is all there is to check.
const fn is_plain(format: Format) -> bool {
    matches!(format, Format::Raw | Format::Luks)
}

/// The words by which an encrypted image is opened.
fn sealed(format: &str) -> String {
    let key = if format == "luks" { "key-secret" } else { "encrypt.key-secret" };
    format!("driver={format},file.filename={IMAGE},{key}=s")
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

/// How many leaks there are.
fn checked(ran: &Ran, leaks: RangeInclusive<u64>) -> Result<u64, Bad> {
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
    Ok(count("leaks"))
}
