//! What is compared: anything that speaks `qemu-img`'s command line.

use crate::{JudgeError, Version};
use oracle_case::child::{self, Ending, Tool};
use oracle_case::{Creator, Fixture, FormatOptions, Preallocation, Qcow2, Resize, Vpc};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// How long any one child may take. A healthy one takes milliseconds.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The name every image has in the directory it is worked on, so that messages which quote it are comparable.
pub const IMAGE: &str = "disk.img";

/// Which command line a subject speaks, and whose words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// instar: `qemu-img`'s words, and options of its own.
    Instar,
    /// `qemu-img`.
    Qemu,
    /// Something with `qemu-img`'s command line and words of its own.
    Other,
}

/// Something that resizes images.
pub trait Subject: Send + Sync {
    /// Its name in reports, which tells it from every other subject.
    fn name(&self) -> &str;

    /// Its version, if it is a `qemu-img`.
    fn version(&self) -> Option<&Version>;

    /// The program, and the arguments that go before those of a call.
    fn tool(&self) -> &Tool;

    /// Options of its own that follow a subcommand's name.
    fn options(&self) -> &[String];

    /// Whose words it speaks.
    fn family(&self) -> Family;

    /// Why it cannot be given such an image, if it cannot.
    fn unable(&self, fixture: &Fixture) -> Option<String>;

    /// Whether it has no such subcommand.
    fn lacks(&self, _verb: &str) -> bool {
        false
    }

    /// Runs a subcommand in `dir`.
    ///
    /// # Errors
    /// [`JudgeError::Spawn`].
    fn run(&self, dir: &Path, verb: &str, args: &[String]) -> Result<Ran, JudgeError> {
        let mut words = vec![verb.to_string()];
        words.extend(self.options().iter().cloned());
        words.extend(args.iter().cloned());
        run_tool(self.tool(), dir, words)
    }
}

/// What a child left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub ending: Ending,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Whether it exited with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.ending == Ending::Exit(0)
    }

    /// Ending and first line of standard error, for a person.
    #[must_use]
    pub fn summary(&self) -> String {
        let line = self.stderr.lines().next().unwrap_or_default();
        match self.ending {
            Ending::Exit(code) => format!("exit {code} {line}"),
            Ending::Signal(signal) => format!("killed by signal {signal} {line}"),
            Ending::TimedOut => "no end in the time allowed".into(),
        }
    }
}

/// Runs `tool` in `dir`, in the language its messages are written in.
///
/// # Errors
/// [`JudgeError::Spawn`]: it does not start, or its output cannot be kept whole.
pub fn run_tool<A: Into<OsString>>(
    tool: &Tool,
    dir: &Path,
    args: impl IntoIterator<Item = A>,
) -> Result<Ran, JudgeError> {
    run_tool_within(DEADLINE, tool, dir, args)
}

/// As [`run_tool`], but for how long it may take.
///
/// # Errors
/// As [`run_tool`].
pub fn run_tool_within<A: Into<OsString>>(
    deadline: Duration,
    tool: &Tool,
    dir: &Path,
    args: impl IntoIterator<Item = A>,
) -> Result<Ran, JudgeError> {
    let mut command = tool.command(args);
    command.current_dir(dir).env("LC_ALL", "C");
    let failed = |reason: String| JudgeError::Spawn { program: tool.program.display().to_string(), reason };
    let output = child::run(command, deadline).map_err(|e| failed(e.to_string()))?;
    if output.truncated && output.ending != Ending::TimedOut {
        // Half an answer would be taken for a different one.
        return Err(failed("it says more than can be kept, or its output does not end".into()));
    }
    Ok(Ran { ending: output.ending, stdout: output.stdout_text(), stderr: output.stderr_text() })
}

/// The arguments of a resize in the spelling that every version reads: options, FILE, SIZE last.
#[must_use]
pub fn resize_args(format: &FormatOptions, resize: &Resize) -> Vec<String> {
    let (mut args, image) = format.opening(IMAGE, resize.name_format);
    if resize.shrink {
        args.push("--shrink".into());
    }
    let mode = match resize.preallocation {
        Preallocation::Off => None,
        Preallocation::Metadata => Some("metadata"),
        Preallocation::Falloc => Some("falloc"),
        Preallocation::Full => Some("full"),
    };
    if let Some(mode) = mode {
        args.extend(["--preallocation".into(), mode.into()]);
    }
    args.extend([image, resize.size.clone()]);
    args
}

/// The arguments that create an empty image with the options of `fixture`, at `size` bytes.
#[must_use]
pub fn create_args(fixture: &Fixture, size: u64) -> Vec<String> {
    let mut args = vec!["-f".into(), fixture.format.name().into()];
    if let FormatOptions::Qcow2(options) = &fixture.format {
        let empty = Qcow2 { preallocated: false, ..options.clone() };
        args.extend(["-o".into(), empty.create_options()]);
    }
    let others = match &fixture.format {
        FormatOptions::Qed(options) => Some(options.create_options()),
        FormatOptions::Vpc(options) => Some(options.create_options()),
        FormatOptions::Vhdx(options) => Some(options.create_options()),
        FormatOptions::Vmdk(options) => Some(options.create_options()),
        FormatOptions::Raw | FormatOptions::Luks | FormatOptions::Qcow2(_) => None,
    };
    args.extend(others.into_iter().flat_map(|list| ["-o".into(), list]));
    args.extend([IMAGE.into(), size.to_string()]);
    args
}

