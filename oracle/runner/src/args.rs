//! The command line.

use crate::archive::ArchiveArgs;
use crate::baseline::BaselineArgs;
use crate::bisect::BisectArgs;
use crate::corpus::CorpusArgs;
use crate::crash::CrashArgs;
use crate::hostile::HostileArgs;
use crate::reports::Report;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Compares programs that resize disk images.
#[derive(Debug, Parser)]
#[command(name = "oracle", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run seeded cases through instar and qemu-img, and compare what came out.
    Compare(CompareArgs),
    /// Run one case from a file again.
    Replay(ReplayArgs),
    /// Make a case from a file smaller while it shows the same divergence.
    Minimize(MinimizeArgs),
    /// Run cases until a time is up, and keep only kinds of divergence that were not kept before.
    Fuzz(FuzzArgs),
    /// Keep versions of qemu-img to compare with.
    Archive(ArchiveArgs),
    /// Keep what versions of qemu-img answer, and see when it changed.
    Baseline(BaselineArgs),
    /// Name the first version whose answer to a case differs from its predecessor's.
    Bisect(BisectArgs),
    /// Judge every state that a crash or a failing device can leave of a resize.
    Crash(CrashArgs),
    /// Spoil images one field at a time, and compare what instar and qemu-img make of them.
    Hostile(HostileArgs),
    /// Write what fuzzers begin with.
    Corpus(CorpusArgs),
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// How many seeded cases to run.
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub cases: usize,
    /// The first seed.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Only cases of this format; may be repeated.
    #[arg(long, value_name = "FORMAT")]
    pub format: Vec<FormatName>,
    /// Run this case instead of seeded ones; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub case: Vec<PathBuf>,
    /// Stop at the first divergence, and shrink and keep nothing.
    #[arg(long)]
    pub fail_fast: bool,
    /// Where findings are kept; what was kept there before is not new, and does not fail the run.
    #[arg(long, value_name = "DIR", conflicts_with = "keep")]
    pub findings: Option<PathBuf>,
    /// Judge only cases that instar answers otherwise than when this directory was made; if it is not there, judge all,
    /// and make it if they agree.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["left", "findings"])]
    pub since: Option<PathBuf>,
    /// What is compared, and how.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The case, as JSON.
    pub case: PathBuf,
    /// What is compared, and how.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `minimize`.
#[derive(Debug, Args)]
pub struct MinimizeArgs {
    /// The case, as JSON.
    pub case: PathBuf,
    /// The class that must stay; without it, that of the first oracle that disagrees.
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Where to write the smaller case; without it, next to the case as NAME.min.json.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How many seconds to look for a smaller one.
    #[arg(long, value_name = "N", default_value_t = 120)]
    pub seconds: u64,
    /// What is compared, and how.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `fuzz`.
#[derive(Debug, Args)]
pub struct FuzzArgs {
    /// When to stop: 90s, 30m, 8h.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = crate::fuzz::duration)]
    pub time: Duration,
    /// The first seed.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Only cases of this format; may be repeated.
    #[arg(long, value_name = "FORMAT")]
    pub format: Vec<FormatName>,
    /// Where findings are kept; what was kept there before is not new.
    #[arg(long, value_name = "DIR", default_value = "out/findings")]
    pub findings: PathBuf,
    /// What is compared, and how.
    #[command(flatten)]
    pub common: Common,
}

/// What is compared, and how.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Compare with this qemu-img: a version (8.2 is the newest 8.2.x there is), a path, `live` for all that are here, or
    /// `all` for those that only baselines know, too; may be repeated.
    #[arg(long, value_name = "VERSION|live|all|PATH", default_value = "live")]
    pub qemu: Vec<String>,
    /// Where a version is to be had from. `auto`: from its baseline where it is not here.
    #[arg(long, value_name = "SOURCE", default_value = "auto")]
    pub from: Source,
    /// Ask versions that are here the cases of the baselines, too.
    #[arg(long)]
    pub matrix: bool,
    /// Where the baselines are.
    #[arg(long, value_name = "DIR", default_value = "baselines")]
    pub baselines: PathBuf,
    /// Run instar with this engine; may be repeated. Without it: every engine that this machine can run.
    #[arg(long, value_name = "ENGINE")]
    pub engine: Vec<EngineName>,
    /// How many cases to run at a time; 0 for one per processor.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub jobs: usize,
    /// How to report.
    #[arg(long, value_name = "FORM", default_value = "human")]
    pub output: OutputForm,
    /// Write a report: html=PATH, json=PATH or junit=PATH; more of them with commas, or repeated.
    #[arg(long, value_name = "FORM=PATH", value_delimiter = ',')]
    pub report: Vec<Report>,
    /// Compare any two: this one (qemu-img, qemu-img@VERSION, instar, instar@kvm, instar@in-process, or the path of a
    /// program with qemu-img's command line) ...
    #[arg(long, value_name = "SUBJECT", requires = "right", conflicts_with_all = ["qemu", "from", "matrix", "engine"])]
    pub left: Option<String>,
    /// ... with this one.
    #[arg(long, value_name = "SUBJECT", requires = "left")]
    pub right: Option<String>,
    /// How long each command of --left and --right may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub deadline: u64,
    /// Test this program instead of the instar that is built into the oracle.
    #[arg(long, value_name = "PATH")]
    pub instar: Option<PathBuf>,
    /// Where the archived versions of qemu-img are.
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
    /// Where to keep the case and the images of every group of findings.
    #[arg(long, value_name = "DIR", default_value = "out/oracle")]
    pub keep: PathBuf,
}

impl Common {
    /// Whether two subjects are compared with each other.
    pub fn is_pair(&self) -> bool {
        self.left.is_some()
    }
}

/// Formats that cases have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// Raw files.
    Raw,
    /// qcow2 images.
    Qcow2,
    /// QED images.
    Qed,
    /// VHD images.
    #[value(alias = "vpc")]
    Vhd,
    /// VHDX images.
    Vhdx,
    /// VMDK images.
    Vmdk,
    /// LUKS files.
    Luks,
}

impl FormatName {
    /// The name that `-f` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Qed => "qed",
            Self::Vhd => "vpc",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
            Self::Luks => "luks",
        }
    }
}

/// Engines of instar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// In a KVM guest.
    Kvm,
    /// In instar's own process.
    InProcess,
    /// Both.
    All,
}

/// Where the answers of a version come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// From the program if it is here, from a baseline otherwise.
    Auto,
    /// From the program.
    Live,
    /// From a baseline.
    Baseline,
}

/// How to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// Tables for people.
    Human,
    /// One JSON object.
    Json,
}
