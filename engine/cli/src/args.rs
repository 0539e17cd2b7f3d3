//! The command line, as clap sees it. The grammar that clap has no words for is in `argv`.

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::ffi::OsString;

/// Resize, create, inspect and check virtual disk images.
///
/// Everything that reads or writes an image's metadata runs in a small KVM guest with one block
/// device, so that a hostile image can at worst crash its own guest. The commands and their output
/// are those of qemu-img.
#[derive(Debug, Parser)]
#[command(
    name = "instar",
    version,
    infer_long_args = true,
    args_override_self = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Change the size of an image in place
    Resize(ResizeArgs),
    /// Display information about an image
    Info(InfoArgs),
    /// Check the metadata of an image
    Check(CheckArgs),
    /// Create a new image
    Create(CreateArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual pages, one after the other
    Man(ManArgs),
}

/// Which image to open, and as what.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Format of the image (raw, qcow2); probed if not given
    #[arg(short = 'f', long, value_name = "FMT")]
    pub format: Option<String>,
    /// FILE is not a file name but the options of a block driver: driver=qcow2,file.filename=FILE,
    /// encrypt.key-secret=ID
    #[arg(long)]
    pub image_opts: bool,
    /// Define a secret: secret,id=ID,data=STRING or secret,id=ID,file=PATH, either with format=base64
    #[arg(long, value_name = "OBJECTDEF", action = clap::ArgAction::Append)]
    pub object: Vec<OsString>,
}

/// Which of the files that an image names may be opened.
#[derive(Debug, Args)]
pub struct GateArgs {
    /// Which backing and data files may be opened: any, none, or those that really lie below one of these
    /// directories, which are separated by colons
    #[arg(long, value_name = "allow|deny|PATHS", action = clap::ArgAction::Append)]
    pub backing: Vec<OsString>,
}

/// What does the work, and what it took.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// What reads and writes the image's metadata
    #[arg(long, value_enum, value_name = "ENGINE", default_value = "kvm")]
    pub engine: EngineKind,
    /// Report what the job took: time, guest time and exits, requests, bytes, flushes
    #[arg(long)]
    pub stats: bool,
}

/// What reads and writes the image's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineKind {
    /// A guest in a virtual machine of its own (needs /dev/kvm)
    Kvm,
    /// The same code in this process, unprotected from the image
    InProcess,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text
    Human,
    /// JSON
    Json,
}

/// What to allocate for the new area of a grown image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PreallocationMode {
    /// Nothing
    Off,
    /// The format's own metadata
    Metadata,
    /// Space on the host, unwritten
    Falloc,
    /// Space on the host, written with zeros
    Full,
}

/// `instar resize`.
#[derive(Debug, Args)]
#[command(override_usage = "instar resize [OPTIONS] FILE [+|-]SIZE[bkKMGTPE]")]
pub struct ResizeArgs {
    /// The image.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Allow the image to become smaller: data beyond its new end is lost
    #[arg(long)]
    pub shrink: bool,
    /// What to allocate for the new area
    #[arg(long, value_enum, value_name = "MODE", default_value = "off")]
    pub preallocation: PreallocationMode,
    /// The gate.
    #[command(flatten)]
    pub gate: GateArgs,
    /// Say nothing on success
    #[arg(short, long)]
    pub quiet: bool,
    /// How to print the result
    #[arg(long, value_enum, value_name = "FORM", default_value = "human")]
    pub output: Output,
    /// The engine.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// The image file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<OsString>,
    /// New size, or with a sign the amount to grow or shrink by; suffixes are powers of 1024
    #[arg(value_name = "[+|-]SIZE[bkKMGTPE]")]
    pub size: Option<OsString>,
    /// Words too many.
    #[arg(hide = true)]
    pub extra: Vec<OsString>,
}

/// `instar info`.
#[derive(Debug, Args)]
#[command(override_usage = "instar info [OPTIONS] FILE")]
pub struct InfoArgs {
    /// The image.
    #[command(flatten)]
    pub source: SourceArgs,
    /// How to print the result
    #[arg(long, value_enum, value_name = "FORM", default_value = "human")]
    pub output: Output,
    /// Print what qemu-img of this version would, where that changed over time (8.2, 10.0.2, ...)
    #[arg(long, value_name = "VERSION")]
    pub qemu_version: Option<String>,
    /// Look at an image that is in use elsewhere; the result may be inconsistent
    #[arg(short = 'U', long)]
    pub force_share: bool,
    /// Describe the backing files too, one after the other
    #[arg(long)]
    pub backing_chain: bool,
    /// The gate.
    #[command(flatten)]
    pub gate: GateArgs,
    /// The engine.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// The image file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<OsString>,
    /// Words too many.
    #[arg(hide = true)]
    pub extra: Vec<OsString>,
}

/// `instar check`.
#[derive(Debug, Args)]
#[command(override_usage = "instar check [OPTIONS] FILE")]
pub struct CheckArgs {
    /// The image.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Say nothing on standard output
    #[arg(short, long)]
    pub quiet: bool,
    /// How to print the result
    #[arg(long, value_enum, value_name = "FORM", default_value = "human")]
    pub output: Output,
    /// Look at an image that is in use elsewhere; the result may be inconsistent
    #[arg(short = 'U', long)]
    pub force_share: bool,
    /// Repair what is found: leaked clusters only, or all that can be
    #[arg(short, long, value_name = "leaks|all")]
    pub repair: Option<OsString>,
    /// QEMU's cache mode: any is taken, and none changes anything
    #[arg(short = 'T', long, value_name = "MODE", hide = true)]
    pub cache: Option<OsString>,
    /// The engine.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// The image file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<OsString>,
    /// Words too many.
    #[arg(hide = true)]
    pub extra: Vec<OsString>,
}

/// `instar create`.
#[derive(Debug, Args)]
#[command(override_usage = "instar create [OPTIONS] FILE [SIZE[bkKMGTPE]]")]
pub struct CreateArgs {
    /// Format of the new image
    #[arg(short = 'f', long, value_name = "FMT", default_value = "raw")]
    pub format: String,
    /// Options of the format (help lists them): size, preallocation, nocow, extent_size_hint; of qcow2 also compat, cluster_size, refcount_bits,
    /// lazy_refcounts, extended_l2, compression_type, backing_file, backing_fmt, data_file, data_file_raw
    #[arg(short = 'o', long, value_name = "NAME=VALUE,...", action = clap::ArgAction::Append)]
    pub options: Vec<String>,
    /// Say nothing on success
    #[arg(short, long)]
    pub quiet: bool,
    /// The image whose content the new one has at first, and keeps referring to; a relative name counts from
    /// where the new image is. Its size is that of the new one if none is given
    #[arg(short = 'b', long, value_name = "FILE")]
    pub backing: Option<OsString>,
    /// Format of that image
    #[arg(short = 'F', long, value_name = "FMT")]
    pub backing_format: Option<OsString>,
    /// Do not open that image; it need not be there
    #[arg(short = 'u', long)]
    pub backing_unsafe: bool,
    /// A secret; what is created here needs none
    #[arg(long, value_name = "OBJECTDEF", hide = true)]
    pub object: Vec<OsString>,
    /// The engine.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// The image file; what it held is lost
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<OsString>,
    /// Size of the image; suffixes are powers of 1024
    #[arg(value_name = "SIZE[bkKMGTPE]")]
    pub size: Option<OsString>,
    /// Words too many.
    #[arg(hide = true)]
    pub extra: Vec<OsString>,
}

/// `instar completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `instar man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Only this command's page
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}