/// An instar with one engine.
#[derive(Debug, Clone)]
pub struct Instar {
    name: String,
    tool: Tool,
    options: Vec<String>,
}

impl Instar {
    /// `engine` is `kvm` or `in-process`.
    #[must_use]
    pub fn new(tool: Tool, engine: &str) -> Self {
        Self { name: format!("instar ({engine})"), tool, options: vec!["--engine".into(), engine.into()] }
    }
}

impl Subject for Instar {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> Option<&Version> {
        None
    }

    fn tool(&self) -> &Tool {
        &self.tool
    }

    fn options(&self) -> &[String] {
        &self.options
    }

    fn family(&self) -> Family {
        Family::Instar
    }

    fn unable(&self, _: &Fixture) -> Option<String> {
        None
    }
}

/// A `qemu-img` of some version, with its `qemu-io`.
#[derive(Debug, Clone)]
pub struct Qemu {
    name: String,
    version: Version,
    img: Tool,
    io: Option<Tool>,
    lacks: Vec<Feature>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feature {
    Zstd,
    ExtendedL2,
}

impl Qemu {
    /// Asks `img` for its version, and in `dir` what it can create.
    ///
    /// # Errors
    /// [`JudgeError::Spawn`] if it does not run or does not say its version.
    pub fn probe(img: Tool, io: Option<Tool>, dir: &Path) -> Result<Self, JudgeError> {
        let banner = run_tool(&img, dir, ["--version"])?;
        let version = Version::from_banner(&banner.stdout).ok_or_else(|| JudgeError::Spawn {
            program: img.program.display().to_string(),
            reason: format!("it does not say its version ({})", banner.summary()),
        })?;
        let mut qemu = Self { name: format!("qemu-img {version}"), version, img, io, lacks: Vec::new() };
        for (feature, option) in
            [(Feature::Zstd, "compression_type=zstd"), (Feature::ExtendedL2, "extended_l2=on")]
        {
            let args = ["-q", "-f", "qcow2", "-o", option, "probe.img", "1M"].map(Into::into);
            if !qemu.run(dir, "create", &args)?.success() {
                qemu.lacks.push(feature);
            }
        }
        Ok(qemu)
    }

    /// The same under another name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Whether it writes images of such a fixture as they should be: 5.2 moves the entries of a VHDX's table that share a
    /// sector with a new entry at the sector's start.
    #[must_use]
    pub fn writes(&self, fixture: &Fixture) -> bool {
        fixture.format.vhdx().is_none() || "7.2".parse().is_ok_and(|version: Version| self.version >= version)
    }

    /// The `qemu-io` of the same version, where there is one.
    #[must_use]
    pub fn io(&self) -> Option<&Tool> {
        self.io.as_ref()
    }
}

impl Subject for Qemu {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> Option<&Version> {
        Some(&self.version)
    }

    fn tool(&self) -> &Tool {
        &self.img
    }

    fn options(&self) -> &[String] {
        &[]
    }

    fn family(&self) -> Family {
        Family::Qemu
    }

    fn unable(&self, fixture: &Fixture) -> Option<String> {
        let before = |numbers: &str| numbers.parse().is_ok_and(|version: Version| self.version < version);
        let odd = |options: &Vpc| matches!(options.creator, Creator::Vbox | Creator::D2v);
        if fixture.format.vpc().is_some_and(odd) && before("10.0") {
            return Some(format!("{} goes by the geometry of this creator", self.name));
        }
        if fixture.format.vhdx().is_some_and(|options| options.large_sectors) {
            return Some(format!("{} opens no VHDX disk with sectors of 4096 bytes", self.name));
        }
        if fixture.format.is_encrypted() && before("4.2") {
            return Some(format!("{} preallocates no LUKS file", self.name));
        }
        let q = fixture.format.qcow2()?;
        let lacks = |feature| self.lacks.contains(&feature);
        match q {
            _ if fixture.data_file.is_some_and(|file| file.raw) && before("6.0") => {
                Some(format!("{} leaves the new area of a raw data file unmapped", self.name))
            }
            _ if fixture.backing.is_some() && before("5.1") => {
                Some(format!("{} shows what is behind the new area", self.name))
            }
            _ if !fixture.snapshots.is_empty() && before("5.1") => {
                Some(format!("{} resizes nothing that has snapshots", self.name))
            }
            _ if !fixture.bitmaps.is_empty() && before("5.1") => {
                Some(format!("{} has no bitmap command", self.name))
            }
            _ if q.zstd && lacks(Feature::Zstd) => Some(format!("{} has no zstd", self.name)),
            _ if q.extended_l2 && lacks(Feature::ExtendedL2) => {
                Some(format!("{} has no extended L2", self.name))
            }
            _ => None,
        }
    }
}
